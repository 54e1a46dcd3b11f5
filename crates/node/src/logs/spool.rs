//! What guests, readers and the writer's thread share.
//!
//! A guest's write goes into its run's *tail* in memory, and the run into the
//! queue. The writer copies tails into segments, notes in the index where, and
//! only then lets the tail go. So a reader who looks at the tail first and at the
//! index second misses nothing, and reads the disk without holding a lock.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use wasmjob_sandbox::Stream;

use super::buffer::{LogRead, Reading};
use super::disk::Disk;
use super::held::{Held, MARK_BYTES};
use super::index::{Extent, Index, RunId};
use super::queue::Queue;
use super::record::{self, CHUNKS_MAX, Chunk, Scan};
use super::room::Room;
use super::{LogLimits, lock};
use crate::Clock;

/// Memory for all tails together.
pub(super) const TAILS_BYTES_MAX: usize = 8 << 20;
/// Memory for one tail; a guest that floods leaves most of it to the others.
const TAIL_BYTES_MAX: usize = 1 << 20;
/// Bytes of the log in one record: what is read to get at any one of them.
const RECORD_BYTES_MAX: usize = 256 << 10;

/// How long what was written may wait for the writer: a kill of the process
/// loses no more than that.
pub(super) const WRITE_WAIT: Duration = Duration::from_millis(200);
/// The same for a run that has ended: not at all, but that many runs which end
/// together are one write.
const END_WAIT: Duration = Duration::from_millis(2);

/// The logs of a host in a directory.
pub(super) struct Spool {
    pub(super) disk: Box<dyn Disk>,
    pub(super) index: Mutex<Index>,
    pub(super) queue: Queue,
    pub(super) room: Room,
    pub(super) clock: Arc<dyn Clock>,
    /// The secret with which records begin.
    pub(super) mark: u64,
    /// Writing failed the last time, or nobody writes any more: waiting is in vain.
    pub(super) broken: AtomicBool,
    pub(super) segment_bytes_max: u64,
    pub(super) disk_bytes_max: u64,
    tail_bytes_max: usize,
    record_bytes_max: usize,
}

