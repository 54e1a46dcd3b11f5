//! Disks that are full, slow or stuck: guests go on, and the log says what it lacks.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use wasmjob_sandbox::Stream;

use super::super::disk::{Directory, Disk};
use super::super::spool::TAILS_BYTES_MAX;
use super::{Host, LIMITS, LogLimits, Pods, bytes, lock, now, pattern, wait_until};

const LARGE: LogLimits = LogLimits {
    run_bytes_max: 50 << 20,
    ..LIMITS
};

/// What the disk does.
#[derive(Default)]
struct Mood {
    full: AtomicBool,
    stuck: Mutex<bool>,
    freed: Condvar,
    /// Segments that cannot be read fail once they are asked for as a whole.
    unreadable: AtomicBool,
    reads: AtomicUsize,
    writes: AtomicUsize,
    syncs: AtomicUsize,
}

impl Mood {
    fn set_stuck(&self, stuck: bool) {
        *lock(&self.stuck) = stuck;
        self.freed.notify_all();
    }
}

struct MoodyDisk(Directory, Arc<Mood>);

impl Disk for MoodyDisk {
    fn list(&self) -> io::Result<Vec<u32>> {
        self.0.list()
    }
    fn read(&self, segment: u32, pos: u64, len: usize) -> io::Result<Vec<u8>> {
        self.1.reads.fetch_add(1, Ordering::Relaxed);
        if len > 1 << 30 && self.1.unreadable.load(Ordering::Relaxed) {
            return Err(io::Error::other("a bad sector"));
        }
        self.0.read(segment, pos, len)
    }
    fn write(&self, segment: u32, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.writes.fetch_add(1, Ordering::Relaxed);
        let mut stuck = lock(&self.1.stuck);
        while *stuck {
            stuck = self
                .1
                .freed
                .wait(stuck)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(stuck);
        if self.1.full.load(Ordering::Relaxed) {
            // As a disk that fills up in the middle of a write.
            self.0.write(segment, pos, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(segment, pos, bytes)
    }
    fn cut(&self, segment: u32, len: u64) -> io::Result<()> {
        self.0.cut(segment, len)
    }
    fn sync(&self, segment: u32) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.sync(segment)
    }
    fn remove(&self, segment: u32) -> io::Result<()> {
        self.0.remove(segment)
    }
}

fn host(dir: &Path) -> (Host, Arc<Mood>) {
    host_with(dir, LARGE)
}

fn host_with(dir: &Path, limits: LogLimits) -> (Host, Arc<Mood>) {
    let mood = Arc::new(Mood::default());
    let disk = Box::new(MoodyDisk(Directory::open(dir).unwrap(), Arc::clone(&mood)));
    let host = Host::on(dir, disk, limits, 1 << 20, Pods::default());
    (host, mood)
}

/// Checks a log whose bytes are `pattern(0, written)`; how many are lost.
fn check(log: &super::LogBuffer, written: usize) -> usize {
    let read = log.read(0);
    let mut at = 0;
    for chunk in &read.chunks {
        at += chunk.lost as usize;
        assert_eq!(chunk.bytes, pattern(at, chunk.bytes.len()), "at {at}");
        at += chunk.bytes.len();
    }
    assert_eq!(at + read.lost_at_end() as usize, written);
    read.lost as usize
}

#[test]
fn a_full_disk_costs_what_finds_no_room_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mood) = host(dir.path());
    let log = host.begin(1, 0);
    log.append(Stream::Stdout, &pattern(0, 1_000));
    wait_until("it is written", || host.size() > 1_000);
    mood.full.store(true, Ordering::Relaxed);
    let mut written = 1_000;
    let begun = now();
    let mut longest = Duration::ZERO;
    for _ in 0..500 {
        let before = now();
        log.append(Stream::Stdout, &pattern(written, 8_000));
        longest = longest.max(before.elapsed());
        written += 8_000;
    }
    // Four MB; a run may hold one in memory.
    let lost = check(&log, written);
    assert!((2_500_000..3_500_000).contains(&lost), "{lost} lost");
    assert!(longest < Duration::from_millis(100), "{longest:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        log.tail(3, 100_000_000)
            .contains(&super::super::lost_notice(lost as u64))
    );

    // It recovers by itself, and everything that was held is kept.
    mood.full.store(false, Ordering::Relaxed);
    let room = || host.logs.on_disk.as_ref().unwrap().spool.room.used();
    wait_until("it is written after all", || room() == 0);
    log.append(Stream::Stdout, &pattern(written, 500));
    written += 500;
    host.end(&log);
    host.settle();
    assert_eq!(check(&log, written), lost);
    let pod = log.pod;
    let host = host.again();
    assert_eq!(check(&host.logs.of(pod)[0], written), lost);
}

#[test]
fn what_was_lost_last_is_told_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mood) = host(dir.path());
    mood.full.store(true, Ordering::Relaxed);
    let log = host.begin(1, 0);
    log.append(Stream::Stdout, &pattern(0, 3 << 20));
    let lost = check(&log, 3 << 20);
    host.end(&log);
    mood.full.store(false, Ordering::Relaxed);
    host.settle();
    let host = host.again();
    assert_eq!(check(&host.logs.of(log.pod)[0], 3 << 20), lost);
    assert!(lost > 1 << 20, "{lost}");
}

