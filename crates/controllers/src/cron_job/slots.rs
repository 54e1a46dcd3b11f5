//! The slots of a CronJob: the times of its schedule, from where it counts.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::schedule::{DstPolicy, Schedule, Zone};
use wasmjob_api::{CronJob, Uid};

/// More missed slots than this are too many (`mostRecentScheduleTime` of Kubernetes), and
/// are not looked at one by one.
pub const MANY_MISSED: usize = 100;

/// The times of a schedule. Those of `@every` are counted from a base.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    schedule: &'a Schedule,
    zone: &'a Zone,
    dst: DstPolicy,
    base: Timestamp,
}

impl<'a> Slots<'a> {
    /// The slots of `cron_job`, whose `schedule` and zone these are.
    ///
    /// `@every` counts from the latest run, or else from the creation.
    #[must_use]
    pub fn new(cron_job: &CronJob, schedule: &'a Schedule, zone: &'a Zone) -> Self {
        Self {
            schedule,
            zone,
            dst: cron_job.spec.options.dst,
            base: cron_job
                .status
                .last_schedule_time
                .unwrap_or(cron_job.created),
        }
    }

    /// The first slot after `after`; `None` if none comes within five years.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.in_phase(after);
        self.schedule.next_after(after, self.zone, self.dst)
    }

    /// The last slot after `after` that is not after `until`.
    #[must_use]
    pub fn last(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let after = self.in_phase(after);
        self.schedule
            .last_between(after, until, self.zone, self.dst)
    }

    /// The slots after `after` up to `until`, oldest first.
    pub fn between(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + use<'_, 'a> {
        let first = self.next(after);
        std::iter::successors(first, |slot| self.next(*slot)).take_while(move |slot| *slot <= until)
    }

    /// The latest `count` slots after `after` up to `until`, oldest first.
    #[must_use]
    pub fn latest(&self, after: Timestamp, until: Timestamp, count: usize) -> Vec<Timestamp> {
        let mut all: Vec<_> = self.between(after, until).take(MANY_MISSED + 1).collect();
        if all.len() > MANY_MISSED {
            // From the end, one bisection each.
            let before = |slot: &Timestamp| self.last(after, a_moment_before(*slot));
            let last = self.last(after, until);
            all = std::iter::successors(last, before).take(count).collect();
            all.reverse();
        }
        all.drain(..all.len().saturating_sub(count));
        all
    }

    /// For `@every`, the slot (or the base) at or before `after`; else `after` itself.
    fn in_phase(&self, after: Timestamp) -> Timestamp {
        let Some(interval) = self.schedule.interval() else {
            return after;
        };
        let passed = after.as_second().saturating_sub(self.base.as_second());
        let whole = passed.max(0) / interval.as_secs() * interval.as_secs();
        self.base
            .checked_add(SignedDuration::from_secs(whole))
            .unwrap_or(after)
    }
}

/// The instant a nanosecond earlier.
pub(super) fn a_moment_before(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at)
}

/// How long after its slots a CronJob runs: its own share of `max`, always the same.
///
/// It is made of the UID, so that objects which were applied together spread.
#[must_use]
pub fn jitter(uid: Uid, max: Duration) -> Duration {
    // The finaliser of SplitMix64: UIDs are random, but tests and users count them up.
    let bits = uid.bits();
    let mut hash = (bits >> 64) as u64 ^ bits as u64;
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let milliseconds = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    let share = (u128::from(hash) * (u128::from(milliseconds) + 1)) >> 64;
    Duration::from_millis(u64::try_from(share).unwrap_or(0))
}
