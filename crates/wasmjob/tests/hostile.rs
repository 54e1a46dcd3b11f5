//! Hostile guests through the whole engine: the words and numbers that users
//! see. The rows themselves are in `crates/sandbox/tests/hostile`.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::time::{Duration, Instant};

use wasmjob::{Host, JobHandle, JobResult, Limits, LogLimits, Resources};

const P1: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_allocate" (func $allocate (param i32 i64 i64) (result i32)))
    (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 2)"#;

const LOOP: &str = "(module (func (export \"_start\") (loop (br 0))))";
const NOTHING: &str = "(module (func (export \"_start\")))";

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn p1(start: &str) -> Vec<u8> {
    wat(&format!("(module {P1} (func (export \"_start\") {start}))"))
}

fn host(module: Vec<u8>) -> Host {
    Host::builder()
        .module("m", module)
        .module("nothing", wat(NOTHING))
        .limits(Limits {
            guests: 64,
            ..Limits::default()
        })
        .build()
        .unwrap()
}

/// A Job `name` with `spec` and a container with the image `m` and `container`.
fn job(host: &Host, name: &str, spec: &str, container: &str) -> JobHandle {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{backoffLimit: 0, {spec} template: {{spec: {{restartPolicy: Never, \
         containers: [{{name: c, image: m, {container}}}], volumes: [{{name: v, emptyDir: {{sizeLimit: 1Mi}}}}]}}}}}}}}"
    );
    host.apply_yaml("job.yaml", &yaml).unwrap().remove(0)
}

/// The end of the one container of the Job's one pod: exit code, reason, message.
fn end(result: &JobResult) -> (u8, String, String) {
    let end = result.pods[0].containers[0].end.as_ref().unwrap();
    (
        end.exit_code,
        end.reason.to_string(),
        end.message.to_string(),
    )
}

fn ends(module: Vec<u8>, container: &str) -> (u8, String, String) {
    let host = host(module);
    let ended = end(&job(&host, "j", "", container).wait_blocking().unwrap());
    still_works(&host);
    ended
}

/// Another Job still completes.
fn still_works(host: &Host) {
    let yaml = "{apiVersion: batch/v1, kind: Job, metadata: {name: after}, spec: {template: {spec: {restartPolicy: Never, \
        containers: [{name: c, image: nothing}]}}}}";
    let after = host.apply_yaml("after.yaml", yaml).unwrap().remove(0);
    assert!(after.wait_blocking().unwrap().is_complete());
}

#[test]
fn t01_the_jobs_deadline_ends_it() {
    let host = host(wat(LOOP));
    let begin = Instant::now();
    let result = job(&host, "j", "activeDeadlineSeconds: 1,", "")
        .wait_blocking()
        .unwrap();
    assert_eq!(
        (result.reason(), result.message()),
        (
            "DeadlineExceeded",
            "Job was active longer than specified deadline"
        )
    );
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    still_works(&host);
}

#[test]
fn t06_more_memory_than_allowed_is_oom_killed() {
    let grow = "(module (memory 1) (func (export \"_start\") (loop (drop (memory.grow (i32.const 16))) (br 0))))";
    let (code, reason, _) = ends(wat(grow), "resources: {limits: {memory: 16Mi}}");
    assert_eq!((code, &*reason), (137, "OOMKilled"));
}

#[test]
fn t07_too_large_a_memory_is_a_start_error() {
    let large = "(module (memory 65536) (func (export \"_start\")))";
    let (code, reason, message) = ends(wat(large), "resources: {limits: {memory: 64Mi}}");
    assert_eq!((code, &*reason), (128, "StartError"));
    assert!(
        message.contains("memory minimum size of 65536 pages exceeds memory limits"),
        "{message}"
    );
}

