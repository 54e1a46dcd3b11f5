//! Giving the disk back what is no longer part of a log.
//!
//! A segment in which nothing is live goes at once. When less than half of what
//! is on the disk is live, the segment that has least of it is copied forward
//! and goes; that way the disk holds at most twice what is live and the segment
//! that is being written, and no byte that is freed costs more than one that is
//! copied. When the logs are too much for their limit, those of pods that ended
//! go, those first that stand in the oldest segment.

use std::io;

use super::index::{Index, Piece, RunId};
use super::lock;
use super::record::{SEGMENT_HEAD_BYTES, Scan};
use super::writer::{WRITE_BYTES, Writer};

/// Segments of less than a quarter of the usual size that are left alone: each
/// crash may leave one.
const SMALL_SEGMENTS_MAX: usize = 8;

impl Writer {
    /// Removes what is dead, also on a full disk, and does one step of what there
    /// is to compact.
    pub(super) fn tidy(&mut self) {
        let mut index = lock(&self.spool.index);
        let died = std::mem::take(&mut index.died);
        let is_over = index.live() > self.spool.disk_bytes_max;
        if !died && !is_over {
            return;
        }
        let dead = index.dead_segments(self.active.map(|(active, _)| active));
        drop(index);
        for segment in dead {
            self.remove_dead(segment);
        }
        let more = match self.candidate() {
            Some(_) if self.is_waiting() => true,
            Some(segment) => {
                let compacted = self.compact(segment);
                self.note(compacted);
                true
            }
            None if is_over => self.make_room(),
            None => false,
        };
        if more {
            // One at a time: guests' writes come between.
            lock(&self.spool.index).died = true;
            self.spool.queue.hurry(self.spool.clock.monotonic());
        }
    }

    fn remove_dead(&mut self, segment: u32) {
        let head = SEGMENT_HEAD_BYTES as u64;
        let is_active = self.active.is_some_and(|(active, _)| active == segment);
        if is_active && self.spool.disk.cut(segment, head).is_ok() {
            self.active = Some((segment, head));
            if let Some(usage) = lock(&self.spool.index).segments.get_mut(&segment) {
                usage.size = head;
            }
            return;
        }
        if is_active {
            self.active = None;
        }
        self.remove(segment);
    }

    fn remove(&mut self, segment: u32) {
        match self.spool.disk.remove(segment) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It is found again, and is dead, after the next start.
                tracing::warn!(segment, %error, "failed to remove a segment of logs");
            }
            _ => {}
        }
        self.unsynced.remove(&segment);
        lock(&self.spool.index).segments.remove(&segment);
    }

    /// The segment that should be compacted.
    fn candidate(&self) -> Option<u32> {
        let index = lock(&self.spool.index);
        let is_sealed = |number: u32| self.active.is_none_or(|(active, _)| active != number);
        let sealed = || {
            let segments = index.segments.iter();
            segments.filter(|(number, _)| is_sealed(**number) && !self.unreadable.contains(number))
        };
        let size: u64 = sealed().map(|(_, usage)| usage.size).sum();
        let live: u64 = sealed().map(|(_, usage)| usage.live).sum();
        if size > 2 * live {
            // Compared as fractions: a.live / a.size.
            let emptiest = sealed().min_by(|(_, a), (_, b)| {
                (u128::from(a.live) * u128::from(b.size))
                    .cmp(&(u128::from(b.live) * u128::from(a.size)))
            });
            return emptiest.map(|(number, _)| *number);
        }
        let small_max = self.spool.segment_bytes_max / 4;
        let mut small = sealed().filter(|(_, usage)| usage.size < small_max);
        let oldest = small.next().map(|(number, _)| *number);
        oldest.filter(|_| small.count() >= SMALL_SEGMENTS_MAX)
    }

    /// Copies what is live in a segment to the one that is being written, and
    /// removes it.
    fn compact(&mut self, segment: u32) -> io::Result<()> {
        let bytes = match self.spool.disk.read(segment, 0, u32::MAX as usize) {
            Ok(bytes) => bytes,
            Err(error) => {
                // It may be read in part; and to write is possible all the same.
                tracing::warn!(segment, %error, "failed to read a segment of logs; it is left as it is");
                self.unreadable.insert(segment);
                return Ok(());
            }
        };
        let mut moved: Vec<(RunId, Piece)> = Vec::new();
        let mut batch: Vec<(RunId, Piece, &[u8])> = Vec::new();
        let mut batched = 0;
        for record in Scan::new(self.spool.mark, &bytes, SEGMENT_HEAD_BYTES) {
            let (id, piece) = Self::piece(segment, &record);
            // Asked each time: readers and guests come between.
            let is_live = lock(&self.spool.index).is_live(&id, &piece);
            if let Some(raw) = record.intact().filter(|_| is_live) {
                batch.push((id, piece, raw));
                batched += raw.len();
            }
            if batched >= WRITE_BYTES {
                self.copy(&mut batch, &mut moved)?;
                batched = 0;
            }
        }
        self.copy(&mut batch, &mut moved)?;
        // A power cut must not find the old ones gone and the new ones not there.
        self.sync();
        lock(&self.spool.index).relocate(segment, &moved);
        self.remove(segment);
        Ok(())
    }

    fn copy(
        &mut self,
        batch: &mut Vec<(RunId, Piece, &[u8])>,
        moved: &mut Vec<(RunId, Piece)>,
    ) -> io::Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        batch
            .iter()
            .for_each(|(_, _, raw)| bytes.extend_from_slice(raw));
        let (segment, mut pos) = self.append(&bytes)?;
        for (id, piece, _) in batch.drain(..) {
            moved.push((
                id,
                Piece {
                    segment,
                    pos: pos as u32,
                    ..piece
                },
            ));
            pos += u64::from(piece.len);
        }
        Ok(())
    }

    /// Drops logs of pods that ended, if there may be any; whether there were.
    fn make_room(&mut self) -> bool {
        let live = lock(&self.spool.index).live();
        if live < self.evict_from {
            return false;
        }
        let evicted = self.evict();
        // To look, everything is read: not again for every write of pods that run.
        self.evict_from = match evicted {
            true => 0,
            false => live.saturating_add(self.spool.disk_bytes_max / 10),
        };
        evicted
    }

    /// Drops logs of pods that ended until there is no more than there may be;
    /// whether there were any.
    fn evict(&mut self) -> bool {
        let mut evicted = false;
        let segments: Vec<u32> = lock(&self.spool.index).segments.keys().copied().collect();
        for segment in segments {
            let Ok(bytes) = self.spool.disk.read(segment, 0, u32::MAX as usize) else {
                continue;
            };
            for record in Scan::new(self.spool.mark, &bytes, SEGMENT_HEAD_BYTES) {
                let (id, piece) = Self::piece(segment, &record);
                if lock(&self.registry).is_live(id.pod) {
                    continue;
                }
                let mut index = lock(&self.spool.index);
                if index.is_live(&id, &piece) {
                    index.remove(id.pod);
                    evicted = true;
                }
                if is_within(&index, self.spool.disk_bytes_max) {
                    return evicted;
                }
            }
        }
        evicted
    }
}

/// A tenth less than there may be, so that it is not done for every pod.
fn is_within(index: &Index, bytes_max: u64) -> bool {
    index.live() <= bytes_max - bytes_max / 10
}
