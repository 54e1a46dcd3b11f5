//! What adds up over the slots of a CronJob.

use jiff::{SignedDuration, Timestamp};

use super::outcome::{Fate, Outcome};

/// Sums over the slots of a CronJob.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Jobs that started.
    pub jobs: u64,
    /// Jobs that completed.
    pub complete: u64,
    /// Jobs that failed by a deadline.
    pub failed: u64,
    /// Jobs that a later slot replaced.
    pub replaced: u64,
    /// Jobs that are not over at the end.
    pub unfinished: u64,
    /// Slots that got no Job, because Forbid kept it back (or a deadline for the start).
    pub skipped: u64,
    /// Jobs that started while another one of the CronJob was active.
    pub overlaps: u64,
    /// The most Jobs at once.
    pub at_once_max: usize,
    /// Jobs that started after their slot (and its jitter), having waited for another one.
    pub late: u64,
    /// The latest of them.
    pub late_max: SignedDuration,
    /// The first start.
    pub first_start: Option<Timestamp>,
    /// The last start.
    pub last_start: Option<Timestamp>,
    /// The slot of the first Job that overlapped, was replaced, or did not come to be.
    pub first_conflict: Option<Timestamp>,
}

/// Why a CronJob never ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Idle {
    /// `spec.suspend` is true.
    Suspended,
    /// No time fits its schedule, as 31 February.
    Never,
    /// Its next slot is this one.
    Until(Timestamp),
    /// Its schedule or zone cannot be read.
    Unreadable,
}

impl Totals {
    /// A Job started, `late` after its slot, as one of `at_once`.
    pub(super) fn started(
        &mut self,
        slot: Timestamp,
        now: Timestamp,
        late: SignedDuration,
        at_once: usize,
    ) {
        self.jobs += 1;
        self.first_start = self.first_start.or(Some(now));
        self.last_start = Some(now);
        self.at_once_max = self.at_once_max.max(at_once);
        if at_once > 1 {
            self.overlaps += 1;
            self.conflict(slot);
        }
        if late.is_positive() {
            self.late += 1;
            self.late_max = self.late_max.max(late);
        }
    }

    /// What became of a slot is known.
    pub(super) fn settled(&mut self, outcome: &Outcome) {
        match outcome.fate {
            Fate::Complete => self.complete += 1,
            Fate::Failed => self.failed += 1,
            Fate::Unfinished => self.unfinished += 1,
            Fate::Replaced => {
                self.replaced += 1;
                self.conflict(outcome.slot);
            }
            Fate::NoJob(_) => {
                self.skipped += 1;
                self.conflict(outcome.slot);
            }
        }
    }

    fn conflict(&mut self, slot: Timestamp) {
        self.first_conflict = Some(self.first_conflict.map_or(slot, |first| first.min(slot)));
    }
}
