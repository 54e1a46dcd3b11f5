//! A hundred thousand tiny logs, and followers that do not follow.

use std::sync::Arc;

use wasmjob_sandbox::{Output, Stream};

use super::{Host, LIMITS, LogLimits, Uid, files, lock, now};
use crate::logs::LogOutput;

const LARGE: LogLimits = LogLimits {
    run_bytes_max: 50 << 20,
    ..LIMITS
};

#[test]
fn a_hundred_thousand_tiny_logs_are_a_few_files() {
    const PODS: u128 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LARGE, 8 << 20);
    // The pods themselves are the store's; only the logs are measured.
    for n in 0..PODS {
        let pod = Arc::new(super::pod_of(n, None));
        lock(&host.pods).insert(pod.uid, pod);
    }
    let begun = now();
    let before = resident();
    for n in 0..PODS {
        let pod = lock(&host.pods)[&Uid::from_random(n)].clone();
        let log = host.logs.begin(&pod, &Arc::from("c"), 0);
        log.append(Stream::Stdout, format!("pod {n} says hello\n").as_bytes());
        host.end(&log);
        // A host does not start more than it has room for.
        if n % 1_000 == 0 {
            host.settle();
        }
    }
    host.settle();
    let wrote = begun.elapsed();
    let memory = resident().saturating_sub(before);
    let count = files(dir.path()).len();
    let each = host.size() / PODS as u64;
    assert!(count <= 3, "{count} files");
    assert!(each < 110, "{each} bytes on the disk for each");
    assert_eq!(
        lock(&host.logs.on_disk.as_ref().unwrap().spool.index).len(),
        PODS as usize
    );
    let begun = now();
    let host = host.again();
    let opened = begun.elapsed();
    for n in (0..PODS).step_by(997) {
        let output = host.output(Uid::from_random(n));
        assert_eq!(output, format!("pod {n} says hello\n").as_bytes());
    }
    println!(
        "{PODS} logs: {count} files, {each} bytes on the disk and {} in memory each; written in \
         {wrote:?}, found again in {opened:?}",
        memory / PODS as u64
    );
}

/// Bytes of memory of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_follower_that_never_reads_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LARGE, 8 << 20);
    let stuck = host.logs.feed(None);
    let log = host.begin(1, 0);
    let output = LogOutput(Arc::clone(&log));
    for _ in 0..1_000 {
        output.write(Stream::Stdout, &[b'x'; 10_000]);
    }
    host.end(&log);
    host.settle();
    // It is told of one log, once, and can read all of it.
    let told = stuck.try_next();
    assert_eq!(told.len(), 1);
    let read = told[0].read(0);
    assert_eq!((read.next, read.lost, read.ended), (10_000_000, 0, true));
}

#[test]
fn a_log_is_read_from_where_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LARGE, 8 << 20);
    let log = host.begin(1, 0);
    for n in 0..400_000 {
        log.append(Stream::Stdout, format!("line {n}\n").as_bytes());
    }
    host.end(&log);
    host.settle();
    let begun = now();
    assert_eq!(log.tail(2, 1_000), "line 399998\nline 399999");
    let tail = begun.elapsed();
    let begun = now();
    let all = log.read(0);
    let read = begun.elapsed();
    assert_eq!(all.lost, 0);
    let all = all.next;
    assert!(
        tail * 4 < read,
        "{tail:?} for the end, {read:?} for {all} bytes"
    );
}
