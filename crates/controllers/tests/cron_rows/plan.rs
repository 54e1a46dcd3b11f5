//! Rows that are a CronJob, its Jobs and one plan, or two.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use wasmjob_api::schedule::Zone;
use wasmjob_api::{Cause, CronJob, Event, Job, JobReference, SlotRecord};
use wasmjob_controllers::cron_job::{Awake, Plan, Surroundings, plan};
use wasmjob_controllers::invariants::check_cron_plan;

use super::notation::{cron_job, job, name, show, time, uid};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    name: String,
    policy: String,
    schedule: String,
    zone: Option<String>,
    #[serde(default)]
    suspend: bool,
    deadline: Option<i64>,
    #[serde(default)]
    limits: [Option<i32>; 2],
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    created: String,
    last: Option<String>,
    #[serde(default)]
    active: Vec<String>,
    #[serde(default)]
    jobs: Vec<String>,
    #[serde(default)]
    taken: Vec<String>,
    #[serde(default)]
    terminating: bool,
    #[serde(default)]
    deleting: bool,
    awake: Option<String>,
    #[serde(default)]
    after: Option<String>,
    started: Option<String>,
    now: String,
    /// What the CronJob was when it was looked at before.
    was: Option<Was>,
    /// What changes before a second look, whose plan is wanted.
    then: Option<Then>,
    want: Want,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Was {
    schedule: String,
    zone: Option<String>,
    #[serde(default)]
    suspend: bool,
    at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Then {
    now: String,
    jobs: Option<Vec<String>>,
    active: Option<Vec<String>>,
    suspend: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Want {
    #[serde(default)]
    create: Vec<String>,
    #[serde(default)]
    delete: Vec<String>,
    #[serde(default)]
    active: Vec<String>,
    #[serde(default)]
    events: Vec<String>,
    last: Option<String>,
    successful: Option<String>,
    look_again: Option<String>,
    slots: Option<Vec<String>>,
}

impl Row {
    fn spec(&self, schedule: &str, zone: Option<&String>, suspend: bool) -> serde_json::Value {
        json!({
            "schedule": schedule,
            "timeZone": zone,
            "suspend": suspend,
            "concurrencyPolicy": self.policy,
            "startingDeadlineSeconds": self.deadline,
            "successfulJobsHistoryLimit": self.limits[0],
            "failedJobsHistoryLimit": self.limits[1],
            "jobTemplate": {"spec": {"template": {}}},
        })
    }

    fn plan(&self, cron_job: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
        // A name that was taken at the first look is free at the second.
        let taken = self.taken.iter().filter(|_| now == time(&self.now));
        let taken: Vec<String> = taken.map(|text| name(text)).collect();
        let plan = plan(
            cron_job,
            jobs,
            &Surroundings {
                now,
                awake: Awake {
                    since: time(self.awake.as_deref().unwrap_or("00:00")),
                    after: match self.after.as_deref() {
                        Some("Asleep") => Cause::Asleep,
                        _ => Cause::Down,
                    },
                },
                started: time(self.started.as_deref().unwrap_or("00:00")),
                zone: &Zone::utc(),
                terminating: self.terminating,
                is_taken: &|name| taken.iter().any(|taken| taken == name),
            },
        );
        check_cron_plan(cron_job, jobs, &plan, now).unwrap();
        plan
    }
}

fn references(names: &[String]) -> Vec<JobReference> {
    let names = names.iter().map(|text| name(text));
    names
        .map(|name| JobReference {
            uid: uid(&name),
            name: name.into(),
        })
        .collect()
}

pub(crate) fn check(row: &Row) -> Result<(), String> {
    let annotations = row
        .annotations
        .iter()
        .map(|(key, value)| (format!("wasmjob.dev/{key}"), value.clone()))
        .collect();
    let created = time(&row.created);
    let spec = row.spec(&row.schedule, row.zone.as_ref(), row.suspend);
    let mut cron_job_row = cron_job(&spec, &annotations, created);
    cron_job_row.status.last_schedule_time = row.last.as_deref().map(time);
    cron_job_row.status.active = references(&row.active);
    cron_job_row.deletion = row.deleting.then(|| time("09:30"));
    if let Some(was) = &row.was {
        let spec = row.spec(&was.schedule, was.zone.as_ref(), was.suspend);
        let mut before = cron_job(&spec, &BTreeMap::new(), created);
        before.status = cron_job_row.status.clone();
        let plan = row.plan(&before, &[], time(&was.at));
        cron_job_row.status = plan.status.unwrap_or(before.status);
    }
    let mut jobs: Vec<_> = row.jobs.iter().map(|text| job(text)).collect();
    let mut now = time(&row.now);
    if let Some(then) = &row.then {
        let plan = row.plan(&cron_job_row, &jobs, now);
        cron_job_row.status = plan.status.unwrap_or(cron_job_row.status);
        now = time(&then.now);
        if let Some(texts) = &then.jobs {
            jobs = texts.iter().map(|text| job(text)).collect();
        }
        if let Some(active) = &then.active {
            cron_job_row.status.active = references(active);
        }
        if let Some(suspend) = then.suspend {
            let spec = row.spec(&row.schedule, row.zone.as_ref(), suspend);
            cron_job_row.spec = cron_job(&spec, &annotations, created).spec;
        }
    }
    let before = cron_job_row.status.clone();
    let plan = row.plan(&cron_job_row, &jobs, now);
    compare(row, &jobs, &plan, &plan.status.clone().unwrap_or(before))
}

fn compare(
    row: &Row,
    jobs: &[Arc<Job>],
    plan: &Plan,
    status: &wasmjob_api::CronJobStatus,
) -> Result<(), String> {
    let want = &row.want;
    let names = |texts: &[String]| -> Vec<String> { texts.iter().map(|text| name(text)).collect() };
    let same = |what: &str, got: String, want: String| match got == want {
        true => Ok(()),
        false => Err(format!("{}: {what}: {got}, want {want}", row.name)),
    };
    let created: Vec<_> = plan.create.iter().map(|job| job.name.to_string()).collect();
    same("create", created.join(" "), names(&want.create).join(" "))?;
    let deleted: Vec<_> = plan
        .delete
        .iter()
        .map(|uid| {
            let job = jobs.iter().find(|job| job.uid == *uid);
            job.map_or("?".to_owned(), |job| job.name.to_string())
        })
        .collect();
    same("delete", deleted.join(" "), names(&want.delete).join(" "))?;
    let active: Vec<_> = status
        .active
        .iter()
        .map(|job| job.name.to_string())
        .collect();
    same("active", active.join(" "), names(&want.active).join(" "))?;
    let shown = |at: Option<Timestamp>| at.map_or("none".to_owned(), show);
    let wanted = |text: &Option<String>| shown(text.as_deref().map(time));
    let last = want.last.as_ref().or(row.last.as_ref()).cloned();
    if row.then.is_none() || want.last.is_some() {
        same("last", shown(status.last_schedule_time), wanted(&last))?;
    }
    same(
        "successful",
        shown(status.last_successful_time),
        wanted(&want.successful),
    )?;
    same(
        "look_again",
        shown(plan.look_again),
        wanted(&want.look_again),
    )?;
    let matches = |event: &Event, wanted: &String| {
        let text = format!("{}: {}", event.reason, event.note);
        *wanted == event.reason || *wanted == text
    };
    let events_match = plan.events.len() == want.events.len()
        && std::iter::zip(&plan.events, &want.events).all(|(event, want)| matches(event, want));
    if !events_match {
        return Err(format!(
            "{}: events: {:?}, want {:?}",
            row.name, plan.events, want.events
        ));
    }
    if let Some(slots) = &want.slots {
        let got: Vec<String> = status.ledger.slots.iter().map(record).collect();
        let slots: Vec<String> = slots.iter().map(|text| normal(text)).collect();
        same("slots", got.join(", "), slots.join(", "))?;
    }
    Ok(())
}

/// `SLOT[+COUNT] Verdict [because | seconds late]`.
fn record(record: &SlotRecord) -> String {
    let mut text = show(record.slot);
    if record.count > 1 {
        text += &format!("+{}", record.count);
    }
    let verdict = serde_json::to_value(record.verdict).unwrap();
    text += &format!(" {}", verdict["verdict"].as_str().unwrap());
    if let Some(because) = verdict.get("because") {
        text += &format!(" {}", because.as_str().unwrap());
    }
    if let Some(late) = verdict.get("lateSeconds") {
        text += &format!(" {late}");
    }
    text
}

fn normal(text: &str) -> String {
    let end = text.find(['+', ' ']).unwrap();
    let (slot, rest) = text.split_at(end);
    format!("{}{rest}", show(time(slot)))
}
