//! Pods as rows: a shared template plus what differs.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::Uid;

/// What all pods of one Job share: labels, annotations and the pod spec, all
/// defaulted. A bare Pod has a template of its own.
#[derive(Debug, PartialEq)]
pub struct PodTemplate {
    /// Labels and annotations that every pod of this template gets.
    pub metadata: ObjectMeta,
    /// The defaulted pod spec, which the Jobs of one CronJob share.
    pub spec: Arc<PodSpec>,
    /// The Job that controls pods of this template, if one does.
    pub owner: Option<OwnerJob>,
    /// The directory that relative references to modules are relative to: where
    /// the manifest was read. No client sees it.
    pub base: Arc<Path>,
}

/// The Job that controls a pod.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnerJob {
    /// The Job's name; its namespace is the pod's.
    pub name: Arc<str>,
    /// The Job's UID.
    pub uid: Uid,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Identity; never reused.
    pub uid: Uid,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name, unique in its namespace.
    pub name: Arc<str>,
    /// What it shares with its siblings.
    pub template: Arc<PodTemplate>,
    /// Labels, annotations, owner references, finalizers and managed fields, where
    /// somebody has changed those that the template and the row give.
    pub metadata: Option<Arc<ObjectMeta>>,
    /// The completion index (`batch.kubernetes.io/job-completion-index`), of an Indexed Job's pod.
    pub index: Option<u32>,
    /// `batch.kubernetes.io/job-index-failure-count`: failures of this index
    /// before this pod; only with `backoffLimitPerIndex`.
    pub index_failure_count: Option<u32>,
    /// `batch.kubernetes.io/job-index-ignored-failure-count`: failures of this
    /// index that podFailurePolicy ignored.
    pub index_ignored_failure_count: Option<u32>,
    /// When it was created (wall time).
    pub created: Timestamp,
    /// Set when it is to be deleted.
    pub deletion: Option<Deletion>,
    /// Whether it carries the finalizer `batch.kubernetes.io/job-tracking`: its
    /// end has not been counted in the Job's status yet, so it must not vanish.
    pub tracked: bool,
    /// What the node reports.
    pub status: PodStatus,
}

/// A deletion that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// `deletionTimestamp`: when the grace period ends.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub at: Timestamp,
    /// `deletionGracePeriodSeconds`.
    pub grace: Duration,
}

/// The phase of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Phase {
    /// Accepted, no container has run yet.
    #[default]
    Pending,
    /// At least one container runs or is restarted.
    Running,
    /// All containers exited with 0 and none will be restarted.
    Succeeded,
    /// All containers ended and at least one in failure.
    Failed,
}

impl Phase {
    /// Whether no container will run any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The word that Kubernetes uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// What the node says of a pod.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PodStatus {
    /// The phase.
    pub phase: Phase,
    /// Condition `PodScheduled`: the node has admitted the pod, and when.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub scheduled: Option<Timestamp>,
    /// When the node began to work on it (`startTime`).
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub started: Option<Timestamp>,
    /// Condition `Ready`: its value and its last transition.
    pub ready: bool,
    /// When `ready` last changed.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub ready_transition: Option<Timestamp>,
    /// CamelCase reason of the phase, e.g. `DeadlineExceeded`, `Evicted`.
    pub reason: Option<Cow<'static, str>>,
    /// Text for people about the phase, or about why a Pending pod waits.
    pub message: Option<Arc<str>>,
    /// Condition `DisruptionTarget`, if the pod was ended for a cause outside of it.
    pub disruption: Option<Box<Disruption>>,
    /// One for each container of the spec, in its order.
    pub containers: Vec<ContainerStatus>,
    /// One for each init container of the spec, in its order.
    pub init_containers: Vec<ContainerStatus>,
}

/// The condition `DisruptionTarget=True`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Disruption {
    /// CamelCase reason, e.g. `TerminationByKubelet`.
    pub reason: Cow<'static, str>,
    /// Text for people.
    pub message: Cow<'static, str>,
    /// When it became true.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub at: Timestamp,
}

