//! What must hold between a Job before and after any one commit.

use wasmjob_api::Job;
use wasmjob_api::JobConditionType::{
    Complete, Failed, FailureTarget, SuccessCriteriaMet, Suspended,
};

use super::{Violation, check_status, demand};
use crate::job::match_success_policy;

/// Checks the status of `after`, and what became of `before` (I13, I15).
///
/// # Errors
///
/// Names the first rule that is broken.
pub fn check_change(before: &Job, after: &Job) -> Result<(), Violation> {
    check_status(after)?;
    check_one_way(before, after)?;
    check_counters(before, after)?;
    check_start(before, after)?;
    if after.status.is_true(Complete) && !before.status.is_true(Complete) {
        check_completion(after)?;
    }
    Ok(())
}

/// Decisions stay; a finished Job never changes its status.
fn check_one_way(before: &Job, after: &Job) -> Result<(), Violation> {
    let (old, new) = (&before.status, &after.status);
    for kind in [Complete, Failed, FailureTarget, SuccessCriteriaMet] {
        demand(
            !old.is_true(kind) || new.is_true(kind),
            "a decision is never taken back",
            || format!("{} went", kind.as_str()),
        )?;
    }
    demand(
        old.completion_time.is_none() || old.completion_time == new.completion_time,
        "the completion time stays",
        || format!("{:?} became {:?}", old.completion_time, new.completion_time),
    )?;
    demand(
        before.finished().is_none() || old == new,
        "a finished Job keeps its status",
        || format!("{old:?} became {new:?}"),
    )
}

fn check_counters(before: &Job, after: &Job) -> Result<(), Violation> {
    let (old, new) = (&before.status, &after.status);
    demand(old.failed <= new.failed, "failed never decreases", || {
        format!("{} became {}", old.failed, new.failed)
    })?;
    // An elastic Job that gets fewer completions forgets those out of range.
    let mut kept = old.completed_indexes.clone();
    let mut kept_failed = old.failed_indexes.clone().unwrap_or_default();
    if let Some(completions) = after.spec.completions {
        kept.retain_below(completions);
        kept_failed.retain_below(completions);
    }
    if after.spec.is_indexed() {
        demand(
            new.completed_indexes.intersection_len(&kept) == kept.len(),
            "a completed index stays completed",
            || format!("{} became {}", old.completed_indexes, new.completed_indexes),
        )?;
        let failed = new.failed_indexes.clone().unwrap_or_default();
        return demand(
            failed.intersection_len(&kept_failed) == kept_failed.len(),
            "a failed index stays failed",
            || format!("{kept_failed} became {failed}"),
        );
    }
    demand(
        old.succeeded <= new.succeeded,
        "succeeded never decreases",
        || format!("{} became {}", old.succeeded, new.succeeded),
    )
}

fn check_start(before: &Job, after: &Job) -> Result<(), Violation> {
    let (old, new) = (&before.status, &after.status);
    let resumed = old.is_true(Suspended) && !new.is_true(Suspended);
    let may_change = old.start_time.is_none() || after.spec.suspend || resumed;
    demand(
        may_change || old.start_time == new.start_time,
        "the start time of a running Job stays",
        || format!("{:?} became {:?}", old.start_time, new.start_time),
    )
}

/// I13: what Complete promises.
fn check_completion(job: &Job) -> Result<(), Violation> {
    let (spec, status) = (&job.spec, &job.status);
    let succeeded = u64::from(status.succeeded);
    let by_policy = spec.is_indexed()
        && match_success_policy(&spec.success_rules, &status.completed_indexes).is_some();
    let enough = match spec.completions {
        None => succeeded > 0,
        Some(completions) if spec.is_indexed() => {
            status.completed_indexes.len() >= u64::from(completions)
        }
        Some(completions) => succeeded >= u64::from(completions),
    };
    demand(
        enough || by_policy || met_earlier(job),
        "Complete means enough successes",
        || {
            format!(
                "{succeeded} of {:?}, indexes {}",
                spec.completions, status.completed_indexes
            )
        },
    )
}

/// Whether success was decided before this commit: an elastic Job may have got
/// more completions since, which changes nothing any more.
fn met_earlier(job: &Job) -> bool {
    let status = &job.status;
    let at = |kind| {
        status
            .condition(kind)
            .map(|condition| condition.last_transition)
    };
    at(SuccessCriteriaMet) < at(Complete)
}
