//! The verdict of slots that a later one left behind.

use jiff::Timestamp;
use wasmjob_api::{CatchUp, Cause, ConcurrencyPolicy, Obstacle, SlotRecord, SlotVerdict};

use super::super::slots::{MANY_MISSED, Slots};
use super::Look;

impl Look<'_> {
    /// Settles the slots after `from` up to `until` that have no verdict yet; `first` are
    /// the first of them all. More than [`MANY_MISSED`] are not looked at one by one.
    pub(super) fn settle_between(
        &mut self,
        slots: &Slots<'_>,
        first: &[Timestamp],
        from: Timestamp,
        until: Timestamp,
    ) {
        let unsettled: Vec<_> = match self.status.ledger.settled {
            Some(settled) if settled > from => {
                let rest = slots.between(settled, until);
                rest.take(MANY_MISSED).collect()
            }
            _ => {
                let rest = first.iter().copied().filter(|slot| *slot <= until);
                rest.take(MANY_MISSED).collect()
            }
        };
        let is_cut = unsettled.len() == MANY_MISSED;
        let mut run: Option<SlotRecord> = None;
        for slot in unsettled {
            let verdict = self.left_behind(slot);
            match &mut run {
                Some(run) if run.verdict == verdict => {
                    run.count += 1;
                    run.until = Some(slot);
                }
                _ => {
                    let next = SlotRecord {
                        slot,
                        until: None,
                        count: 1,
                        verdict,
                    };
                    if let Some(done) = run.replace(next) {
                        self.status.ledger.settle_run(done);
                    }
                }
            }
        }
        let Some(mut run) = run else { return };
        if is_cut {
            let last = run.until.unwrap_or(run.slot);
            if let Some(later) = slots.last(last, until) {
                run.until = Some(later);
                run.count = run.count.saturating_add(1);
            }
        }
        self.status.ledger.settle_run(run);
    }

    fn left_behind(&self, slot: Timestamp) -> SlotVerdict {
        let because = self.cause(slot);
        let spec = &self.cron_job.spec;
        match spec.options.catch_up {
            // It stood in the queue, and the queue was too long.
            CatchUp::All { .. }
                if because == Cause::Late
                    && spec.concurrency_policy == ConcurrencyPolicy::Forbid =>
            {
                SlotVerdict::Skipped {
                    because: Obstacle::Forbid,
                }
            }
            CatchUp::None => SlotVerdict::Missed { because },
            CatchUp::Latest | CatchUp::All { .. } => SlotVerdict::Collapsed { because },
        }
    }

    /// Whether the verdict of a slot is yet to come, or may change: it is newer than all
    /// that is settled, or has a record of its own. A slot within a run of slots is done
    /// with, also when the clock goes back to it.
    pub(super) fn is_open(&self, slot: Timestamp) -> bool {
        let ledger = &self.status.ledger;
        ledger.settled < Some(slot) || ledger.verdict(slot).is_some()
    }

    /// Why a slot was not looked at in time.
    pub(super) fn cause(&self, slot: Timestamp) -> Cause {
        let suspended = self.status.ledger.suspended_since;
        let awake = self.around.awake;
        match suspended {
            Some(since) if slot > since => Cause::Suspended,
            _ if slot <= awake.since => awake.after,
            _ => Cause::Late,
        }
    }
}
