//! `status.active` and `lastSuccessfulTime`, from the Jobs that there are.

use std::sync::Arc;

use wasmjob_api::{CronJob, CronJobStatus, Event, Job, JobConditionType, JobReference};

use super::job::is_own_name;

/// Brings the lists of `status` up to date, and says what it found.
pub(super) fn update(
    cron_job: &CronJob,
    jobs: &[Arc<Job>],
    status: &mut CronJobStatus,
    events: &mut Vec<Event>,
) {
    for job in jobs {
        let active = status.is_active(job.uid);
        match job.finished() {
            Some(end) => {
                if active {
                    status.active.retain(|reference| reference.uid != job.uid);
                    events.push(Event::normal(
                        "SawCompletedJob",
                        format!(
                            "Saw completed job: {}, condition: {}",
                            job.name,
                            end.condition_type.as_str()
                        ),
                    ));
                }
                if end.condition_type == JobConditionType::Complete {
                    let completed = job.status.completion_time;
                    status.last_successful_time = status.last_successful_time.max(completed);
                }
            }
            None if !active && job.deletion.is_none() => {
                found_unexpected(cron_job, job, status, events);
            }
            None => {}
        }
    }
    status.active.retain(|reference| {
        let exists = jobs.iter().any(|job| job.uid == reference.uid);
        if !exists {
            let text = format!("Active job went missing: {}", reference.name);
            events.push(Event::normal("MissingJob", text));
        }
        exists
    });
    let unfinished = |uid| {
        jobs.iter()
            .any(|job| job.uid == uid && job.finished().is_none())
    };
    status.told.unexpected.retain(|uid| unfinished(*uid));
}

/// An unfinished Job that is not in the list. One that this controller made comes back
/// into it; one that somebody else made in the CronJob's name (`kubectl create job
/// --from`) concerns the schedule as little as in Kubernetes.
fn found_unexpected(
    cron_job: &CronJob,
    job: &Job,
    status: &mut CronJobStatus,
    events: &mut Vec<Event>,
) {
    if status.told.unexpected.contains(&job.uid) {
        return;
    }
    let text = format!(
        "Saw a job that the controller did not create or forgot: {}",
        job.name
    );
    events.push(Event::warning("UnexpectedJob", text));
    if is_own_name(cron_job, &job.name) {
        status.active.push(reference(job));
    } else {
        status.told.unexpected.push(job.uid);
    }
}

pub(super) fn reference(job: &Job) -> JobReference {
    JobReference {
        uid: job.uid,
        name: Arc::clone(&job.name),
    }
}
