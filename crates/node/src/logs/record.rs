//! How a stretch of one run's log stands in a segment.
//!
//! ```text
//! mark 8 · header crc32 4 · payload crc32 4 · bytes 4 · chunks 2 · slot 2 · pod 16
//! · restarts 4 · start 8 │ chunks × (length and stream 4 · time 8) │ bytes
//! ```
//!
//! All numbers are little-endian. Every record says whose it is and where in the
//! run's log it begins, so it is understood without any other; bytes that are
//! missing show as a gap between two records.
//!
//! The *mark* is a secret of the directory. Guests decide what a payload holds,
//! and where a record is damaged the next one is found by its mark: without the
//! secret, a guest could write what then passes for another pod's record.

use jiff::Timestamp;
use wasmjob_api::Uid;
use wasmjob_sandbox::Stream;

use super::index::RunId;

/// Bytes of a record before its chunks.
pub(super) const HEADER_BYTES: usize = 52;
/// Bytes that the header's checksum does not cover: the mark and itself.
const UNCHECKED_BYTES: usize = 12;
/// Bytes that a chunk costs beside what was written.
const CHUNK_BYTES: usize = 12;
/// Chunks of one record: with those, its table stays smaller than a read.
pub(super) const CHUNKS_MAX: usize = 4096;
const STDERR: u32 = 1 << 31;

/// Bytes that were written to one stream at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    pub(super) stream: Stream,
    pub(super) time: Timestamp,
    pub(super) bytes: &'a [u8],
}

/// Whose a record is, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) run: RunId,
    /// Offset of its first byte in the run's log.
    pub(super) start: u64,
}

/// Appends a record to `out`; its length. Its chunks are at most [`CHUNKS_MAX`]
/// and hold less than 2 GiB together.
pub(super) fn encode<'a>(
    mark: u64,
    head: &Head,
    chunks: impl Iterator<Item = Chunk<'a>> + Clone,
    out: &mut Vec<u8>,
) -> usize {
    let begin = out.len();
    let bytes: usize = chunks.clone().map(|chunk| chunk.bytes.len()).sum();
    let count = chunks.clone().count();
    out.extend_from_slice(&mark.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
    out.extend_from_slice(&(count as u16).to_le_bytes());
    out.extend_from_slice(&head.run.slot.to_le_bytes());
    out.extend_from_slice(&head.run.pod.bits().to_le_bytes());
    out.extend_from_slice(&head.run.restarts.to_le_bytes());
    out.extend_from_slice(&head.start.to_le_bytes());
    let payload = out.len();
    for chunk in chunks.clone() {
        let stream = if chunk.stream == Stream::Stderr {
            STDERR
        } else {
            0
        };
        out.extend_from_slice(&(chunk.bytes.len() as u32 | stream).to_le_bytes());
        // Nanoseconds fit until the year 2262.
        let time = i64::try_from(chunk.time.as_nanosecond()).unwrap_or(i64::MAX);
        out.extend_from_slice(&time.to_le_bytes());
    }
    for chunk in chunks {
        out.extend_from_slice(chunk.bytes);
    }
    let payload_crc = crc32fast::hash(&out[payload..]);
    out[begin + 12..begin + 16].copy_from_slice(&payload_crc.to_le_bytes());
    let header_crc = crc32fast::hash(&out[begin + UNCHECKED_BYTES..payload]);
    out[begin + 8..begin + 12].copy_from_slice(&header_crc.to_le_bytes());
    out.len() - begin
}

/// A record whose header is intact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) head: Head,
    /// Bytes of the log in it.
    pub(super) bytes: u32,
    /// Where it begins in what was scanned.
    pub(super) pos: usize,
    /// Its length.
    pub(super) len: usize,
    chunks: usize,
    payload_crc: u32,
    /// All of it that is there.
    raw: &'a [u8],
}

