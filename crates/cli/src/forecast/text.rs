//! A forecast for people: the sums first, then what may be in the way, then the map.

use std::io::Write;

use jiff::SignedDuration;
use wasmjob::forecast::Peak;

use super::{Outlook, heat_map, problems};
use crate::report::table;
use crate::when;

/// Days without a run that are listed; more are counted only.
const DAYS_LISTED: usize = 10;

/// Prints the forecast.
pub(super) fn print(
    outlook: &Outlook<'_>,
    color: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    summary(outlook, out)?;
    busiest(outlook, color, out)?;
    problems::print(outlook, color, out)?;
    days_without(outlook, out)?;
    heat_map::print(
        &outlook.forecast.load.days,
        &outlook.settings.zone,
        color,
        out,
    )?;
    out.flush()?;
    Ok(())
}

/// A heading of its own line.
pub(super) fn heading(text: &str, color: bool, out: &mut impl Write) -> std::io::Result<()> {
    let text = console::style(text).bold().force_styling(color);
    writeln!(out, "\n{text}")
}

fn summary(outlook: &Outlook<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let settings = outlook.settings;
    let zone = &settings.zone;
    writeln!(
        out,
        "{} to {}, zone {}",
        when::in_zone(settings.from, zone),
        when::in_zone(settings.until, zone),
        zone.name()
    )?;
    let takes = SignedDuration::try_from(outlook.takes).unwrap_or(SignedDuration::MAX);
    writeln!(
        out,
        "every pod takes {} unless said otherwise; the host is never down and has room for all\n",
        when::span(takes)
    )?;
    let columns = [
        ("CRONJOBS", outlook.subjects.len().to_string()),
        ("JOBS", outlook.sum(|totals| totals.jobs).to_string()),
        (
            "COMPLETE",
            outlook.sum(|totals| totals.complete).to_string(),
        ),
        ("FAILED", outlook.sum(|totals| totals.failed).to_string()),
        (
            "REPLACED",
            outlook.sum(|totals| totals.replaced).to_string(),
        ),
        (
            "UNFINISHED",
            outlook.sum(|totals| totals.unfinished).to_string(),
        ),
        (
            "SKIPPED SLOTS",
            outlook.sum(|totals| totals.skipped).to_string(),
        ),
        ("PODS AT ONCE", pods(outlook.forecast.load.pods, outlook)),
    ];
    let (header, row) = columns
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .unzip();
    table::print(&[header, row], out)?;
    Ok(())
}

fn pods(peak: Peak, outlook: &Outlook<'_>) -> String {
    match peak.most {
        0 => "0".to_owned(),
        most => format!(
            "{most} on {}",
            when::in_zone(peak.at, &outlook.settings.zone)
        ),
    }
}

fn busiest(outlook: &Outlook<'_>, color: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let minutes = &outlook.forecast.load.busiest_minutes;
    if minutes.is_empty() {
        return Ok(());
    }
    let zone = &outlook.settings.zone;
    heading(&format!("Busiest minutes ({})", zone.name()), color, out)?;
    let header = ["TIME", "JOBS", "PODS", "DAYS", "FIRST", "CRONJOBS"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for busy in minutes {
        let mut names: Vec<_> = busy
            .cron_jobs
            .iter()
            .map(|place| outlook.name(*place))
            .collect();
        let more = usize::try_from(busy.jobs)
            .unwrap_or(0)
            .saturating_sub(names.len());
        if more > 0 {
            names.push(format!("{more} more"));
        }
        rows.push(vec![
            clock(busy.minute),
            busy.jobs.to_string(),
            busy.pods.to_string(),
            busy.days.to_string(),
            when::date(zone.civil(busy.first)),
            names.join(", "),
        ]);
    }
    table::print(&rows, out)?;
    if minutes.first().is_some_and(|busiest| busiest.jobs >= CROWD) {
        writeln!(
            out,
            "hint: the annotation wasmjob.dev/jitter spreads what starts together"
        )?;
    }
    Ok(())
}

/// Jobs in a minute that are worth a hint.
const CROWD: u32 = 10;

/// A minute of the day as the clock shows it.
pub(super) fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn days_without(outlook: &Outlook<'_>, out: &mut impl Write) -> anyhow::Result<()> {
    let days: Vec<_> = outlook.forecast.load.days_without().collect();
    if days.is_empty() {
        return Ok(());
    }
    let listed: Vec<_> = days
        .iter()
        .take(DAYS_LISTED)
        .map(ToString::to_string)
        .collect();
    let more = match days.len().saturating_sub(DAYS_LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    writeln!(out, "\nDays without a run: {}{more}", listed.join(", "))?;
    Ok(())
}
