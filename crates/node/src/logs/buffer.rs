//! The log of one run of one container, as readers see it wherever it is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use wasmjob_api::Uid;
use wasmjob_sandbox::{Output, Stream};

use super::memory::MemoryLog;
use super::record::Chunk;
use super::spool::DiskLog;
use super::{Shared, lock};

/// A stretch of a log: bytes that were written to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Bytes of the log that are lost right before these: rotated away, dropped
    /// because they could not be kept, or damaged on the disk.
    pub lost: u64,
    /// Which stream.
    pub stream: Stream,
    /// When the first of the bytes were written (wall time).
    pub time: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a reader finds from its place on.
#[derive(Clone, Debug, Default)]
pub struct LogRead {
    /// Bytes from the place on that are lost: those before each chunk, and those
    /// after the last one.
    pub lost: u64,
    /// What is kept.
    pub chunks: Vec<LogChunk>,
    /// The next place.
    pub next: u64,
    /// Nothing more will come.
    pub ended: bool,
}

impl LogRead {
    /// Bytes that are lost after the last chunk.
    #[must_use]
    pub fn lost_at_end(&self) -> u64 {
        self.lost - self.chunks.iter().map(|chunk| chunk.lost).sum::<u64>()
    }
}

/// What is shown in place of `lost` bytes of output.
#[must_use]
pub fn lost_notice(lost: u64) -> String {
    format!("[wasmjob: {lost} bytes of output were not kept]")
}

/// A reader on its way through a log.
pub(super) struct Reading {
    read: LogRead,
    room: usize,
}

impl Reading {
    /// Begins at `place`, for at most `bytes_max` bytes.
    pub(super) fn new(place: u64, bytes_max: usize) -> Self {
        Self {
            read: LogRead {
                next: place,
                ..LogRead::default()
            },
            room: bytes_max,
        }
    }

    /// Where it is.
    pub(super) fn place(&self) -> u64 {
        self.read.next
    }

    /// Whether it takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.room == 0
    }

    /// Takes what was found at `start`; `false` when it takes no more.
    pub(super) fn push(&mut self, start: u64, chunk: &Chunk<'_>) -> bool {
        let place = self.read.next;
        let skip = usize::try_from(place.saturating_sub(start)).unwrap_or(usize::MAX);
        let Some(bytes) = chunk.bytes.get(skip..).filter(|bytes| !bytes.is_empty()) else {
            return true;
        };
        if self.room == 0 {
            return false;
        }
        let bytes = &bytes[..bytes.len().min(self.room)];
        let start = start.max(place);
        let lost = start - place;
        self.room -= bytes.len();
        self.read.lost += lost;
        self.read.next = start + bytes.len() as u64;
        match self.read.chunks.last_mut() {
            // It was cut where it was kept, not where it was written.
            Some(last) if lost == 0 && (last.stream, last.time) == (chunk.stream, chunk.time) => {
                last.bytes.extend_from_slice(bytes);
            }
            _ => self.read.chunks.push(LogChunk {
                lost,
                stream: chunk.stream,
                time: chunk.time,
                bytes: bytes.to_vec(),
            }),
        }
        self.room > 0
    }

    /// All was offered to it that is kept of a log with that end.
    pub(super) fn finish(mut self, end: u64, ended: bool) -> LogRead {
        if self.room > 0 {
            self.read.lost += end.saturating_sub(self.read.next);
            self.read.next = self.read.next.max(end);
        }
        self.read.ended = ended && self.read.next >= end;
        self.read
    }
}

/// Where a log is kept.
pub(super) enum Kept {
    Memory(MemoryLog),
    Disk(Arc<DiskLog>),
}

/// The log of one run of one container.
pub struct LogBuffer {
    /// The pod.
    pub pod: Uid,
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's name.
    pub pod_name: Arc<str>,
    /// The Job that controls the pod, if one does.
    pub job: Option<Uid>,
    /// The container's name.
    pub container: Arc<str>,
    /// It is the pod's only container.
    pub only_container: bool,
    /// How often the container had been restarted before this run.
    pub restarts: u32,
    pub(super) kept: Kept,
    pub(super) shared: Arc<Shared>,
}

impl LogBuffer {
    /// Reads everything from `place` on; 0 is the beginning. A log on the disk is
    /// read from there, which may block as long as the disk does; no lock is
    /// held meanwhile.
    #[must_use]
    pub fn read(&self, place: u64) -> LogRead {
        self.read_at_most(place, usize::MAX)
    }

    /// Reads at most `bytes_max` bytes from `place` on; [`LogRead::next`] is where
    /// to go on. See [`LogBuffer::read`].
    #[must_use]
    pub fn read_at_most(&self, place: u64, bytes_max: usize) -> LogRead {
        match &self.kept {
            Kept::Memory(log) => log.read(place, bytes_max),
            Kept::Disk(log) => log.read(place, bytes_max),
        }
    }

    /// The last lines, at most `lines` of them and `bytes` bytes, as text. Bytes
    /// that are lost among them are a line that says so.
    #[must_use]
    pub fn tail(&self, lines: usize, bytes: usize) -> String {
        let from = self.end_offset().saturating_sub(bytes as u64);
        let read = self.read_at_most(from, bytes);
        let mut tail = Vec::new();
        for (n, chunk) in read.chunks.iter().enumerate() {
            // What was rotated away before them is not among the last lines.
            if n > 0 {
                add_notice(&mut tail, chunk.lost);
            }
            tail.extend_from_slice(&chunk.bytes);
        }
        add_notice(&mut tail, read.lost_at_end());
        let text = String::from_utf8_lossy(&tail);
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// The place after all that was written so far.
    #[must_use]
    pub fn end_offset(&self) -> u64 {
        match &self.kept {
            Kept::Memory(log) => log.end_offset(),
            Kept::Disk(log) => log.end_offset(),
        }
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        match &self.kept {
            Kept::Memory(log) => log.kept_bytes(),
            Kept::Disk(log) => log.kept_bytes(),
        }
    }

    /// Nothing more will come.
    pub(crate) fn end(self: &Arc<Self>) {
        match &self.kept {
            Kept::Memory(log) => log.end(),
            Kept::Disk(log) => log.end(),
        }
        self.announce();
    }

    /// Adds what was written. Returns at once; see [`DiskLog::append`] for the
    /// one wait that there may be.
    pub(super) fn append(&self, stream: Stream, bytes: &[u8]) {
        let now = self.shared.clock.wall();
        match &self.kept {
            Kept::Memory(log) => log.append(&self.shared, stream, now, bytes),
            Kept::Disk(log) => log.append(stream, now, bytes),
        }
    }

    fn announce(self: &Arc<Self>) {
        if self.shared.followers.load(Ordering::Acquire) == 0 {
            return;
        }
        for queue in lock(&self.shared.feeds).iter() {
            if queue.job.is_none() || queue.job == self.job {
                queue.push(self);
            }
        }
    }
}

fn add_notice(text: &mut Vec<u8>, lost: u64) {
    if lost == 0 {
        return;
    }
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text.extend_from_slice(lost_notice(lost).as_bytes());
    text.push(b'\n');
}

/// What a guest writes to: its log.
pub(crate) struct LogOutput(pub(crate) Arc<LogBuffer>);

impl Output for LogOutput {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.append(stream, bytes);
        self.0.announce();
    }
}
