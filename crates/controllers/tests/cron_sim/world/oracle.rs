//! What must hold of every plan and of the status after every commit.

use std::sync::Arc;

use jiff::SignedDuration;
use wasmjob_api::{CatchUp, ConcurrencyPolicy, Job, SlotVerdict};
use wasmjob_controllers::cron_job::{Plan, Slots, jitter};
use wasmjob_controllers::invariants::check_cron_plan;

use super::World;

impl World {
    /// I24, I26 and I28, and what only somebody with a memory can say: no name is ever
    /// given twice, and a clock that was set forward makes up for one slot.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), String> {
        let jobs: Vec<Arc<Job>> = self.jobs.values().cloned().collect();
        check_cron_plan(&self.cron_job, &jobs, plan, self.now)
            .map_err(|violation| violation.to_string())?;
        for new in &plan.create {
            if self.made.contains(&new.name) || self.foreign.contains(&*new.name) {
                return Err(format!("{} is made twice", new.name));
            }
        }
        let slots = plan.create.iter().filter(|new| new.slot.is_some()).count();
        let most = match self.cron_job.spec.options.catch_up {
            CatchUp::All { limit } => limit,
            CatchUp::Latest | CatchUp::None => 1,
        };
        if slots > most {
            return Err(format!("{slots} Jobs to catch up, {most} allowed"));
        }
        self.check_forbid(plan)
    }

    /// Forbid looks at what runs, and not at what a status says.
    fn check_forbid(&self, plan: &Plan) -> Result<(), String> {
        let forbids = self.cron_job.spec.concurrency_policy == ConcurrencyPolicy::Forbid;
        let runs = |job: &&Arc<Job>| {
            self.made.contains(&job.name) && job.finished().is_none() && job.deletion.is_none()
        };
        let running = self.jobs.values().filter(runs).count();
        match forbids && running > 0 && !plan.create.is_empty() {
            true => Err(format!("{running} run and Forbid makes {:?}", plan.create)),
            false => Ok(()),
        }
    }

    /// I25: the latest slot that is due ran, or its record says why not, and nothing
    /// that can run is left to wait.
    pub(super) fn check_explained(&self) -> Result<(), String> {
        let cron_job = &self.cron_job;
        let spec = &cron_job.spec;
        let ledger = &cron_job.status.ledger;
        let (Ok(schedule), Ok(zone), false) = (&spec.schedule, &spec.zone, spec.suspend) else {
            return Ok(());
        };
        let Some(rule) = &ledger.rule else {
            return Err("there is no rule".to_owned());
        };
        let zone = zone.as_ref().unwrap_or(&self.zone);
        let slots = Slots::new(cron_job, schedule, zone);
        let jitter = jitter(cron_job.uid, spec.options.jitter);
        let due = self.now - SignedDuration::try_from(jitter).unwrap_or_default();
        let base = cron_job.status.last_schedule_time;
        let from = base.unwrap_or(cron_job.created).max(rule.since);
        let Some(latest) = slots.last(from, due) else {
            return Ok(());
        };
        // It is due and did not run, for otherwise it would be the base.
        let queued = matches!(spec.options.catch_up, CatchUp::All { .. })
            && spec.concurrency_policy == ConcurrencyPolicy::Forbid;
        let covered = ledger
            .slots
            .iter()
            .any(|record| record.slot <= latest && latest <= record.until.unwrap_or(record.slot));
        if !(covered || queued || ledger.settled >= Some(latest)) {
            return Err(format!("{latest} has no verdict"));
        }
        let free = spec.concurrency_policy != ConcurrencyPolicy::Forbid
            && spec.starting_deadline.is_none()
            && spec.options.catch_up == CatchUp::Latest
            && ledger.settled == Some(latest);
        match ledger.verdict(latest) {
            Some(SlotVerdict::Ran { .. }) => Err(format!("{latest} ran and is not the base")),
            Some(verdict) if free && self.foreign.is_empty() => {
                Err(format!("{latest} could run, and is {verdict}"))
            }
            _ => Ok(()),
        }
    }
}
