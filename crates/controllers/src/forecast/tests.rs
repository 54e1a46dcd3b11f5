//! What a forecast says, and that its shortcuts change nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use wasmjob_api::schedule::{DstEffect, Zone};
use wasmjob_api::{CatchUp, CronJob, Uid, defaults};

use super::course::Drive;
use super::{Fate, Forecast, ForecastError, Idle, Outcome, Settings, Subject, run};
use crate::cron_job::Slots;

/// A CronJob to be.
#[derive(Debug)]
struct Cron {
    name: &'static str,
    spec: Value,
    job: Value,
    annotations: Value,
    duration: Duration,
}

fn cron(schedule: &str) -> Cron {
    Cron {
        name: "cron",
        spec: json!({"schedule": schedule}),
        job: json!({}),
        annotations: json!({}),
        duration: Duration::from_secs(30),
    }
}

impl Cron {
    fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec[field] = value.into();
        self
    }

    fn job(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.job[field] = value.into();
        self
    }

    fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations[format!("wasmjob.dev/{key}")] = value.into();
        self
    }

    fn takes(self, seconds: u64) -> Self {
        let duration = Duration::from_secs(seconds);
        Self { duration, ..self }
    }

    fn subject(&self) -> Subject {
        let mut spec = self.spec.clone();
        let mut job = self.job.clone();
        let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]});
        let deadline = job
            .as_object_mut()
            .and_then(|job| job.remove("podDeadline"));
        job["template"] = json!({"spec": pod});
        if let Some(deadline) = deadline {
            job["template"]["spec"]["activeDeadlineSeconds"] = deadline;
        }
        spec["jobTemplate"] = json!({"spec": job});
        let object = json!({
            "metadata": {"name": self.name, "namespace": "default", "annotations": self.annotations},
            "spec": spec,
        });
        let mut object = serde_json::from_value(object).unwrap();
        defaults::cron_job(&mut object);
        let uid = Uid::from_random(self.name.len() as u128 * 77);
        Subject {
            cron_job: CronJob::new(object, uid, Timestamp::UNIX_EPOCH),
            duration: self.duration,
        }
    }
}

fn settings(from: &str, hours: i64) -> Settings {
    let from: Timestamp = from.parse().unwrap();
    Settings {
        from,
        until: from + SignedDuration::from_hours(hours),
        zone: Zone::utc(),
    }
}

fn drive(crons: &[Cron], settings: &Settings, drive: Drive) -> (Forecast, Vec<Outcome>) {
    let subjects: Vec<_> = crons.iter().map(Cron::subject).collect();
    let mut outcomes = Vec::new();
    let told = &mut |outcome: &Outcome| outcomes.push(*outcome);
    let forecast = run(&subjects, settings, drive, told).unwrap();
    (forecast, outcomes)
}

/// A day from 2026-11-20 on, as one line a slot: hh:mm[:ss] of slot, start and end.
fn day(cron: Cron) -> Vec<String> {
    let (_, outcomes) = drive(&[cron], &settings("2026-11-20T00:00:00Z", 24), Drive::Once);
    outcomes.iter().map(line).collect()
}

fn line(outcome: &Outcome) -> String {
    let time = |at: Timestamp| {
        let text = at.strftime("%H:%M:%S").to_string();
        let short = text.strip_suffix(":00").unwrap_or(&text);
        short.strip_suffix(":00").unwrap_or(short).to_owned()
    };
    let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), time);
    let fate = match outcome.fate {
        Fate::NoJob(verdict) => verdict.to_string(),
        fate => format!("{fate:?}"),
    };
    let (start, end) = (time(outcome.start), time(outcome.end));
    format!("{} {start}..{end} {fate}", time(Some(outcome.slot)))
}

#[test]
fn the_first_moment_counts_and_the_last_does_not() {
    assert_eq!(day(cron("0 0 * * *").takes(60)), ["00 00..00:01 Complete"]);
}

#[test]
fn an_interval_counts_from_the_begin() {
    assert_eq!(
        day(cron("@every 10h").takes(60)),
        ["10 10..10:01 Complete", "20 20..20:01 Complete"]
    );
}

#[test]
fn allow_lets_them_overlap() {
    let settings = settings("2026-11-20T00:30:00Z", 4);
    let (forecast, _) = drive(&[cron("0 * * * *").takes(9000)], &settings, Drive::Once);
    let totals = &forecast.cron_jobs[0].totals;
    assert_eq!(
        (totals.jobs, totals.overlaps, totals.at_once_max),
        (4, 3, 3)
    );
    assert_eq!((totals.complete, totals.unfinished), (1, 3));
    assert_eq!(forecast.load.pods.most, 3);
}

