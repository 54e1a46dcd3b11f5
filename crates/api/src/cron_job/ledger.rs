//! What became of every slot: the answer to "why did it not run at 03:00?".

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Records that are kept; the oldest go first. A run of slots that shared a fate is one.
pub const SLOT_RECORDS_MAX: usize = 50;

/// The fates of the slots of a CronJob, oldest first.
///
/// Every slot up to [`settled`](Self::settled) has its verdict, though its record may be
/// gone. The verdict of the newest slot may still change: one that Forbid skipped runs
/// late if the active Job ends before the next slot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlotLedger {
    /// The newest slot that has a verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// Since when `spec.suspend` holds; slots after it get their verdict when it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_since: Option<Timestamp>,
    /// The schedule whose slots these are, and since when it counts: a new schedule makes
    /// up for nothing that lies before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// At most [`SLOT_RECORDS_MAX`] records, oldest first.
    pub slots: Vec<SlotRecord>,
}

/// A schedule, and since when it counts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Schedule, zone and policy, as text to compare.
    pub text: String,
    /// Slots after this are its own.
    pub since: Timestamp,
}

/// One slot, or a run of slots that shared a fate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotRecord {
    /// The slot, or the first of the run.
    pub slot: Timestamp,
    /// The last slot of a run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
    /// How many slots the run has; of a very long one, at least so many.
    #[serde(skip_serializing_if = "is_one", default = "one")]
    pub count: u32,
    /// Their fate.
    #[serde(flatten)]
    pub verdict: SlotVerdict,
}

/// The fate of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all_fields = "camelCase")]
pub enum SlotVerdict {
    /// It got its Job.
    Ran {
        /// Whole seconds from the slot (and its jitter) to the Job.
        #[serde(skip_serializing_if = "is_zero", default)]
        late_seconds: u64,
    },
    /// It got its Job, which a later slot replaced (`concurrencyPolicy: Replace`).
    Replaced {
        /// As of [`SlotVerdict::Ran`].
        #[serde(skip_serializing_if = "is_zero", default)]
        late_seconds: u64,
    },
    /// It was seen in time, and something stood in its way.
    Skipped {
        /// What.
        because: Obstacle,
    },
    /// It was seen too late.
    Missed {
        /// Why.
        because: Cause,
    },
    /// It was seen late, together with a later one, which ran in its place.
    Collapsed {
        /// Why it was late.
        because: Cause,
    },
}

/// What stood in the way of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Obstacle {
    /// A Job was active, and `concurrencyPolicy` is Forbid.
    Forbid,
    /// A Job of somebody else has the name.
    NameTaken,
}

/// Why a slot was not seen in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// The host was not running.
    Down,
    /// The machine slept, or its clock was set forward.
    Asleep,
    /// `spec.suspend` was true.
    Suspended,
    /// `startingDeadlineSeconds` was over.
    Deadline,
    /// The host ran, and came to it late.
    Late,
}

impl SlotLedger {
    /// The fate of `slot`, if it has one of its own.
    #[must_use]
    pub fn verdict(&self, slot: Timestamp) -> Option<SlotVerdict> {
        let record = self.slots.iter().rev().find(|record| record.slot == slot)?;
        (record.count == 1).then_some(record.verdict)
    }

    /// Settles `slot`, or changes its fate. Returns whether it is new.
    pub fn settle(&mut self, slot: Timestamp, verdict: SlotVerdict) -> bool {
        let known = self
            .slots
            .iter_mut()
            .rev()
            .find(|record| record.slot == slot && record.count == 1);
        if let Some(record) = known {
            let changed = record.verdict != verdict;
            record.verdict = verdict;
            return changed;
        }
        self.settle_run(SlotRecord {
            slot,
            until: None,
            count: 1,
            verdict,
        });
        true
    }

    /// Settles all slots of a run. It must be later than all that is settled.
    pub fn settle_run(&mut self, record: SlotRecord) {
        self.join_newest();
        let until = record.until.unwrap_or(record.slot);
        self.settled = self.settled.max(Some(until));
        self.slots.push(record);
        let excess = self.slots.len().saturating_sub(SLOT_RECORDS_MAX);
        self.slots.drain(..excess);
    }

    /// Joins the two newest records if they say the same. The newest one of all is
    /// left alone until there is a newer one: its verdict may change.
    fn join_newest(&mut self) {
        if let [.., before, newest] = self.slots.as_mut_slice()
            && before.verdict == newest.verdict
            && !matches!(newest.verdict, SlotVerdict::Ran { .. })
        {
            before.count = before.count.saturating_add(newest.count);
            before.until = newest.until.or(Some(newest.slot));
            self.slots.pop();
        }
    }

