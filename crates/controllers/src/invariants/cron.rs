//! What must hold of a plan for a CronJob.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use wasmjob_api::{ConcurrencyPolicy, CronJob, Job, SLOT_RECORDS_MAX};

use super::{Violation, demand};
use crate::cron_job::{Plan, job_name};

/// Checks a plan for `cron_job`, whose own Jobs are `jobs`, before it is applied.
///
/// # Errors
///
/// The first rule that is broken.
pub fn check_cron_plan(
    cron_job: &CronJob,
    jobs: &[Arc<Job>],
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Violation> {
    let status = plan.status.as_ref().unwrap_or(&cron_job.status);
    let before = &cron_job.status;
    let names: BTreeSet<_> = plan.create.iter().map(|job| &job.name).collect();
    demand(
        names.len() == plan.create.len() && jobs.iter().all(|job| !names.contains(&job.name)),
        "I24: one Job per slot",
        || format!("{:?}", plan.create),
    )?;
    for new in &plan.create {
        let Some(slot) = new.slot else { continue };
        demand(
            before.last_schedule_time < Some(slot) && slot <= now,
            "I28: no slot at or before lastScheduleTime runs, nor one that is to come",
            || format!("{slot} after {:?} at {now}", before.last_schedule_time),
        )?;
        demand(
            job_name(cron_job, slot) == *new.name && status.last_schedule_time >= Some(slot),
            "I24: the slot gives the name and is remembered",
            || format!("{} for {slot}", new.name),
        )?;
    }
    demand(
        status.last_schedule_time >= before.last_schedule_time,
        "I28: lastScheduleTime never goes back",
        || format!("{:?}", status.last_schedule_time),
    )?;
    demand(
        status.last_successful_time >= before.last_successful_time,
        "lastSuccessfulTime never goes back",
        || format!("{:?}", status.last_successful_time),
    )?;
    let open = |job: &&Arc<Job>| job.finished().is_none() && status.is_active(job.uid);
    let running = jobs.iter().filter(open).count() + plan.create.len();
    demand(
        cron_job.spec.concurrency_policy != ConcurrencyPolicy::Forbid
            || plan.create.is_empty()
            || running == 1,
        "I26: Forbid never overlaps",
        || format!("{running} active"),
    )?;
    demand(
        cron_job.spec.concurrency_policy != ConcurrencyPolicy::Replace
            || plan.create.is_empty()
            || running == 1,
        "I26: Replace leaves one active",
        || format!("{running} active"),
    )?;
    let idle = cron_job.spec.suspend || cron_job.deletion.is_some();
    demand(
        !idle || plan.create.is_empty(),
        "a CronJob that is suspended or deleted runs nothing",
        || format!("{:?}", plan.create),
    )?;
    check_ledger(status, plan, now)
}

fn check_ledger(
    status: &wasmjob_api::CronJobStatus,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Violation> {
    let ledger = &status.ledger;
    let slots = &ledger.slots;
    demand(
        slots.len() <= SLOT_RECORDS_MAX
            && slots.is_sorted_by(|a, b| a.until.unwrap_or(a.slot) < b.slot),
        "I25: the ledger is bounded and in order",
        || format!("{slots:?}"),
    )?;
    demand(
        plan.create
            .iter()
            .filter_map(|new| new.slot)
            .all(|slot| ledger.verdict(slot).is_some()),
        "I25: what runs stands in the ledger",
        || format!("{slots:?}"),
    )?;
    demand(
        plan.look_again.is_none_or(|at| at > now),
        "the next look lies ahead",
        || format!("{:?} at {now}", plan.look_again),
    )
}
