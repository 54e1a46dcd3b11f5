//! CronJobs through the whole engine, with a clock that the tests set.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests measure real time, and stop where something fails"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use wasmjob::api::{CronJob, Job, Uid};
use wasmjob::{Clock, GenericObject, Host, Key, Kind, NewObject, Propagation, Write};

/// A clock that stands at `start` when it is made and can be set.
struct TestClock {
    begun: Instant,
    start: Timestamp,
    set: AtomicI64,
}

impl TestClock {
    fn at(start: &str) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            start: start.parse().unwrap(),
            set: AtomicI64::new(0),
        })
    }

    fn set_by(&self, seconds: i64) {
        self.set.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.begun.elapsed()).unwrap();
        let set = SignedDuration::from_secs(self.set.load(Ordering::Relaxed));
        self.start + since + set
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

fn host(dir: &Path, clock: &Arc<TestClock>) -> Host {
    let quick = "(module (func (export \"_start\")))";
    let endless = "(module (func (export \"_start\") (loop (br 0))))";
    Host::builder()
        .module("quick", wat::parse_str(quick).unwrap())
        .module("endless", wat::parse_str(endless).unwrap())
        .data_dir(dir)
        .clock(Arc::clone(clock) as Arc<dyn Clock>)
        .build()
        .unwrap()
}

fn manifest(name: &str, image: &str, spec: &str) -> wasmjob::api::manifest::Manifest {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{{spec} jobTemplate: \
         {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}}}}}}}}}"
    );
    wasmjob::api::manifest::read(&wasmjob::api::manifest::Source {
        name: "test.yaml",
        bytes: yaml.as_bytes(),
    })
    .unwrap()
}

fn cron_job(host: &Host, name: &str) -> Option<Arc<CronJob>> {
    let (_, found) = host.store().list(Kind::CronJob, |_| true);
    let mut rows = found
        .iter()
        .filter_map(|stored| stored.object.as_cron_job());
    rows.find(|row| &*row.name == name).cloned()
}

fn jobs(host: &Host) -> Vec<Arc<Job>> {
    let (_, found) = host.store().list(Kind::Job, |_| true);
    let mut jobs: Vec<_> = found
        .iter()
        .filter_map(|stored| stored.object.as_job().cloned())
        .collect();
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    jobs
}

fn events(host: &Host) -> Vec<String> {
    let (_, found) = host.store().list(Kind::Event, |_| true);
    let mut events: Vec<_> = found
        .iter()
        .filter_map(|stored| match &stored.object {
            wasmjob::Object::Event(event) if event.source == "cronjob-controller" => {
                Some((stored.revision, event.event.reason.to_string()))
            }
            _ => None,
        })
        .collect();
    events.sort();
    events.into_iter().map(|(_, reason)| reason).collect()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_cron_job_runs_when_its_minute_begins_and_remembers_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-25T03:00:58.5Z");
    let first = host(dir.path(), &clock);
    first
        .apply(manifest("every", "quick", "schedule: '* * * * *',"))
        .unwrap();
    wait_until("the minute's Job is Complete", || {
        cron_job(&first, "every").is_some_and(|row| row.status.last_successful_time.is_some())
    });
    let row = cron_job(&first, "every").unwrap();
    assert_eq!(
        row.status.last_schedule_time,
        Some("2026-11-25T03:01:00Z".parse().unwrap())
    );
    assert!(row.status.active.is_empty());
    let made = jobs(&first);
    assert_eq!(made.len(), 1);
    assert_eq!(&*made[0].name, "every-29926261");
    let started = made[0]
        .created
        .duration_since("2026-11-25T03:01:00Z".parse().unwrap());
    assert!(
        started >= SignedDuration::ZERO && started < SignedDuration::from_millis(500),
        "{started:?}"
    );
    let owner = &made[0].metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(owner.uid, row.uid.to_string());
    assert_eq!(events(&first), ["SuccessfulCreate", "SawCompletedJob"]);
    drop(first);

    // A restart within the minute runs nothing twice.
    let second = host(dir.path(), &clock);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(jobs(&second).len(), 1);
    let again = cron_job(&second, "every").unwrap();
    assert_eq!(format!("{:?}", again.status), format!("{:?}", row.status));
    // One of ten minutes makes up for the last of them, once.
    drop(second);
    clock.set_by(600);
    let third = host(dir.path(), &clock);
    wait_until("the missed slot has run", || jobs(&third).len() == 2);
    let latest = &jobs(&third)[1];
    assert_eq!(&*latest.name, "every-29926271");
    let ledger = &cron_job(&third, "every").unwrap().to_object();
    let slots = &ledger.metadata.annotations.as_ref().unwrap()["wasmjob.dev/slots"];
    assert!(
        slots.contains("Collapsed") && slots.contains("Down"),
        "{slots}"
    );
}

#[test]
fn a_clock_set_forward_runs_the_latest_slot_and_back_runs_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-25T03:00:30Z");
    let host = host(dir.path(), &clock);
    host.apply(manifest("hourly", "quick", "schedule: '0 * * * *',"))
        .unwrap();
    wait_until("it is known", || cron_job(&host, "hourly").is_some());
    clock.set_by(5 * 3600);
    // Nobody tells this host that its test clock was set: something must happen.
    let poke = || {
        host.apply(manifest(
            "poke",
            "quick",
            "suspend: true, schedule: '0 0 1 1 *',",
        ))
    };
    poke().unwrap();
    wait_until("the latest slot has run", || jobs(&host).len() == 1);
    assert_eq!(&*jobs(&host)[0].name, "hourly-29926560");
    clock.set_by(-5 * 3600);
    poke().unwrap_err();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(jobs(&host).len(), 1);
}