/// What the node says of a container.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// What it does now.
    pub state: ContainerState,
    /// How it ended the last time, if it was restarted.
    pub last_terminated: Option<Box<Terminated>>,
    /// How often it was restarted.
    pub restarts: u32,
    /// Whether it passes its readiness probe (without one: whether it runs).
    pub ready: bool,
    /// Whether its startup probe has succeeded (without one: whether it runs).
    pub started: bool,
    /// `imageID`: the digest of the module, once it is known.
    pub image_id: Option<Arc<str>>,
}

/// What a container does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not started yet, or waits for a restart.
    Waiting {
        /// CamelCase reason: `PodInitializing`, `ContainerCreating`, `CrashLoopBackOff`, `ErrImagePull`, …
        reason: Cow<'static, str>,
        /// Text for people, may be empty.
        message: Arc<str>,
    },
    /// Runs.
    Running {
        /// Since when.
        #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
        started: Timestamp,
    },
    /// Ended.
    Terminated(Box<Terminated>),
}

impl Default for ContainerState {
    fn default() -> Self {
        Self::Waiting {
            reason: Cow::Borrowed("ContainerCreating"),
            message: Arc::from(""),
        }
    }
}

impl ContainerState {
    /// How the container ended, if it has.
    #[must_use]
    pub fn terminated(&self) -> Option<&Terminated> {
        match self {
            Self::Terminated(t) => Some(t),
            Self::Waiting { .. } | Self::Running { .. } => None,
        }
    }
}

/// How a container ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Terminated {
    /// 0–255; see the table of exit codes in ARCHITECTURE.md.
    pub exit_code: u8,
    /// `Completed`, `Error`, `OOMKilled`, `FuelExhausted`, `StartError`, …
    pub reason: Cow<'static, str>,
    /// The termination message, or the trap and its frames. May be empty.
    pub message: Arc<str>,
    /// When it started.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub started: Timestamp,
    /// When it ended.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub finished: Timestamp,
    /// What it used.
    pub usage: Usage,
}

/// What one run of a container used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "UsageForm", into = "UsageForm")]
pub struct Usage {
    /// Time on a processor.
    pub cpu: Duration,
    /// Fuel consumed, where a budget was set.
    pub fuel: Option<u64>,
    /// The most linear memory and tables held at once, in bytes.
    pub memory_bytes_peak: u64,
    /// Bytes written to files, its logs aside.
    pub written_bytes: u64,
}

/// How it is written down: the two figures that are often not there as one, of which the
/// first two forms are those of an `Option` where stores of before have the fuel.
#[derive(Serialize, Deserialize)]
struct UsageForm {
    cpu: Duration,
    counted: Counted,
    memory_bytes_peak: u64,
}

#[derive(Serialize, Deserialize)]
enum Counted {
    Nothing,
    Fuel(u64),
    Written(u64),
    Both { fuel: u64, written: u64 },
}

impl From<Usage> for UsageForm {
    fn from(usage: Usage) -> Self {
        Self {
            cpu: usage.cpu,
            counted: match (usage.fuel, usage.written_bytes) {
                (None, 0) => Counted::Nothing,
                (Some(fuel), 0) => Counted::Fuel(fuel),
                (None, written) => Counted::Written(written),
                (Some(fuel), written) => Counted::Both { fuel, written },
            },
            memory_bytes_peak: usage.memory_bytes_peak,
        }
    }
}

impl From<UsageForm> for Usage {
    fn from(form: UsageForm) -> Self {
        let (fuel, written_bytes) = match form.counted {
            Counted::Nothing => (None, 0),
            Counted::Fuel(fuel) => (Some(fuel), 0),
            Counted::Written(written) => (None, written),
            Counted::Both { fuel, written } => (Some(fuel), written),
        };
        Self {
            cpu: form.cpu,
            fuel,
            memory_bytes_peak: form.memory_bytes_peak,
            written_bytes,
        }
    }
}
