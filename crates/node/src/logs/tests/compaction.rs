//! What the disk holds is bounded by what is live, and what is gone goes.

use wasmjob_sandbox::Stream;

use super::{Host, LIMITS, LogLimits, Uid, files, lock, pattern, wait_until};

const SEGMENT: u64 = 64 << 10;

fn live(host: &Host) -> u64 {
    lock(&host.logs.on_disk.as_ref().unwrap().spool.index).live()
}

#[test]
fn the_disk_holds_at_most_twice_what_is_live_and_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, SEGMENT);
    let mut pods = Vec::new();
    for n in 0..2_000u128 {
        pods.push((host.pod(n, &pattern(n as usize, 700)), n));
        // Pods go in no order, and one in ten stays.
        if pods.len() > 100 {
            let (pod, n) = pods.swap_remove((n as usize * 7_919) % 91);
            if n % 10 != 0 {
                host.forget(pod);
            } else {
                pods.push((pod, n));
            }
        }
    }
    host.settle();
    wait_until("it is compacted", || {
        host.size() <= 2 * live(&host) + SEGMENT
    });
    assert!(live(&host) > 2 * SEGMENT, "{}", live(&host));
    for (pod, n) in &pods {
        assert_eq!(host.output(*pod), pattern(*n as usize, 700));
    }
    // And it is all there for the next process.
    let host = host.again();
    for (pod, n) in &pods {
        assert_eq!(host.output(*pod), pattern(*n as usize, 700));
    }
}

#[test]
fn the_bytes_of_deleted_pods_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, SEGMENT);
    let pods: Vec<_> = (0..500)
        .map(|n| host.pod(n, b"a secret that is to go"))
        .collect();
    host.settle();
    for pod in pods {
        host.forget(pod);
    }
    wait_until("only the head of a segment is left", || host.size() <= 48);
    for file in files(dir.path()) {
        let there = std::fs::read(file).unwrap();
        assert!(!there.windows(8).any(|at| at == b"a secret"));
    }
}

#[test]
fn logs_of_pods_that_are_gone_go_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, SEGMENT);
    let pods: Vec<_> = (0..500).map(|n| host.pod(n, &pattern(0, 500))).collect();
    host.settle();
    for pod in &pods[1..] {
        // The store forgot it, and the host died before it said so.
        lock(&host.pods).remove(pod);
    }
    let host = host.again();
    assert_eq!(host.output(pods[0]), pattern(0, 500));
    assert!(host.logs.of(pods[1]).is_empty());
    wait_until("their segments are gone", || host.size() < 2 * SEGMENT);
}

#[test]
fn a_run_that_was_let_go_does_not_come_back_though_the_newest_wrote_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::new(dir.path(), LIMITS, SEGMENT);
    let written = |pod, count| {
        let spool = &host.logs.on_disk.as_ref().unwrap().spool;
        wait_until("it is written", || {
            lock(&spool.index).runs(pod).len() == count
        });
    };
    for (restarts, output) in [(0, "first"), (1, "second")] {
        let log = host.begin(1, restarts);
        log.append(Stream::Stdout, output.as_bytes());
        log.end();
        written(log.pod, 1 + restarts as usize);
    }
    let pod = host.begin(1, 2).pod;
    written(pod, 1);
    let host = host.again();
    let logs = host.logs.of(pod);
    let found: Vec<_> = logs.iter().map(|log| log.restarts).collect();
    assert_eq!(found, [1]);
    assert_eq!(host.output(pod), b"second");
}

#[test]
fn beyond_the_limit_of_the_disk_the_oldest_that_ended_go() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LogLimits {
        disk_bytes_max: 4 * SEGMENT,
        ..LIMITS
    };
    let host = Host::new(dir.path(), limits, SEGMENT);
    let running = host.begin(1_000_000, 0);
    running.append(Stream::Stdout, b"still here");
    for n in 0..1_000 {
        host.pod(n, &pattern(n as usize, 1_000));
        if n % 50 == 0 {
            host.settle_all_but(1);
        }
    }
    host.settle_all_but(1);
    wait_until("there is no more than there may be", || {
        live(&host) <= limits.disk_bytes_max
    });
    assert_eq!(super::bytes(&running.read(0)), b"still here");
    assert_eq!(host.output(Uid::from_random(0)), b"");
    assert_eq!(host.output(Uid::from_random(999)), pattern(999, 1_000));
}

impl Host {
    fn settle_all_but(&self, live: usize) {
        wait_until("everything is written", || {
            lock(&self.logs.registry).pods.len() == live
        });
    }
}

#[test]
fn a_segment_left_by_each_of_many_crashes_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::new(dir.path(), LIMITS, SEGMENT);
    for n in 0..40 {
        host.pod(n, &pattern(n as usize, 100));
        host = host.again();
        // A torn record at the end: the next process begins a new segment.
        let last = files(dir.path()).pop().unwrap();
        host.writer = None;
        let mut torn = std::fs::read(&last).unwrap();
        torn.extend_from_slice(b"torn");
        std::fs::write(&last, torn).unwrap();
        host = host.again();
    }
    wait_until("they are merged", || files(dir.path()).len() <= 12);
    for n in 0..40 {
        assert_eq!(host.output(Uid::from_random(n)), pattern(n as usize, 100));
    }
}
