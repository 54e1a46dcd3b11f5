//! The next times for people.

use std::io::Write;

use jiff::Timestamp;
use wasmjob::api::CronJob;
use wasmjob::api::schedule::{DstPolicy, Zone};

use super::{slots, slots_if_resumed};
use crate::report::table;
use crate::{subjects, when};

/// Prints each CronJob with a line for each of its next times.
pub(super) fn print(
    cron_jobs: &[CronJob],
    from: Timestamp,
    count: usize,
    zone: &Zone,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let now = when::in_zone(from, zone);
    writeln!(out, "from {now}, default zone {}", zone.name())?;
    for cron_job in cron_jobs {
        let own = subjects::zone(cron_job, zone);
        let name = subjects::name(cron_job);
        let schedule = &cron_job.spec.object.schedule;
        writeln!(
            out,
            "\n{name}   {schedule}   {}{}",
            own.name(),
            notes(cron_job)
        )?;
        let slots = slots(cron_job, from, count, zone);
        if slots.len() < count {
            writeln!(out, "  {}", why_fewer(cron_job, from, zone, slots.len()))?;
        }
        let rows: Vec<_> = slots
            .iter()
            .map(|slot| row(*slot, from, own, zone))
            .collect();
        table::print(&rows, out)?;
    }
    out.flush()?;
    Ok(())
}

fn row(slot: Timestamp, from: Timestamp, own: &Zone, default: &Zone) -> Vec<String> {
    let mut row = vec![format!("  {}", when::in_zone(slot, own))];
    if own != default {
        row.push(when::in_zone(slot, default));
    }
    row.push(format!("in {}", when::span(slot.duration_since(from))));
    row
}

/// What annotations add.
fn notes(cron_job: &CronJob) -> String {
    let options = &cron_job.spec.options;
    let mut notes = String::new();
    if let Ok(jitter) = options.jitter.try_into()
        && !options.jitter.is_zero()
    {
        notes += &format!("   (starts up to {} later: jitter)", when::span(jitter));
    }
    match options.dst {
        DstPolicy::Kubernetes => {}
        DstPolicy::Once => notes += "   (dst: once)",
        DstPolicy::Skip => notes += "   (dst: skip)",
    }
    if options.reboot {
        notes += "   (and at each start of wasmjob)";
    }
    notes
}

/// Why there are only `found` times.
fn why_fewer(cron_job: &CronJob, from: Timestamp, zone: &Zone, found: usize) -> String {
    let next = slots_if_resumed(cron_job, from, 1, zone);
    match (cron_job.spec.suspend, next.first()) {
        (true, None) => "suspended, and no date fits its schedule".to_owned(),
        (true, Some(next)) => {
            let next = when::in_zone(*next, subjects::zone(cron_job, zone));
            format!("suspended; resumed now, it would run next on {next}")
        }
        (false, None) => "never runs: within five years no date fits its schedule".to_owned(),
        (false, Some(_)) => format!("only {found}: within five years of the last, no date fits"),
    }
}