impl Spool {
    pub(super) fn new(
        disk: Box<dyn Disk>,
        index: Index,
        mark: u64,
        limits: &LogLimits,
        segment_bytes_max: u64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            disk,
            index: Mutex::new(index),
            queue: Queue::default(),
            room: Room::new(TAILS_BYTES_MAX),
            clock,
            mark,
            broken: AtomicBool::new(false),
            segment_bytes_max,
            disk_bytes_max: limits.disk_bytes_max,
            tail_bytes_max: TAIL_BYTES_MAX.min(limits.run_bytes_max / 2).max(1 << 10),
            record_bytes_max: record_bytes_max(limits.run_bytes_max),
        }
    }

    /// Lets the writer look soon whether something can be tidied up.
    pub(super) fn tidy_soon(&self) {
        self.queue.hurry(self.clock.monotonic() + WRITE_WAIT);
    }

    /// Reads from the disk what is kept of a run before `to`.
    fn read_into(&self, id: &RunId, to: u64, reading: &mut Reading) {
        // The writer may remove a segment whose records it has copied elsewhere
        // between our look at the index and at the disk; then we look again. It
        // does so rarely, so that a few times are enough.
        for _ in 0..10 {
            let extents = lock(&self.index).extents(id, reading.place(), to);
            match self.read_extents(id, &extents, to, reading) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    // To the reader it is lost, as what was damaged.
                    tracing::warn!(pod = %id.pod, %error, "failed to read a log");
                    return;
                }
                Ok(()) => return,
            }
        }
    }

    fn read_extents(
        &self,
        id: &RunId,
        extents: &[Extent],
        to: u64,
        reading: &mut Reading,
    ) -> io::Result<()> {
        for extent in extents {
            let bytes =
                self.disk
                    .read(extent.segment, u64::from(extent.pos), extent.len as usize)?;
            let is_ours = |start| (extent.start..extent.end()).contains(&start);
            for record in Scan::new(self.mark, &bytes, 0) {
                if record.head.run != *id || !is_ours(record.head.start) {
                    continue;
                }
                // One that is damaged is passed over, and missed by what follows.
                let mut start = record.head.start;
                for chunk in record.chunks().unwrap_or_default() {
                    let room = usize::try_from(to.saturating_sub(start)).unwrap_or(usize::MAX);
                    let piece = Chunk {
                        bytes: &chunk.bytes[..chunk.bytes.len().min(room)],
                        ..chunk
                    };
                    reading.push(start, &piece);
                    start += chunk.bytes.len() as u64;
                }
                if reading.is_full() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A fraction of the run's limit, which goes by whole extents.
pub(super) fn record_bytes_max(run_bytes_max: usize) -> usize {
    (run_bytes_max / 10).clamp(1 << 10, RECORD_BYTES_MAX)
}

/// The log of one run.
pub(super) struct DiskLog {
    pub(super) id: RunId,
    tail: Mutex<Tail>,
    /// The pod is gone: nothing of it is to be kept.
    gone: AtomicBool,
    spool: Arc<Spool>,
}

#[derive(Default)]
struct Tail {
    held: Held,
    /// Offset up to which there are records.
    written: u64,
    ended: bool,
    /// It is in the writer's queue.
    queued: bool,
}

/// A record that was made of a tail.
pub(super) struct Filled {
    pub(super) start: u64,
    pub(super) bytes: u32,
    pub(super) len: u32,
    /// Where the next one begins, if there is more.
    pub(super) next: u64,
}

impl DiskLog {
    /// The log of a run that begins.
    pub(super) fn begin(id: RunId, spool: &Arc<Spool>) -> Self {
        Self {
            id,
            tail: Mutex::default(),
            gone: AtomicBool::new(false),
            spool: Arc::clone(spool),
        }
    }

    /// The log of a run that has ended, of which everything is on the disk.
    pub(super) fn ended(id: RunId, end: u64, spool: &Arc<Spool>) -> Self {
        let log = Self::begin(id, spool);
        let mut held = Held::default();
        held.skip(usize::try_from(end).unwrap_or(usize::MAX));
        *lock(&log.tail) = Tail {
            held,
            written: end,
            ended: true,
            queued: false,
        };
        log
    }

    pub(super) fn read(&self, place: u64, bytes_max: usize) -> LogRead {
        let tail = lock(&self.tail);
        let (start, end, ended) = (tail.held.start(), tail.held.end(), tail.ended);
        let mut held: Vec<(u64, Stream, Timestamp, Vec<u8>)> = Vec::new();
        let mut room = bytes_max;
        for (at, chunk) in tail.held.chunks(place) {
            let bytes = chunk.bytes[..chunk.bytes.len().min(room)].to_vec();
            room -= bytes.len();
            held.push((at, chunk.stream, chunk.time, bytes));
            if room == 0 {
                break;
            }
        }
        drop(tail);
        let mut reading = Reading::new(place.min(end), bytes_max);
        if reading.place() < start {
            self.spool.read_into(&self.id, start, &mut reading);
        }
        for (at, stream, time, bytes) in &held {
            let chunk = Chunk {
                stream: *stream,
                time: *time,
                bytes,
            };
            if !reading.push(*at, &chunk) {
                break;
            }
        }
        reading.finish(end, ended)
    }

    pub(super) fn end_offset(&self) -> u64 {
        lock(&self.tail).held.end()
    }

    pub(super) fn kept_bytes(&self) -> usize {
        let tail = lock(&self.tail);
        let (held, start) = (tail.held.len(), tail.held.start());
        drop(tail);
        let extents = lock(&self.spool.index).extents(&self.id, 0, start);
        let written: u64 = extents.iter().map(|e| e.end().min(start) - e.start).sum();
        held + usize::try_from(written).unwrap_or(usize::MAX)
    }

    /// Adds what was written.
    ///
    /// It never waits for the disk. Only when the memory for tails is full does
    /// it wait a moment for the writer to make room, so that a burst which the
    /// disk can take is kept whole; what finds no room then is dropped, and the
    /// log says how many bytes that were.
    pub(super) fn append(self: &Arc<Self>, stream: Stream, time: Timestamp, bytes: &[u8]) {
        if self.is_gone() {
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let fit = self.append_some(stream, time, rest);
            rest = &rest[fit..];
            if !rest.is_empty() && !self.wait_for_room() {
                lock(&self.tail).held.skip(rest.len());
                return self.queue_for_write(WRITE_WAIT);
            }
        }
    }

    /// Adds what there is room for; how much that was.
    fn append_some(self: &Arc<Self>, stream: Stream, time: Timestamp, bytes: &[u8]) -> usize {
        let mut tail = lock(&self.tail);
        let before = tail.held.weight();
        let free = self.spool.tail_bytes_max.saturating_sub(before);
        let wanted = (bytes.len() + MARK_BYTES).min(free);
        let got = self.spool.room.take(wanted);
        let fit = got.saturating_sub(MARK_BYTES).min(bytes.len());
        tail.held.push(stream, time, &bytes[..fit]);
        let after = tail.held.weight();
        drop(tail);
        // It may have needed no mark of its own.
        self.give_room(got - (after - before));
        let is_full = fit < bytes.len()
            || after > self.spool.tail_bytes_max / 4
            || self.spool.room.used() > TAILS_BYTES_MAX / 4;
        self.queue_for_write(if is_full { Duration::ZERO } else { WRITE_WAIT });
        fit
    }

    fn give_room(&self, bytes: usize) {
        if bytes > 0 {
            self.spool.room.give(bytes);
        }
    }

    fn wait_for_room(&self) -> bool {
        let has_room = || {
            let free = self
                .spool
                .tail_bytes_max
                .saturating_sub(lock(&self.tail).held.weight());
            // Not for a few bytes: that would be a wake-up for each.
            free > self.spool.tail_bytes_max / 4
                && self.spool.room.used() < TAILS_BYTES_MAX - TAILS_BYTES_MAX / 8
        };
        if self.spool.broken.load(Ordering::Acquire) || self.is_gone() {
            return has_room();
        }
        self.spool.room.wait(&*self.spool.clock, has_room)
    }

    /// Lets the writer look at it within `wait`.
    fn queue_for_write(self: &Arc<Self>, wait: Duration) {
        let is_new = !std::mem::replace(&mut lock(&self.tail).queued, true);
        let due = self.spool.clock.monotonic() + wait;
        if is_new {
            self.spool.queue.push(Arc::clone(self), due);
        } else if wait < WRITE_WAIT {
            self.spool.queue.hurry(due);
        }
    }

    /// Nothing more will come.
    pub(super) fn end(self: &Arc<Self>) {
        let mut tail = lock(&self.tail);
        tail.ended = true;
        let is_written = tail.written == tail.held.end();
        drop(tail);
        if !is_written {
            self.queue_for_write(END_WAIT);
        }
    }

    /// Whether everything is on the disk, and nothing more will come.
    pub(super) fn is_settled(&self) -> bool {
        let tail = lock(&self.tail);
        tail.ended && tail.written == tail.held.end()
    }

    /// The pod is gone: lets go of what waits, and takes nothing more to the disk.
    pub(super) fn forget(&self) {
        self.gone.store(true, Ordering::Release);
        let mut tail = lock(&self.tail);
        let (weight, end) = (tail.held.weight(), tail.held.end());
        tail.held.drop_before(end);
        tail.written = end;
        drop(tail);
        self.give_room(weight);
    }

    /// Asked under the index' lock, so that no record comes after its pod went.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// The writer has taken it out of the queue: from where to where it writes.
    pub(super) fn dequeued(&self) -> (u64, u64) {
        let mut tail = lock(&self.tail);
        tail.queued = false;
        (tail.written, tail.held.end())
    }

    /// Puts it back into the queue if there is something to write.
    pub(super) fn requeue(self: &Arc<Self>) {
        let tail = lock(&self.tail);
        let is_written = tail.written == tail.held.end();
        drop(tail);
        if !is_written {
            self.queue_for_write(WRITE_WAIT);
        }
    }

    /// Makes a record of what was written from `from` on; `None` if that is nothing.
    pub(super) fn fill(&self, from: u64, out: &mut Vec<u8>) -> Option<Filled> {
        let tail = lock(&self.tail);
        let mut chunks = tail.held.chunks(from).peekable();
        let Some((start, _)) = chunks.peek().copied() else {
            // What was dropped last shows only if something says where the end is.
            let end = tail.held.end();
            return (tail.ended && from < end).then(|| self.encode(&[], end, out));
        };
        let (mut end, mut room) = (start, self.spool.record_bytes_max);
        let mut taken: Vec<Chunk<'_>> = Vec::new();
        for (at, chunk) in chunks {
            if at != end || room == 0 || taken.len() == CHUNKS_MAX {
                break;
            }
            let bytes = &chunk.bytes[..chunk.bytes.len().min(room)];
            room -= bytes.len();
            end += bytes.len() as u64;
            taken.push(Chunk { bytes, ..chunk });
        }
        Some(self.encode(&taken, start, out))
    }

    fn encode(&self, chunks: &[Chunk<'_>], start: u64, out: &mut Vec<u8>) -> Filled {
        let head = record::Head {
            run: self.id,
            start,
        };
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let len = record::encode(self.spool.mark, &head, chunks.iter().copied(), out);
        Filled {
            start,
            // Both are far below 4 GiB.
            bytes: bytes as u32,
            len: len as u32,
            next: start + bytes as u64,
        }
    }

    /// There are records up to `offset`.
    pub(super) fn written(&self, offset: u64) {
        let mut tail = lock(&self.tail);
        let before = tail.held.weight();
        tail.held.drop_before(offset);
        tail.written = tail.written.max(offset);
        let freed = before - tail.held.weight();
        drop(tail);
        self.give_room(freed);
    }
}
