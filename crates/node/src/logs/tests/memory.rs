//! Logs in memory, and feeds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmjob_api::Uid;
use wasmjob_sandbox::{Output, Stream};

use super::{LogBuffer, LogLimits, Logs, bytes, lock, pod_of};
use crate::SystemClock;
use crate::logs::LogOutput;

fn log(logs: &Logs, job: Option<u128>) -> Arc<LogBuffer> {
    logs.begin(&pod_of(9, job), &Arc::from("c"), 0)
}

fn logs(run_bytes_max: usize) -> Logs {
    let limits = LogLimits {
        run_bytes_max,
        total_bytes_max: 1 << 20,
        ..LogLimits::default()
    };
    Logs::new(limits, Arc::new(SystemClock))
}

#[test]
fn a_reader_gets_every_byte_once_with_its_stream() {
    let log = log(&logs(100), None);
    log.append(Stream::Stdout, b"out");
    log.append(Stream::Stderr, b"err");
    let read = log.read(0);
    assert_eq!(bytes(&read), b"outerr");
    assert_eq!(
        read.chunks.iter().map(|c| c.stream).collect::<Vec<_>>(),
        [Stream::Stdout, Stream::Stderr]
    );
    log.append(Stream::Stdout, b"more");
    let read = log.read(read.next);
    assert_eq!((bytes(&read), read.lost), (b"more".to_vec(), 0));
    assert!(log.read(read.next).chunks.is_empty());
    assert_eq!(bytes(&log.read(4)), b"rrmore");
    let some = log.read_at_most(1, 3);
    assert_eq!((bytes(&some), some.next), (b"ute".to_vec(), 4));
}

#[test]
fn beyond_its_limit_a_log_keeps_the_newest_and_says_what_is_lost() {
    let all = logs(100);
    let log = log(&all, None);
    for n in 0..100u8 {
        log.append(Stream::Stdout, &[n; 7]);
    }
    let read = log.read(0);
    let kept = log.kept_bytes();
    assert!((80..=100).contains(&kept), "{kept}");
    assert_eq!(read.lost + bytes(&read).len() as u64, 700);
    assert_eq!(read.chunks[0].lost, read.lost);
    assert_eq!(bytes(&read).last(), Some(&99));
    assert_eq!(all.shared.total.load(Ordering::Relaxed), log.kept_bytes());
    // More than fits at once.
    log.append(Stream::Stdout, &[1; 1000]);
    assert!(log.kept_bytes() <= 100);
}

#[test]
fn bytes_that_alternate_between_the_streams_do_not_pile_up_marks() {
    let log = log(&logs(64 << 10), None);
    for _ in 0..20_000 {
        log.append(Stream::Stdout, b"o");
        log.append(Stream::Stderr, b"e");
    }
    let read = log.read(0);
    assert!(read.chunks.len() <= 2048 + 1, "{}", read.chunks.len());
    assert_eq!(read.lost + bytes(&read).len() as u64, 40_000);
}

#[test]
fn a_feed_names_a_log_once_until_it_is_taken() {
    let all = logs(100);
    let (mine, other) = (log(&all, Some(1)), log(&all, Some(2)));
    let (everything, one) = (all.feed(None), all.feed(Some(Uid::from_random(1))));
    for log in [&mine, &mine, &other] {
        LogOutput(Arc::clone(log)).write(Stream::Stdout, b"x");
    }
    assert_eq!((everything.try_next().len(), one.try_next().len()), (2, 1));
    assert!(everything.try_next().is_empty());
    drop(one);
    mine.end();
    assert!(everything.try_next()[0].read(0).ended);
    assert_eq!(lock(&all.shared.feeds).len(), 1);
}

#[test]
fn logs_go_when_everybody_has_let_go_of_them() {
    let all = logs(100);
    let shared = Arc::downgrade(&all.shared);
    let log = log(&all, None);
    drop(all);
    drop(log);
    assert!(shared.upgrade().is_none());
}
