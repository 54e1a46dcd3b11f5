//! What the store holds.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wasmjob_api::{Event, Job, Pod, Uid};

/// The kind of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
    /// `v1` Event.
    Event,
}

/// What identifies an object among all.
///
/// UIDs are unique for ever, so a row is found by one number; names are for
/// people, and are unique among the living of a kind and namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// The UID.
    pub uid: Uid,
}

/// An object, shared and unchanging.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Job.
    Job(Arc<Job>),
    /// A pod.
    Pod(Arc<Pod>),
    /// An event.
    Event(Arc<EventRecord>),
}

/// An event and what it is about.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// Identity.
    pub uid: Uid,
    /// The object that it is about.
    pub regarding: Key,
    /// That object's namespace.
    pub namespace: Arc<str>,
    /// That object's name.
    pub name: Arc<str>,
    /// What happened.
    pub event: Event,
    /// When (wall time).
    pub time: Timestamp,
    /// Who says so: `job-controller`, `kubelet`, `default-scheduler`.
    pub source: Cow<'static, str>,
}

impl Object {
    /// What identifies it.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Job(job) => Key {
                kind: Kind::Job,
                uid: job.uid,
            },
            Self::Pod(pod) => Key {
                kind: Kind::Pod,
                uid: pod.uid,
            },
            Self::Event(event) => Key {
                kind: Kind::Event,
                uid: event.uid,
            },
        }
    }

    /// The Job, if it is one.
    #[must_use]
    pub fn as_job(&self) -> Option<&Arc<Job>> {
        match self {
            Self::Job(job) => Some(job),
            Self::Pod(_) | Self::Event(_) => None,
        }
    }

    /// The pod, if it is one.
    #[must_use]
    pub fn as_pod(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Pod(pod) => Some(pod),
            Self::Job(_) | Self::Event(_) => None,
        }
    }
}

/// An object and the revision that last changed it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `resourceVersion`.
    pub revision: u64,
    /// The object.
    pub object: Object,
}

/// One object's part of a commit, as watchers see it.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new.
    Added(Object),
    /// It is changed; this is its new form.
    Modified(Object),
    /// It is gone; this was its last form.
    Deleted(Object),
}

impl Change {
    /// The object, in its new form or its last.
    #[must_use]
    pub fn object(&self) -> &Object {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => object,
        }
    }
}
