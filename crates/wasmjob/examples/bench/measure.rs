//! What work takes: time, processor time, memory, bytes.

use std::time::{Duration, Instant};

/// What one run takes.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

pub(crate) fn row(what: &str, cost: Cost, bare: Cost) {
    let micros = |d: Duration| d.as_secs_f64() * 1e6;
    let ratio = cost.cpu.as_secs_f64() / bare.cpu.as_secs_f64();
    println!(
        "| {what} | {:.1} | {:.1} | {ratio:.2}× |",
        micros(cost.wall),
        micros(cost.cpu)
    );
}

pub(crate) fn measure(runs: u32, work: impl FnOnce()) -> Cost {
    let (wall, cpu) = (Instant::now(), cpu_time());
    work();
    Cost {
        wall: wall.elapsed() / runs,
        cpu: (cpu_time() - cpu) / runs,
    }
}

/// Processor time of this process, all threads.
pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap(),
        time.tv_nsec.try_into().unwrap(),
    )
}

/// A figure of `/proc/self/status` in KiB.
pub(crate) fn status_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A figure of `/proc/self/io`.
pub(crate) fn io(field: &str) -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The median, the 99th percentile and the largest of `all`.
pub(crate) fn percentiles<T: Ord + Copy>(mut all: Vec<T>) -> (T, T, T) {
    all.sort_unstable();
    let at = |p: usize| all[(all.len() - 1) * p / 100];
    (at(50), at(99), at(100))
}
