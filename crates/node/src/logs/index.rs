//! Where on the disk the log of each run stands.
//!
//! A pod that ended has an entry as long as it exists, so the common case, one
//! run whose output is one stretch from its first byte on, has a form of its own
//! that costs tens of bytes.
//!
//! A stretch, an *extent*, holds one or more records of the run one after the
//! other, and perhaps records of others in between, which a reader passes over.
//! Merging close records keeps the index small against what it describes.

use std::collections::{BTreeMap, HashMap as StdHashMap};

use foldhash::HashMap;
use wasmjob_api::Uid;

use super::record::SEGMENT_HEAD_BYTES;

/// Extents of one run in one segment from which on sparse ones grow instead.
const SPARSE_EXTENTS_MAX: usize = 4;

/// A run: the pod, which of its containers, and how often that was restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RunId {
    pub(super) pod: Uid,
    /// The container's place among the pod's init containers and containers.
    pub(super) slot: u16,
    pub(super) restarts: u32,
}

/// A record on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Offset of its first byte in the run's log.
    pub(super) start: u64,
    /// Bytes of the log.
    pub(super) bytes: u32,
    pub(super) segment: u32,
    /// Where in the segment it begins.
    pub(super) pos: u32,
    /// Its length there.
    pub(super) len: u32,
}

/// Records of one run: without a gap in its log, in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Offset of its first byte in the run's log.
    pub(super) start: u64,
    pub(super) segment: u32,
    pub(super) pos: u32,
    /// Bytes in the segment, with what is between the run's own records.
    pub(super) len: u32,
    /// Bytes of the log.
    pub(super) bytes: u32,
    /// Bytes of the run's own records.
    own: u32,
}

impl Extent {
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.bytes)
    }

    fn holds(&self, piece: &Piece) -> bool {
        self.segment == piece.segment
            && (self.start..self.end().max(self.start + 1)).contains(&piece.start)
            && (self.pos..self.pos + self.len).contains(&piece.pos)
    }
}

/// What is known of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) slot: u16,
    pub(super) restarts: u32,
    /// Bytes that were written, with those that are lost.
    pub(super) end: u64,
    /// By `start`.
    pub(super) extents: Vec<Extent>,
}

impl Run {
    fn own(&self) -> u64 {
        self.extents
            .iter()
            .map(|extent| u64::from(extent.own))
            .sum()
    }

    /// Bytes of the log that are kept.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |extent: &Extent| u64::from(extent.bytes);
        self.extents.iter().map(bytes).sum()
    }

    /// Takes in a record; `false` if it was there before.
    fn add(&mut self, piece: &Piece, extent_bytes_max: u32) -> bool {
        self.end = self.end.max(piece.start + u64::from(piece.bytes));
        let at = self.extents.partition_point(|e| e.start <= piece.start);
        let end = piece.start + u64::from(piece.bytes);
        let is_known = at.checked_sub(1).is_some_and(|before| {
            let before = &self.extents[before];
            before.end() > piece.start || (before.start == piece.start && before.bytes == 0)
        });
        if is_known || self.extents.get(at).is_some_and(|next| next.start < end) {
            return false;
        }
        if let Some(before) = at.checked_sub(1)
            && self.continues(before, piece, extent_bytes_max)
        {
            let extent = &mut self.extents[before];
            extent.len = piece.pos + piece.len - extent.pos;
            extent.bytes += piece.bytes;
            extent.own += piece.len;
            return true;
        }
        let extent = Extent {
            start: piece.start,
            segment: piece.segment,
            pos: piece.pos,
            len: piece.len,
            bytes: piece.bytes,
            own: piece.len,
        };
        self.extents.insert(at, extent);
        true
    }

    /// Whether a record that comes after the extent `at` should be part of it.
    fn continues(&self, at: usize, piece: &Piece, extent_bytes_max: u32) -> bool {
        let extent = &self.extents[at];
        if extent.segment != piece.segment
            || extent.end() != piece.start
            || piece.pos < extent.pos + extent.len
        {
            return false;
        }
        let len = piece.pos + piece.len - extent.pos;
        let others = self.extents[..=at].iter().rev();
        let in_segment = others.take_while(|e| e.segment == piece.segment).count();
        len <= extent_bytes_max || (in_segment >= SPARSE_EXTENTS_MAX && extent.own * 2 < extent.len)
    }
}

