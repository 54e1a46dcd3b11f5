//! The delay before a failed pod is replaced: 10 s, 20 s, 40 s … 10 min.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Backoff, Pod};

/// After one failure (`DefaultJobPodFailureBackOff`).
const DELAY_FIRST: SignedDuration = SignedDuration::from_secs(10);

/// After many (`MaxJobPodFailureBackOff`).
const DELAY_MAX: SignedDuration = SignedDuration::from_mins(10);

/// How long, seen from `now`, no replacement may be made; `None` if it may.
///
/// As `getRemainingTimeForFailuresCount` of Kubernetes.
#[must_use]
pub fn remaining(backoff: Backoff, now: Timestamp) -> Option<SignedDuration> {
    let last_failure = backoff.last_failure?;
    let doublings = backoff.failures.checked_sub(1)?;
    // Six doublings of 10 s are past 10 min already.
    let delay = DELAY_FIRST
        .saturating_mul(1 << doublings.min(6))
        .min(DELAY_MAX);
    let left = delay.saturating_sub(now.duration_since(last_failure));
    left.is_positive().then_some(left)
}

/// Adds the pods that ended since the last plan to the record (`newBackoffRecord`).
///
/// A success ends what was counted; failures after it, by their finish times,
/// begin anew. Failures that podFailurePolicy ignores delay as well.
#[must_use]
pub fn record(old: Backoff, succeeded: &[&Pod], failed: &[&Pod]) -> Backoff {
    let mut failures: Vec<Timestamp> = failed.iter().map(|pod| finish_time(pod)).collect();
    failures.sort_unstable_by_key(|at| Reverse(*at));
    let last_success = succeeded.iter().map(|pod| finish_time(pod)).max();
    let before = match last_success {
        None => old,
        Some(last_success) => {
            failures.retain(|at| *at > last_success);
            Backoff::default()
        }
    };
    let new = u32::try_from(failures.len()).unwrap_or(u32::MAX);
    Backoff {
        failures: before.failures.saturating_add(new),
        // Kubernetes takes the new one even if it lies before the old one, as
        // that of a pod whose deletion was asked for long ago.
        last_failure: failures.first().copied().max(before.last_failure),
    }
}

/// The record of an index, which its last failed pod carries in its counts.
#[must_use]
pub fn record_of_index(last_failed: &Pod) -> Backoff {
    Backoff {
        failures: index_failures(last_failed).saturating_add(1),
        last_failure: Some(finish_time(last_failed)),
    }
}

/// Failures of the pod's index before it, be they counted or ignored.
pub(super) fn index_failures(pod: &Pod) -> u32 {
    let ignored = pod.index_ignored_failure_count.unwrap_or(0);
    pod.index_failure_count.unwrap_or(0).saturating_add(ignored)
}

/// When a pod ended, as well as its row tells (`getFinishedTime` of Kubernetes).
///
/// The end of its last container if all ended; else when it stopped being
/// Ready; else when its deletion was asked for; else its creation.
#[must_use]
pub fn finish_time(pod: &Pod) -> Timestamp {
    let status = &pod.status;
    containers_finished(pod)
        .or(status.ready_transition.filter(|_| !status.ready))
        .or_else(|| {
            let deletion = pod.deletion?;
            let grace = SignedDuration::try_from(deletion.grace).unwrap_or(SignedDuration::MAX);
            Some(deletion.at.saturating_sub(grace).unwrap_or(deletion.at))
        })
        .unwrap_or(pod.created)
}

/// The last end of a container or sidecar; `None` if one has not ended, or if there is none.
fn containers_finished(pod: &Pod) -> Option<Timestamp> {
    let init = pod.template.spec.init_containers.iter().flatten();
    let sidecars = init
        .zip(&pod.status.init_containers)
        .filter(|(container, _)| container.restart_policy.as_deref() == Some("Always"))
        .map(|(_, status)| status);
    let mut last = None;
    for container in pod.status.containers.iter().chain(sidecars) {
        last = last.max(Some(container.state.terminated()?.finished));
    }
    last
}
