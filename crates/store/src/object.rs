//! What the store holds.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wasmjob_api::{CronJob, Event, Job, Pod, Uid};

/// The kind of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
    /// `v1` Event.
    Event,
    /// `batch/v1` CronJob.
    CronJob,
    /// What a file of a directory of manifests stands for; no Kubernetes object.
    Manifest,
    /// Any other Kubernetes object, which is only kept: a ConfigMap, a Role, …
    Generic,
}

/// What identifies an object among all.
///
/// UIDs are unique for ever, so a row is found by one number; names are for
/// people, and are unique among the living of a kind and namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
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
    /// A CronJob.
    CronJob(Arc<CronJob>),
    /// A file.
    Manifest(Arc<ManifestRecord>),
    /// An object of any other kind.
    Generic(Arc<GenericObject>),
}

/// An object of a kind that nothing here acts on: kept as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GenericObject {
    /// Identity; never reused.
    pub uid: Uid,
    /// Plural and group: `configmaps`, `roles.rbac.authorization.k8s.io`.
    pub resource: Arc<str>,
    /// The namespace; empty for an object of the whole cluster.
    pub namespace: Arc<str>,
    /// The name, unique among those of its resource and namespace.
    pub name: Arc<str>,
    /// The object as JSON, without `metadata.resourceVersion`, which is that of
    /// the row.
    #[serde(with = "serde_bytes")]
    pub json: Box<[u8]>,
}

/// A file of a directory of manifests, as it was last taken over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// Identity of the record.
    pub uid: Uid,
    /// The file's name within the directory.
    pub file: Arc<str>,
    /// A digest of its bytes.
    pub digest: Arc<str>,
    /// What it stands for. A Job that its time to live has removed stays here, so
    /// that it is not run again.
    pub objects: Vec<ManifestObject>,
}

/// An object of a manifest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestObject {
    /// What it was made as.
    pub key: Key,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// A digest of what the file gave, of an object that comes in as something else: what
    /// was made of it tells no more whether the file says another thing now. It stands
    /// behind the others in the row.
    #[serde(skip)]
    pub given: Option<[u8; 32]>,
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
    /// When, for the last time (wall time).
    pub time: Timestamp,
    /// When for the first time.
    pub first: Timestamp,
    /// How often.
    pub count: u32,
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
            Self::CronJob(cron_job) => Key {
                kind: Kind::CronJob,
                uid: cron_job.uid,
            },
            Self::Manifest(manifest) => Key {
                kind: Kind::Manifest,
                uid: manifest.uid,
            },
            Self::Generic(generic) => Key {
                kind: Kind::Generic,
                uid: generic.uid,
            },
        }
    }

    /// The Job, if it is one.
    #[must_use]
    pub fn as_job(&self) -> Option<&Arc<Job>> {
        match self {
            Self::Job(job) => Some(job),
            _ => None,
        }
    }

    /// The pod, if it is one.
    #[must_use]
    pub fn as_pod(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Pod(pod) => Some(pod),
            _ => None,
        }
    }

    /// The CronJob, if it is one.
    #[must_use]
    pub fn as_cron_job(&self) -> Option<&Arc<CronJob>> {
        match self {
            Self::CronJob(cron_job) => Some(cron_job),
            _ => None,
        }
    }

    /// The object of another kind, if it is one.
    #[must_use]
    pub fn as_generic(&self) -> Option<&Arc<GenericObject>> {
        match self {
            Self::Generic(generic) => Some(generic),
            _ => None,
        }
    }

    /// The file's record, if it is one.
    #[must_use]
    pub fn as_manifest(&self) -> Option<&Arc<ManifestRecord>> {
        match self {
            Self::Manifest(manifest) => Some(manifest),
            _ => None,
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
    /// It is changed: its new form, and the one before.
    Modified(Object, Object),
    /// It is gone; this was its last form.
    Deleted(Object),
}

impl Change {
    /// The object, in its new form or its last.
    #[must_use]
    pub fn object(&self) -> &Object {
        match self {
            Self::Added(object) | Self::Modified(object, _) | Self::Deleted(object) => object,
        }
    }
}
