//! Guests that compute share the processors as they are told to.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]
#![allow(clippy::print_stdout, reason = "it tells what it measured")]

mod support;

use std::time::{Duration, Instant};

use support::{Sandbox, wat};
use wasmjob_sandbox::{Cpu, Exit, KillReason};

const SPIN: &str = "(module (func (export \"_start\") (loop (br 0))))";

fn cpu(weight: u32, limit_milli: Option<u32>) -> Cpu {
    Cpu {
        weight,
        limit_milli,
    }
}

#[test]
fn those_that_compute_share_by_weight() {
    let sandbox = Sandbox::with_threads(1);
    let start = |cpu| sandbox.start(&wat(SPIN), |task| task.cpu = cpu);
    let (light, heavy) = (start(cpu(250, None)), start(cpu(750, None)));
    std::thread::sleep(Duration::from_secs(2));
    let used = [&light, &heavy].map(|run| run.handle.usage().cpu.as_secs_f64());
    for run in [light, heavy] {
        run.handle.kill();
        run.wait();
    }
    let ratio = used[1] / used[0];
    // What the machine does beside it takes from both.
    assert!((2.7..=3.3).contains(&ratio), "1:{ratio:.2}, {used:?}");
}

#[test]
fn a_ceiling_holds_and_a_killed_guest_does_not_wait_below_it() {
    let sandbox = Sandbox::with_threads(1);
    let begun = Instant::now();
    let run = sandbox.start(&wat(SPIN), |task| task.cpu = cpu(100, Some(100)));
    std::thread::sleep(Duration::from_secs(3));
    let share = run.handle.usage().cpu.as_secs_f64() / begun.elapsed().as_secs_f64();
    let killed = Instant::now();
    run.handle.kill();
    let end = run.wait();
    assert!(
        killed.elapsed() < Duration::from_millis(20),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(end.exit, Exit::Killed(KillReason::Requested));
    println!("{:.1} % of a processor", 100.0 * share);
    // A machine that is busy with other things gives less.
    assert!((0.02..=0.11).contains(&share), "{share}");
}

#[test]
fn a_short_guest_is_done_soon_beside_heavy_ones() {
    let sandbox = Sandbox::with_threads(1);
    let spinners: Vec<_> = (0..4)
        .map(|_| sandbox.start(&wat(SPIN), |task| task.cpu = cpu(1000, None)))
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        let end = sandbox.run(&wat("(module (func (export \"_start\")))"));
        assert_eq!(end.exit, Exit::Code(0));
        worst = worst.max(begun.elapsed());
    }
    for run in spinners {
        run.handle.kill();
        run.wait();
    }
    assert!(worst < Duration::from_millis(100), "{worst:?}");
}

#[test]
fn an_engine_goes_though_its_guests_wait_for_their_share() {
    let sandbox = Sandbox::with_threads(1);
    let run = sandbox.start(&wat(SPIN), |task| task.cpu = cpu(2, Some(2)));
    std::thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    drop(sandbox);
    assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
}
