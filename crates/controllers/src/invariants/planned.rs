//! What must hold when a plan was just applied.

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::JobConditionType::{FailureTarget, SuccessCriteriaMet};
use wasmjob_api::{Job, Pod};

use super::{Violation, check_change, demand};
use crate::job::{PODS_PER_PLAN_MAX, Plan, PodSet};

/// Checks `plan`, made for `before` at `now`, and what it made of the Job and its pods.
///
/// # Errors
///
/// Names the first rule that is broken.
pub fn check_plan(
    before: &Job,
    plan: &Plan,
    after: &Job,
    pods: &PodSet,
    now: Timestamp,
) -> Result<(), Violation> {
    check_change(before, after)?;
    if after.spec.managed_elsewhere {
        return demand(*plan == Plan::default(), "hands off (I22)", || {
            format!("{plan:?}")
        });
    }
    check_agreement(after, pods)?;
    check_parallelism(plan, after, pods)?;
    check_no_late_start(plan, after, now)?;
    check_limits(after)?;
    check_settled(after, pods)
}

/// The status says what there is.
fn check_agreement(job: &Job, pods: &PodSet) -> Result<(), Violation> {
    let status = &job.status;
    let said = (status.active, status.ready, status.terminating);
    let there = (pods.active(), Some(pods.ready()), Some(pods.terminating()));
    demand(
        job.finished().is_some() || said == there,
        "active, ready and terminating agree with the pods",
        || format!("said {said:?}, there are {there:?}"),
    )?;
    demand(
        !job.spec.is_indexed() || u64::from(status.succeeded) == status.completed_indexes.len(),
        "the successes of an Indexed Job are its indexes",
        || format!("{} and {}", status.succeeded, status.completed_indexes),
    )?;
    let completions = job.spec.completions.unwrap_or(u32::MAX);
    let failed = status.failed_indexes.as_ref();
    let last = status
        .completed_indexes
        .last()
        .max(failed.and_then(|failed| failed.last()));
    demand(
        !job.spec.is_indexed() || last.is_none_or(|last| last < completions),
        "every index is in range",
        || format!("{last:?} of {completions}"),
    )
}

/// I16.
fn check_parallelism(plan: &Plan, job: &Job, pods: &PodSet) -> Result<(), Violation> {
    let spec = &job.spec;
    // A work queue with a success lets run what runs.
    let draining = spec.completions.is_none() && job.status.succeeded > 0;
    let capped = plan.delete.len() >= PODS_PER_PLAN_MAX as usize;
    demand(
        draining || capped || job.deletion.is_some() || pods.active() <= spec.parallelism,
        "no more active pods than parallelism (I16)",
        || format!("{} of {}", pods.active(), spec.parallelism),
    )?;
    if plan.create.is_empty() {
        return Ok(());
    }
    let live = u64::from(pods.active()) + u64::from(pods.terminating());
    demand(
        !spec.replace_only_failed || live <= u64::from(spec.parallelism),
        "terminating pods hold their place (I16)",
        || format!("{live} of {}", spec.parallelism),
    )?;
    if !spec.is_indexed() {
        return Ok(());
    }
    let ended = pods
        .active_indexes()
        .intersection_len(&job.status.completed_indexes);
    demand(
        !pods.has_misplaced(spec.completions.unwrap_or(0)) && ended == 0,
        "one active pod per open index (I16)",
        || format!("active {}", pods.active_indexes()),
    )?;
    let terminating = pods
        .active_indexes()
        .intersection_len(pods.terminating_indexes());
    demand(
        !spec.replace_only_failed || terminating == 0,
        "one live pod per index (I16)",
        || format!("terminating {}", pods.terminating_indexes()),
    )
}

/// I17.
fn check_no_late_start(plan: &Plan, job: &Job, now: Timestamp) -> Result<(), Violation> {
    let status = &job.status;
    let decided = status.is_true(FailureTarget) || status.is_true(SuccessCriteriaMet);
    let deadline = job.spec.active_deadline.and_then(|deadline| {
        let deadline = SignedDuration::try_from(deadline).ok()?;
        status.start_time?.checked_add(deadline).ok()
    });
    let late = decided
        || job.spec.suspend
        || job.deletion.is_some()
        || deadline.is_some_and(|deadline| deadline <= now);
    demand(
        !late || plan.create.is_empty(),
        "no pod starts when the Job is decided, suspended, deleted or late (I17)",
        || format!("{:?}", plan.create),
    )
}

/// I18: no Job goes on past its limits.
fn check_limits(job: &Job) -> Result<(), Violation> {
    let (spec, status) = (&job.spec, &job.status);
    let decided = status.is_true(FailureTarget) || status.is_true(SuccessCriteriaMet);
    demand(
        decided || status.failed <= spec.backoff_limit,
        "no more failures than backoffLimit (I18)",
        || format!("{} of {}", status.failed, spec.backoff_limit),
    )?;
    let failed = status
        .failed_indexes
        .as_ref()
        .map_or(0, |failed| failed.len());
    let max = spec.max_failed_indexes.map_or(u64::MAX, u64::from);
    demand(
        decided || failed <= max,
        "no more failed indexes than maxFailedIndexes (I18)",
        || format!("{failed} of {max}"),
    )
}

/// I14: no end of a pod stays uncounted, but for one that carries the failures
/// of its index until it is replaced.
fn check_settled(job: &Job, pods: &PodSet) -> Result<(), Violation> {
    let over = job.finished().is_some() || job.deletion.is_some();
    let waits = |pod: &Pod| {
        let index = pod
            .index
            .filter(|index| !pods.active_indexes().contains(*index));
        let carries = job.spec.backoff_limit_per_index.is_some() && index.is_some();
        carries || job.spec.replace_only_failed && !pod.status.phase.is_terminal()
    };
    let left = pods.unsettled().find(|pod| over || !waits(pod));
    demand(left.is_none(), "every end is counted (I14)", || {
        format!("{left:?}")
    })
}
