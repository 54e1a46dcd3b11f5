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
use wasmjob::{Clock, Host, JobHandle, Stream};

const ENDLESS: &str = "(module (func (export \"_start\") (loop (br 0))))";
/// Prints a line on standard output, and one on standard error.
const CHATTY: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00\16\00\00\00\05\00\00\00hello\n\ffbye\n")
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
        (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 64)))))"#;
/// Prints 64 MiB, and then ends.
const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start") (local $n i32)
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 65536))
        (loop
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1024))))))"#;
const QUICK: &str = "(module (func (export \"_start\")))";

fn host(dir: &Path) -> Host {
    host_at(dir, Arc::default())
}

fn host_at(dir: &Path, clock: Arc<SettableClock>) -> Host {
    Host::builder()
        .module("endless", wat::parse_str(ENDLESS).unwrap())
        .module("chatty", wat::parse_str(CHATTY).unwrap())
        .module("flood", wat::parse_str(FLOOD).unwrap())
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
fn pods_that_ended_are_kept_by_their_bytes_oldest_gone_first() {
    let dir = tempfile::tempdir().unwrap();
    // A row is some hundred bytes; a log of `wordy` is 64 KiB.
    let with = |bytes| {
        Host::builder()
            .module("wordy", wat::parse_str(FLOOD.replace("1024", "1")).unwrap())
            .module("quick", wat::parse_str(QUICK).unwrap())
            .module("endless", wat::parse_str(ENDLESS).unwrap())
            .data_dir(dir.path())
            .finished_pods_bytes(bytes)
            .build()
            .unwrap()
    };
    let kept = |host: &Host| -> Vec<String> {
        let is_kept = |name: &&str| !host.job("default", name).unwrap().pods().is_empty();
        let names = ["runs", "old", "a", "b", "c", "new"].into_iter();
        names.filter(is_kept).map(str::to_owned).collect()
    };
    let first = with(150_000);
    apply(&first, "runs", "endless", "");
    for (name, image) in [
        ("old", "quick"),
        ("a", "wordy"),
        ("b", "wordy"),
        ("c", "wordy"),
        ("new", "quick"),
    ] {
        let job = apply(&first, name, image, "");
        assert!(job.wait_blocking().unwrap().is_complete());
    }
    wait_until("two logs are kept", || {
        kept(&first) == ["runs", "b", "c", "new"]
    });
    let logs = first.job("default", "b").unwrap().logs();
    assert_eq!(logs[0].kept_bytes(), 65536);
    drop(first);
    // `runs` is the pod that ended last, with the restart.
    let second = with(150_000);
    apply(&second, "runs-on", "endless", "");
    wait_until("the same", || kept(&second) == ["runs", "b", "c", "new"]);
    drop(second);
    let third = with(3_000);
    wait_until("one log is too much", || kept(&third) == ["runs", "new"]);
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
fn who_waits_for_a_job_without_a_time_to_live_learns_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let mut told = 0;
    for n in 0..20 {
        let job = apply(
            &host,
            &format!("j{n}"),
            "quick",
            "ttlSecondsAfterFinished: 0,",
        );
        // Some ask too late, and learn that it is gone.
        if let Ok(result) = job.wait_blocking() {
            assert!(result.is_complete());
            assert_eq!(result.pods.len(), 1);
            told += 1;
        }
        wait_until("it goes", || job.get().is_none());
    }
    assert!(told > 0, "nobody was told");
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

/// All logs of a Job's pods: names, streams and bytes.
fn logs(job: &JobHandle) -> Vec<String> {
    let logs = job.logs();
    let lines = logs.iter().map(|log| {
        let read = log.read(0);
        assert!(read.ended && read.lost == 0 && log.only_container);
        let chunk = |stream| {
            let chunks = read.chunks.iter().filter(|chunk| chunk.stream == stream);
            let bytes: Vec<u8> = chunks.flat_map(|chunk| chunk.bytes.clone()).collect();
            bytes.escape_ascii().to_string()
        };
        let (out, err) = (chunk(Stream::Stdout), chunk(Stream::Stderr));
        format!("{}/{}: {out}, {err}", log.pod_name, log.container)
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

fn size(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap();
    files
        .filter_map(|file| Some(file.unwrap().metadata().ok()?.len()))
        .sum()
}

#[test]
fn logs_are_there_after_a_restart_and_go_with_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let first = host(dir.path());
    let job = apply(
        &first,
        "chatty",
        "chatty",
        "completions: 5, parallelism: 5,",
    );
    let silent = apply(&first, "silent", "quick", "");
    let result = job.wait_blocking().unwrap();
    assert_eq!(result.pods[0].containers[0].output, b"hello\n\xffbye\n");
    assert!(silent.wait_blocking().unwrap().is_complete());
    let before = logs(&job);
    assert_eq!(before.len(), 5);
    assert!(
        before[0].ends_with("/c: hello\\n, \\xffbye\\n"),
        "{before:?}"
    );
    assert_eq!(logs(&silent).len(), 1, "a log without a byte");
    drop((first, job, silent, result));

    let second = host(dir.path());
    let job = second.job("default", "chatty").unwrap();
    assert_eq!(logs(&job), before);
    assert_eq!(logs(&second.job("default", "silent").unwrap()).len(), 1);
    let pod = job.pods()[0].uid;
    assert_eq!(second.logs(pod).len(), 1);
    job.cancel();
    wait_until("its pods are gone", || job.pods().is_empty());
    assert!(second.logs(pod).is_empty());
    let log_dir = dir.path().join("logs");
    wait_until("nothing is left on the disk", || size(&log_dir) < 64);
}

#[test]
fn t21_a_guest_that_floods_fills_neither_memory_nor_disk() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(dir.path());
    let job = apply(&host, "flood", "flood", "");
    let quick = apply(&host, "quick", "quick", "");
    assert!(quick.wait_blocking().unwrap().is_complete());
    assert!(job.wait_blocking().unwrap().is_complete());
    let logs = job.logs();
    let read = logs[0].read_at_most(0, 1);
    assert!(read.lost >= 14 << 20, "{}", read.lost);
    // The oldest fifth has gone at least once, and then not again.
    let kept = logs[0].kept_bytes();
    assert!((35 << 20..=50 << 20).contains(&kept), "{kept}");
    let log_dir = dir.path().join("logs");
    wait_until("the disk is given back", || {
        size(&log_dir) <= 2 * (kept as u64 + (1 << 20)) + (8 << 20)
    });
}
