//! What must hold for the status of a Job at any time.

use wasmjob_api::JobConditionType::{Complete, Failed, FailureTarget, SuccessCriteriaMet};
use wasmjob_api::{Job, JobConditionType, JobStatus};

use super::{Violation, demand};

/// Checks the status of `job` by itself (I15).
///
/// # Errors
///
/// Names the first rule that is broken.
pub fn check_status(job: &Job) -> Result<(), Violation> {
    check_conditions(&job.status)?;
    check_times(job)?;
    check_counters(job)?;
    check_indexes(job)
}

fn check_conditions(status: &JobStatus) -> Result<(), Violation> {
    let found = || format!("{:?}", status.conditions);
    let never_both = |a, b, rule| demand(!(status.is_true(a) && status.is_true(b)), rule, found);
    let needs = |a, b, rule| demand(!status.is_true(a) || status.is_true(b), rule, found);
    never_both(Complete, Failed, "never Complete and Failed")?;
    never_both(Complete, FailureTarget, "never Complete and FailureTarget")?;
    never_both(
        Failed,
        SuccessCriteriaMet,
        "never Failed and SuccessCriteriaMet",
    )?;
    never_both(
        FailureTarget,
        SuccessCriteriaMet,
        "never FailureTarget and SuccessCriteriaMet",
    )?;
    needs(
        Complete,
        SuccessCriteriaMet,
        "Complete needs SuccessCriteriaMet",
    )?;
    needs(Failed, FailureTarget, "Failed needs FailureTarget")?;
    let types: Vec<JobConditionType> = status.conditions.iter().map(|c| c.condition_type).collect();
    let repeated = |(at, kind): (usize, &JobConditionType)| types[..at].contains(kind);
    demand(
        !types.iter().enumerate().any(repeated),
        "each condition once",
        found,
    )
}

fn check_times(job: &Job) -> Result<(), Violation> {
    let status = &job.status;
    let found = || {
        format!(
            "start {:?}, completion {:?}",
            status.start_time, status.completion_time
        )
    };
    demand(
        status.completion_time.is_some() == status.is_true(Complete),
        "a completion time if and only if Complete",
        found,
    )?;
    demand(
        status.completion_time.is_none() || status.completion_time >= status.start_time,
        "completion not before start",
        found,
    )?;
    let never_started = job.spec.suspend && job.spec.completions == Some(0);
    demand(
        job.finished().is_none() || status.start_time.is_some() || never_started,
        "a finished Job has a start time",
        found,
    )
}

fn check_counters(job: &Job) -> Result<(), Violation> {
    let status = &job.status;
    let finished = job.finished().is_some();
    demand(
        !finished || status.active == 0,
        "finished means no active pod",
        || format!("{} active", status.active),
    )?;
    demand(
        !finished || status.terminating.unwrap_or(0) == 0,
        "finished means no terminating pod",
        || format!("{:?} terminating", status.terminating),
    )?;
    demand(
        status.ready.unwrap_or(0) <= status.active,
        "ready pods are active pods",
        || format!("{:?} ready of {}", status.ready, status.active),
    )
}

fn check_indexes(job: &Job) -> Result<(), Violation> {
    let (spec, status) = (&job.spec, &job.status);
    let completed = &status.completed_indexes;
    if !spec.is_indexed() {
        demand(
            completed.is_empty(),
            "completed indexes only of an Indexed Job",
            || completed.to_string(),
        )?;
    }
    let Some(failed) = &status.failed_indexes else {
        return Ok(());
    };
    demand(
        spec.backoff_limit_per_index.is_some(),
        "failed indexes only with backoffLimitPerIndex",
        || failed.to_string(),
    )?;
    demand(
        completed.intersection_len(failed) == 0,
        "no index both completed and failed",
        || format!("completed {completed}, failed {failed}"),
    )
}
