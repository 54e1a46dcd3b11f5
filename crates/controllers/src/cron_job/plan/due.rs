//! Which of the slots that are due run.

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{CatchUp, Cause, ConcurrencyPolicy, Event, Obstacle, SlotVerdict};

use super::super::active::reference;
use super::super::job::job_name;
use super::super::slots::{MANY_MISSED, Slots, a_moment_before};
use super::{CATCH_UP_TOLERANCE, Look};

impl Look<'_> {
    /// Runs what is to run of the slots after `from` up to `due`, and settles the others.
    pub(super) fn run_due(&mut self, slots: &Slots<'_>, from: Timestamp, due: Timestamp) {
        let Some(latest) = slots.last(from, due) else {
            return;
        };
        // Both the warning and the ledger look at these.
        let first: Vec<_> = slots.between(from, latest).take(MANY_MISSED + 1).collect();
        self.warn_of_many(slots, &first, from, latest, due);
        let spec = &self.cron_job.spec;
        match spec.options.catch_up {
            // Each run would replace the one before at once, so only the latest counts.
            CatchUp::All { .. } if spec.concurrency_policy == ConcurrencyPolicy::Replace => {
                self.run_latest(slots, &first, from, latest, due);
            }
            CatchUp::All { limit } => self.run_all(slots, &first, from, due, limit),
            CatchUp::Latest | CatchUp::None => self.run_latest(slots, &first, from, latest, due),
        }
    }

    fn run_latest(
        &mut self,
        slots: &Slots<'_>,
        first: &[Timestamp],
        from: Timestamp,
        latest: Timestamp,
        due: Timestamp,
    ) {
        self.settle_between(slots, first, from, a_moment_before(latest));
        match self.too_late(latest, due) {
            Some(because) => self.miss(latest, because),
            None => self.run(latest, due),
        }
    }

    /// Oldest first. With Forbid one at a time: the next one when that has finished.
    fn run_all(
        &mut self,
        slots: &Slots<'_>,
        first: &[Timestamp],
        from: Timestamp,
        due: Timestamp,
        limit: usize,
    ) {
        let latest = slots.latest(from, due, limit);
        let Some(oldest) = latest.first() else { return };
        self.settle_between(slots, first, from, a_moment_before(*oldest));
        for slot in latest {
            if let Some(because) = self.too_late(slot, due) {
                self.miss(slot, because);
            } else if self.is_blocked() {
                // It waits; its verdict is to come.
                return;
            } else {
                self.run(slot, due);
            }
        }
    }

    /// Runs one slot that is in time, if nothing stands in its way.
    fn run(&mut self, slot: Timestamp, due: Timestamp) {
        if !self.is_open(slot) {
            return;
        }
        let name = job_name(self.cron_job, slot);
        if let Some(job) = self.job_named(&name) {
            // It has run, and the status does not know it: somebody wrote over it.
            let (reference, created) = (reference(job), job.created);
            let finished = job.finished().is_some() || job.deletion.is_some();
            if !finished && !self.status.is_active(reference.uid) {
                self.status.active.push(reference);
            }
            self.ran(slot, created);
        } else if (self.around.is_taken)(&name) {
            let because = Obstacle::NameTaken;
            let verdict = SlotVerdict::Skipped { because };
            if self.status.ledger.settle(slot, verdict) {
                let text = format!("Error creating job: jobs.batch {name:?} already exists");
                self.plan.events.push(Event::warning("FailedCreate", text));
            }
        } else if self.is_blocked() {
            let because = Obstacle::Forbid;
            let verdict = SlotVerdict::Skipped { because };
            if self.status.ledger.settle(slot, verdict) {
                self.tell_blocked();
            }
        } else {
            self.replace_active();
            self.create(name, Some(slot));
            self.ran(slot, due);
        }
    }

    fn ran(&mut self, slot: Timestamp, at: Timestamp) {
        let late = at.duration_since(slot).max(SignedDuration::ZERO);
        let late_seconds = late.as_secs().unsigned_abs();
        self.status
            .ledger
            .settle(slot, SlotVerdict::Ran { late_seconds });
        self.status.last_schedule_time = self.status.last_schedule_time.max(Some(slot));
    }

    /// `MissSchedule`, with the time as Go's `RFC1123Z` has it. A slot that was skipped
    /// before it was missed stays skipped.
    fn miss(&mut self, slot: Timestamp, because: Cause) {
        let ledger = &mut self.status.ledger;
        if ledger.settled >= Some(slot) {
            return;
        }
        ledger.settle(slot, SlotVerdict::Missed { because });
        let text = format!(
            "Missed scheduled time to start a job: {}",
            slot.strftime("%a, %d %b %Y %H:%M:%S +0000")
        );
        self.plan.events.push(Event::warning("MissSchedule", text));
    }

    /// `TooManyMissedTimes`, once for each base that they are counted from.
    fn warn_of_many(
        &mut self,
        slots: &Slots<'_>,
        first: &[Timestamp],
        from: Timestamp,
        latest: Timestamp,
        due: Timestamp,
    ) {
        if self.status.told.too_many == Some(from) {
            return;
        }
        let earliest = self.earliest_in_time(due).map(a_moment_before);
        let counted_from = earliest.map_or(from, |earliest| earliest.max(from));
        let many = match counted_from == from {
            true => first.len() > MANY_MISSED,
            false => slots
                .between(counted_from, latest)
                .nth(MANY_MISSED)
                .is_some(),
        };
        if many {
            self.status.told.too_many = Some(from);
            self.plan.events.push(Event::warning(
                "TooManyMissedTimes",
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
            ));
        }
    }

    /// Slots before this are past their deadline.
    pub(super) fn earliest_in_time(&self, due: Timestamp) -> Option<Timestamp> {
        let deadline = self.cron_job.spec.starting_deadline?;
        let deadline = SignedDuration::try_from(deadline).ok()?;
        due.checked_sub(deadline).ok()
    }

    /// Why a slot may no longer run.
    fn too_late(&self, slot: Timestamp, due: Timestamp) -> Option<Cause> {
        if self
            .earliest_in_time(due)
            .is_some_and(|earliest| slot < earliest)
        {
            return Some(Cause::Deadline);
        }
        let only_in_time = self.cron_job.spec.options.catch_up == CatchUp::None;
        let late = due.duration_since(slot) > CATCH_UP_TOLERANCE;
        (only_in_time && late).then(|| self.cause(slot))
    }
}
