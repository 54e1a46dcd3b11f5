//! What has become of a pod that ended or is being deleted.

use std::sync::Arc;

use wasmjob_api::{Job, Phase, Pod};

use super::backoff::index_failures;
use super::failure_policy::{FailureMatch, PodFailureAction, match_failure_policy};

/// What has become of a pod.
pub(super) enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed, and podFailurePolicy says that about it.
    Failed(Option<FailureMatch>),
    /// It is still there.
    Undecided,
}

/// A pod and what has become of it.
pub(super) struct Verdict<'a> {
    pub(super) pod: &'a Arc<Pod>,
    pub(super) outcome: Outcome,
    /// For an Indexed Job: its index, if the Job has such an index.
    pub(super) index: Option<u32>,
    /// Whether its end matters to the Job: any pod of a NonIndexed one, a pod
    /// with a valid index of an Indexed one.
    pub(super) valid: bool,
}

impl<'a> Verdict<'a> {
    /// Judges a tracked pod that ended or is being deleted.
    pub(super) fn of(job: &Job, pod: &'a Arc<Pod>) -> Self {
        let index = pod
            .index
            .filter(|index| job.spec.is_indexed() && Some(*index) < job.spec.completions);
        let outcome = if pod.status.phase == Phase::Succeeded {
            Outcome::Succeeded
        } else if is_failed(job, pod) {
            Outcome::Failed(policy_match(job, pod))
        } else {
            Outcome::Undecided
        };
        Self {
            pod,
            outcome,
            index,
            valid: !job.spec.is_indexed() || index.is_some(),
        }
    }

    /// Whether the pod failed.
    pub(super) fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// Whether the pod failed and podFailurePolicy does not ignore that.
    pub(super) fn counts_as_failed(&self) -> bool {
        matches!(&self.outcome, Outcome::Failed(found) if is_counted(found.as_ref()))
    }

    /// The message of a FailJob rule that the pod matches.
    pub(super) fn fail_job_message(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Failed(Some(found)) => found.message.as_deref(),
            _ => None,
        }
    }

    /// Whether the pod's index has failed with it (`isIndexFailed`).
    pub(super) fn fails_index(&self, backoff_limit_per_index: u32) -> bool {
        let Outcome::Failed(found) = &self.outcome else {
            return false;
        };
        let fail_index = found
            .as_ref()
            .is_some_and(|found| found.action == PodFailureAction::FailIndex);
        let failures = self.pod.index_failure_count.unwrap_or(0);
        fail_index || is_counted(found.as_ref()) && failures >= backoff_limit_per_index
    }

    /// Whether the pod tells more about its index than `other` does: a failure
    /// that is not the index' first, and not an earlier one.
    pub(super) fn is_later_failure_than(&self, other: &Pod) -> bool {
        index_failures(other) <= index_failures(self.pod)
            && super::finish_time(self.pod) >= super::finish_time(other)
    }
}

/// Whether podFailurePolicy lets the end of `pod` count as a failure.
pub(super) fn is_failure_counted(job: &Job, pod: &Pod) -> bool {
    is_counted(policy_match(job, pod).as_ref())
}

fn is_counted(found: Option<&FailureMatch>) -> bool {
    found.is_none_or(|found| found.action != PodFailureAction::Ignore)
}

fn policy_match(job: &Job, pod: &Pod) -> Option<FailureMatch> {
    let policy = job.spec.pod_failure_policy()?;
    match_failure_policy(policy, pod)
}

/// As `isPodFailed` of Kubernetes: with podReplacementPolicy TerminatingOrFailed
/// a pod that is being deleted counts as failed at once.
fn is_failed(job: &Job, pod: &Pod) -> bool {
    let replaced_early = !job.spec.replace_only_failed && pod.deletion.is_some();
    pod.status.phase == Phase::Failed || replaced_early && pod.status.phase != Phase::Succeeded
}
