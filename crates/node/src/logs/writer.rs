//! The one thread that writes logs to the disk.
//!
//! It sleeps until a guest has written something, lets a moment pass so that
//! many small writes become one, appends a record for each run to the segment
//! that is being written, and syncs segments at a gentle pace. On a disk that is
//! full it keeps trying; meanwhile guests' tails fill up, and what they cannot
//! hold is dropped and counted.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::index::{Piece, RunId};
use super::queue::Work;
use super::record::{SEGMENT_HEAD_BYTES, segment_head};
use super::spool::{DiskLog, Spool};
use super::{Registry, lock};

/// Bytes that are written at once.
pub(super) const WRITE_BYTES: usize = 1 << 20;
/// How long what was written may wait to be synced: a power cut loses no more.
const SYNC_WAIT: Duration = Duration::from_secs(5);
/// How long to wait before a write is tried again that failed.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Holds the thread. Dropping it writes and syncs everything, and ends it.
pub(crate) struct LogWriter {
    spool: Arc<Spool>,
    thread: Option<JoinHandle<()>>,
}

impl LogWriter {
    /// Starts the thread. It goes on in the segment `active`, if one is given
    /// with its length, and the next new one is `next`.
    pub(super) fn start(
        spool: Arc<Spool>,
        registry: Arc<Mutex<Registry>>,
        active: Option<(u32, u64)>,
        next: u32,
    ) -> io::Result<Self> {
        let writer = Writer {
            spool: Arc::clone(&spool),
            registry,
            active,
            next,
            out: Vec::new(),
            placed: Vec::new(),
            unsynced: BTreeSet::new(),
            sync_at: None,
            retry_at: None,
            unreadable: BTreeSet::new(),
            evict_from: 0,
        };
        let thread = std::thread::Builder::new()
            .name("wasmjob-logs".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            spool,
            thread: Some(thread),
        })
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.spool.queue.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes logs panicked");
        }
        self.spool.broken.store(true, Ordering::Release);
    }
}

/// A record in `out`, of which run.
struct Placed {
    log: Arc<DiskLog>,
    start: u64,
    bytes: u32,
    len: u32,
    /// Where in `out`.
    at: usize,
    next: u64,
}

pub(super) struct Writer {
    pub(super) spool: Arc<Spool>,
    pub(super) registry: Arc<Mutex<Registry>>,
    /// The segment that is being written, and its length.
    pub(super) active: Option<(u32, u64)>,
    next: u32,
    /// Records that are about to be written.
    out: Vec<u8>,
    placed: Vec<Placed>,
    pub(super) unsynced: BTreeSet<u32>,
    sync_at: Option<Instant>,
    /// Writing has failed, and is tried again then.
    retry_at: Option<Instant>,
    /// Segments that cannot be compacted.
    pub(super) unreadable: BTreeSet<u32>,
    /// Live bytes from which on it is worth looking for logs that can go.
    pub(super) evict_from: u64,
}

impl Writer {
    fn run(mut self) {
        loop {
            let spool = Arc::clone(&self.spool);
            let work = spool.queue.wait(&*spool.clock, self.sync_at, self.retry_at);
            if self.handle(work) {
                return;
            }
        }
    }

    /// Does what there is to do; `true` ends the thread.
    pub(super) fn handle(&mut self, work: Work) -> bool {
        if !work.logs.is_empty() {
            let written = self.write(&work.logs);
            self.note(written);
        }
        if !work.stop {
            self.tidy();
        }
        let now = self.spool.clock.monotonic();
        if work.stop || self.sync_at.is_some_and(|at| at <= now) {
            self.sync();
        }
        work.stop
    }

    /// Whether writing has failed, and it is too early to try again.
    pub(super) fn is_waiting(&self) -> bool {
        let now = self.spool.clock.monotonic();
        self.retry_at.is_some_and(|at| now < at)
    }

    /// Says once that writing fails, and once that it works again.
    pub(super) fn note(&mut self, done: io::Result<()>) {
        let failed = self.retry_at.is_some();
        match done {
            Ok(()) if failed => {
                tracing::info!("logs can be written again");
                self.retry_at = None;
            }
            Ok(()) => {}
            Err(error) => {
                if !failed {
                    tracing::warn!(%error, "failed to write logs; what cannot be kept is dropped");
                }
                self.retry_at = Some(self.spool.clock.monotonic() + RETRY_WAIT);
            }
        }
        let is_broken = self.retry_at.is_some();
        self.spool.broken.store(is_broken, Ordering::Release);
    }

