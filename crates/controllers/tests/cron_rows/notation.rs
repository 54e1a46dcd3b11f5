//! The words of a row: times, names and Jobs.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1 as batch;
use serde_json::json;
use wasmjob_api::{CronJob, Job, JobCondition, JobConditionType, Uid, defaults};

/// The name of every CronJob of the rows.
const NAME: &str = "mycronjob";

/// `HH:MM[:SS]` of 2016-05-19 in UTC, or RFC 3339.
pub(crate) fn time(text: &str) -> Timestamp {
    if text.contains('T') {
        return text.parse().unwrap();
    }
    let seconds = if text.matches(':').count() == 1 {
        ":00"
    } else {
        ""
    };
    format!("2016-05-19T{text}{seconds}Z").parse().unwrap()
}

/// `@TIME` is the name of the Job of that slot.
pub(crate) fn name(text: &str) -> String {
    match text.strip_prefix('@') {
        Some(slot) => format!("{NAME}-{}", time(slot).as_second() / 60),
        None => text.to_owned(),
    }
}

/// The same name has the same UID.
pub(crate) fn uid(name: &str) -> Uid {
    let bits = name.bytes().fold(7_u128, |bits, byte| {
        bits.wrapping_mul(0x0100_0000_01b3) ^ u128::from(byte)
    });
    Uid::from_random(bits)
}

/// A CronJob with this spec.
pub(crate) fn cron_job(
    spec: &serde_json::Value,
    annotations: &std::collections::BTreeMap<String, String>,
    created: Timestamp,
) -> CronJob {
    let mut object: batch::CronJob = serde_json::from_value(json!({
        "metadata": {"name": NAME, "namespace": "snazzycats", "annotations": annotations},
        "spec": spec,
    }))
    .unwrap();
    let limits = (
        object.spec.successful_jobs_history_limit,
        object.spec.failed_jobs_history_limit,
    );
    defaults::cron_job(&mut object);
    (
        object.spec.successful_jobs_history_limit,
        object.spec.failed_jobs_history_limit,
    ) = limits;
    CronJob::new(object, Uid::from_random(0x1a_2b3c), created)
}

/// `NAME STATE [start=T] [done=T] [created=T] [deleting]`, a state being Active, Complete
/// or Failed.
pub(crate) fn job(text: &str) -> Arc<Job> {
    let mut words = text.split(' ');
    let name = name(words.next().unwrap());
    let state = words.next().unwrap();
    let object = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "snazzycats"}, "spec": {"template": {}},
    }));
    let mut job = Job::new(object.unwrap(), uid(&name), time("08:00"));
    for word in words {
        match word.split_once('=') {
            Some(("start", at)) => job.status.start_time = Some(time(at)),
            Some(("done", at)) => job.status.completion_time = Some(time(at)),
            Some(("created", at)) => job.created = time(at),
            None if word == "deleting" => job.deletion = Some(time("09:30")),
            _ => panic!("unknown word {word}"),
        }
    }
    let condition_type = match state {
        "Active" => return Arc::new(job),
        "Complete" => JobConditionType::Complete,
        "Failed" => JobConditionType::Failed,
        other => panic!("unknown state {other}"),
    };
    job.status.conditions.push(JobCondition {
        condition_type,
        status: true,
        reason: "".into(),
        message: "".into(),
        last_probe: job.created,
        last_transition: job.created,
    });
    Arc::new(job)
}

/// A wall time as a row writes it, for messages.
pub(crate) fn show(at: Timestamp) -> String {
    let day = time("00:00");
    let within = at >= day && at.duration_since(day) < SignedDuration::from_hours(24);
    match within {
        true => at.strftime("%H:%M:%S%.f").to_string(),
        false => at.to_string(),
    }
}