#[test]
fn forbid_skips_and_runs_the_latest_late() {
    let cron = cron("0 0-4 * * *")
        .spec("concurrencyPolicy", "Forbid")
        .takes(9000);
    let skipped = "-..- skipped: the run before was active, and concurrencyPolicy is Forbid";
    assert_eq!(
        day(cron),
        [
            "00 00..02:30 Complete".to_owned(),
            format!("01 {skipped}"),
            // Kubernetes makes up for the latest one.
            "02 02:30..05 Complete".to_owned(),
            format!("03 {skipped}"),
            "04 05..07:30 Complete".to_owned(),
        ]
    );
}

#[test]
fn a_job_that_ends_at_a_slot_has_ended() {
    let told = day(cron("0 * * * *")
        .spec("concurrencyPolicy", "Forbid")
        .takes(3600));
    assert_eq!(told.len(), 24);
    assert!(
        told[..23].iter().all(|line| line.ends_with("Complete")),
        "{told:?}"
    );
}

#[test]
fn replace_ends_the_one_before() {
    let cron = cron("0 0-2 * * *")
        .spec("concurrencyPolicy", "Replace")
        .takes(5400);
    assert_eq!(
        day(cron),
        [
            "00 00..01 Replaced",
            "01 01..02 Replaced",
            "02 02..03:30 Complete"
        ]
    );
}

#[test]
fn deadlines_bite() {
    let job = cron("0 0 * * *")
        .job("activeDeadlineSeconds", 600)
        .takes(5400);
    assert_eq!(day(job), ["00 00..00:10 Failed"]);
    // The pod fails, is replaced after 10 s, and fails again.
    let pod = cron("0 0 * * *")
        .job("podDeadline", 60)
        .job("backoffLimit", 1);
    assert_eq!(day(pod.takes(5400)), ["00 00..00:02:10 Failed"]);
}

#[test]
fn completions_take_their_rounds() {
    let cron = cron("0 0 * * *")
        .job("completions", 5)
        .job("parallelism", 2);
    let (forecast, outcomes) = drive(
        &[cron.takes(60)],
        &settings("2026-11-20T00:00:00Z", 1),
        Drive::Once,
    );
    assert_eq!(line(&outcomes[0]), "00 00..00:03 Complete");
    assert_eq!(forecast.load.pods.most, 2);
    assert_eq!(
        forecast.cron_jobs[0].job_takes,
        Some(SignedDuration::from_secs(180))
    );
}

#[test]
fn those_that_never_run_say_why() {
    let crons = [
        cron("0 0 31 2 *"),
        cron("* * * * *").spec("suspend", true),
        cron("0 0 1 1 *"),
    ];
    let (forecast, outcomes) = drive(&crons, &settings("2026-11-20T00:00:00Z", 24), Drive::Once);
    let idle: Vec<_> = forecast.cron_jobs.iter().map(|cron| cron.idle).collect();
    let new_year = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        idle,
        [
            Some(Idle::Never),
            Some(Idle::Suspended),
            Some(Idle::Until(new_year))
        ]
    );
    assert!(outcomes.is_empty());
    assert_eq!(forecast.load.days_without().count(), 1);
}

#[test]
fn the_busiest_minute_is_named_with_its_cron_jobs() {
    let crons = [
        cron("0 0 * * *").named("a"),
        cron("@hourly").named("bb"),
        cron("30 6 * * *").named("ccc"),
    ];
    let (forecast, _) = drive(&crons, &settings("2026-11-20T00:00:00Z", 72), Drive::Once);
    let busiest = &forecast.load.busiest_minutes;
    assert_eq!(
        (busiest[0].minute, busiest[0].jobs, busiest[0].days),
        (0, 2, 3)
    );
    assert_eq!(
        (busiest[0].pods, busiest[0].cron_jobs.as_slice()),
        (2, &[0, 1][..])
    );
    assert_eq!(busiest[1].jobs, 1);
    let days: Vec<_> = forecast
        .load
        .days
        .values()
        .map(|hours| (hours[0], hours[6]))
        .collect();
    assert_eq!(days, [(2, 2); 3]);
}

#[test]
fn a_change_of_the_clocks_is_told_and_happens() {
    let berlin = cron("30 2 * * *").spec("timeZone", "Europe/Berlin");
    let (forecast, outcomes) = drive(
        &[berlin],
        &settings("2027-10-30T12:00:00Z", 24),
        Drive::Once,
    );
    assert_eq!(outcomes.len(), 2);
    let effect = forecast.cron_jobs[0].surprises[0].effect;
    let (first, second) = (outcomes[0].slot, outcomes[1].slot);
    assert_eq!(effect, DstEffect::Twice { first, second });
}

