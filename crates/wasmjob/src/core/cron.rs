//! Planning for CronJobs, and taking plans over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{CronJob, Event, Job, JobReference, Uid, defaults};
use wasmjob_controllers::cron_job::{self, NewJob, Plan, Surroundings};
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind};

use super::commands::Prepared;
use super::turn::Turn;
use super::{Core, New};
use crate::ApplyError;
use crate::cron::CronEntry;
use crate::job::Propagation;

/// CronJobs that one turn looks at, so that the disk has something to write while
/// the others are looked at.
const PER_TURN: usize = 512;

/// Jobs that are made before the first of them is looked at. When thousands of
/// CronJobs are due at once, all Jobs are there before the pods of the first take
/// the time of the last.
const FRESH_MAX: usize = 16_384;

/// How long a slot waits whose Job a quota refuses, before it is tried again.
const REFUSED_WAIT: SignedDuration = SignedDuration::from_secs(10);

/// Who says so in events.
const SOURCE: &str = "cronjob-controller";

impl Core {
    /// Takes a CronJob on that has a row.
    pub(super) fn know_cron_job(&mut self, entry: CronEntry) {
        let cron_job = &entry.cron_job;
        let uid = cron_job.uid;
        let names = (Arc::clone(&cron_job.namespace), Arc::clone(&cron_job.name));
        self.cron_names.insert(names, uid);
        self.cron_jobs.insert(uid, entry);
        self.mark_cron(uid);
        self.watch_clock();
    }

    /// The CronJob is to be looked at in this turn or the next.
    pub(super) fn mark_cron(&mut self, uid: Uid) {
        if let Some(entry) = self.cron_jobs.get_mut(&uid)
            && !std::mem::replace(&mut entry.dirty, true)
        {
            self.dirty_cron.push(uid);
        }
    }

    /// Looks at the CronJobs that are due or to be looked at.
    pub(super) fn look_at_cron_jobs(&mut self, turn: &mut Turn, now: Timestamp) {
        while self.dirty_cron.len() < PER_TURN
            && let Some(uid) = self.cron_timers.take(now)
        {
            if let Some(entry) = self.cron_jobs.get_mut(&uid) {
                entry.timer = None;
            }
            self.mark_cron(uid);
        }
        let these = self.dirty_cron.len().min(PER_TURN);
        let these: Vec<Uid> = self.dirty_cron.drain(..these).collect();
        for uid in these {
            self.look_at_cron_job(turn, uid, now);
        }
        let more_are_due = self.cron_timers.next().is_some_and(|at| at <= now);
        if !more_are_due || self.fresh.len() >= FRESH_MAX {
            self.dirty.append(&mut self.fresh);
        }
    }

    /// When the next CronJob is due, as the host's thread waits.
    pub(super) fn cron_timeout(&self) -> Option<Instant> {
        let wait = self.cron_timers.next()?.duration_since(self.clock.wall());
        let wait = Duration::try_from(wait).unwrap_or(Duration::ZERO);
        self.clock.monotonic().checked_add(wait)
    }

    fn look_at_cron_job(&mut self, turn: &mut Turn, uid: Uid, now: Timestamp) {
        let Some(entry) = self.cron_jobs.get_mut(&uid) else {
            return;
        };
        entry.dirty = false;
        let cron_job = Arc::clone(&entry.cron_job);
        let own: Vec<Arc<Job>> = entry
            .jobs
            .iter()
            .filter_map(|job| Some(Arc::clone(&self.jobs.get(job)?.job)))
            .collect();
        let mut plan = self.plan_cron(&cron_job, &own, now, false);
        if let Err(error) = self.check_new_jobs(&cron_job, &plan) {
            // The slot waits, and nothing is said of it yet. What has ended is told all the
            // same, and history is cut: that may be what makes room.
            let again = now.saturating_add(REFUSED_WAIT).ok();
            let look_again = plan.look_again.into_iter().chain(again).min();
            plan = self.plan_cron(&cron_job, &own, now, true);
            plan.look_again = look_again;
            let text = format!("Error creating job: {error}");
            plan.events.push(Event::warning("FailedCreate", text));
        }
        self.take_over_cron(turn, &cron_job, plan, now);
    }

    fn plan_cron(&self, row: &CronJob, own: &[Arc<Job>], now: Timestamp, is_closed: bool) -> Plan {
        let is_taken = |name: &str| {
            let names = (Arc::clone(&row.namespace), Arc::from(name));
            let taken = self.job_names.get(&names);
            taken.is_some_and(|uid| own.iter().all(|job| job.uid != *uid))
        };
        cron_job::plan(
            row,
            own,
            &Surroundings {
                now,
                awake: self.awake,
                started: self.started,
                zone: &self.zone,
                terminating: is_closed,
                is_taken: &is_taken,
            },
        )
    }

