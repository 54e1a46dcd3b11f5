//! Runs pods: what a kubelet does.
//!
//! The host gives this room pods; it admits them against the node's capacity,
//! prepares their images, volumes and environment, runs their containers in
//! sandboxes, restarts those that are to be restarted, probes them, ends them,
//! and reports a new [`wasmjob_api::PodStatus`] whenever something changed.
//!
//! [`Node`] is a state machine that one thread owns: [`Node::start`] and
//! [`Node::stop`] give it work, [`Node::handle`] lets it look at what guests,
//! workers and timers did, [`Node::take_ended`] and [`Node::take_changes`] say
//! what became of it. It
//! never blocks: modules are loaded and directories made on threads of its own.
//!
//! It knows no Jobs, no store and no server. Wall time comes from [`Clock`] and
//! only labels things; durations are measured on the monotonic clock.

mod admission;
mod atomic_dir;
mod backoff;
mod beside;
mod clock;
mod disk;
mod downward;
mod ending;
mod environment;
mod exec;
mod expand;
mod holders;
mod images;
mod life;
mod logs;
mod mounting;
mod mounts;
mod network;
mod node;
mod objects;
mod pod;
mod probe;
mod projected;
mod refresh;
mod remove;
mod resources;
mod restart;
mod scheduling;
mod sub_path;
mod template;
mod timers;
mod token;
mod told;
mod usage;
mod volumes;
mod workers;

pub use clock::{Clock, SystemClock};
pub use exec::{Exec, ExecError, ExecHandle};
pub use logs::{
    FindPod, LogBuffer, LogChunk, LogDir, LogFeed, LogLimits, LogRead, Logs, lost_notice,
};
pub use network::NetworkPolicy;
pub use node::{Node, NodeConfig, NodeError, NodeParts, Update, Urgency};
pub use objects::{ConfigKind, ConfigName, Objects};
pub use remove::remove_tree;
pub use resources::Resources;
pub use token::{PodToken, TokenWanted};
pub use usage::{ContainerUsage, NodeUsage, PodUsage};
pub use volumes::{HostPathPolicy, HostPathRoot};
