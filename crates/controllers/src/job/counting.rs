//! Counting the pods that ended.

use std::sync::Arc;

use wasmjob_api::{IndexSet, Job, JobStatus, Pod};

use super::verdict::{Outcome, Verdict, is_failure_counted};

/// The counts that decide how a Job goes on.
///
/// They hold all pods that ended, also those whose counting in the status must
/// wait because their row still carries the failures of an index.
pub(super) struct Tally {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

/// Sums up the status and what ended since. Brings the index sets of `status` up to date.
pub(super) fn tally(job: &Job, verdicts: &[Verdict<'_>], status: &mut JobStatus) -> Tally {
    let valid = || verdicts.iter().filter(|verdict| verdict.valid);
    let new_failures = valid().filter(|verdict| verdict.counts_as_failed()).count();
    let failed = u64::from(status.failed) + new_failures as u64;
    let succeeded = if job.spec.is_indexed() {
        update_indexes(job, verdicts, status);
        status.succeeded = clamp(status.completed_indexes.len());
        status.completed_indexes.len()
    } else {
        let new = valid().filter(|verdict| matches!(verdict.outcome, Outcome::Succeeded));
        u64::from(status.succeeded) + new.count() as u64
    };
    Tally { succeeded, failed }
}

/// `calculateSucceededIndexes` and `calculateFailedIndexes` of Kubernetes.
/// Indexes that an elastic Job has no more are dropped.
fn update_indexes(job: &Job, verdicts: &[Verdict<'_>], status: &mut JobStatus) {
    let completions = job.spec.completions.unwrap_or(0);
    let completed = &mut status.completed_indexes;
    completed.retain_below(completions);
    for verdict in verdicts {
        if let (Outcome::Succeeded, Some(index)) = (&verdict.outcome, verdict.index) {
            completed.insert(index);
        }
    }
    let Some(limit) = job.spec.backoff_limit_per_index else {
        status.failed_indexes = None;
        return;
    };
    let failed = status.failed_indexes.get_or_insert_with(IndexSet::new);
    failed.retain_below(completions);
    for verdict in verdicts.iter().filter(|verdict| verdict.fails_index(limit)) {
        // An index never stands in both sets; validation of a status says so.
        if let Some(index) = verdict.index.filter(|index| !completed.contains(*index)) {
            failed.insert(index);
        }
    }
}

/// Counts one pod that is let go. In a Job that is `failing`, a pod that has
/// not ended counts as failed. The successes of an Indexed Job are its indexes,
/// and counted by [`tally`].
pub(super) fn count(job: &Job, verdict: &Verdict<'_>, failing: bool, status: &mut JobStatus) {
    if !verdict.valid {
        return;
    }
    let failed = match verdict.outcome {
        Outcome::Succeeded => {
            if !job.spec.is_indexed() {
                status.succeeded = status.succeeded.saturating_add(1);
            }
            false
        }
        Outcome::Failed(_) => verdict.counts_as_failed(),
        Outcome::Undecided => failing && is_failure_counted(job, verdict.pod),
    };
    status.failed = status.failed.saturating_add(u32::from(failed));
}

/// The failures, counted and ignored, of an index whose last failed pod is
/// `replaced` (`getNewIndexFailureCounts`).
pub(super) fn next_failure_counts(job: &Job, replaced: Option<&Arc<Pod>>) -> (u32, u32) {
    let Some(pod) = replaced else {
        return (0, 0);
    };
    let failures = pod.index_failure_count.unwrap_or(0);
    let ignored = pod.index_ignored_failure_count.unwrap_or(0);
    if is_failure_counted(job, pod) {
        (failures.saturating_add(1), ignored)
    } else {
        (failures, ignored.saturating_add(1))
    }
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