    /// Writes what the runs have, as it is now; what they write meanwhile comes
    /// with the next turn, so that one that floods holds nobody up.
    fn write(&mut self, logs: &[Arc<DiskLog>]) -> io::Result<()> {
        let written = self.write_all(logs);
        if written.is_err() {
            self.out.clear();
            self.placed.clear();
            logs.iter().for_each(|log| log.requeue());
        }
        written
    }

    fn write_all(&mut self, logs: &[Arc<DiskLog>]) -> io::Result<()> {
        let places: Vec<_> = logs.iter().map(|log| log.dequeued()).collect();
        for (log, (mut from, end)) in logs.iter().zip(places) {
            while from < end {
                let at = self.out.len();
                let Some(filled) = log.fill(from, &mut self.out) else {
                    break;
                };
                from = filled.next;
                self.placed.push(Placed {
                    log: Arc::clone(log),
                    start: filled.start,
                    bytes: filled.bytes,
                    len: filled.len,
                    at,
                    next: filled.next,
                });
                if self.out.len() >= WRITE_BYTES {
                    self.write_out()?;
                }
            }
        }
        self.write_out()?;
        let mut registry = lock(&self.registry);
        for log in logs {
            registry.settle(log.id.pod);
        }
        Ok(())
    }

    /// Writes the records that were made.
    fn write_out(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let appended = self.append(&out);
        self.out = out;
        let (segment, pos) = appended?;
        self.out.clear();
        let placed = std::mem::take(&mut self.placed);
        let mut index = lock(&self.spool.index);
        for record in &placed {
            let piece = Piece {
                start: record.start,
                bytes: record.bytes,
                segment,
                // Segments are far shorter than 4 GiB.
                pos: pos as u32 + record.at as u32,
                len: record.len,
            };
            if record.log.is_gone() {
                index.died = true;
            } else {
                index.add(&record.log.id, &piece);
            }
        }
        drop(index);
        placed
            .iter()
            .for_each(|record| record.log.written(record.next));
        Ok(())
    }

    /// Appends to the segment that is being written, or to a new one; where.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<(u32, u64)> {
        let len = bytes.len() as u64;
        let fits = |(_, size): &(u32, u64)| {
            *size <= SEGMENT_HEAD_BYTES as u64 || size + len <= self.spool.segment_bytes_max
        };
        let (segment, pos) = match self.active.filter(fits) {
            Some(active) => active,
            None => self.new_segment()?,
        };
        if let Err(error) = self.spool.disk.write(segment, pos, bytes) {
            // Part of it may be there. If it stays, recovery passes it over.
            let _ = self.spool.disk.cut(segment, pos);
            return Err(error);
        }
        self.active = Some((segment, pos + len));
        self.grew(segment, pos + len);
        Ok((segment, pos))
    }

    fn new_segment(&mut self) -> io::Result<(u32, u64)> {
        let segment = self.next;
        let head = segment_head(self.spool.mark);
        if let Err(error) = self.spool.disk.write(segment, 0, &head) {
            let _ = self.spool.disk.remove(segment);
            return Err(error);
        }
        self.next += 1;
        let active = (segment, head.len() as u64);
        self.active = Some(active);
        self.grew(active.0, active.1);
        Ok(active)
    }

    fn grew(&mut self, segment: u32, size: u64) {
        let mut index = lock(&self.spool.index);
        index.segments.entry(segment).or_default().size = size;
        drop(index);
        self.unsynced.insert(segment);
        if self.sync_at.is_none() {
            self.sync_at = self.spool.clock.monotonic().checked_add(SYNC_WAIT);
        }
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) {
        self.sync_at = None;
        for segment in std::mem::take(&mut self.unsynced) {
            match self.spool.disk.sync(segment) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It is not tried again: the kernel may have dropped the pages.
                    tracing::warn!(segment, %error, "failed to sync logs; a power cut may lose some");
                }
                _ => {}
            }
        }
    }

    /// The run that a record is of, and where it stands.
    pub(super) fn piece(segment: u32, record: &super::record::Record<'_>) -> (RunId, Piece) {
        let piece = Piece {
            start: record.head.start,
            bytes: record.bytes,
            segment,
            pos: record.pos as u32,
            len: record.len as u32,
        };
        (record.head.run, piece)
    }
}
