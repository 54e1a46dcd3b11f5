//! A forecast as one JSON document. The fields are documented in the help of the command.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use wasmjob::api::SlotVerdict;
use wasmjob::api::schedule::{DstEffect, DstSurprise, Zone};
use wasmjob::forecast::{CronJobForecast, Fate, Idle, Outcome, Subject, forecast as foresee};

use super::Outlook;
use super::text::clock;
use crate::subjects;

/// Prints the sums, and then every slot on a line of its own.
pub(super) fn print(outlook: &Outlook<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let sums = serde_json::to_string_pretty(&sums(outlook)?)?;
    // Slots may be millions. They are foreseen once more and written as they come, so that
    // none is kept and an error comes before the first byte.
    let open = sums.strip_suffix("\n}").unwrap_or(&sums);
    write!(out, "{open},\n  \"slots\": [")?;
    let mut written = Ok(());
    let mut separator = "\n    ";
    let mut tell = |outcome: &Outcome| {
        if written.is_ok() {
            written = slot(outlook, outcome, separator, out);
            separator = ",\n    ";
        }
    };
    foresee(outlook.subjects, outlook.settings, &mut tell)?;
    written?;
    write!(out, "\n  ]\n}}\n")?;
    out.flush()?;
    Ok(())
}

fn sums(outlook: &Outlook<'_>) -> anyhow::Result<Value> {
    let zone = &outlook.settings.zone;
    let load = &outlook.forecast.load;
    let busiest = load.busiest_minutes.iter().map(|busy| {
        let names: Vec<_> = busy
            .cron_jobs
            .iter()
            .map(|place| outlook.name(*place))
            .collect();
        json!({
            "time": clock(busy.minute), "jobs": busy.jobs, "pods": busy.pods, "days": busy.days,
            "first": zone.rfc3339(busy.first), "cronJobs": names,
        })
    });
    let days = load.days.iter().map(|(day, hours)| {
        let jobs: u64 = hours.iter().map(|jobs| u64::from(*jobs)).sum();
        json!({"date": day.to_string(), "jobs": jobs, "hours": hours})
    });
    let cron_jobs = outlook.subjects.iter().zip(&outlook.forecast.cron_jobs);
    let cron_jobs = cron_jobs
        .map(|(subject, forecast)| serde_json::to_value(CronJobSums::of(subject, forecast, zone)));
    let cron_jobs: Vec<_> = cron_jobs.collect::<Result<_, _>>()?;
    Ok(json!({
        "from": zone.rfc3339(outlook.settings.from),
        "until": zone.rfc3339(outlook.settings.until),
        "timeZone": zone.name(),
        "jobs": outlook.sum(|totals| totals.jobs),
        "complete": outlook.sum(|totals| totals.complete),
        "failed": outlook.sum(|totals| totals.failed),
        "replaced": outlook.sum(|totals| totals.replaced),
        "unfinished": outlook.sum(|totals| totals.unfinished),
        "skipped": outlook.sum(|totals| totals.skipped),
        "podsAtOnce": {"most": load.pods.most, "at": zone.rfc3339(load.pods.at)},
        "busiestMinutes": busiest.collect::<Vec<_>>(),
        "daysWithoutRun": load.days_without().map(|day| day.to_string()).collect::<Vec<_>>(),
        "days": days.collect::<Vec<_>>(),
        "cronJobs": cron_jobs,
    }))
}

/// What is said of a CronJob.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CronJobSums<'a> {
    namespace: &'a str,
    name: &'a str,
    schedule: &'a str,
    time_zone: &'a str,
    duration_seconds: f64,
    job_seconds: Option<f64>,
    idle: Option<&'static str>,
    jobs: u64,
    complete: u64,
    failed: u64,
    replaced: u64,
    unfinished: u64,
    skipped: u64,
    overlaps: u64,
    jobs_at_once: usize,
    late: u64,
    late_seconds_max: f64,
    first_start: Option<String>,
    last_start: Option<String>,
    first_conflict: Option<String>,
    dst: Vec<Value>,
}