/// What a pod's runs are; most are [`Entry::One`].
enum Entry {
    /// One run that was not restarted, in one extent of its own from 0 on.
    One {
        segment: u32,
        pos: u32,
        len: u32,
        bytes: u32,
        slot: u16,
    },
    Runs(Box<[Run]>),
}

impl Entry {
    fn runs(&self) -> Vec<Run> {
        match *self {
            Self::One {
                segment,
                pos,
                len,
                bytes,
                slot,
            } => vec![Run {
                slot,
                restarts: 0,
                end: u64::from(bytes),
                extents: vec![Extent {
                    start: 0,
                    segment,
                    pos,
                    len,
                    bytes,
                    own: len,
                }],
            }],
            Self::Runs(ref runs) => runs.to_vec(),
        }
    }

    fn of(mut runs: Vec<Run>) -> Self {
        if let [run] = &runs[..]
            && run.restarts == 0
            && let [extent] = run.extents[..]
            && extent.start == 0
            && extent.own == extent.len
            && run.end == extent.end()
        {
            return Self::One {
                segment: extent.segment,
                pos: extent.pos,
                len: extent.len,
                bytes: extent.bytes,
                slot: run.slot,
            };
        }
        runs.iter_mut().for_each(|run| run.extents.shrink_to_fit());
        Self::Runs(runs.into_boxed_slice())
    }
}

/// A UID without its alignment, which would cost 8 bytes in every entry.
type Key = [u64; 2];

fn key(pod: Uid) -> Key {
    let bits = pod.bits();
    [(bits >> 64) as u64, bits as u64]
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Its length in bytes.
    pub(super) size: u64,
    /// Bytes of records that are part of a log.
    pub(super) live: u64,
}

/// How much of a run is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a run's log.
    pub(super) run_bytes_max: u64,
    /// Bytes of an extent without others' records.
    pub(super) extent_bytes_max: u32,
}

impl Limits {
    /// Bytes that a run's records may take. What describes its bytes counts
    /// only beyond a quarter of them, so that a log of usual lines is kept up to
    /// its limit, and one of single bytes does not take thirteen times as much.
    fn own_bytes_max(&self) -> u64 {
        self.run_bytes_max + self.run_bytes_max / 4 + (64 << 10)
    }
}

/// All runs and segments.
pub(super) struct Index {
    limits: Limits,
    pods: HashMap<Key, Entry>,
    pub(super) segments: BTreeMap<u32, Usage>,
    /// Something died in a segment since it was last asked.
    pub(super) died: bool,
}

