//! T14 to T17: modules that are small and expensive to compile.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

#[path = "../../sandbox/tests/support/bombs.rs"]
mod bombs;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasmjob_image::{Compiler, Images, Wanted, WorkerLimits};
use wasmjob_sandbox::{Engine, Limits, scan};

/// The example `compile_worker`, which cargo builds together with the tests.
fn worker(cpu: u64, memory_mib: u64) -> Compiler {
    let exe = std::env::current_exe().unwrap();
    let program: PathBuf = exe
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/compile_worker");
    assert!(
        program.exists(),
        "build it: cargo build -p wasmjob-image --examples"
    );
    Compiler::Worker {
        program,
        args: Vec::new(),
        limits: WorkerLimits {
            cpu: Duration::from_secs(cpu),
            memory_bytes: memory_mib << 20,
        },
    }
}

fn images(wasm: Vec<u8>, compiler: Compiler) -> Images {
    let engine = Engine::builder()
        .limits(Limits {
            guests: 4,
            ..Limits::default()
        })
        .build()
        .unwrap();
    Images::builder()
        .bytes("m", wasm)
        .compiler(compiler)
        .build(engine)
}

fn get(images: &Images) -> Result<(), String> {
    images
        .get(&Wanted::new("m", Path::new("/")))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn children() -> String {
    std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default()
}

/// The worker dies of `wasm`, soon, and leaves nothing.
fn dies(wasm: Vec<u8>, cpu: u64, memory_mib: u64) {
    assert!(!scan(&wasm, &Limits::default()).unwrap().is_cheap());
    let images = images(wasm, worker(cpu, memory_mib));
    let begin = Instant::now();
    assert_eq!(
        get(&images).unwrap_err(),
        format!(
            "module \"m\" could not be compiled: compilation exceeded {cpu} s of processor time or {memory_mib} MiB of memory"
        )
    );
    // Twice the processor time and five seconds is what the worker is given;
    // reading and hashing the module take their time on a busy machine as well.
    let first = begin.elapsed();
    let patience = Duration::from_secs(2 * cpu + 5);
    assert!(first < patience + Duration::from_secs(30), "{first:?}");
    assert_eq!(children(), "");
    // The next pod of the Job learns it at once, unless it was the machine that
    // was slow: then the worker is asked again.
    let begin = Instant::now();
    assert!(get(&images).unwrap_err().contains("compilation exceeded"));
    let second = begin.elapsed();
    assert!(
        second < first / 2 || first >= patience,
        "{second:?} after {first:?}"
    );
}

#[test]
fn t14_long_functions_are_compiled_within_limits() {
    dies(bombs::joins(1, 60_000, 1_500), 1, 1024);
}

#[test]
fn t15_many_live_locals_are_compiled_within_limits() {
    dies(bombs::live_locals(8, 15_000), 1, 1024);
}

#[test]
fn t16_nested_loops_are_compiled_within_limits() {
    // 8 KiB; without limits it takes five minutes.
    dies(bombs::nested_loops(1, 500, 500), 1, 1024);
}

#[test]
fn t17_many_functions_are_compiled_within_limits() {
    dies(bombs::functions(150_000), 20, 256);
}

#[test]
fn what_is_dear_and_honest_is_compiled_by_the_worker() {
    let wasm = bombs::straight(10, 10_000);
    assert!(!scan(&wasm, &Limits::default()).unwrap().is_cheap());
    get(&images(wasm, worker(20, 2048))).unwrap();
}

#[test]
fn without_a_worker_what_may_be_dear_is_refused() {
    let text = get(&images(
        bombs::nested_loops(1, 500, 500),
        Compiler::CheapOnly,
    ))
    .unwrap_err();
    assert!(text.contains("may be expensive to compile"), "{text}");
}

#[test]
fn a_worker_that_does_not_start_is_named_and_asked_again() {
    let compiler = Compiler::Worker {
        program: "/nowhere/worker".into(),
        args: Vec::new(),
        limits: WorkerLimits::default(),
    };
    let text = get(&images(bombs::straight(10, 10_000), compiler)).unwrap_err();
    assert!(text.contains("the compile worker did not start"), "{text}");
}

#[test]
fn t17_more_than_the_limits_is_refused_unseen() {
    for (wasm, what) in [
        (bombs::functions(200_001), "too many functions: 200002"),
        (bombs::items(100_001), "too many globals: 100002"),
    ] {
        let text = get(&images(wasm, Compiler::Unbounded)).unwrap_err();
        assert!(text.contains(what), "{text}");
    }
}