#[test]
fn t08_pods_wait_until_there_is_memory() {
    let sleep = p1("(drop (call $sleep (i64.const 60)))");
    let host = Host::builder()
        .module("m", sleep)
        .capacity(Resources {
            cpu_milli: 2_000,
            memory_bytes: 256 << 20,
            pods: 100,
        })
        .build()
        .unwrap();
    let job = job(
        &host,
        "j",
        "completions: 12, parallelism: 12,",
        "resources: {limits: {memory: 100Mi}}",
    );
    let mut most = 0;
    while job.get().is_some_and(|job| job.finished().is_none()) {
        let running = job
            .pods()
            .iter()
            .filter(|pod| pod.status.started.is_some() && !pod.status.phase.is_terminal())
            .count();
        most = most.max(running);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(job.wait_blocking().unwrap().is_complete());
    assert!((1..=2).contains(&most), "{most} at once");
}

#[test]
fn t11_t34_a_trap_is_134_with_its_name_and_frames() {
    let deep = "(module (func $f (call $f)) (func (export \"_start\") (call $f)))";
    let (code, reason, message) = ends(wat(deep), "");
    assert_eq!((code, &*reason), (134, "Error"));
    assert!(
        message.starts_with("wasm trap: call stack exhausted\n"),
        "{message}"
    );
    assert!(message.contains("- f"), "{message}");
}

#[test]
fn t16_a_compile_bomb_is_a_start_error_and_harms_nobody() {
    let loops = format!(
        "(module (func (local{}) {} {} {}) (func (export \"_start\")))",
        " i64".repeat(500),
        "loop ".repeat(500),
        (0..500)
            .map(|n| format!("(local.set {n} (i64.add (local.get {n}) (i64.const 1)))"))
            .collect::<String>(),
        "local.get 0 i64.eqz br_if 0 end ".repeat(500)
    );
    let begin = Instant::now();
    let (code, reason, message) = ends(wat(&loops), "");
    assert_eq!((code, &*reason), (128, "StartError"));
    assert!(message.contains("may be expensive to compile"), "{message}");
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn t20_t35_t36_what_cannot_start_says_why() {
    for (module, why) in [
        (b"(module)".to_vec(), "it is the text form"),
        (b"\x7fELF".to_vec(), "precompiled"),
        (wat("(module)"), "has no `_start`"),
        (
            wat("(module (import \"env\" \"system\" (func)) (func (export \"_start\")))"),
            "unknown import `env::system`",
        ),
    ] {
        let (code, reason, message) = ends(module, "");
        assert_eq!((code, &*reason), (128, "StartError"), "{message}");
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn t21_a_flood_of_output_is_cut_and_ends_nobody() {
    // 64 MiB in writes of 64 KiB, and then the number 7.
    let flood = p1(
        "(local $n i32) (i32.store (i32.const 12) (i32.const 65536))
        (loop (if (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)) (then unreachable))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1024))))
        (call $exit (i32.const 7))",
    );
    let host = Host::builder()
        .module("m", flood)
        .module("nothing", wat(NOTHING))
        .logs(LogLimits {
            run_bytes_max: 1 << 20,
            total_bytes_max: 4 << 20,
            ..LogLimits::default()
        })
        .build()
        .unwrap();
    let result = job(&host, "j", "", "").wait_blocking().unwrap();
    assert_eq!(end(&result).0, 7);
    let kept = result.pods[0].containers[0].output.len();
    assert!(kept > 0 && kept <= (1 << 20) + 4096, "{kept} bytes kept");
    still_works(&host);
}

#[test]
fn t33_exit_255_is_255() {
    let (code, reason, _) = ends(p1("(call $exit (i32.const -1))"), "");
    assert_eq!((code, &*reason), (255, "Error"));
}

#[test]
fn t04_fuel_ends_a_guest_with_152() {
    let (code, reason, _) = ends(
        wat(LOOP),
        "resources: {limits: {wasmjob.dev/fuel: \"1000000\"}}",
    );
    assert_eq!((code, &*reason), (152, "FuelExhausted"));
}

#[test]
fn t40_a_full_empty_dir_evicts_the_pod() {
    // A file of 8 MiB, then it waits to be found.
    let fill = |hide: &str| {
        wat(&format!(
            r#"(module {P1} (data (i32.const 16) "big") (func (export "_start") (local $n i32)
            (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 3) (i32.const 1)
                (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 0)))
            {hide}
            (i32.store (i32.const 8) (i32.const 1024)) (i32.store (i32.const 12) (i32.const 65536))
            (loop (drop (call $write (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 4)))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 128))))
            (loop (drop (call $sleep (i64.const 60000))) (br 0))))"#
        ))
    };
    // What is removed and still open takes its room, too.
    let unlink = "(drop (call $unlink (i32.const 3) (i32.const 16) (i32.const 3)))";
    for hide in ["", unlink] {
        let host = host(fill(hide));
        let job = job(&host, "j", "", "volumeMounts: [{name: v, mountPath: /v}]");
        let result = job.wait_blocking().unwrap();
        let status = &result.pods[0].pod.status;
        assert_eq!(status.reason.as_deref(), Some("Evicted"), "{status:?}");
        let message = status.message.as_deref().unwrap();
        assert!(
            message.contains("Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\""),
            "{message}"
        );
        // It did not come so far that it could have been more.
        let usage = result.pods[0].containers[0].end.as_ref().unwrap().usage;
        let last = (1 << 20)..=(1 << 20) + 4096;
        assert!(last.contains(&usage.written_bytes), "{usage:?}");
        still_works(&host);
    }
}

#[test]
fn t46_a_guest_that_ignores_sigterm_is_gone_after_its_grace() {
    // It hears signals, so it gets its grace period, and sleeps on.
    let deaf = p1("(loop (drop (call $sleep (i64.const 3600000))) (br 0))");
    let host = host(deaf);
    let yaml = "{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, \
        terminationGracePeriodSeconds: 1, containers: [{name: c, image: m}]}}}}";
    let job = host.apply_yaml("j.yaml", yaml).unwrap().remove(0);
    while !job.pods().iter().any(|pod| pod.status.started.is_some()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    job.cancel();
    while !job.pods().is_empty() || job.get().is_some() {
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", job.pods());
        std::thread::sleep(Duration::from_millis(5));
    }
    // Its grace, and a second.
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        begin.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn many_pods_find_room_in_a_small_pool() {
    // Each takes four slots of sixteen, eight tables of thirty-two.
    let tables = format!(
        "(module {} (func (export \"_start\")))",
        "(table 1 funcref)".repeat(8)
    );
    let host = Host::builder()
        .module("m", wat(&tables))
        .limits(Limits {
            guests: 16,
            ..Limits::default()
        })
        .build()
        .unwrap();
    let result = job(&host, "j", "completions: 200, parallelism: 50,", "")
        .wait_blocking()
        .unwrap();
    assert!(
        result.is_complete(),
        "{} {}",
        result.reason(),
        result.message()
    );
    assert_eq!((result.status.succeeded, result.status.failed), (200, 0));
}