#[test]
fn forbid_holds_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-25T03:00:58Z");
    let first = host(dir.path(), &clock);
    let spec = "concurrencyPolicy: Forbid, schedule: '* * * * *',";
    first.apply(manifest("one", "endless", spec)).unwrap();
    wait_until("the first Job is active", || {
        cron_job(&first, "one").is_some_and(|row| row.status.active.len() == 1)
    });
    drop(first);
    clock.set_by(60);
    let second = host(dir.path(), &clock);
    wait_until("the slot is skipped", || {
        events(&second).contains(&"JobAlreadyActive".to_owned())
    });
    assert_eq!(jobs(&second).len(), 1);
    assert_eq!(cron_job(&second, "one").unwrap().status.active.len(), 1);
}

#[test]
fn a_deleted_cron_job_takes_its_jobs_along_or_leaves_them() {
    for propagation in [
        Propagation::Background,
        Propagation::Foreground,
        Propagation::Orphan,
    ] {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::at("2026-11-25T03:00:58Z");
        let host = host(dir.path(), &clock);
        host.apply(manifest("gone", "endless", "schedule: '* * * * *',"))
            .unwrap();
        wait_until("its Job runs", || {
            let (_, pods) = host.store().list(Kind::Pod, |_| true);
            pods.iter()
                .filter_map(|stored| stored.object.as_pod())
                .any(|pod| pod.status.phase == wasmjob::api::Phase::Running)
        });
        let uid = cron_job(&host, "gone").unwrap().uid;
        host.delete(
            Key {
                kind: Kind::CronJob,
                uid,
            },
            propagation,
        );
        wait_until("it is gone", || cron_job(&host, "gone").is_none());
        if propagation == Propagation::Orphan {
            let job = jobs(&host).remove(0);
            assert!(
                job.metadata
                    .owner_references
                    .as_ref()
                    .is_none_or(Vec::is_empty)
            );
            assert!(job.deletion.is_none() && job.finished().is_none());
        } else {
            wait_until("its Job is gone", || jobs(&host).is_empty());
            wait_until("its pod is gone", || {
                host.store().list(Kind::Pod, |_| true).1.is_empty()
            });
        }
    }
}

#[test]
fn history_is_cut_to_its_limits() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-25T03:00:59Z");
    let host = host(dir.path(), &clock);
    host.apply(manifest(
        "often",
        "quick",
        "successfulJobsHistoryLimit: 2, schedule: '@every 1s',",
    ))
    .unwrap();
    wait_until("five have run", || {
        cron_job(&host, "often").is_some_and(|row| {
            row.status
                .last_schedule_time
                .is_some_and(|at| at >= "2026-11-25T03:01:04Z".parse().unwrap())
        })
    });
    wait_until("two are left", || {
        jobs(&host)
            .iter()
            .filter(|job| job.finished().is_some())
            .count()
            == 2
    });
    assert!(jobs(&host).len() <= 3);
}

#[test]
fn a_slot_that_a_quota_refuses_hides_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at("2026-11-25T03:00:58Z");
    let host = host(dir.path(), &clock);
    let create = |number: u128, resource: &str, namespace: &str, json: &str| {
        let object = GenericObject {
            uid: Uid::from_random(number),
            resource: resource.into(),
            namespace: namespace.into(),
            name: "default".into(),
            json: json.as_bytes().into(),
        };
        let written = host.write(Write::Create(NewObject::Generic(object)));
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap().block_on(written).unwrap();
    };
    create(1, "namespaces", "", r#"{"metadata":{"name":"default"}}"#);
    let quota = r#"{"metadata":{"name":"default"},"spec":{"hard":{"count/jobs.batch":"1"}}}"#;
    create(2, "resourcequotas", "default", quota);
    let yaml = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: full}, spec: {schedule: '* * * * *', \
         jobTemplate: {spec: {activeDeadlineSeconds: 3, template: {spec: {restartPolicy: Never, \
         terminationGracePeriodSeconds: 0, containers: [{name: c, image: endless}]}}}}}}";
    let source = wasmjob::api::manifest::Source {
        name: "test.yaml",
        bytes: yaml.as_bytes(),
    };
    let manifest = wasmjob::api::manifest::read(&source).unwrap();
    host.apply(manifest).unwrap();
    let active = || cron_job(&host, "full").map(|row| row.status.active.len());
    wait_until("the first Job is active", || active() == Some(1));
    let first = cron_job(&host, "full").unwrap().status.last_schedule_time;
    clock.set_by(60);
    wait_until("the second slot is refused", || {
        events(&host).contains(&"FailedCreate".to_owned())
    });
    wait_until("the first Job has ended", || active() == Some(0));
    assert!(events(&host).contains(&"SawCompletedJob".to_owned()));
    assert_eq!(jobs(&host).len(), 1);
    let status = cron_job(&host, "full").unwrap().status.clone();
    assert_eq!(status.last_schedule_time, first);
}
