//! The objects of wasmjob: types, defaults, validation and manifests.
//!
//! Everything here is pure. This room reads no clock, no randomness, no disk
//! and no environment, and knows neither async nor wasmtime: bytes come in as
//! an argument, `now` comes in as an argument, and values go out.
//!
//! Two forms of an object live side by side. At the edges (manifests, the HTTP
//! API, `-o json`) an object is the Kubernetes type from `k8s-openapi`. Inside,
//! a [`Job`] or [`CronJob`] carries its spec parsed once behind an `Arc`, and a
//! [`Pod`] is a row: a reference to the template that it shares with its siblings plus what
//! differs. A row becomes a full Kubernetes object when somebody reads it.

mod amount;
pub mod config;
mod cron_job;
pub mod defaults;
mod event;
pub mod field;
mod index_set;
mod job;
pub mod manifest;
pub mod network;
pub mod network_policy;
mod pod;
mod qos;
mod quantity;
mod render;
pub mod support;
pub mod types;
mod uid;
pub mod validation;

pub use amount::Amount;
pub use cron_job::{
    Allowed, CatchUp, Cause, ConcurrencyPolicy, CronJob, CronJobOptions, CronJobSpec,
    CronJobStatus, JobReference, Obstacle, OptionError, Rule, SLOT_RECORDS_MAX, SlotLedger,
    SlotRecord, SlotVerdict, Told,
};
pub use event::{Event, EventNote, EventType};
pub use index_set::{IndexSet, IndexSetError};
pub use job::{
    Backoff, CompletionMode, Job, JobCondition, JobConditionType, JobSpec, JobStatus, SuccessRule,
};
pub use pod::{
    ContainerState, ContainerStatus, Deletion, Disruption, OwnerJob, Phase, Pod, PodStatus,
    PodTemplate, Terminated, Usage,
};
pub use qos::class as qos_class;
pub use quantity::{Quantity, QuantityError};
pub use uid::{Uid, UidError};

/// Schedules and time zones, as a CronJob's spec holds them.
pub use wasmjob_schedule as schedule;

/// The Kubernetes types, of the version whose semantics wasmjob follows.
pub use k8s_openapi;
