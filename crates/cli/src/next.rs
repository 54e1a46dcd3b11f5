//! `wasmjob next`: when each CronJob runs next.

mod text;

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;
use wasmjob::Slots;
use wasmjob::api::CronJob;
use wasmjob::api::schedule::Zone;

use crate::args::{Format, NextArgs};
use crate::exit::Exit;
use crate::report::is_closed_pipe;
use crate::{subjects, when};

/// Prints the next times of every CronJob.
pub(crate) fn next(args: &NextArgs) -> anyhow::Result<Exit> {
    let from = args.from.unwrap_or_else(when::now);
    let cron_jobs = match subjects::read(&args.files, from) {
        Ok(cron_jobs) => cron_jobs,
        Err(exit) => return Ok(exit),
    };
    let count = usize::from(args.count);
    let mut out = std::io::stdout().lock();
    let written = match args.output {
        Format::Text => text::print(&cron_jobs, from, count, &args.zone, &mut out),
        Format::Json => json(&cron_jobs, from, count, &args.zone, &mut out),
    };
    match written {
        Err(error) if is_closed_pipe(&error) => Ok(Exit::Complete),
        written => written.map(|()| Exit::Complete),
    }
}

/// The next `count` slots of a CronJob; none, if it is suspended.
fn slots(cron_job: &CronJob, from: Timestamp, count: usize, zone: &Zone) -> Vec<Timestamp> {
    match cron_job.spec.suspend {
        true => Vec::new(),
        false => slots_if_resumed(cron_job, from, count, zone),
    }
}

fn slots_if_resumed(
    cron_job: &CronJob,
    from: Timestamp,
    count: usize,
    zone: &Zone,
) -> Vec<Timestamp> {
    let Ok(schedule) = &cron_job.spec.schedule else {
        return Vec::new();
    };
    let zone = subjects::zone(cron_job, zone);
    let slots = Slots::new(cron_job, schedule, zone);
    std::iter::successors(slots.next(from), |slot| slots.next(*slot))
        .take(count)
        .collect()
}

/// What `-o json` says of a CronJob.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Next<'a> {
    namespace: &'a str,
    name: &'a str,
    schedule: &'a str,
    time_zone: &'a str,
    next: Vec<String>,
}

impl<'a> Next<'a> {
    fn of(cron_job: &'a CronJob, from: Timestamp, count: usize, zone: &'a Zone) -> Self {
        let own = subjects::zone(cron_job, zone);
        let slots = slots(cron_job, from, count, zone).into_iter();
        Self {
            namespace: &cron_job.namespace,
            name: &cron_job.name,
            schedule: &cron_job.spec.object.schedule,
            time_zone: own.name(),
            next: slots.map(|slot| own.rfc3339(slot)).collect(),
        }
    }
}

fn json(
    cron_jobs: &[CronJob],
    from: Timestamp,
    count: usize,
    zone: &Zone,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let next = cron_jobs
        .iter()
        .map(|cron_job| Next::of(cron_job, from, count, zone));
    let next: Vec<_> = next.collect();
    serde_json::to_writer_pretty(&mut *out, &next)?;
    writeln!(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use wasmjob::api::Uid;
    use wasmjob::k8s_openapi::api::batch::v1 as batch;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        expr: String,
        tz: String,
        start: Timestamp,
        valid: bool,
        next: Vec<String>,
    }

    fn vectors(lines: &str) -> Vec<Vector> {
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn every_vector_comes_out_of_the_command() {
        let newer = vectors(include_str!("../../schedule/tests/cron-2026f.jsonl")).into_iter();
        let key = |vector: &Vector| (vector.expr.clone(), vector.tz.clone(), vector.start);
        let newer: HashMap<_, _> = newer.map(|vector| (key(&vector), vector.next)).collect();
        let mut count = 0;
        for vector in vectors(include_str!("../../schedule/tests/cron.jsonl")) {
            if !vector.valid {
                continue;
            }
            count += 1;
            let spec = batch::CronJobSpec {
                schedule: vector.expr.clone(),
                time_zone: (!vector.tz.is_empty()).then(|| vector.tz.clone()),
                ..batch::CronJobSpec::default()
            };
            let object = batch::CronJob {
                spec,
                ..batch::CronJob::default()
            };
            let cron_job = CronJob::new(object, Uid::from_random(1), vector.start);
            let zone = Zone::utc();
            let next = Next::of(&cron_job, vector.start, 5, &zone);
            let expected = newer.get(&key(&vector)).unwrap_or(&vector.next);
            assert_eq!(
                &next.next, expected,
                "{} {} {}",
                vector.expr, vector.tz, vector.start
            );
        }
        assert!(count > 1000, "{count} vectors");
    }
}