    /// The records as compact JSON, as the annotation `wasmjob.dev/slots` shows them;
    /// `None` if there is nothing to show.
    #[must_use]
    pub fn to_annotation(&self) -> Option<String> {
        if self.slots.is_empty() && self.suspended_since.is_none() {
            return None;
        }
        let shown = Shown {
            suspended_since: self.suspended_since,
            slots: &self.slots,
        };
        serde_json::to_string(&shown).ok()
    }
}

/// What clients see of a ledger.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended_since: Option<Timestamp>,
    slots: &'a [SlotRecord],
}

impl fmt::Display for SlotVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran { late_seconds: 0 } => f.write_str("ran"),
            Self::Ran { late_seconds } => write!(f, "ran, {late_seconds} s late"),
            Self::Replaced { .. } => f.write_str("ran, and was replaced by a later run"),
            Self::Skipped { because } => write!(f, "skipped: {because}"),
            Self::Missed { because } => write!(f, "missed: {because}"),
            Self::Collapsed { because } => {
                write!(f, "left out in favour of a later run: {because}")
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forbid => "the run before was active, and concurrencyPolicy is Forbid",
            Self::NameTaken => "there was a Job of that name that is not this CronJob's",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "wasmjob was not running",
            Self::Asleep => "the machine slept, or its clock was set forward",
            Self::Suspended => "the CronJob was suspended",
            Self::Deadline => "startingDeadlineSeconds was over",
            Self::Late => "wasmjob came to it late",
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Cause, Obstacle, SLOT_RECORDS_MAX, SlotLedger, SlotRecord, SlotVerdict};

    const RAN: SlotVerdict = SlotVerdict::Ran { late_seconds: 0 };
    const FORBID: SlotVerdict = SlotVerdict::Skipped {
        because: Obstacle::Forbid,
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_795_219_200 + minutes * 60).unwrap()
    }

    #[test]
    fn a_run_of_skipped_slots_is_one_record_and_the_newest_may_change() {
        let mut ledger = SlotLedger::default();
        assert!(ledger.settle(at(0), RAN));
        for minute in 1..=5 {
            assert!(ledger.settle(at(minute), FORBID));
            assert!(!ledger.settle(at(minute), FORBID));
        }
        assert!(ledger.settle(at(5), SlotVerdict::Ran { late_seconds: 30 }));
        let counts: Vec<u32> = ledger.slots.iter().map(|record| record.count).collect();
        assert_eq!(counts, [1, 4, 1]);
        assert_eq!(ledger.settled, Some(at(5)));
        assert_eq!(ledger.slots[1].until, Some(at(4)));
        assert_eq!(ledger.verdict(at(2)), None);
        let last = ledger.verdict(at(5)).unwrap();
        assert_eq!(last.to_string(), "ran, 30 s late");
    }

    #[test]
    fn the_oldest_records_go() {
        let mut ledger = SlotLedger::default();
        for minute in 0..200 {
            ledger.settle(at(minute), RAN);
        }
        assert_eq!(ledger.slots.len(), SLOT_RECORDS_MAX);
        assert_eq!(ledger.slots[0].slot, at(150));
    }

    #[test]
    fn a_ledger_is_short_in_json_and_comes_back_from_it() {
        let mut ledger = SlotLedger::default();
        assert_eq!(ledger.to_annotation(), None);
        ledger.settle(at(0), RAN);
        ledger.settle_run(SlotRecord {
            slot: at(1),
            until: Some(at(7)),
            count: 7,
            verdict: SlotVerdict::Collapsed {
                because: Cause::Down,
            },
        });
        ledger.settle(at(8), SlotVerdict::Ran { late_seconds: 42 });
        assert_eq!(
            ledger.to_annotation().unwrap(),
            r#"{"slots":[{"slot":"2026-11-21T00:00:00Z","verdict":"Ran"},{"slot":"2026-11-21T00:01:00Z","until":"2026-11-21T00:07:00Z","count":7,"verdict":"Collapsed","because":"Down"},{"slot":"2026-11-21T00:08:00Z","verdict":"Ran","lateSeconds":42}]}"#
        );
        let json = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<SlotLedger>(&json).unwrap(), ledger);
    }
}
