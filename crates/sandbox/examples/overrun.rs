//! How late kills are, per row of the hostile guests, alone and with both cores
//! busy, and how late a timer of the host is while guests spin. The promise:
//! p99 ≤ 20 ms, never over 250 ms with 256 MiB of memory and 100 ms with 128 MiB;
//! the timer's p99 under 10 ms.
//!
//! ```text
//! cargo run --release -p wasmjob-sandbox --example overrun [RUNS]
//! ```
#![allow(missing_docs, reason = "a measuring program")]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::{Run, SLEEP_FOR_EVER, Sandbox, wat};
use wasmjob_sandbox::{Exit, KillReason};

const LOOP: &str = "(module (func (export \"_start\") (loop (br 0))))";

fn main() {
    let runs = std::env::args()
        .nth(1)
        .map_or(200, |runs| runs.parse().unwrap());
    println!("overruns in ms, {runs} runs each\n");
    println!("{:<44} {:>8} {:>8} {:>8}", "row", "p50", "p99", "max");
    for busy in [false, true] {
        let sandbox = Sandbox::new();
        let spinners = if busy { spin(&sandbox, 4) } else { Vec::new() };
        for (name, text) in rows() {
            let mut late = overruns(&sandbox, &text, runs);
            let mode = if busy { "4 guests spin" } else { "alone" };
            print(&format!("{name}, {mode}"), &mut late);
        }
        stop(spinners);
    }
    for guests in [0, 4, 16] {
        let sandbox = Sandbox::new();
        let spinners = spin(&sandbox, guests);
        let mut late = timer(2_000);
        print(
            &format!("the host's 1 ms timer, {guests} guests spin"),
            &mut late,
        );
        stop(spinners);
    }
}

fn rows() -> Vec<(&'static str, String)> {
    let bulk = |mib: u64, instruction: &str| {
        format!(
            "(module (memory {}) (func (export \"_start\") (loop {instruction} (br 0))))",
            mib * 16
        )
    };
    let fill = |mib: u64| {
        let bytes = mib << 20;
        bulk(
            mib,
            &format!("(memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes}))"),
        )
    };
    let copy = |mib: u64| {
        let bytes = (mib << 20) - 64;
        bulk(
            mib,
            &format!("(memory.copy (i32.const 64) (i32.const 0) (i32.const {bytes}))"),
        )
    };
    // Fresh memory, first touched by the instruction that the deadline falls into.
    let fresh = |mib: u64| {
        let bytes = mib << 20;
        format!(
            "(module (memory {}) (func (export \"_start\") (local $n i32)
                (loop (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 60000000))))
                (memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes})) (loop (br 0))))",
            mib * 16
        )
    };
    vec![
        ("T1 loop", LOOP.to_owned()),
        (
            "T2 loop in start",
            "(module (func $s (loop (br 0))) (start $s) (func (export \"_start\")))".to_owned(),
        ),
        ("T4 fill 128 MiB", fill(128)),
        ("T4 fill 256 MiB", fill(256)),
        ("T4 copy 128 MiB", copy(128)),
        ("T4 copy 256 MiB", copy(256)),
        ("T4 first touch of 128 MiB", fresh(128)),
        ("T4 first touch of 256 MiB", fresh(256)),
        (
            "T5 table.fill of a million",
            "(module (table $t 1000000 funcref) (func $f) (elem declare func $f)
                (func (export \"_start\") (loop (table.fill $t (i32.const 0) (ref.func $f)
                    (i32.const 1000000)) (br 0))))"
                .to_owned(),
        ),
        (
            "T13 tail calls",
            "(module (func $f (return_call $f)) (func (export \"_start\") (call $f)))".to_owned(),
        ),
        (
            "T21 output",
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
                (memory (export "memory") 1) (data (i32.const 8) "\00\00\00\00\01\00\00\00")
                (func (export "_start")
                    (loop (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br 0))))"#
                .to_owned(),
        ),
        (
            "T24 random_get of 1 MiB",
            r#"(module (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
                (memory (export "memory") 17) (func (export "_start")
                    (loop (drop (call $r (i32.const 0) (i32.const 1048576))) (br 0))))"#
                .to_owned(),
        ),
        ("T27 sleep", SLEEP_FOR_EVER.to_owned()),
    ]
}

fn overruns(sandbox: &Sandbox, text: &str, runs: usize) -> Vec<Duration> {
    let module = sandbox.module(&wat(text));
    (0..runs)
        .map(|n| {
            // Deadlines fall into every phase of a tick and of an instruction.
            let wait = Duration::from_micros(40_000 + (n as u64 * 7_919) % 20_000);
            let deadline = Instant::now() + wait;
            let run = sandbox.start_module(module.clone(), |task| task.deadline = Some(deadline));
            let end = run.wait();
            let late = Instant::now().saturating_duration_since(deadline);
            assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
            late
        })
        .collect()
}

/// How late a sleep of 1 ms on a thread of the host is.
fn timer(times: usize) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut late = Vec::with_capacity(times);
        for _ in 0..times {
            let due = Instant::now() + Duration::from_millis(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            late.push(Instant::now().saturating_duration_since(due));
        }
        late
    })
}

fn spin(sandbox: &Sandbox, guests: usize) -> Vec<Run> {
    let module = sandbox.module(&wat(LOOP));
    (0..guests)
        .map(|_| sandbox.start_module(module.clone(), |_| {}))
        .collect()
}

fn stop(runs: Vec<Run>) {
    for run in runs {
        run.handle.kill();
        run.wait();
    }
}

fn print(name: &str, late: &mut [Duration]) {
    late.sort_unstable();
    let at = |percent: usize| late[(late.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<44} {:>8.2} {:>8.2} {:>8.2}",
        at(50),
        at(99),
        at(100)
    );
}
