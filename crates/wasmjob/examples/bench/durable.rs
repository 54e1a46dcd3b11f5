//! What the disk costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wasmjob::api::{Event, Uid};
use wasmjob::{Directory, EventRecord, Key, Kind, Object, Store, Transaction};

use crate::measure::{Cost, io, percentiles, row};
use crate::{RUNS, builder, run_job};

/// A Job of 10,000 pods in memory and on a disk, in one run: the bytes that the
/// latter wrote for each pod.
pub(crate) fn jobs(module: &[u8], bare: Cost) -> u64 {
    let memory = builder(module).build().unwrap();
    run_job(&memory, "warm", 1000, 64);
    let in_memory = run_job(&memory, "m", RUNS, 64);
    drop(memory);
    let dir = directory();
    let host = builder(module).data_dir(dir.path()).build().unwrap();
    run_job(&host, "warm", 1000, 64);
    let before = io("write_bytes:");
    let durable = run_job(&host, "d", RUNS, 64);
    let written = (io("write_bytes:") - before) / u64::from(RUNS);
    row(
        &format!("engine in memory once more, Job of {RUNS} at parallelism 64, per pod"),
        in_memory,
        bare,
    );
    row(
        &format!("engine on a disk, Job of {RUNS} at parallelism 64, per pod"),
        durable,
        bare,
    );
    let single = run_job(&host, "s", 1000, 1);
    row(
        "engine on a disk, Job of 1,000 at parallelism 1, per pod",
        single,
        bare,
    );
    let ratio = durable.cpu.as_secs_f64() / in_memory.cpu.as_secs_f64();
    println!("\non a disk against in memory, CPU per pod at parallelism 64: {ratio:.2}×");
    written
}

pub(crate) fn bytes_written(per_pod: &u64) {
    println!("written to the disk per pod of a Job of {RUNS} at parallelism 64: {per_pod} bytes");
}

/// Beside the sources, which are on a disk: /tmp may be none.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::current_dir().unwrap().join("target")).unwrap()
}

fn event(n: u64) -> Object {
    let uid = Uid::from_random(u128::from(n) << 70 | 0xfeed);
    Object::Event(Arc::new(EventRecord {
        uid,
        regarding: Key {
            kind: Kind::Pod,
            uid,
        },
        namespace: "default".into(),
        name: "report-29934421-x7k2p".into(),
        event: Event::normal("Completed", "Job completed"),
        time: "2026-11-25T03:00:00Z".parse().unwrap(),
        first: "2026-11-25T03:00:00Z".parse().unwrap(),
        count: 1,
        source: "bench".into(),
    }))
}

/// Commits per second, each waited for, by so many writers at once.
pub(crate) fn commits() {
    println!("\n| writers that wait for each commit | commits/s | p50 ms | p99 ms |");
    println!("|---|---|---|---|");
    for writers in [1u64, 8, 64] {
        let dir = directory();
        let store = Store::open(Directory::lock(dir.path()).unwrap()).unwrap();
        let next = AtomicU64::new(0);
        let begun = Instant::now();
        let each = 3000 / writers.min(8);
        let took: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..writers)
                .map(|_| {
                    scope.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread()
                            .build()
                            .unwrap();
                        let mut took = Vec::new();
                        for _ in 0..each {
                            let mut transaction = Transaction::default();
                            transaction.put(event(next.fetch_add(1, Ordering::Relaxed)));
                            let begun = Instant::now();
                            let revision = store.commit(transaction);
                            while store.revision() < revision {
                                runtime.block_on(store.changed(revision - 1));
                            }
                            took.push(begun.elapsed());
                        }
                        took
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let seconds = begun.elapsed().as_secs_f64();
        let count = took.len() as f64;
        let (p50, p99, _) = percentiles(took);
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!(
            "| {writers} | {:.0} | {:.2} | {:.2} |",
            count / seconds,
            ms(p50),
            ms(p99)
        );
    }
}

/// Opening a store of 100,000 objects, after a clean end and after none.
pub(crate) fn restart() {
    const OBJECTS: u32 = 100_000;
    let dir = directory();
    let module = wat::parse_str("(module (func (export \"_start\")))").unwrap();
    let host = || {
        builder(&module)
            .data_dir(dir.path())
            .finished_pods(OBJECTS as usize)
            .build()
            .unwrap()
    };
    let first = host();
    // A pod is a row and an event or two: pods alone are counted.
    run_keeping(&first, OBJECTS);
    drop(first);
    let begun = Instant::now();
    let again = host();
    let took = begun.elapsed();
    let pods = again.store().list(Kind::Pod, |_| true).1.len();
    let events = again.store().list(Kind::Event, |_| true).1.len();
    let size = std::fs::metadata(dir.path().join("store.redb"))
        .unwrap()
        .len();
    println!(
        "\nrestart with {pods} pods and {events} events kept: {:.0} ms; the database has {:.1} MiB",
        took.as_secs_f64() * 1e3,
        size as f64 / f64::from(1 << 20)
    );
}

fn run_keeping(host: &wasmjob::Host, pods: u32) {
    let job = crate::submit(host, "many", "hello", pods, 64);
    assert!(job.wait_blocking().unwrap().is_complete());
}
