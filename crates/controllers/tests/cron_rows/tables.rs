//! Rows that go to one function.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use serde_json::json;
use wasmjob_api::schedule::Zone;
use wasmjob_api::{Job, Uid};
use wasmjob_controllers::cron_job::{MANY_MISSED, NewJob, Slots, job_name, new_job, owns};

use super::notation::{cron_job, show, time};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MostRecent {
    name: String,
    schedule: String,
    created: String,
    last: Option<String>,
    deadline: Option<i64>,
    now: String,
    latest: Option<String>,
    missed: String,
}

pub(crate) fn most_recent(row: &MostRecent) -> Result<(), String> {
    let spec = json!({"schedule": row.schedule, "jobTemplate": {}});
    let mut cron_job = cron_job(&spec, &BTreeMap::new(), time(&row.created));
    cron_job.status.last_schedule_time = row.last.as_deref().map(time);
    let schedule = cron_job.spec.schedule.as_ref().unwrap();
    let zone = Zone::utc();
    let slots = Slots::new(&cron_job, schedule, &zone);
    let now = time(&row.now);
    let mut from = cron_job
        .status
        .last_schedule_time
        .unwrap_or(cron_job.created);
    if let Some(deadline) = row.deadline {
        from = from.max(now - SignedDuration::from_secs(deadline));
    }
    let latest = slots.last(from, now).map(show);
    let missed = match slots.between(from, now).take(MANY_MISSED + 1).count() {
        0 | 1 => "none",
        2..=MANY_MISSED => "few",
        _ => "many",
    };
    let want = row.latest.as_deref().map(|text| show(time(text)));
    match latest == want && missed == row.missed {
        true => Ok(()),
        false => Err(format!("{}: {latest:?} and {missed}", row.name)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromTemplate {
    name: String,
    zone: Option<String>,
    host: Option<String>,
    annotations: BTreeMap<String, String>,
    timestamp: String,
}

pub(crate) fn job_from_template(row: &FromTemplate) -> Result<(), String> {
    let spec = json!({
        "schedule": "0 * * * *", "timeZone": row.zone,
        "jobTemplate": {
            "metadata": {"labels": {"l": "v"}, "annotations": row.annotations},
            "spec": {"template": {}, "parallelism": 3},
        },
    });
    let cron_job = cron_job(&spec, &BTreeMap::new(), time("09:00"));
    let slot = time("10:00");
    let new = NewJob {
        name: job_name(&cron_job, slot).into(),
        slot: Some(slot),
    };
    let host = Zone::load(row.host.as_deref().unwrap_or(""), &Zone::utc()).unwrap();
    let job = new_job(&cron_job, &new, &host);
    let mut annotations = row.annotations.clone();
    annotations.insert(
        "batch.kubernetes.io/cronjob-scheduled-timestamp".to_owned(),
        row.timestamp.clone(),
    );
    let metadata = serde_json::to_value(&job.metadata).unwrap();
    let want = json!({
        "name": "mycronjob-24394200", "namespace": "snazzycats", "labels": {"l": "v"},
        "annotations": annotations,
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "mycronjob",
            "uid": cron_job.uid.to_string(), "controller": true, "blockOwnerDeletion": true,
        }],
    });
    match metadata == want && job.spec.and_then(|spec| spec.parallelism) == Some(3) {
        true => Ok(()),
        false => Err(format!("{}: {metadata}", row.name)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ownership {
    name: String,
    controller: bool,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    uid: Option<String>,
    owned: bool,
}

pub(crate) fn ownership(row: &Ownership) -> Result<(), String> {
    let spec = json!({"schedule": "0 * * * *", "jobTemplate": {}});
    let cron_job = cron_job(&spec, &BTreeMap::new(), time("09:00"));
    let owner = OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "CronJob".to_owned(),
        name: cron_job.name.to_string(),
        uid: row.uid.clone().unwrap_or(cron_job.uid.to_string()),
        controller: Some(row.controller),
        block_owner_deletion: None,
    };
    let object = serde_json::from_value(json!({
        "metadata": {
            "name": "a", "namespace": row.namespace.as_deref().unwrap_or("snazzycats"),
            "labels": row.labels, "ownerReferences": [owner],
        },
        "spec": {"template": {}},
    }));
    let job = Job::new(object.unwrap(), Uid::from_random(1), time("09:00"));
    match owns(&cron_job, &job) == row.owned {
        true => Ok(()),
        false => Err(row.name.clone()),
    }
}
