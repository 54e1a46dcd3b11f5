//! Kubernetes Jobs as sandboxed WebAssembly, inside your program.
//!
//! A [`Host`] keeps Jobs, decides which pods should exist, and runs every pod as
//! a WASI instance under hard limits: memory, deadline, fuel. Its guests see
//! nothing that their manifest does not give them. Retries, parallelism,
//! deadlines, back-off and results are those of `batch/v1`.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let host = wasmjob::Host::builder()
//!     .module("greeter", wat::parse_str("(module (func (export \"_start\")))")?)
//!     .build()?;
//! let jobs = host.apply_yaml(
//!     "greeting.yaml",
//!     "{apiVersion: batch/v1, kind: Job, metadata: {name: greeting}, spec: {completions: 3, \
//!      template: {spec: {restartPolicy: Never, containers: [{name: greet, image: greeter}]}}}}",
//! )?;
//! let result = jobs[0].wait_blocking()?;
//! assert!(result.is_complete());
//! assert_eq!(result.status.succeeded, 3);
//! # Ok(())
//! # }
//! ```
//!
//! The host has threads of its own and needs no async runtime; from within one,
//! [`JobHandle::wait`] is the same without blocking. Dropping the host ends
//! everything that it started. It installs no signal handlers but those that
//! Wasmtime needs for traps, and keeps nothing global.
//!
//! With the feature `durable` (on by default) a host may keep its objects in a
//! directory, `HostBuilder::data_dir`; without it no database is built.
//!
//! This room wires the others, and owns clock and randomness. It knows neither
//! arguments nor terminals, and speaks no HTTP.

mod builder;
mod clock;
mod clock_watch;
mod core;
mod cron;
mod error;
mod exec;
mod figures;
mod handle;
mod host;
mod job;
mod memory_dir;
mod objects;
mod random;
mod result;
mod scratch;
#[cfg(feature = "durable")]
mod secret_key;

pub use crate::core::{ManifestChanges, NewObject, Replacement, Write, WriteError, Written};
pub use builder::HostBuilder;
pub use error::{ApplyError, BuildError, EditError, HostGone};
pub use exec::{Exec, ExecRefused, ExecSession};
pub use figures::{Counts, Figures, FinishedJobs, FinishedPods, Skew};
pub use handle::{JobHandle, PodChanges, PodHandle};
pub use host::{Host, Taken};
pub use job::Propagation;
pub use objects::PodTokens;
pub use result::{ContainerResult, JobResult, PodResult};
#[cfg(feature = "durable")]
pub use secret_key::SecretKeyError;

pub use wasmjob_api as api;
pub use wasmjob_api::k8s_openapi;
pub use wasmjob_controllers::{cron_job::Slots, forecast};
pub use wasmjob_image::{
    Alias, Compiler, CredentialsError, Digest, Fetched, ImageConfig, ImageError, ImageLimits,
    ImageName, KeyError, Keyring, Listed, NodeCredentials, Patience, Proxies, ProxyError, Pruned,
    PullError, PullErrorKind, PullPolicy, Pushed, Registries, RegistriesConfig, Signatures,
    WorkerLimits, docker_config_file, serve_compile,
};
pub use wasmjob_node::{
    Clock, ContainerUsage, ExecError, ExecHandle, LogBuffer, LogChunk, LogFeed, LogLimits, LogRead,
    NodeError, NodeUsage, PodToken, PodUsage, Resources, TokenWanted, lost_notice, remove_tree,
};
pub use wasmjob_sandbox::{
    ComponentLinker, CoreLinker, ENGINE_VERSION, Guest, InputClosed, InputSender, Limits,
    LinkError, OutputReader, Stream,
};
pub use wasmjob_store::{
    Change, EVENTS_KEPT, EventRecord, Expired, GenericObject, Health, Key, Kind, Object, Store,
    Stored, Transaction, Watch,
};
#[cfg(feature = "durable")]
pub use wasmjob_store::{Directory, OpenError};
