//! The versioned objects: read, commit, watch.
//!
//! Only this room changes objects. One [`Transaction`] is one atomic change of
//! any number of objects and makes one revision, which is their
//! `resourceVersion`. Revisions only grow. Whoever watches sees every change
//! once, in order, without gaps, and may come back later for what it missed,
//! as long as that is within the kept history ([`Expired`] past it).
//!
//! Objects are shared (`Arc`) and never changed in place. Pods are rows that
//! refer to their Job's template; they become Kubernetes objects elsewhere.
//!
//! A store is in memory, or also on a disk, behind the same seam: there a commit
//! is joined with its neighbours into one fsynced batch, and only then counted
//! as visible and shown. What is read is always in memory. The store reads no
//! clock and knows nothing of controllers.

#[cfg(feature = "durable")]
mod durable;
#[cfg(not(feature = "durable"))]
mod no_journal;
mod object;
mod state;
mod store;
mod watch;

#[cfg(feature = "durable")]
pub use durable::{Directory, Disk, Medium, OpenError, SecretKey};
pub use object::{
    Change, EventRecord, GenericObject, Key, Kind, ManifestObject, ManifestRecord, Object, Stored,
};
pub use state::EVENTS_KEPT;
pub use store::{Health, Store, Transaction};
pub use watch::{Expired, Watch};