#[test]
fn a_disk_that_is_stuck_holds_up_neither_guests_nor_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mood) = host(dir.path());
    let early = host.pod(1, b"before");
    host.settle();
    mood.set_stuck(true);
    let logs: Vec<_> = (2..22).map(|n| host.begin(n, 0)).collect();
    let (mut longest, mut waited) = (Duration::ZERO, 0);
    let begun = now();
    for round in 0..20 {
        for log in &logs {
            let before = now();
            log.append(Stream::Stdout, &pattern(round * 100_000, 100_000));
            longest = longest.max(before.elapsed());
            waited += usize::from(before.elapsed() > Duration::from_millis(30));
        }
    }
    // 40 MB of 20 runs; 8 MiB are held.
    assert!(longest < Duration::from_millis(100), "{longest:?}");
    assert!(
        waited <= 2 + begun.elapsed().as_secs() as usize,
        "{waited} waits"
    );
    let room = || host.logs.on_disk.as_ref().unwrap().spool.room.used();
    assert!(room() <= TAILS_BYTES_MAX, "{}", room());
    // Readers see what is held, and what was written before.
    let lost: usize = logs.iter().map(|log| check(log, 2_000_000)).sum();
    assert!(lost > 30_000_000, "{lost}");
    assert_eq!(host.output(early), b"before");
    mood.set_stuck(false);
    wait_until("it is written", || room() == 0);
    let after: usize = logs.iter().map(|log| check(log, 2_000_000)).sum();
    assert_eq!(after, lost);
}

#[test]
fn a_burst_that_the_disk_can_take_is_kept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (host, _) = host(dir.path());
    let log = host.begin(1, 0);
    let piece = pattern(0, 64 << 10);
    let begun = now();
    for _ in 0..480 {
        log.append(Stream::Stdout, &piece);
    }
    let took = begun.elapsed();
    let read = log.read(0);
    assert_eq!((read.lost, bytes(&read).len()), (0, 30 << 20));
    println!("30 MiB in {took:?}");
}

#[test]
fn nothing_wakes_up_while_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mood) = host(dir.path());
    let log = host.begin(1, 0);
    for _ in 0..100 {
        log.append(Stream::Stdout, b"line\n");
        std::thread::sleep(Duration::from_millis(1));
    }
    wait_until("it is written", || host.size() > 500);
    std::thread::sleep(Duration::from_millis(300));
    let writes = mood.writes.load(Ordering::Relaxed);
    // The segment's head, and what a fifth of a second gathers.
    assert!(writes <= 4, "{writes} writes");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(mood.writes.load(Ordering::Relaxed), writes);
    assert_eq!(mood.syncs.load(Ordering::Relaxed), 0);
    drop(host);
    assert_eq!(mood.syncs.load(Ordering::Relaxed), 1);
}

#[test]
fn a_segment_that_cannot_be_read_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (host, mood) = host(dir.path());
    let pods: Vec<_> = (0..40).map(|n| host.pod(n, &pattern(0, 100_000))).collect();
    host.settle();
    mood.unreadable.store(true, Ordering::Relaxed);
    // All but one in each segment are gone, so that they are to be compacted.
    for pod in pods.iter().enumerate().filter(|(n, _)| n % 8 != 0) {
        host.forget(*pod.1);
    }
    std::thread::sleep(Duration::from_millis(400));
    let reads = mood.reads.load(Ordering::Relaxed);
    let next = host.pod(100, b"goes on");
    host.settle();
    std::thread::sleep(Duration::from_millis(400));
    // Each was tried once.
    assert_eq!(mood.reads.load(Ordering::Relaxed), reads);
    let spool = &host.logs.on_disk.as_ref().unwrap().spool;
    assert!(!spool.broken.load(Ordering::Relaxed));
    assert_eq!(host.output(next), b"goes on");
    assert_eq!(host.output(pods[0]), pattern(0, 100_000));
}

#[test]
fn pods_that_run_may_go_over_the_limit_without_a_search_for_each_write() {
    let dir = tempfile::tempdir().unwrap();
    let limits = LogLimits {
        disk_bytes_max: 2 << 20,
        ..LARGE
    };
    let (host, mood) = host_with(dir.path(), limits);
    let log = host.begin(1, 0);
    let room = || host.logs.on_disk.as_ref().unwrap().spool.room.used();
    for n in 0..100 {
        log.append(Stream::Stdout, &pattern(n * 40_000, 40_000));
        let spool = &host.logs.on_disk.as_ref().unwrap().spool;
        spool.queue.hurry(now());
        wait_until("it is written", || room() == 0);
    }
    // Ten looks between 2 and 4 MiB, at up to five segments each.
    let reads = mood.reads.load(Ordering::Relaxed);
    assert!((1..60).contains(&reads), "{reads} reads");
    assert_eq!(check(&log, 4_000_000), 0);
}

/// A file system of a megabyte, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` where this user may not mount anything.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_real_disk_that_is_full_recovers_when_there_is_room() {
    let Some(small) = Small::mount() else {
        println!("skipped: this user may not mount a tmpfs");
        return;
    };
    let dir = small.0.path();
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 512 << 10]).unwrap();
    let host = Host::new(dir, LARGE, 8 << 20);
    let log = host.begin(1, 0);
    let mut written = 0;
    for _ in 0..40 {
        log.append(Stream::Stdout, &pattern(written, 100_000));
        written += 100_000;
    }
    let lost = check(&log, written);
    assert!(lost > 1_000_000, "{lost}");
    std::fs::remove_file(&ballast).unwrap();
    // There is not room for all that is held, but the host goes on.
    log.append(Stream::Stdout, &pattern(written, 10));
    written += 10;
    check(&log, written);
    host.forget(log.pod);
    let next = host.pod(2, b"there is room again");
    host.settle();
    assert_eq!(host.output(next), b"there is room again");
    let host = host.again();
    assert_eq!(host.output(next), b"there is room again");
}
