//! Jobs through the whole engine, as an application sees them.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests measure real time and start threads"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::time::Duration;

use wasmjob::{Host, JobHandle, JobResult};

const NOTHING: &str = r#"(module (func (export "_start")))"#;
const LOOP: &str = r#"(module (func (export "_start") (loop (br 0))))"#;
const EXIT_3: &str = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (func (export "_start") (call $exit (i32.const 3))))"#;
const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\06\00\00\00hello\n")
    (func (export "_start") (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))))"#;

fn host() -> Host {
    let module = |text| wat::parse_str(text).unwrap();
    Host::builder()
        .module("nothing", module(NOTHING))
        .module("loop", module(LOOP))
        .module("exit3", module(EXIT_3))
        .module("hello", module(HELLO))
        .limits(wasmjob::Limits {
            guests: 200,
            ..wasmjob::Limits::default()
        })
        .build()
        .unwrap()
}

fn job(host: &Host, image: &str, spec: &str) -> JobHandle {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j}}, spec: {{{spec} template: {{spec: {{restartPolicy: Never, \
         containers: [{{name: c, image: {image}}}]}}}}}}}}"
    );
    host.apply_yaml("job.yaml", &yaml).unwrap().remove(0)
}

fn end(host: &Host, image: &str, spec: &str) -> JobResult {
    job(host, image, spec).wait_blocking().unwrap()
}

#[test]
fn a_job_completes_with_its_output() {
    let host = host();
    let result = end(&host, "hello", "");
    assert!(result.is_complete());
    assert_eq!(result.reason(), "CompletionsReached");
    assert_eq!(result.pods.len(), 1);
    let container = &result.pods[0].containers[0];
    assert_eq!(container.output, b"hello\n");
    assert_eq!(container.end.as_ref().unwrap().exit_code, 0);
}

#[test]
fn ten_thousand_completions_are_counted_once_each() {
    let host = host();
    let result = end(&host, "nothing", "completions: 10000, parallelism: 64,");
    assert!(result.is_complete());
    assert_eq!(
        (
            result.status.succeeded,
            result.status.failed,
            result.status.active
        ),
        (10_000, 0, 0)
    );
    assert_eq!(result.pods.len(), 10_000);
}

#[test]
fn an_indexed_job_completes_every_index() {
    let result = end(
        &host(),
        "nothing",
        "completions: 50, parallelism: 7, completionMode: Indexed,",
    );
    assert!(result.is_complete());
    assert_eq!(result.status.completed_indexes.to_string(), "0-49");
}

#[test]
fn a_failing_job_fails_with_its_back_off_limit() {
    let result = end(&host(), "exit3", "backoffLimit: 0,");
    assert!(!result.is_complete());
    assert_eq!(
        (result.reason(), result.message()),
        (
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit"
        )
    );
    assert_eq!(
        result.pods[0].containers[0].end.as_ref().unwrap().exit_code,
        3
    );
}

#[test]
fn the_jobs_deadline_ends_a_guest_that_never_ends() {
    let begin = std::time::Instant::now();
    let result = end(&host(), "loop", "activeDeadlineSeconds: 1,");
    assert_eq!(
        (result.reason(), result.message()),
        (
            "DeadlineExceeded",
            "Job was active longer than specified deadline"
        )
    );
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_millis(1500),
        "{took:?}"
    );
    assert_eq!(result.status.active, 0);
}

#[test]
fn cancelling_ends_everything_and_waiters_learn_it() {
    let host = host();
    let job = job(&host, "loop", "parallelism: 3, completions: 3,");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(job.get().unwrap().status.active, 3);
    let waiter = job.clone();
    let waiting = std::thread::spawn(move || waiter.wait_blocking());
    std::thread::sleep(Duration::from_millis(20));
    job.cancel();
    assert!(waiting.join().unwrap().is_err());
    for _ in 0..100 {
        if job.get().is_none() && job.pods().is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("left: {:?} {:?}", job.get(), job.pods());
}

#[test]
fn suspending_deletes_pods_and_resuming_runs_anew() {
    let host = host();
    let job = job(&host, "loop", "activeDeadlineSeconds: 1,");
    std::thread::sleep(Duration::from_millis(100));
    job.suspend(true).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let now = job.get().unwrap();
    assert_eq!(
        (now.status.active, now.status.failed, now.status.start_time),
        (0, 0, None)
    );
    assert!(job.pods().is_empty());
    job.suspend(false).unwrap();
    assert_eq!(job.wait_blocking().unwrap().reason(), "DeadlineExceeded");
}

#[test]
fn dropping_the_host_ends_running_guests() {
    let host = host();
    let job = job(&host, "loop", "");
    std::thread::sleep(Duration::from_millis(50));
    drop(host);
    assert!(job.wait_blocking().is_err());
}

#[test]
fn a_finished_job_goes_when_its_time_to_live_is_over() {
    let host = host();
    let job = job(&host, "nothing", "ttlSecondsAfterFinished: 1,");
    assert!(job.wait_blocking().unwrap().is_complete());
    assert!(job.get().is_some());
    std::thread::sleep(Duration::from_millis(1300));
    assert!(job.get().is_none());
    assert!(job.pods().is_empty());
}

#[test]
fn what_was_taken_on_is_there_at_once() {
    let host = host();
    for n in 0..200 {
        let yaml = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j{n}}}, spec: {{template: {{spec: {{restartPolicy: Never, \
             containers: [{{name: c, image: nothing}}]}}}}}}}}"
        );
        let job = host.apply_yaml("job.yaml", &yaml).unwrap().remove(0);
        assert!(job.get().is_some(), "Job {n} is not in the store");
    }
}
