//! The harness: every row runs alone and with both cores busy, and afterwards
//! the engine must be as it was.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmjob_sandbox::{Exit, KillReason, Limits, Task};

use crate::support::{End, Run, Sandbox};
use crate::wat::{self, HELLO, LOOP};

/// What the tests allow a kill to be late. The promise is stricter (p99 within
/// 20 ms); it is measured by `examples/overrun.rs` in release mode, because
/// tests share their machine with compilers that are not as nice as guests.
pub(crate) const LATE: Duration = Duration::from_millis(250);

/// Attempts of which one must be in time: a busy machine may delay one, a
/// sandbox that does not pre-empt delays all.
const ATTEMPTS: usize = 5;

/// Rows measure what the process holds, so only one may run at a time.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_bytes: usize,
}

/// Memory that allocators and the pool may keep.
const SLACK_BYTES: usize = 96 << 20;

impl Held {
    fn now() -> Self {
        let count = |dir| std::fs::read_dir(dir).unwrap().count();
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            resident_bytes: resident_bytes(),
        }
    }
}

pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Waits until `holds`, and fails with `what` when it does not come to that.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `row` in an engine of its own, alone and beside busy guests, and looks
/// at what it leaves behind.
pub(crate) fn row(row: impl Fn(&Sandbox)) {
    let limits = || Limits {
        guests: 64,
        ..Limits::default()
    };
    row_in(limits, row);
}

/// [`row`] with other limits.
pub(crate) fn row_in(limits: impl Fn() -> Limits, row: impl Fn(&Sandbox)) {
    row_with(|| Sandbox::with(limits()), row);
}

/// [`row`] with an engine that `new` makes.
pub(crate) fn row_with(new: impl Fn() -> Sandbox, row: impl Fn(&Sandbox)) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // What the first engine and compilation make once per process.
    assert_alive(&new());
    for busy in [false, true] {
        let outside = Held::now();
        let sandbox = new();
        assert_alive(&sandbox);
        let others: Vec<Run> = if busy { spin(&sandbox) } else { Vec::new() };
        let before = Held::now();
        row(&sandbox);
        assert_alive(&sandbox);
        eventually("guests are left", || sandbox.engine.live() == others.len());
        eventually("descriptors are left", || {
            Held::now().descriptors <= before.descriptors
        });
        eventually("memory is left", || {
            Held::now().resident_bytes <= before.resident_bytes + SLACK_BYTES
        });
        for other in others {
            other.handle.kill();
            assert_eq!(other.wait().exit, Exit::Killed(KillReason::Requested));
        }
        drop(sandbox);
        eventually("threads are left", || {
            Held::now().threads <= outside.threads
        });
        eventually("descriptors of the engine are left", || {
            Held::now().descriptors <= outside.descriptors
        });
    }
}

/// Twice as many spinning guests as there are processors.
pub(crate) fn spin(sandbox: &Sandbox) -> Vec<Run> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let module = sandbox.module(&wat::wat(LOOP));
    (0..2 * cores)
        .map(|_| sandbox.start_module(module.clone(), |_| {}))
        .collect()
}

/// A guest still runs, and says so.
fn assert_alive(sandbox: &Sandbox) {
    let end = sandbox.run(&wat::wat(HELLO));
    assert_eq!((end.exit, &*end.stdout), (Exit::Code(0), &b"hello\n"[..]));
}

/// Runs `wasm` with a deadline that it does not keep, and asserts that it is
/// dead soon after.
pub(crate) fn killed(sandbox: &Sandbox, wasm: &[u8], change: impl Fn(&mut Task)) {
    killed_within(LATE, sandbox, wasm, change);
}

/// [`killed`], and not later than `late`.
pub(crate) fn killed_within(
    late: Duration,
    sandbox: &Sandbox,
    wasm: &[u8],
    change: impl Fn(&mut Task),
) {
    let module = sandbox.module(wasm);
    let mut overruns = Vec::new();
    for _ in 0..ATTEMPTS {
        let deadline = Instant::now() + Duration::from_millis(60);
        let end = sandbox
            .start_module(module.clone(), |task| {
                task.deadline = Some(deadline);
                change(task);
            })
            .wait();
        assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
        let overrun = Instant::now().saturating_duration_since(deadline);
        if overrun <= late {
            return;
        }
        overruns.push(overrun);
    }
    panic!("always later than {late:?}: {overruns:?}");
}

/// The text of the trap that `end` must be.
pub(crate) fn trap(end: End) -> String {
    match end.exit {
        Exit::Trap(text) => text,
        exit => panic!("not a trap: {exit:?}"),
    }
}

/// Asserts that `end` is a trap whose text contains `what`.
pub(crate) fn assert_trap(end: End, what: &str) {
    let text = trap(end);
    assert!(text.contains(what), "{text}");
}