#[test]
fn what_is_too_long_or_too_much_is_refused() {
    let from = Timestamp::MAX - SignedDuration::from_hours(24);
    let mut settings = Settings {
        from,
        until: Timestamp::MAX,
        zone: Zone::utc(),
    };
    let subject = [cron("0 * * * *").subject()];
    let told = &mut |_: &Outcome| {};
    assert!(run(&subject, &settings, Drive::Once, told).is_ok());
    settings.until = from;
    assert_eq!(
        run(&subject, &settings, Drive::Once, told),
        Err(ForecastError::Span)
    );
    settings.until = Timestamp::MAX;
    settings.from = Timestamp::MIN;
    assert_eq!(
        run(&subject, &settings, Drive::Once, told),
        Err(ForecastError::Span)
    );
    settings.until = Timestamp::MIN + SignedDuration::from_hours(24);
    assert!(run(&subject, &settings, Drive::Once, told).is_ok());
    let crowd = [cron("0 0 * * *")
        .job("completions", i32::MAX)
        .job("parallelism", 1)
        .takes(0)];
    let crowd = crowd.map(|cron| cron.subject());
    let mut budget = super::Budget(10_000);
    let settings = self::settings("2026-11-20T00:00:00Z", 24);
    let world = super::World::new(0, &crowd[0], &settings, Drive::Once, &mut budget);
    assert!(world.is_err());
}

fn any_cron() -> impl Strategy<Value = Cron> {
    let schedules = prop::sample::select(vec![
        "*/20 * * * *",
        "0 * * * *",
        "7,8 */2 * * *",
        "30 2 * * *",
        "@every 25m",
        "@every 40s",
        "0 0 31 2 *",
    ]);
    let policies = prop::sample::select(vec!["Allow", "Forbid", "Replace"]);
    let catch_up = prop::sample::select(vec!["latest", "none", "all"]);
    let dst = prop::sample::select(vec!["kubernetes", "once", "skip"]);
    let takes = prop::sample::select(vec![0_u64, 30, 600, 1200, 1201, 4000, 20_000]);
    let jitter = prop::sample::select(vec!["0s", "90s"]);
    let deadline = prop::sample::select(vec![Value::Null, json!(10), json!(2000)]);
    let shape = (1..4_i32, 1..3_i32, prop::bool::ANY);
    let ends = (
        prop::bool::weighted(0.1),
        deadline.clone(),
        deadline.clone(),
        deadline,
    );
    (
        schedules, policies, catch_up, dst, takes, jitter, shape, ends,
    )
        .prop_map(
            |(schedule, policy, catch_up, dst, takes, jitter, shape, ends)| {
                let (completions, parallelism, indexed) = shape;
                let (suspend, starting, job, pod) = ends;
                let mut cron = cron(schedule)
                    .spec("concurrencyPolicy", policy)
                    .spec("timeZone", "Europe/Berlin")
                    .spec("startingDeadlineSeconds", starting)
                    .annotation("catch-up", catch_up)
                    .annotation("catch-up-limit", "3")
                    .annotation("dst", dst)
                    .annotation("jitter", jitter)
                    .job("completions", completions)
                    .job("parallelism", parallelism)
                    .job("suspend", suspend)
                    .job("activeDeadlineSeconds", job)
                    .job("podDeadline", pod)
                    .takes(takes);
                if indexed {
                    cron = cron
                        .job("completionMode", "Indexed")
                        .job("backoffLimitPerIndex", 1);
                }
                cron
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every Job through the Job controller, a look at every end, and an untouched ledger.
    #[test]
    fn the_shortcuts_give_what_the_full_drive_gives(cron in any_cron(), hour in 0..48_i64) {
        let mut settings = settings("2027-10-30T00:00:00Z", 30);
        settings.from += SignedDuration::from_hours(hour);
        settings.until += SignedDuration::from_hours(hour);
        let crons = [cron];
        let (quick, outcomes) = drive(&crons, &settings, Drive::Once);
        let (full, with_job) = drive(&crons, &settings, Drive::Each);
        let quick_with_job: Vec<_> =
            outcomes.iter().filter(|outcome| outcome.start.is_some()).copied().collect();
        prop_assert_eq!(&quick_with_job, &with_job);
        prop_assert_eq!(&quick.load, &full.load);
        // And every slot has one outcome, but for those that wait in a queue at the end.
        let slots: Vec<_> = outcomes.iter().map(|outcome| outcome.slot).collect();
        let told: BTreeSet<_> = slots.iter().copied().collect();
        prop_assert_eq!(told.len(), slots.len());
        let cron_job = super::world::prepare(&crons[0].subject().cron_job, settings.from);
        let (schedule, zone) = (cron_job.spec.schedule.as_ref(), cron_job.spec.zone.as_ref());
        let (schedule, zone) = (schedule.unwrap(), zone.unwrap().as_ref().unwrap());
        let slots = Slots::new(&cron_job, schedule, zone);
        let jitter = SignedDuration::try_from(crate::cron_job::jitter(cron_job.uid, cron_job.spec.options.jitter));
        let until = settings.until - jitter.unwrap() - SignedDuration::from_nanos(1);
        let due: BTreeSet<_> = slots.between(cron_job.created, until).collect();
        let waiting: Vec<_> = due.difference(&told).collect();
        let queues = matches!(cron_job.spec.options.catch_up, CatchUp::All { .. });
        prop_assert!(told.is_subset(&due), "{:?}", told.difference(&due).next());
        prop_assert!(waiting.len() <= if queues { 3 } else { 0 }, "{waiting:?} have no outcome");
    }
}