impl<'a> CronJobSums<'a> {
    fn of(subject: &'a Subject, forecast: &CronJobForecast, zone: &'a Zone) -> Self {
        let cron_job = &subject.cron_job;
        let zone = subjects::zone(cron_job, zone);
        let totals = &forecast.totals;
        let time = |at: Option<Timestamp>| at.map(|at| zone.rfc3339(at));
        Self {
            namespace: &cron_job.namespace,
            name: &cron_job.name,
            schedule: &cron_job.spec.object.schedule,
            time_zone: zone.name(),
            duration_seconds: subject.duration.as_secs_f64(),
            job_seconds: forecast.job_takes.map(|takes| takes.as_secs_f64()),
            idle: forecast.idle.map(|idle| match idle {
                Idle::Suspended => "Suspended",
                Idle::Never => "Never",
                Idle::Until(_) => "NotInThisTime",
                Idle::Unreadable => "Unreadable",
            }),
            jobs: totals.jobs,
            complete: totals.complete,
            failed: totals.failed,
            replaced: totals.replaced,
            unfinished: totals.unfinished,
            skipped: totals.skipped,
            overlaps: totals.overlaps,
            jobs_at_once: totals.at_once_max,
            late: totals.late,
            late_seconds_max: totals.late_max.as_secs_f64(),
            first_start: time(totals.first_start),
            last_start: time(totals.last_start),
            first_conflict: time(totals.first_conflict),
            dst: forecast
                .surprises
                .iter()
                .map(|surprise| dst(surprise, zone))
                .collect(),
        }
    }
}

fn dst(surprise: &DstSurprise, zone: &Zone) -> Value {
    let time = |at: Timestamp| zone.rfc3339(at);
    let mut value = json!({
        "effect": "Skipped", "wall": surprise.wall.to_string(),
        "wallLast": surprise.wall_last.to_string(), "count": surprise.count,
        "change": time(surprise.change), "offsetBefore": surprise.before.to_string(),
        "offsetAfter": surprise.after.to_string(),
    });
    match surprise.effect {
        DstEffect::Skipped { instead: None } => {}
        DstEffect::Skipped { instead: Some(at) } => value["instead"] = time(at).into(),
        DstEffect::Twice { first, second } => {
            value["effect"] = "Twice".into();
            value["first"] = time(first).into();
            value["second"] = time(second).into();
        }
    }
    value
}

/// What is said of a slot.
#[derive(Serialize)]
struct Slot<'a> {
    namespace: &'a str,
    name: &'a str,
    slot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

fn slot(
    outlook: &Outlook<'_>,
    outcome: &Outcome,
    separator: &str,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let Some(subject) = outlook.subjects.get(outcome.cron_job) else {
        return Ok(());
    };
    let cron_job = &subject.cron_job;
    let zone = subjects::zone(cron_job, &outlook.settings.zone);
    let (result, because) = match outcome.fate {
        Fate::Complete => ("Complete", None),
        Fate::Failed => ("Failed", None),
        Fate::Replaced => ("Replaced", None),
        Fate::Unfinished => ("Unfinished", None),
        Fate::NoJob(verdict) => no_job(verdict),
    };
    let slot = Slot {
        namespace: &cron_job.namespace,
        name: &cron_job.name,
        slot: zone.rfc3339(outcome.slot),
        start: outcome.start.map(|at| zone.rfc3339(at)),
        end: outcome.end.map(|at| zone.rfc3339(at)),
        result,
        because,
    };
    write!(out, "{separator}")?;
    serde_json::to_writer(&mut *out, &slot)?;
    Ok(())
}

/// Why a slot got no Job, in the words of the ledger.
fn no_job(verdict: SlotVerdict) -> (&'static str, Option<String>) {
    match verdict {
        SlotVerdict::Skipped { because } => ("Skipped", Some(because.to_string())),
        SlotVerdict::Missed { because } => ("Missed", Some(because.to_string())),
        SlotVerdict::Collapsed { because } => ("Collapsed", Some(because.to_string())),
        SlotVerdict::Ran { .. } | SlotVerdict::Replaced { .. } => ("Complete", None),
    }
}