impl Index {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pods: HashMap::default(),
            segments: BTreeMap::new(),
            died: false,
        }
    }

    /// The runs of a pod that have records.
    pub(super) fn runs(&self, pod: Uid) -> Vec<Run> {
        self.pods
            .get(&key(pod))
            .map(Entry::runs)
            .unwrap_or_default()
    }

    /// What is known of one run.
    pub(super) fn run(&self, id: &RunId) -> Option<Run> {
        self.runs(id.pod)
            .into_iter()
            .find(|run| (run.slot, run.restarts) == (id.slot, id.restarts))
    }

    /// The run's extents between two offsets of its log.
    pub(super) fn extents(&self, id: &RunId, from: u64, to: u64) -> Vec<Extent> {
        let Some(Entry::Runs(runs)) = self.pods.get(&key(id.pod)) else {
            let extents = self.run(id).map(|run| run.extents).unwrap_or_default();
            return extents;
        };
        let run = runs
            .iter()
            .find(|run| (run.slot, run.restarts) == (id.slot, id.restarts));
        let Some(run) = run else { return Vec::new() };
        let first = run.extents.partition_point(|extent| extent.end() <= from);
        let extents = run.extents[first..].iter();
        extents
            .take_while(|extent| extent.start < to)
            .copied()
            .collect()
    }

    /// Changes a pod's runs; a pod without any has no entry.
    fn change<T>(&mut self, pod: Uid, change: impl FnOnce(&mut Vec<Run>, &mut Self) -> T) -> T {
        let mut runs = match self.pods.remove(&key(pod)) {
            Some(Entry::Runs(runs)) => runs.into_vec(),
            Some(entry) => entry.runs(),
            None => Vec::new(),
        };
        let done = change(&mut runs, self);
        if !runs.is_empty() {
            self.pods.insert(key(pod), Entry::of(runs));
        }
        done
    }

    /// Takes in a record that was written.
    pub(super) fn add(&mut self, id: &RunId, piece: &Piece) {
        let limits = self.limits;
        self.change(id.pod, |runs, index| {
            let at = runs
                .iter()
                .position(|run| (run.slot, run.restarts) == (id.slot, id.restarts))
                .unwrap_or_else(|| {
                    runs.push(Run {
                        slot: id.slot,
                        restarts: id.restarts,
                        ..Run::default()
                    });
                    runs.len() - 1
                });
            if runs[at].add(piece, limits.extent_bytes_max) {
                index.segments.entry(piece.segment).or_default().live += u64::from(piece.len);
            }
            index.rotate(&mut runs[at]);
        });
    }

    /// Drops the oldest fifth of a log that has become too long.
    fn rotate(&mut self, run: &mut Run) {
        let (bytes_max, own_max) = (self.limits.run_bytes_max, self.limits.own_bytes_max());
        let (mut bytes, mut own) = (run.bytes(), run.own());
        if bytes <= bytes_max && own <= own_max {
            return;
        }
        let mut gone = 0;
        while gone + 1 < run.extents.len()
            && (bytes > bytes_max - bytes_max / 5 || own > own_max - own_max / 5)
        {
            let extent = run.extents[gone];
            bytes -= u64::from(extent.bytes);
            own -= u64::from(extent.own);
            self.dead(&extent);
            gone += 1;
        }
        run.extents.drain(..gone);
    }

    fn dead(&mut self, extent: &Extent) {
        if let Some(segment) = self.segments.get_mut(&extent.segment) {
            segment.live = segment.live.saturating_sub(u64::from(extent.own));
        }
        self.died = true;
    }

    /// Drops the runs of a pod for which `is_old` says so.
    pub(super) fn remove_runs(&mut self, pod: Uid, is_old: impl Fn(&Run) -> bool) {
        self.change(pod, |runs, index| {
            runs.retain(|run| {
                let is_old = is_old(run);
                if is_old {
                    run.extents.iter().for_each(|extent| index.dead(extent));
                }
                !is_old
            });
        });
    }

    /// Drops all runs of a pod.
    pub(super) fn remove(&mut self, pod: Uid) {
        self.remove_runs(pod, |_| true);
    }

    /// Whether a record on the disk is part of a log.
    pub(super) fn is_live(&self, id: &RunId, piece: &Piece) -> bool {
        match self.pods.get(&key(id.pod)) {
            None => false,
            Some(Entry::One {
                segment, pos, slot, ..
            }) => {
                id.restarts == 0
                    && (*slot, *segment) == (id.slot, piece.segment)
                    && (*pos == piece.pos || self.in_extents(id, piece))
            }
            Some(Entry::Runs(_)) => self.in_extents(id, piece),
        }
    }

    fn in_extents(&self, id: &RunId, piece: &Piece) -> bool {
        self.run(id)
            .is_some_and(|run| run.extents.iter().any(|extent| extent.holds(piece)))
    }

    /// Takes over that records of the segment `old` were copied: those that are
    /// still part of a log are so at their new places.
    pub(super) fn relocate(&mut self, old: u32, moved: &[(RunId, Piece)]) {
        let limits = self.limits;
        let mut by_run: StdHashMap<RunId, Vec<Piece>> = StdHashMap::new();
        for (id, piece) in moved {
            by_run.entry(*id).or_default().push(*piece);
        }
        for (id, mut pieces) in by_run {
            pieces.sort_unstable_by_key(|piece| piece.start);
            self.change(id.pod, |runs, index| {
                let run = runs
                    .iter_mut()
                    .find(|run| (run.slot, run.restarts) == (id.slot, id.restarts));
                let Some(run) = run else { return };
                let (leave, stay) = std::mem::take(&mut run.extents)
                    .into_iter()
                    .partition::<Vec<_>, _>(|extent| extent.segment == old);
                run.extents = stay;
                leave.iter().for_each(|extent| index.dead(extent));
                let still = |piece: &&Piece| {
                    leave.iter().any(|extent| {
                        (extent.start..extent.end().max(extent.start + 1)).contains(&piece.start)
                    })
                };
                for piece in pieces.iter().filter(still) {
                    if run.add(piece, limits.extent_bytes_max) {
                        index.segments.entry(piece.segment).or_default().live +=
                            u64::from(piece.len);
                    }
                }
            });
        }
    }

    /// Bytes on the disk that are part of a log.
    pub(super) fn live(&self) -> u64 {
        self.segments.values().map(|segment| segment.live).sum()
    }

    /// Segments in which nothing is part of a log; `active` only if it has records.
    pub(super) fn dead_segments(&self, active: Option<u32>) -> Vec<u32> {
        let has_records = |usage: &Usage| usage.size > SEGMENT_HEAD_BYTES as u64;
        let segments = self.segments.iter();
        segments
            .filter(|(_, usage)| usage.live == 0)
            .filter(|(number, usage)| Some(**number) != active || has_records(usage))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Drops the runs of containers that have been restarted twice since.
    pub(super) fn forget_old_runs(&mut self) {
        let restarted = self.pods.iter().filter_map(|(key, entry)| match entry {
            Entry::Runs(runs) if runs.len() > 2 => Some(*key),
            _ => None,
        });
        for [high, low] in restarted.collect::<Vec<_>>() {
            let pod = Uid::from_random(u128::from(high) << 64 | u128::from(low));
            let runs = self.runs(pod);
            self.remove_runs(pod, |old| {
                let newer = |run: &&Run| run.slot == old.slot && run.restarts > old.restarts;
                runs.iter().filter(newer).count() >= 2
            });
        }
    }

    /// Pods with an entry.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_a_finished_pod_costs_tens_of_bytes() {
        assert_eq!(size_of::<(Key, Entry)>(), 40);
    }

    fn index() -> Index {
        Index::new(Limits {
            run_bytes_max: 1000,
            extent_bytes_max: 100,
        })
    }

    fn id(restarts: u32) -> RunId {
        RunId {
            pod: Uid::from_random(7),
            slot: 0,
            restarts,
        }
    }

    fn piece(start: u64, bytes: u32, segment: u32, pos: u32) -> Piece {
        Piece {
            start,
            bytes,
            segment,
            pos,
            len: bytes + 10,
        }
    }

    fn starts(index: &Index) -> Vec<(u64, u32)> {
        let run = index.run(&id(0)).unwrap_or_default();
        run.extents.iter().map(|e| (e.start, e.bytes)).collect()
    }

    #[test]
    fn records_that_follow_each_other_are_one_extent() {
        let mut index = index();
        index.add(&id(0), &piece(0, 10, 0, 48));
        index.add(&id(0), &piece(10, 10, 0, 68));
        assert_eq!(starts(&index), [(0, 20)]);
        // Too far away, in another segment, after a gap: another extent.
        index.add(&id(0), &piece(20, 10, 0, 500));
        index.add(&id(0), &piece(30, 10, 1, 48));
        index.add(&id(0), &piece(50, 10, 1, 68));
        assert_eq!(starts(&index), [(0, 20), (20, 10), (30, 10), (50, 10)]);
        assert_eq!(index.live(), 100);
    }

    #[test]
    fn a_record_that_was_copied_before_a_crash_counts_once() {
        let mut index = index();
        index.add(&id(0), &piece(0, 10, 0, 48));
        index.add(&id(0), &piece(10, 10, 0, 68));
        index.add(&id(0), &piece(10, 10, 3, 48));
        assert_eq!(starts(&index), [(0, 20)]);
        assert_eq!(index.segments.get(&3), None);
    }

    #[test]
    fn what_was_copied_is_found_at_its_new_place_in_its_old_order() {
        let mut index = index();
        index.add(&id(0), &piece(0, 10, 0, 48));
        index.add(&id(0), &piece(10, 10, 1, 48));
        index.relocate(0, &[(id(0), piece(0, 10, 1, 200))]);
        assert_eq!(starts(&index), [(0, 10), (10, 10)]);
        assert_eq!((index.segments[&0].live, index.segments[&1].live), (0, 40));
        // What was dropped while it was copied stays dropped.
        index.remove(id(0).pod);
        index.relocate(1, &[(id(0), piece(0, 10, 2, 48))]);
        assert_eq!((index.live(), index.len()), (0, 0));
    }

    #[test]
    fn the_oldest_fifth_goes() {
        let mut index = index();
        for n in 0..11 {
            index.add(&id(0), &piece(n * 100, 100, 0, 48 + n as u32 * 110));
        }
        assert_eq!(starts(&index).first(), Some(&(300, 100)));
        assert_eq!(index.run(&id(0)).unwrap().bytes(), 800);
        assert_eq!(index.live(), 880);
    }
}
