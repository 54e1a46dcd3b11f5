//! How a Job ended.

use std::sync::Arc;

use wasmjob_api::{Job, JobConditionType, JobStatus, Phase, Pod, Terminated};

/// The end of a Job.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// The Job as it was at its end.
    pub job: Arc<Job>,
    /// Its status.
    pub status: JobStatus,
    /// Its pods that still exist, in order of creation.
    pub pods: Vec<PodResult>,
}

impl JobResult {
    /// Whether it ended with the condition Complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status.is_true(JobConditionType::Complete)
    }

    /// The reason of its last condition, e.g. `BackoffLimitExceeded`.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.job
            .finished()
            .map_or("", |condition| &condition.reason)
    }

    /// The text of its last condition.
    #[must_use]
    pub fn message(&self) -> &str {
        self.job
            .finished()
            .map_or("", |condition| &condition.message)
    }
}

/// The end of a pod.
#[derive(Clone, Debug)]
pub struct PodResult {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its containers, in the order of the spec.
    pub containers: Vec<ContainerResult>,
}

/// The end of a container.
#[derive(Clone, Debug)]
pub struct ContainerResult {
    /// Its name.
    pub name: String,
    /// How it ended: exit code, reason, message, usage; `None` if it has not.
    pub end: Option<Terminated>,
    /// What of its output is kept: both streams in the order of writing.
    pub output: Vec<u8>,
}

impl PodResult {
    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.pod.status.phase
    }
}
