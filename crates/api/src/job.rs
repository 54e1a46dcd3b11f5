//! Jobs: the spec parsed once, and the status as the controller keeps it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{IndexSet, PodTemplate, Uid};

/// A Job. Cheap to clone: a status change copies no spec.
#[derive(Clone, Debug)]
pub struct Job {
    /// Identity; never reused.
    pub uid: Uid,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name, unique in its namespace.
    pub name: Arc<str>,
    /// When it was created (wall time).
    pub created: Timestamp,
    /// `deletionTimestamp`, once deletion was asked for.
    pub deletion: Option<Timestamp>,
    /// Raised by every change of the spec; 1 at creation.
    pub generation: i64,
    /// The revision of the store that last changed it.
    pub resource_version: u64,
    /// Labels, annotations, owner references, finalizers; what stands above wins over its fields.
    pub metadata: Arc<ObjectMeta>,
    /// The spec.
    pub spec: Arc<JobSpec>,
    /// The status.
    pub status: JobStatus,
}

/// Whether completions are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompletionMode {
    /// Any success counts.
    NonIndexed,
    /// Every index from 0 to completions − 1 needs one success.
    Indexed,
}

/// A JobSpec, defaulted and parsed once.
#[derive(Debug)]
pub struct JobSpec {
    /// The object as Kubernetes knows it, defaulted; policies are read from here.
    pub object: batch::JobSpec,
    /// What its pods share.
    pub template: Arc<PodTemplate>,
    /// Pods at once.
    pub parallelism: u32,
    /// Successes wanted; `None` is a work queue.
    pub completions: Option<u32>,
    /// Whether completions are told apart.
    pub completion_mode: CompletionMode,
    /// Failures tolerated.
    pub backoff_limit: u32,
    /// Failures tolerated per index.
    pub backoff_limit_per_index: Option<u32>,
    /// Failed indexes tolerated.
    pub max_failed_indexes: Option<u32>,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// `ttlSecondsAfterFinished`.
    pub ttl_after_finished: Option<Duration>,
    /// `podReplacementPolicy: Failed`: replace a pod only once it is fully terminal.
    pub replace_only_failed: bool,
    /// `suspend`.
    pub suspend: bool,
    /// `restartPolicy: OnFailure` in the template.
    pub restart_on_failure: bool,
    /// `managedBy` names somebody else: hands off.
    pub managed_elsewhere: bool,
}

/// The status of a Job.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JobStatus {
    /// Conditions, in the order in which they appeared.
    pub conditions: Vec<JobCondition>,
    /// When the controller first saw it unsuspended (or resumed).
    pub start_time: Option<Timestamp>,
    /// When it completed; only a Complete Job has one.
    pub completion_time: Option<Timestamp>,
    /// Pods Pending or Running and not being deleted.
    pub active: u32,
    /// Active pods that are Ready; `None` before the first sync.
    pub ready: Option<u32>,
    /// Pods Pending or Running and being deleted; `None` before the first sync.
    pub terminating: Option<u32>,
    /// Pods that succeeded.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// Indexes that succeeded, of an Indexed Job.
    pub completed_indexes: IndexSet,
    /// Indexes that failed; only with `backoffLimitPerIndex`.
    pub failed_indexes: Option<IndexSet>,
}

/// The type of a Job's condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobConditionType {
    /// `spec.suspend` was seen.
    Suspended,
    /// Failure is decided; pods are being ended.
    FailureTarget,
    /// Failed, for ever.
    Failed,
    /// Success is decided; pods are being ended.
    SuccessCriteriaMet,
    /// Complete, for ever.
    Complete,
}

/// A condition of a Job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobCondition {
    /// Which.
    pub condition_type: JobConditionType,
    /// True or False.
    pub status: bool,
    /// CamelCase reason.
    pub reason: Cow<'static, str>,
    /// Text for people.
    pub message: Cow<'static, str>,
    /// When it was last looked at.
    pub last_probe: Timestamp,
    /// When `status` last changed.
    pub last_transition: Timestamp,
}
