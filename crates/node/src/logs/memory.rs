//! A log in memory: the newest bytes of a run, for hosts without a directory.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use wasmjob_sandbox::Stream;

use super::buffer::{LogRead, Reading};
use super::held::Held;
use super::{Shared, lock};

/// The log of one run.
#[derive(Default)]
pub(super) struct MemoryLog(Mutex<State>);

#[derive(Default)]
struct State {
    held: Held,
    ended: bool,
}

impl MemoryLog {
    pub(super) fn read(&self, place: u64, bytes_max: usize) -> LogRead {
        let state = lock(&self.0);
        let mut reading = Reading::new(place.min(state.held.end()), bytes_max);
        for (start, chunk) in state.held.chunks(place) {
            if !reading.push(start, &chunk) {
                break;
            }
        }
        reading.finish(state.held.end(), state.ended)
    }

    pub(super) fn end_offset(&self) -> u64 {
        lock(&self.0).held.end()
    }

    pub(super) fn kept_bytes(&self) -> usize {
        lock(&self.0).held.len()
    }

    pub(super) fn end(&self) {
        lock(&self.0).ended = true;
    }

    pub(super) fn append(&self, shared: &Shared, stream: Stream, time: Timestamp, bytes: &[u8]) {
        let limit = shared.limits.run_bytes_max;
        let mut state = lock(&self.0);
        let held = &mut state.held;
        let before = held.len();
        held.push(stream, time, bytes);
        let over = held.len().saturating_sub(limit);
        if over > 0 {
            // A fifth at a time, as if one of five files were rotated away.
            let cut = over.max(limit / 5).min(held.len());
            held.drop_before(held.start() + cut as u64);
        }
        // Bytes that alternate between the streams cost a mark each.
        if held.marks() > MARKS_MIN + limit / BYTES_PER_MARK {
            let cut = held.len().div_ceil(5);
            held.drop_before(held.start() + cut as u64);
        }
        let after = held.len();
        // More was cut than came, or the other way round.
        shared.total.fetch_add(after, Ordering::Relaxed);
        shared.total.fetch_sub(before, Ordering::Relaxed);
    }
}

/// Marks that any log may have, and bytes for which it may have another.
const MARKS_MIN: usize = 1024;
const BYTES_PER_MARK: usize = 64;
