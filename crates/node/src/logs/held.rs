//! A stretch of a log in memory: bytes, where they came from, and when.

use std::collections::VecDeque;

use jiff::Timestamp;
use wasmjob_sandbox::Stream;

use super::record::Chunk;

/// Bytes that were written to one stream within a millisecond.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Offset of its first byte in the run's log.
    start: u64,
    /// The same, in bytes that were ever held.
    at: u64,
    len: usize,
    stream: Stream,
    time: Timestamp,
}

/// What a mark costs; writes of one byte must not cost more than they count.
pub(super) const MARK_BYTES: usize = size_of::<Mark>();

/// The bytes of a log that are in memory. What lies between two stretches of
/// them is lost.
#[derive(Default)]
pub(super) struct Held {
    bytes: VecDeque<u8>,
    marks: VecDeque<Mark>,
    /// Bytes that are no longer held.
    gone: u64,
    /// Bytes that were written, with those that are lost.
    end: u64,
}

impl Held {
    /// Offset after the last byte that was written.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Offset of the first byte that is held; the end, if none is.
    pub(super) fn start(&self) -> u64 {
        self.marks.front().map_or(self.end, |mark| mark.start)
    }

    /// Bytes that are held.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many marks there are.
    pub(super) fn marks(&self) -> usize {
        self.marks.len()
    }

    /// What it costs, about.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.marks.len() * MARK_BYTES
    }

    /// Adds what was written.
    pub(super) fn push(&mut self, stream: Stream, time: Timestamp, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let (end, at) = (self.end, self.gone + self.bytes.len() as u64);
        match self.marks.back_mut() {
            // One mark for a burst of writes to one stream.
            Some(last)
                if last.stream == stream
                    && last.start + last.len as u64 == end
                    && last.time.as_millisecond() == time.as_millisecond() =>
            {
                last.len += bytes.len();
            }
            _ => self.marks.push_back(Mark {
                start: end,
                at,
                len: bytes.len(),
                stream,
                time,
            }),
        }
        self.bytes.extend(bytes);
        self.end += bytes.len() as u64;
    }

    /// Notes that `lost` bytes were written that are not held.
    pub(super) fn skip(&mut self, lost: usize) {
        self.end += lost as u64;
    }

    /// Lets go of all bytes before `offset`.
    pub(super) fn drop_before(&mut self, offset: u64) {
        let mut cut = 0;
        while let Some(mark) = self.marks.front_mut()
            && mark.start < offset
        {
            let over = usize::try_from(offset - mark.start).unwrap_or(usize::MAX);
            if over < mark.len {
                mark.start += over as u64;
                mark.at += over as u64;
                mark.len -= over;
                cut += over;
                break;
            }
            cut += mark.len;
            self.marks.pop_front();
        }
        self.bytes.drain(..cut);
        self.gone += cut as u64;
        // A log that wrote much once need not hold the memory for ever.
        if self.bytes.is_empty() && self.bytes.capacity() > 16 << 10 {
            self.bytes = VecDeque::new();
        }
        if self.marks.is_empty() && self.marks.capacity() > 256 {
            self.marks = VecDeque::new();
        }
    }

    /// What is held from `from` on, each with its offset; in one or two pieces
    /// for each mark.
    pub(super) fn chunks(&self, from: u64) -> impl Iterator<Item = (u64, Chunk<'_>)> + Clone {
        let ends_before = |mark: &Mark| mark.start + mark.len as u64 <= from;
        let first = self.marks.partition_point(ends_before);
        let (front, back) = self.bytes.as_slices();
        self.marks.range(first..).flat_map(move |mark| {
            let skip = usize::try_from(from.saturating_sub(mark.start)).unwrap_or(usize::MAX);
            // What is held fits a usize.
            let begin = (mark.at - self.gone) as usize;
            let (from, to) = (begin + skip, begin + mark.len);
            let start = mark.start + skip as u64;
            let head = &front[from.min(front.len())..to.min(front.len())];
            let tail =
                &back[from.max(front.len()) - front.len()..to.max(front.len()) - front.len()];
            let chunk = |bytes| Chunk {
                stream: mark.stream,
                time: mark.time,
                bytes,
            };
            let pieces = [
                (start, chunk(head)),
                (start + head.len() as u64, chunk(tail)),
            ];
            pieces
                .into_iter()
                .filter(|(_, chunk)| !chunk.bytes.is_empty())
        })
    }
}
