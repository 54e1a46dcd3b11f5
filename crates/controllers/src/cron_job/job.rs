//! The Job of a slot.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use wasmjob_api::schedule::Zone;
use wasmjob_api::{CronJob, Job, Uid};

use super::NewJob;

/// The slot of a Job, as text in the CronJob's zone.
const SCHEDULED_TIMESTAMP: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// The name of the Job of a slot: `<cronjob>-<minutes since 1970>`
/// (`getTimeHashInMinutes`). It is the lock that keeps a slot from running twice.
///
/// Where slots are less than a minute apart (`@every 30s`) the second follows in two
/// digits, which keeps within the 11 characters that a CronJob's name leaves free.
#[must_use]
pub fn job_name(cron_job: &CronJob, slot: Timestamp) -> String {
    let second = slot.as_second();
    let (minutes, second) = (second.div_euclid(60), second.rem_euclid(60));
    match is_below_a_minute(cron_job) {
        true => format!("{}-{minutes}{second:02}", cron_job.name),
        false => format!("{}-{minutes}", cron_job.name),
    }
}

fn is_below_a_minute(cron_job: &CronJob) -> bool {
    let schedule = cron_job.spec.schedule.as_ref();
    let interval = schedule.ok().and_then(|schedule| schedule.interval());
    interval.is_some_and(|interval| interval.as_secs() < 60)
}

/// The name of the Job for a start of the host (`wasmjob.dev/reboot`): `<cronjob>-r` and
/// the seconds since 1970 in hexadecimal, so that two starts within a minute differ. It
/// takes 10 characters until the year 2106, and 11 after it.
pub(super) fn reboot_name(cron_job: &CronJob, started: Timestamp) -> String {
    format!("{}-r{:x}", cron_job.name, started.as_second().max(0))
}

/// Whether `name` is one that the CronJob gives.
pub(super) fn is_own_name(cron_job: &CronJob, name: &str) -> bool {
    let rest = name.strip_prefix(&*cron_job.name);
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix('-')) else {
        return false;
    };
    match rest.strip_prefix('r') {
        Some(start) => !start.is_empty() && start.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The Job of the template, as an object that is not defaulted yet (`getJobFromTemplate2`).
///
/// `zone` is the zone of the host; it counts where the CronJob names none.
#[must_use]
pub fn new_job(cron_job: &CronJob, job: &NewJob, zone: &Zone) -> batch::Job {
    let template = &cron_job.spec.object.job_template;
    let mut metadata = template.metadata.clone().unwrap_or_default();
    say_slot(&mut metadata, cron_job, job, zone);
    batch::Job {
        metadata: ObjectMeta {
            name: Some(job.name.to_string()),
            namespace: Some(cron_job.namespace.to_string()),
            labels: metadata.labels,
            annotations: metadata.annotations,
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "CronJob".to_owned(),
                name: cron_job.name.to_string(),
                uid: cron_job.uid.to_string(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// What creation would make of [`new_job`], from `before`, another Job of the same
/// CronJob in the same version.
#[must_use]
pub fn next_job(
    cron_job: &CronJob,
    before: &Job,
    job: &NewJob,
    uid: Uid,
    now: Timestamp,
    zone: &Zone,
) -> Job {
    let mut next = before.again(&job.name, uid, now);
    let metadata = Arc::make_mut(&mut next.metadata);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(SCHEDULED_TIMESTAMP);
    }
    say_slot(metadata, cron_job, job, zone);
    next
}

fn say_slot(metadata: &mut ObjectMeta, cron_job: &CronJob, job: &NewJob, zone: &Zone) {
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    if let Some(slot) = job.slot {
        let own = cron_job.spec.zone.as_ref().ok().and_then(Option::as_ref);
        let text = own.unwrap_or(zone).rfc3339(slot);
        annotations.insert(SCHEDULED_TIMESTAMP.to_owned(), text);
    }
    metadata.annotations = (!annotations.is_empty()).then_some(annotations);
}

/// Whether `job` is the CronJob's own: in its namespace, with it as the controller. Its
/// labels do not matter (`getJobsToBeReconciled`).
#[must_use]
pub fn owns(cron_job: &CronJob, job: &Job) -> bool {
    let uid = cron_job.uid.to_string();
    let owners = job.metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    job.namespace == cron_job.namespace && controllers.any(|owner| owner.uid == uid)
}
