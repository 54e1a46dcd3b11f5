//! Hosts that are stopped and started again on one data directory.
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
use wasmjob::api::{JobConditionType, Phase};
use wasmjob::{Clock, Host, JobHandle};

const ENDLESS: &str = "(module (func (export \"_start\") (loop (br 0))))";
const QUICK: &str = "(module (func (export \"_start\")))";

fn host(dir: &Path) -> Host {
    host_at(dir, Arc::default())
}

fn host_at(dir: &Path, clock: Arc<SettableClock>) -> Host {
    Host::builder()
        .module("endless", wat::parse_str(ENDLESS).unwrap())
        .module("quick", wat::parse_str(QUICK).unwrap())
        .data_dir(dir)
        .clock(clock)
        .build()
        .unwrap()
}

fn apply(host: &Host, name: &str, image: &str, spec: &str) -> JobHandle {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{spec} template: {{spec: \
         {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}}}}}"
    );
    host.apply_yaml("test.yaml", &yaml).unwrap().remove(0)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The system's clock, and what it was set forward.
#[derive(Default)]
struct SettableClock(AtomicI64);

impl Clock for SettableClock {
    fn wall(&self) -> Timestamp {
        let set = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        Timestamp::now() + set
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

#[test]
fn what_was_done_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = host(dir.path());
    let done = apply(&first, "done", "quick", "completions: 3,");
    assert!(done.wait_blocking().unwrap().is_complete());
    let before = done.get().unwrap();
    let pods: Vec<_> = done
        .pods()
        .iter()
        .map(|pod| format!("{:?}", pod.status))
        .collect();
    let revision = first.store().revision();
    drop((first, done));

    let second = host(dir.path());
    assert!(second.store().revision() >= revision);
    let job = second.job("default", "done").unwrap();
    let after = job.get().unwrap();
    assert_eq!(
        format!("{:?}", after.status),
        format!("{:?}", before.status)
    );
    assert_eq!(after.resource_version, before.resource_version);
    let again: Vec<_> = job
        .pods()
        .iter()
        .map(|pod| format!("{:?}", pod.status))
        .collect();
    assert_eq!(again, pods);
    assert!(job.wait_blocking().unwrap().is_complete());
    let taken = second.apply_yaml(
        "test.yaml",
        "{apiVersion: batch/v1, kind: Job, metadata: {name: done}, spec: {template: {spec: \
         {restartPolicy: Never, containers: [{name: c, image: quick}]}}}}",
    );
    assert_eq!(
        taken.unwrap_err().to_string(),
        "Job \"done\" already exists in namespace \"default\""
    );
}

#[test]
fn a_pod_that_ran_when_the_host_stopped_has_failed_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let first = host(dir.path());
    let job = apply(&first, "long", "endless", "parallelism: 2, completions: 2,");
    let running = |job: &JobHandle| {
        let pods = job.pods();
        pods.iter()
            .filter(|pod| pod.status.phase == Phase::Running)
            .count()
    };
    wait_until("two pods run", || running(&job) == 2);
    let old: Vec<_> = job.pods().iter().map(|pod| pod.uid).collect();
    drop((first, job));

    let second = host(dir.path());
    let job = second.job("default", "long").unwrap();
    for pod in job.pods().iter().filter(|pod| old.contains(&pod.uid)) {
        assert_eq!(pod.status.phase, Phase::Failed);
        assert_eq!(pod.status.reason.as_deref(), Some("NodeRestart"));
        assert_eq!(
            pod.status.disruption.as_ref().unwrap().reason,
            "TerminationByKubelet"
        );
        let end = pod.status.containers[0].state.terminated().unwrap();
        assert_eq!(
            (end.exit_code, &*end.reason),
            (137, "ContainerStatusUnknown")
        );
    }
    // Both failures are counted, and the back-off of 10 s and more holds.
    wait_until("the failures are counted", || {
        job.get().unwrap().status.failed == 2
    });
    assert_eq!(job.get().unwrap().status.active, 0);
    assert_eq!(job.pods().len(), 2);
    job.cancel();
    wait_until("the Job is gone", || {
        second.job("default", "long").is_none()
    });
    wait_until("its pods are gone", || job.pods().is_empty());
    drop(second);
    let third = host(dir.path());
    assert!(third.job("default", "long").is_none());
}

#[test]
fn a_clock_that_is_set_moves_no_deadline_and_no_time_to_live() {
    for jump in [86_400, -86_400] {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SettableClock::default());
        let host = host_at(dir.path(), Arc::clone(&clock));
        let long = apply(&host, "long", "endless", "activeDeadlineSeconds: 3600,");
        let done = apply(&host, "done", "quick", "ttlSecondsAfterFinished: 3600,");
        let short = apply(&host, "short", "endless", "activeDeadlineSeconds: 2,");
        assert!(done.wait_blocking().unwrap().is_complete());
        clock.0.store(jump, Ordering::Relaxed);
        let begun = Instant::now();
        // It ends when it would have ended, and its end is told in the new time.
        let result = short.wait_blocking().unwrap();
        assert_eq!(result.reason(), "DeadlineExceeded");
        assert!(
            begun.elapsed() > Duration::from_millis(800),
            "{:?}",
            begun.elapsed()
        );
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        let failed = result.job.finished().unwrap().last_transition;
        assert!(clock.wall().duration_since(failed).abs() < SignedDuration::from_secs(60));
        let job = long.get().unwrap();
        assert!(job.finished().is_none());
        assert!(!job.status.is_true(JobConditionType::FailureTarget));
        assert!(done.get().is_some(), "its hour is not over");
    }
}

#[test]
fn one_directory_has_one_host() {
    let dir = tempfile::tempdir().unwrap();
    let _first = host(dir.path());
    let second = Host::builder().data_dir(dir.path()).build();
    let text = second.err().unwrap().to_string();
    let holder = format!("is locked by process {}", std::process::id());
    assert!(text.contains(&holder), "{text}");
}