    fn take_over_cron(&mut self, turn: &mut Turn, row: &Arc<CronJob>, plan: Plan, now: Timestamp) {
        let mut status = plan.status;
        for job in plan.delete {
            self.delete_job(turn, job, Propagation::Background);
        }
        for event in plan.events {
            self.cron_event(turn, row, event);
        }
        for new in plan.create {
            match self.prepare_of_cron(row, &new, now) {
                Ok(prepared) => {
                    let made = self.create(turn, prepared);
                    // It was marked just now.
                    self.fresh
                        .extend(self.dirty.pop_if(|uid| *uid == made.key.uid));
                    if let Some(slot) = new.slot {
                        // Never before its slot, unless the clock was set back.
                        let skew = Duration::try_from(now.duration_since(slot));
                        self.counts.creation_skew.observe(skew.unwrap_or_default());
                    }
                    let status = status.get_or_insert_with(|| row.status.clone());
                    status.active.push(JobReference {
                        uid: made.key.uid,
                        name: made.name,
                    });
                }
                // The template was validated with the CronJob, by older rules perhaps.
                Err(error) => {
                    let text = format!("Error creating job: {error}");
                    self.cron_event(turn, row, Event::warning("FailedCreate", text));
                }
            }
        }
        if let Some(status) = status {
            let changed = CronJob {
                status,
                ..(**row).clone()
            };
            self.set_cron_job(turn, changed);
        }
        if row.deletion.is_some() {
            self.sweep_cron_job(turn, row.uid);
        }
        if let Some(entry) = self.cron_jobs.get_mut(&row.uid) {
            // A time that has come is looked at in the next turn.
            let at = plan.look_again;
            self.cron_timers.set(row.uid, entry.timer, at);
            entry.timer = at;
        }
    }

    /// The Job of a slot. The first one of each version of a CronJob is made of the
    /// object and validated, the others are made of that one.
    fn prepare_of_cron(
        &mut self,
        row: &Arc<CronJob>,
        new: &NewJob,
        now: Timestamp,
    ) -> Result<Prepared, ApplyError> {
        let made = self.cron_jobs.get(&row.uid).and_then(CronEntry::made);
        if let Some(made) = made.cloned() {
            let uid = self.random.uid();
            let job = cron_job::next_job(row, &made, new, uid, now, &self.zone);
            return Ok(Prepared::Job(job));
        }
        let mut object = cron_job::new_job(row, new, &self.zone);
        defaults::job(&mut object);
        let prepared = self.prepare(New::Job(Box::new(object), Arc::clone(&row.base)), now)?;
        if let (Prepared::Job(job), Some(entry)) = (&prepared, self.cron_jobs.get_mut(&row.uid)) {
            let version = (Arc::clone(&row.spec), Arc::clone(&row.base));
            entry.made = Some((version.0, version.1, Arc::new(job.clone())));
        }
        Ok(prepared)
    }

    fn cron_event(&mut self, turn: &mut Turn, row: &CronJob, event: Event) {
        let key = Key {
            kind: Kind::CronJob,
            uid: row.uid,
        };
        self.event(turn, key, &row.namespace, &row.name, event, SOURCE);
    }

    pub(super) fn delete_cron_job(&mut self, turn: &mut Turn, uid: Uid, propagation: Propagation) {
        let Some(entry) = self.cron_jobs.get(&uid) else {
            return;
        };
        let jobs: Vec<Uid> = entry.jobs.iter().copied().collect();
        let row = Arc::clone(&entry.cron_job);
        for job in &jobs {
            match propagation {
                Propagation::Orphan => self.orphan_job(turn, *job),
                Propagation::Foreground | Propagation::Background => {
                    self.delete_job(turn, *job, propagation);
                }
            }
        }
        let now = self.clock.wall();
        let is_held = row.metadata.finalizers.iter().flatten().next().is_some();
        if propagation == Propagation::Foreground || is_held {
            let deleting = CronJob {
                deletion: Some(row.deletion.unwrap_or(now)),
                ..(*row).clone()
            };
            self.set_cron_job(turn, deleting);
            self.sweep_cron_job(turn, uid);
        } else {
            self.forget_cron_job(turn, uid);
        }
    }

    /// Removes a CronJob that is being deleted, once nothing holds it any more.
    pub(super) fn sweep_cron_job(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.cron_jobs.get(&uid) else {
            return;
        };
        let row = &entry.cron_job;
        let is_held = row.metadata.finalizers.iter().flatten().next().is_some();
        if row.deletion.is_some() && !is_held && entry.jobs.is_empty() {
            self.forget_cron_job(turn, uid);
        }
    }

    fn forget_cron_job(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.cron_jobs.remove(&uid) else {
            return;
        };
        self.cron_timers.set(uid, entry.timer, None);
        let row = &entry.cron_job;
        let names = (Arc::clone(&row.namespace), Arc::clone(&row.name));
        self.cron_names.remove(&names);
        self.policies.charge_object(&row.namespace, uid, || None);
        turn.transaction.delete(Key {
            kind: Kind::CronJob,
            uid,
        });
    }
}

impl Core {
    /// The CronJob that controls `job`, by its owner references. One of another
    /// namespace controls nothing here, whatever somebody has written.
    pub(super) fn controller_of(&self, job: &Job) -> Option<Uid> {
        let mut owners = job.metadata.owner_references.iter().flatten();
        let controller = owners.find(|owner| owner.controller == Some(true))?;
        let is_cron_job = controller.kind == "CronJob";
        let uid = controller.uid.parse().ok().filter(|_| is_cron_job)?;
        let owner = self.cron_jobs.get(&uid)?;
        (owner.cron_job.namespace == job.namespace).then_some(uid)
    }
}
