//! CronJobs, as kube-state-metrics tells of them.

use std::sync::Arc;

use jiff::Timestamp;
use wasmjob::Slots;
use wasmjob::api::schedule::Zone;
use wasmjob::api::{ConcurrencyPolicy, CronJob};

use super::jobs::seconds;
use super::text::{Kind, Number, Text, labels};
use crate::api::Api;
use crate::cache::Scope;

/// A CronJob and the labels that all its samples have.
struct Row {
    labels: String,
    cron_job: Arc<CronJob>,
}

pub(super) fn write(text: &mut Text, api: &Api) {
    let listed = api.cache.list("cronjobs.batch", &Scope::default());
    let found = listed.entries.iter();
    let rows = found
        .filter_map(|it| it.object.as_cron_job())
        .map(|it| Row {
            labels: labels(&[("namespace", &it.namespace), ("cronjob", &it.name)]),
            cron_job: Arc::clone(it),
        });
    let rows: Vec<Row> = rows.collect();
    info(text, &rows);
    let mut gauge = |name, help, value: &dyn Fn(&CronJob) -> Option<Number>| {
        let mut family = text.family(name, Kind::Gauge, help);
        for row in &rows {
            if let Some(value) = value(&row.cron_job) {
                family.sample(&row.labels, &[], value);
            }
        }
    };
    gauge("kube_cronjob_created", "Unix creation timestamp", &|it| {
        seconds(Some(it.created))
    });
    gauge(
        "kube_cronjob_status_active",
        "Active holds pointers to currently running jobs.",
        &|it| Some(it.status.active.len().into()),
    );
    gauge(
        "kube_cronjob_status_last_schedule_time",
        "LastScheduleTime keeps information of when was the last time the job was successfully scheduled.",
        &|it| seconds(it.status.last_schedule_time),
    );
    gauge(
        "kube_cronjob_status_last_successful_time",
        "LastSuccessfulTime keeps information of when was the last time the job was completed successfully.",
        &|it| seconds(it.status.last_successful_time),
    );
    gauge(
        "kube_cronjob_spec_suspend",
        "Suspend flag tells the controller to suspend subsequent executions.",
        &|it| Some(it.spec.suspend.into()),
    );
    gauge(
        "kube_cronjob_spec_starting_deadline_seconds",
        "Deadline in seconds for starting the job if it misses scheduled time for any reason.",
        &|it| {
            let deadline = it.spec.starting_deadline;
            deadline.map(|deadline| deadline.as_secs().into())
        },
    );
    gauge(
        "kube_cronjob_spec_successful_job_history_limit",
        "Successful job history limit tells the controller how many completed jobs should be preserved.",
        &|it| it.spec.successful_jobs_history_limit.map(Into::into),
    );
    gauge(
        "kube_cronjob_spec_failed_job_history_limit",
        "Failed job history limit tells the controller how many failed jobs should be preserved.",
        &|it| it.spec.failed_jobs_history_limit.map(Into::into),
    );
    gauge(
        "kube_cronjob_next_schedule_time",
        "Next time the cronjob should be scheduled. The time after lastScheduleTime, or after the cron job's creation time if it's never been scheduled. Use this to determine if the job is delayed.",
        &|it| seconds(next(it, api.host.zone())),
    );
}

fn info(text: &mut Text, rows: &[Row]) {
    let mut family = text.family("kube_cronjob_info", Kind::Gauge, "Info about cronjob.");
    for row in rows {
        let spec = &row.cron_job.spec;
        let policy = match spec.concurrency_policy {
            ConcurrencyPolicy::Allow => "Allow",
            ConcurrencyPolicy::Forbid => "Forbid",
            ConcurrencyPolicy::Replace => "Replace",
        };
        let labels = [
            ("schedule", spec.object.schedule.as_str()),
            ("concurrency_policy", policy),
            (
                "timezone",
                spec.object.time_zone.as_deref().unwrap_or("local"),
            ),
        ];
        family.sample(&row.labels, &labels, true);
    }
}

/// The next slot after the last one; none of a CronJob that is suspended, or whose
/// schedule or zone makes no sense.
fn next(cron_job: &CronJob, zone: &Zone) -> Option<Timestamp> {
    let spec = &cron_job.spec;
    if spec.suspend {
        return None;
    }
    let schedule = spec.schedule.as_ref().ok()?;
    let zone = spec.zone.as_ref().ok()?.as_ref().unwrap_or(zone);
    let after = cron_job.status.last_schedule_time;
    let after = after.unwrap_or(cron_job.created);
    Slots::new(cron_job, schedule, zone).next(after)
}
