//! A CronJob, described.

use serde_json::Value;

use super::containers::template;
use super::parts::{annotations, head, items, labels, or_unset, plain, selector, time, truth};
use crate::client::api::text;
use crate::client::tabs::Tabbed;

pub(super) fn describe(cron_job: &Value, out: &mut Tabbed) {
    let (spec, status) = (&cron_job["spec"], &cron_job["status"]);
    head(cron_job, out);
    labels("Labels", &cron_job["metadata"]["labels"], out);
    annotations("Annotations", &cron_job["metadata"]["annotations"], out);
    out.field("Schedule", plain(&spec["schedule"]));
    // kubectl does not say it, but times make no sense without it.
    if !spec["timeZone"].is_null() {
        out.field("Time Zone", plain(&spec["timeZone"]));
    }
    out.field("Concurrency Policy", plain(&spec["concurrencyPolicy"]));
    out.field("Suspend", truth(&spec["suspend"]));
    let limit = |name: &str| or_unset(&spec[name]);
    out.field(
        "Successful Job History Limit",
        limit("successfulJobsHistoryLimit"),
    );
    out.field("Failed Job History Limit", limit("failedJobsHistoryLimit"));
    let deadline = spec["startingDeadlineSeconds"].as_i64();
    let deadline = deadline.map_or_else(|| "<unset>".to_owned(), |seconds| format!("{seconds}s"));
    out.field("Starting Deadline Seconds", deadline);
    job_template(&spec["jobTemplate"]["spec"], out);
    let last = match &status["lastScheduleTime"] {
        Value::Null => "<unset>".to_owned(),
        last => time(last),
    };
    out.field("Last Schedule Time", last);
    let active: Vec<&str> = items(&status["active"])
        .iter()
        .map(|job| text(job, "/name"))
        .collect();
    out.field(
        "Active Jobs",
        if active.is_empty() {
            "<none>".to_owned()
        } else {
            active.join(", ")
        },
    );
}

fn job_template(spec: &Value, out: &mut Tabbed) {
    let chosen = match &spec["selector"] {
        Value::Null => "<unset>".to_owned(),
        chosen => selector(chosen),
    };
    out.field("Selector", chosen);
    out.field("Parallelism", or_unset(&spec["parallelism"]));
    out.field("Completions", or_unset(&spec["completions"]));
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        out.field("Active Deadline Seconds", format_args!("{seconds}s"));
    }
    template(&spec["template"], out);
}
