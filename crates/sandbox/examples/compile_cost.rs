//! What expensive modules cost to compile, beside what `scan` says of them: the
//! measurements behind `CompileCost::is_cheap`. Run it in release mode.
//!
//! ```text
//! cargo run --release -p wasmjob-sandbox --example compile_cost
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring program"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../tests/support/bombs.rs"]
mod bombs;
use bombs::*;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use wasmjob_sandbox::{Engine, Limits, scan};

/// How long one module may take.
const PATIENCE: Duration = Duration::from_secs(8);

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = only.first() else {
        // Also what people bring.
        for path in std::env::var("MODULES")
            .unwrap_or_default()
            .split(' ')
            .filter(|p| !p.is_empty())
        {
            measure(path, &std::fs::read(path).unwrap());
        }
        println!(
            "{:<36} {:>8} {:>6} {:>8} {:>8}",
            "module", "bytes", "cheap", "cpu ms", "peak MiB"
        );
        for (name, _) in MODULES {
            run(name);
        }
        return;
    };
    for (_, wasm) in MODULES.iter().filter(|(n, _)| n == name) {
        measure(name, &wasm());
    }
}

/// Measures `name` in a process of its own, which may be killed.
fn run(name: &str) {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program).arg(name).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            println!(" killed after {PATIENCE:?}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn measure(name: &str, wasm: &[u8]) {
    let engine = Engine::builder().compile_only().build().unwrap();
    let scanned = Instant::now();
    let cost = match scan(wasm, &Limits::default()) {
        Ok(cost) => cost,
        Err(error) => return println!("{name:<36} {:>8} refused: {error}", wasm.len()),
    };
    let scanned = scanned.elapsed();
    print!("{name:<36} {:>8} {:>6}", wasm.len(), cost.is_cheap());
    let _ = std::io::stdout().flush();
    let cpu = cpu_ms();
    let result = engine.compile(wasm, false);
    println!(
        " {:>8} {:>8} (scan {scanned:?}){}",
        cpu_ms() - cpu,
        peak_mib(),
        result
            .err()
            .map_or_else(String::new, |error| format!(" {error}")),
    );
}

type Make = fn() -> Vec<u8>;

const MODULES: &[(&str, Make)] = &[
    // Just below the bounds of `src/shape.rs`.
    ("loops 24 deep, 100 locals x 24", || {
        nested_loops(24, 24, 100)
    }),
    ("loops 24 deep, 400 locals x 6", || nested_loops(6, 24, 400)),
    ("loops 24 deep, 10 locals x 240", || {
        nested_loops(240, 24, 10)
    }),
    ("live locals 450 x 100", || live_locals(100, 450)),
    ("live locals 100 x 500", || live_locals(500, 100)),
    ("joins 1200, 400 locals x 20", || joins(20, 1_200, 400)),
    ("looped joins 1200, 400 locals x 20", || {
        looped_joins(20, 1_200, 400)
    }),
    ("jump tables 590 deep x 1, 20 x 8", || {
        jump_tables(8, 590, 1, 20)
    }),
    ("jump tables 590 deep x 2, 20 x 40", || {
        jump_tables(40, 590, 2, 20)
    }),
    ("stack 450 values x 150", || stack(150, 450)),
    ("vectors 600 x 20", || vectors(20, 600)),
    ("calls 2600 x 20", || calls(20, 2_600)),
    ("calls 700 x 10", || calls(10, 700)),
    ("direct calls 3000 x 19", || direct_calls(19, 3_000)),
    ("table gets 1500 x 19", || table_gets(19, 1_500)),
    ("functions 3990", || functions(3_990)),
    ("signatures 900 x 60", || signatures(900, 60)),
    ("imports 900 x 60", || imports(900, 60)),
    ("wide calls 30 of 30 x 100", || wide_calls(100, 30, 30)),
    // Above them.
    ("nested loops 50 deep, 50 locals", || {
        nested_loops(1, 50, 50)
    }),
    ("nested loops 20 deep, 500 locals", || {
        nested_loops(1, 20, 500)
    }),
    ("nested loops 20 deep, 1900 locals", || {
        nested_loops(1, 20, 1_900)
    }),
    ("nested loops 20 deep, 100 loc x 500", || {
        nested_loops(500, 20, 100)
    }),
    ("nested loops 50 deep, 500 locals", || {
        nested_loops(1, 50, 500)
    }),
    ("nested loops 100 deep, 100 locals", || {
        nested_loops(1, 100, 100)
    }),
    ("nested loops 200 deep, 20 locals", || {
        nested_loops(1, 200, 20)
    }),
    ("nested loops 200 deep, 200 locals", || {
        nested_loops(1, 200, 200)
    }),
    ("nested loops 2000 deep, 2 locals", || {
        nested_loops(1, 2_000, 2)
    }),
    ("straight 90 KiB x 10", || straight(10, 10_000)),
    ("live locals 200 x 600", || live_locals(600, 200)),
    ("live locals 1000 x 1", || live_locals(1, 1_000)),
    ("live locals 1900 x 60", || live_locals(60, 1_900)),
    ("joins 5000, 1500 locals", || joins(1, 5_000, 1_500)),
    ("looped joins 5000, 1500 locals", || {
        looped_joins(1, 5_000, 1_500)
    }),
    ("looped joins 5000, 100 locals x 10", || {
        looped_joins(10, 5_000, 100)
    }),
    ("jump tables 300 deep x 90, 300", || {
        jump_tables(1, 300, 90, 300)
    }),
    ("jump tables 9000 deep, 100", || {
        jump_tables(1, 9_000, 1, 100)
    }),
    ("stack 10000 values", || stack(1, 10_000)),
    ("stack 10000 values x 10", || stack(10, 10_000)),
    ("vectors 2000 x 10", || vectors(10, 2_000)),
    ("calls 10000 x 10", || calls(10, 10_000)),
    ("functions 10000", || functions(9_990)),
    ("signatures 1000 x 900", || signatures(1_000, 900)),
    ("signatures 9000 x 900", || signatures(9_000, 900)),
    ("signatures 9000 x 20", || signatures(9_000, 20)),
    ("imports 1000 x 900", || imports(1_000, 900)),
    ("imports 9000 x 900", || imports(9_000, 900)),
    ("wide calls 2000 of 900", || wide_calls(1, 2_000, 900)),
    ("wide calls 200 of 900 x 50", || wide_calls(50, 200, 900)),
    ("items 99000", || items(99_000)),
    ("glue 10 x 900 fields", || glue(10, 900)),
    ("glue 200 x 900 fields", || glue(200, 900)),
];

/// Processor time of this process.
fn cpu_ms() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(t.tv_sec * 1000 + t.tv_nsec / 1_000_000).unwrap()
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}
