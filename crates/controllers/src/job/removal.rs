//! Which active pods go first when some must.

use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

use wasmjob_api::{Phase, Pod};

/// Picks the active pods to remove: those an Indexed Job must not have, and
/// then others until `at_least` are found (`activePodsForRemoval`).
///
/// `completions` is given for an Indexed Job only.
pub(super) fn pods_for_removal<'a>(
    active: impl Iterator<Item = &'a Arc<Pod>>,
    completions: Option<u32>,
    at_least: usize,
) -> Vec<&'a Arc<Pod>> {
    let active: Vec<_> = active.collect();
    let (mut remove, mut left) = match completions {
        Some(completions) => split_misplaced(active, completions),
        None => (Vec::new(), active),
    };
    let more = at_least.saturating_sub(remove.len()).min(left.len());
    if more > 0 {
        left.sort_unstable_by(|a, b| removal_order(a, b));
        remove.extend(left.into_iter().take(more));
    }
    remove
}

/// Splits off pods without index, of a repeated index (all but the one that is
/// furthest), and out of range (`appendDuplicatedIndexPodsForRemoval`).
fn split_misplaced(mut pods: Vec<&Arc<Pod>>, completions: u32) -> (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) {
    // Behind a sort by index, the last of its index is the one to keep.
    pods.sort_unstable_by(|a, b| a.index.cmp(&b.index).then_with(|| removal_order(a, b)));
    let (mut remove, mut left) = (Vec::new(), Vec::new());
    let mut pods = pods.into_iter().peekable();
    while let Some(pod) = pods.next() {
        let repeated = pods.peek().is_some_and(|next| next.index == pod.index);
        match pod.index {
            Some(index) if index < completions && !repeated => left.push(pod),
            _ => remove.push(pod),
        }
    }
    (remove, left)
}

/// The order of Kubernetes' `ActivePods`: unscheduled, Pending, not Ready,
/// shortly Ready, often restarted and young pods go first. The UID decides
/// between equals, so that a plan depends on the state only.
fn removal_order(a: &Pod, b: &Pod) -> Ordering {
    let key = |pod: &Pod| {
        let status = &pod.status;
        let restarts = status.containers.iter().map(|container| container.restarts);
        (
            status.scheduled.is_some(),
            status.phase == Phase::Running,
            status.ready,
            Reverse(status.ready_transition.filter(|_| status.ready)),
            Reverse(restarts.max()),
            Reverse(pod.created),
            pod.uid,
        )
    };
    key(a).cmp(&key(b))
}
