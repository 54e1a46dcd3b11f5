//! What is read from a Job's status, with the same meaning for absent and zero.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};

/// A Job's spec and status, the absent ones empty.
pub(super) struct View {
    pub(super) spec: JobSpec,
    pub(super) status: JobStatus,
}

impl View {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            spec: job.spec.clone().unwrap_or_default(),
            status: job.status.clone().unwrap_or_default(),
        }
    }

    /// Whether the condition `kind` is True.
    pub(super) fn is(&self, kind: &str) -> bool {
        let conditions: &[JobCondition] = self.status.conditions.as_deref().unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is("Complete") || self.is("Failed")
    }

    pub(super) fn completed_indexes(&self) -> &str {
        self.status.completed_indexes.as_deref().unwrap_or_default()
    }

    pub(super) fn active(&self) -> i32 {
        self.status.active.unwrap_or(0)
    }

    /// UIDs of pods that ended and are not counted.
    pub(super) fn uncounted(&self) -> (&[String], &[String]) {
        let Some(pods) = &self.status.uncounted_terminated_pods else {
            return (&[], &[]);
        };
        (
            pods.succeeded.as_deref().unwrap_or_default(),
            pods.failed.as_deref().unwrap_or_default(),
        )
    }
}
