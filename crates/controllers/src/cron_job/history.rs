//! `successfulJobsHistoryLimit` and `failedJobsHistoryLimit`: which finished Jobs go.

use std::sync::Arc;

use wasmjob_api::{CronJob, Job, JobConditionType};

/// The finished Jobs beyond the limits, those that started first (`cleanupFinishedJobs`).
///
/// A Job without a start time counts as the youngest; the name breaks ties
/// (`byJobStartTime`). Jobs that are being deleted are no longer counted.
pub(super) fn surplus<'a>(cron_job: &CronJob, jobs: &'a [Arc<Job>]) -> Vec<&'a Arc<Job>> {
    let spec = &cron_job.spec;
    let limits = [
        (
            JobConditionType::Complete,
            spec.successful_jobs_history_limit,
        ),
        (JobConditionType::Failed, spec.failed_jobs_history_limit),
    ];
    let mut surplus = Vec::new();
    for (end, limit) in limits {
        let Some(limit) = limit else { continue };
        let ended = |job: &Job| job.finished().map(|condition| condition.condition_type);
        let mut finished: Vec<_> = jobs
            .iter()
            .filter(|job| job.deletion.is_none() && ended(job) == Some(end))
            .collect();
        let Some(excess) = finished.len().checked_sub(limit) else {
            continue;
        };
        finished.sort_by_key(|job| {
            let start = job.status.start_time;
            (start.is_none(), start, Arc::clone(&job.name))
        });
        surplus.extend(finished.into_iter().take(excess));
    }
    surplus
}
