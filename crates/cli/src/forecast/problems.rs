//! What is in the way of CronJobs: themselves, their schedules, and the clocks.

use std::io::Write;

use jiff::Timestamp;
use wasmjob::api::schedule::{DstEffect, DstSurprise, Zone};
use wasmjob::api::{ConcurrencyPolicy, CronJob};
use wasmjob::forecast::{CronJobForecast, Idle};

use super::Outlook;
use super::text::heading;
use crate::report::table;
use crate::{subjects, when};

/// Surprises of one CronJob that are shown; each year brings two more.
const SURPRISES_SHOWN: usize = 4;

/// Prints the sections that have something to say.
pub(super) fn print(
    outlook: &Outlook<'_>,
    color: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    conflicts(outlook, color, out)?;
    surprises(outlook, color, out)?;
    idle(outlook, color, out)?;
    Ok(())
}

/// The CronJobs with what came of them and their zones.
fn all<'a>(
    outlook: &'a Outlook<'_>,
) -> impl Iterator<Item = (&'a CronJob, &'a CronJobForecast, &'a Zone)> {
    let subjects = outlook.subjects.iter().map(|subject| &subject.cron_job);
    subjects
        .zip(&outlook.forecast.cron_jobs)
        .map(|(cron_job, forecast)| {
            let zone = subjects::zone(cron_job, &outlook.settings.zone);
            (cron_job, forecast, zone)
        })
}

fn conflicts(outlook: &Outlook<'_>, color: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let header = [
        "CRONJOB", "POLICY", "JOBS", "TAKES", "OVERLAPS", "AT ONCE", "SKIPPED", "LATE", "REPLACED",
        "FAILED", "FIRST",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (cron_job, forecast, zone) in all(outlook) {
        let totals = &forecast.totals;
        let first = totals.first_conflict;
        if first.is_none() && totals.late == 0 && totals.failed == 0 {
            continue;
        }
        let late = match totals.late {
            0 => "0".to_owned(),
            late => format!("{late} by {}", when::span(totals.late_max)),
        };
        let first = first.map_or_else(String::new, |at| when::in_zone(at, zone));
        rows.push(vec![
            subjects::name(cron_job),
            policy(cron_job).to_owned(),
            totals.jobs.to_string(),
            forecast
                .job_takes
                .map_or_else(|| "longer".to_owned(), when::span),
            totals.overlaps.to_string(),
            totals.at_once_max.to_string(),
            totals.skipped.to_string(),
            late,
            totals.replaced.to_string(),
            totals.failed.to_string(),
            first,
        ]);
    }
    if rows.len() > 1 {
        heading("Overlaps, skips, replacements, failures", color, out)?;
        table::print(&rows, out)?;
    }
    Ok(())
}

fn policy(cron_job: &CronJob) -> &'static str {
    match cron_job.spec.concurrency_policy {
        ConcurrencyPolicy::Allow => "Allow",
        ConcurrencyPolicy::Forbid => "Forbid",
        ConcurrencyPolicy::Replace => "Replace",
    }
}

fn surprises(outlook: &Outlook<'_>, color: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut is_first = true;
    for (cron_job, forecast, zone) in all(outlook) {
        if forecast.surprises.is_empty() {
            continue;
        }
        if std::mem::take(&mut is_first) {
            heading("Changes of the clocks", color, out)?;
        }
        writeln!(out, "{} ({})", subjects::name(cron_job), zone.name())?;
        for surprise in forecast.surprises.iter().take(SURPRISES_SHOWN) {
            writeln!(out, "  {}", told(surprise, zone))?;
        }
        let more = forecast.surprises.len().saturating_sub(SURPRISES_SHOWN);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
    }
    if !is_first {
        writeln!(
            out,
            "hint: the annotation wasmjob.dev/dst: once runs each time of day once"
        )?;
    }
    Ok(())
}

/// What a change of the clocks does, with both readings of the clock.
fn told(surprise: &DstSurprise, zone: &Zone) -> String {
    let change = surprise.change;
    let before = surprise.before.to_datetime(change);
    let after = surprise.after.to_datetime(change);
    let (before_offset, after_offset) = (surprise.before, surprise.after);
    let (times, verb) = match surprise.count {
        1 => (when::time(surprise.wall), "runs"),
        count => {
            let (first, last) = (when::time(surprise.wall), when::time(surprise.wall_last));
            (format!("{first} to {last} ({count} times)"), "run")
        }
    };
    let utc = |at: Timestamp| format!("{} UTC", when::time(Zone::utc().civil(at)));
    let effect = match surprise.effect {
        DstEffect::Twice { first, second } => {
            format!(
                "{times} {verb} twice, first at {} and again at {}",
                utc(first),
                utc(second)
            )
        }
        DstEffect::Skipped { instead: None } => match surprise.count {
            1 => format!("{times} does not run"),
            _ => format!("{times} do not run"),
        },
        DstEffect::Skipped { instead: Some(at) } => {
            let at = when::in_zone(at, zone);
            format!("{times} {verb} once, on {at}, instead")
        }
    };
    format!(
        "{}: the clock goes from {} ({before_offset}) to {} ({after_offset}); {effect}",
        when::date(surprise.wall),
        when::time(before),
        when::time(after),
    )
}

fn idle(outlook: &Outlook<'_>, color: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (cron_job, forecast, zone) in all(outlook) {
        let why = match forecast.idle {
            None => continue,
            Some(Idle::Suspended) => "suspended".to_owned(),
            Some(Idle::Never) => "never runs: within five years no date fits".to_owned(),
            Some(Idle::Until(next)) => format!("runs next on {}", when::in_zone(next, zone)),
            Some(Idle::Unreadable) => "its schedule or zone cannot be read".to_owned(),
        };
        let schedule = cron_job.spec.object.schedule.clone();
        rows.push(vec![subjects::name(cron_job), schedule, why]);
    }
    if !rows.is_empty() {
        heading("Without a run in this time", color, out)?;
        table::print(&rows, out)?;
    }
    Ok(())
}