impl<'a> Record<'a> {
    fn parse(mark: u64, raw: &'a [u8], pos: usize) -> Option<Self> {
        let header = raw.first_chunk::<HEADER_BYTES>()?;
        let u32_at = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        };
        if raw.first_chunk() != Some(&mark.to_le_bytes()) {
            return None;
        }
        if crc32fast::hash(&header[UNCHECKED_BYTES..]) != u32_at(8) {
            return None;
        }
        let bytes = u32_at(16);
        let chunks = usize::from(u16::from_le_bytes([header[20], header[21]]));
        let len = HEADER_BYTES + chunks * CHUNK_BYTES + bytes as usize;
        let pod = u128::from_le_bytes(raw[24..40].try_into().ok()?);
        Some(Self {
            head: Head {
                run: RunId {
                    pod: Uid::from_random(pod),
                    slot: u16::from_le_bytes([header[22], header[23]]),
                    restarts: u32_at(40),
                },
                start: u64::from_le_bytes(raw[44..52].try_into().ok()?),
            },
            bytes,
            pos,
            len,
            chunks,
            payload_crc: u32_at(12),
            raw: &raw[..raw.len().min(len)],
        })
    }

    /// Whether all of it is there, as far as its length says.
    pub(super) fn is_whole(&self) -> bool {
        self.raw.len() == self.len
    }

    /// The record itself, if it is intact.
    pub(super) fn intact(&self) -> Option<&'a [u8]> {
        (self.is_whole() && crc32fast::hash(&self.raw[HEADER_BYTES..]) == self.payload_crc)
            .then_some(self.raw)
    }

    /// What was written; `None` if it is damaged.
    pub(super) fn chunks(&self) -> Option<Vec<Chunk<'a>>> {
        let raw = self.intact()?;
        let (table, mut rest) = raw
            .get(HEADER_BYTES..)?
            .split_at_checked(self.chunks * CHUNK_BYTES)?;
        let mut chunks = Vec::with_capacity(self.chunks);
        for entry in table.chunks_exact(CHUNK_BYTES) {
            let (len, time) = entry.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len);
            let time = i64::from_le_bytes(time.try_into().ok()?);
            let (bytes, after) = rest.split_at_checked((len & !STDERR) as usize)?;
            rest = after;
            chunks.push(Chunk {
                stream: if len & STDERR == 0 {
                    Stream::Stdout
                } else {
                    Stream::Stderr
                },
                time: Timestamp::from_nanosecond(i128::from(time)).unwrap_or_default(),
                bytes,
            });
        }
        Some(chunks)
    }
}

/// The records in a stretch of a segment. What is damaged is passed over: the
/// next record is found by its mark.
pub(super) struct Scan<'a> {
    mark: u64,
    bytes: &'a [u8],
    pos: usize,
    /// Everything up to `pos` was records, nothing between them.
    clean: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(mark: u64, bytes: &'a [u8], pos: usize) -> Self {
        Self {
            mark,
            bytes,
            pos,
            clean: true,
        }
    }

    /// Asked at the end: whether there were whole records and nothing else.
    pub(super) fn was_clean(&self) -> bool {
        self.clean && self.pos == self.bytes.len()
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mark = self.mark.to_le_bytes();
        loop {
            let rest = self.bytes.get(self.pos..)?;
            if rest.is_empty() {
                return None;
            }
            if let Some(record) = Record::parse(self.mark, rest, self.pos) {
                self.clean &= record.is_whole();
                self.pos = self.bytes.len().min(self.pos + record.len);
                return Some(record);
            }
            self.clean = false;
            let next = rest[1..].windows(mark.len()).position(|at| at == mark);
            self.pos = next.map_or(self.bytes.len(), |next| self.pos + 1 + next);
        }
    }
}

/// What a segment begins with: twice the same, so that no one damage hides the mark.
pub(super) const SEGMENT_HEAD_BYTES: usize = 2 * COPY_BYTES;
const COPY_BYTES: usize = 24;
const MAGIC: &[u8; 8] = b"wasmjobL";
/// The format that is written.
pub(super) const FORMAT: u32 = 1;

/// The beginning of a segment.
pub(super) fn segment_head(mark: u64) -> [u8; SEGMENT_HEAD_BYTES] {
    let mut head = [0; SEGMENT_HEAD_BYTES];
    for copy in head.chunks_exact_mut(COPY_BYTES) {
        copy[..8].copy_from_slice(MAGIC);
        copy[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        copy[12..20].copy_from_slice(&mark.to_le_bytes());
        let crc = crc32fast::hash(&copy[..20]);
        copy[20..].copy_from_slice(&crc.to_le_bytes());
    }
    head
}

/// The format and the mark that a segment says it has, if it can be told.
pub(super) fn read_segment_head(bytes: &[u8]) -> Option<(u32, u64)> {
    let copies = bytes.get(..SEGMENT_HEAD_BYTES)?.chunks_exact(COPY_BYTES);
    copies.into_iter().find_map(|copy| {
        let crc = u32::from_le_bytes(copy[20..].try_into().ok()?);
        if &copy[..8] != MAGIC || crc32fast::hash(&copy[..20]) != crc {
            return None;
        }
        let format = u32::from_le_bytes(copy[8..12].try_into().ok()?);
        Some((format, u64::from_le_bytes(copy[12..20].try_into().ok()?)))
    })
}
