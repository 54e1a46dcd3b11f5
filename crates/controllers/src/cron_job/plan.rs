//! One look at a CronJob: what to change now, and when to look again.

mod due;
mod fate;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::schedule::Zone;
use wasmjob_api::{
    Cause, ConcurrencyPolicy, CronJob, CronJobStatus, Event, Job, Rule, SlotVerdict, Uid,
};

use super::slots::{Slots, jitter};
use super::{active, history, job};

/// How late a slot may be seen and still run with `wasmjob.dev/catch-up: none`.
///
/// A loaded host is a second late, a restart takes some; a minute would be the next slot.
pub const CATCH_UP_TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

/// What a plan needs to know beside the rows.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The wall time.
    pub now: Timestamp,
    /// Since when the host has been looking.
    pub awake: Awake,
    /// When this process of the host started; for `wasmjob.dev/reboot`.
    pub started: Timestamp,
    /// The zone of CronJobs that name none.
    pub zone: &'a Zone,
    /// Whether nothing can be created: the namespace is being deleted, or has no room.
    pub terminating: bool,
    /// Whether the namespace has a Job of that name which is not among the CronJob's own.
    pub is_taken: &'a dyn Fn(&str) -> bool,
}

/// Since when the host has been looking without a break, and what was before.
///
/// At its start the host sets it to the wall time, after [`Cause::Down`]; whenever its wall
/// clock has moved forward more than its monotonic clock, to the wall time, after
/// [`Cause::Asleep`]. It only explains why slots were missed and changes no decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Awake {
    /// Slots up to here were not looked at in time.
    pub since: Timestamp,
    /// Why.
    pub after: Cause,
}

/// What the host is to change for a CronJob, in one commit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// The new status; `None` if it stays as it is. Jobs of [`create`](Self::create) are
    /// not among its active ones, see there.
    pub status: Option<CronJobStatus>,
    /// Jobs to delete, before any is created: pods and all, as for a background deletion.
    /// Their events are among the events.
    pub delete: Vec<Uid>,
    /// Jobs to create. The host makes each an object ([`new_job`](super::new_job)), gives it
    /// a UID and adds it to the active ones of the status.
    pub create: Vec<NewJob>,
    /// Events of the CronJob.
    pub events: Vec<Event>,
    /// When to plan again even if nothing changed.
    pub look_again: Option<Timestamp>,
}

/// A Job to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewJob {
    /// Its name.
    pub name: Arc<str>,
    /// The slot that it runs for; `None` for a start of the host.
    pub slot: Option<Timestamp>,
}

/// Decides what to change for `cron_job`, whose own Jobs are `jobs`: those whose controller
/// it is. Reads no clock and does no I/O.
///
/// See the [module](crate::cron_job) for what follows Kubernetes and what differs.
#[must_use]
pub fn plan(cron_job: &CronJob, jobs: &[Arc<Job>], around: &Surroundings<'_>) -> Plan {
    let mut look = Look {
        cron_job,
        jobs,
        around,
        status: cron_job.status.clone(),
        plan: Plan::default(),
    };
    look.look();
    let Look {
        status, mut plan, ..
    } = look;
    let created = plan.create.iter().map(|job| {
        let text = format!("Created job {}", job.name);
        Event::normal("SuccessfulCreate", text)
    });
    plan.events.extend(created);
    if status != cron_job.status {
        plan.status = Some(status);
    }
    plan
}

/// A plan in the making.
struct Look<'a> {
    cron_job: &'a CronJob,
    jobs: &'a [Arc<Job>],
    around: &'a Surroundings<'a>,
    status: CronJobStatus,
    plan: Plan,
}

impl Look<'_> {
    fn look(&mut self) {
        active::update(
            self.cron_job,
            self.jobs,
            &mut self.status,
            &mut self.plan.events,
        );
        if self.cron_job.deletion.is_some() {
            return;
        }
        for surplus in history::surplus(self.cron_job, self.jobs) {
            self.delete(surplus.uid, &surplus.name);
        }
        let spec = &self.cron_job.spec;
        let zone = match &spec.zone {
            Ok(own) => own.as_ref().unwrap_or(self.around.zone),
            Err(error) => {
                let name = spec.object.time_zone.as_deref().unwrap_or_default();
                let text = format!("invalid timeZone: {name:?}: {error}");
                self.warn_once("UnknownTimeZone", text);
                return;
            }
        };
        let counts_from = self.counts_from(zone);
        if spec.suspend {
            let since = &mut self.status.ledger.suspended_since;
            *since = since.or(Some(self.around.now));
            return;
        }
        let schedule = match &spec.schedule {
            Ok(schedule) => schedule,
            Err(error) => {
                let text = format!("unparseable schedule: {:?} : {error}", spec.object.schedule);
                self.warn_once("UnparseableSchedule", text);
                return;
            }
        };
        if !self.around.terminating {
            self.reboot();
            self.schedule(&Slots::new(self.cron_job, schedule, zone), counts_from);
        }
    }

    fn schedule(&mut self, slots: &Slots<'_>, counts_from: Timestamp) {
        let spec = &self.cron_job.spec;
        let text = &spec.object.schedule;
        if text.contains("TZ") {
            let text = format!(
                "CRON_TZ or TZ used in schedule {text:?} is not officially supported, see \
                 https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
            );
            self.warn_once("UnsupportedSchedule", text);
        }
        let due = self.due();
        self.run_due(slots, counts_from, due);
        self.status.ledger.suspended_since = None;
        match slots.next(counts_from.max(due)) {
            Some(next) => self.plan.look_again = next.checked_add(self.jitter()).ok(),
            None => {
                let text = format!(
                    "invalid schedule: {} : time difference between two schedules is less than 1 second",
                    spec.object.schedule
                );
                self.warn_once("InvalidSchedule", text);
            }
        }
    }

    /// Slots after this are to be looked at: the latest run, the creation, or the
    /// change of the schedule.
    fn counts_from(&mut self, zone: &Zone) -> Timestamp {
        let spec = &self.cron_job.spec;
        let schedule = &spec.object.schedule;
        let text = format!("{schedule} {} {:?}", zone.name(), spec.options.dst);
        let ledger = &mut self.status.ledger;
        let since = match &ledger.rule {
            Some(rule) if rule.text == text => rule.since,
            known => {
                let since = match known {
                    Some(_) => self.around.now,
                    None => self.cron_job.created,
                };
                ledger.rule = Some(Rule { text, since });
                since
            }
        };
        let base = self.status.last_schedule_time;
        base.unwrap_or(self.cron_job.created).max(since)
    }

    fn jitter(&self) -> SignedDuration {
        let jitter = jitter(self.cron_job.uid, self.cron_job.spec.options.jitter);
        SignedDuration::try_from(jitter).unwrap_or_default()
    }

    /// Slots up to this are due: now, but for the jitter.
    fn due(&self) -> Timestamp {
        let now = self.around.now;
        now.checked_sub(self.jitter()).unwrap_or(now)
    }

    /// `wasmjob.dev/reboot`: one run for this start of the host. A CronJob that was
    /// created since waits for the next one.
    fn reboot(&mut self) {
        let started = self.around.started;
        let told = self.status.told.reboot;
        let done = told.is_some_and(|told| told.as_second() >= started.as_second());
        let wanted = self.cron_job.spec.options.reboot && self.cron_job.created < started;
        if done || !wanted {
            return;
        }
        self.status.told.reboot = Some(started);
        let name = job::reboot_name(self.cron_job, started);
        if self.is_blocked() {
            self.tell_blocked();
        } else if self.job_named(&name).is_none() && !(self.around.is_taken)(&name) {
            self.replace_active();
            self.create(name, None);
        }
    }

    fn is_blocked(&self) -> bool {
        let forbids = self.cron_job.spec.concurrency_policy == ConcurrencyPolicy::Forbid;
        forbids && !(self.status.active.is_empty() && self.plan.create.is_empty())
    }

    fn tell_blocked(&mut self) {
        self.plan.events.push(Event::normal(
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid",
        ));
    }

    fn job_named(&self, name: &str) -> Option<&Arc<Job>> {
        self.jobs.iter().find(|job| &*job.name == name)
    }

    fn create(&mut self, name: String, slot: Option<Timestamp>) {
        self.plan.create.push(NewJob {
            name: name.into(),
            slot,
        });
    }

    fn delete(&mut self, uid: Uid, name: &str) {
        let text = format!("Deleted job {name}");
        self.plan
            .events
            .push(Event::normal("SuccessfulDelete", text));
        self.plan.delete.push(uid);
    }

    /// With Replace, makes place for a Job.
    fn replace_active(&mut self) {
        if self.cron_job.spec.concurrency_policy != ConcurrencyPolicy::Replace {
            return;
        }
        // What this very plan creates for a start of the host gives way as well.
        self.plan.create.clear();
        for reference in std::mem::take(&mut self.status.active) {
            if self.is_undisturbed(reference.uid) {
                self.delete(reference.uid, &reference.name);
            }
            let replaced = |slot| job::job_name(self.cron_job, slot) == *reference.name;
            let mut records = self.status.ledger.slots.iter_mut().rev();
            if let Some(record) = records.find(|record| replaced(record.slot))
                && let SlotVerdict::Ran { late_seconds } = record.verdict
            {
                record.verdict = SlotVerdict::Replaced { late_seconds };
            }
        }
    }

    /// Whether the Job is not being deleted already.
    fn is_undisturbed(&self, uid: Uid) -> bool {
        let mut jobs = self.jobs.iter();
        jobs.any(|job| job.uid == uid && job.deletion.is_none())
    }

    /// Says what is wrong with a spec, once for each of its generations.
    fn warn_once(&mut self, reason: &'static str, text: String) {
        let generation = Some(self.cron_job.generation);
        if self.cron_job.status.told.generation != generation {
            self.status.told.generation = generation;
            self.plan.events.push(Event::warning(reason, text));
        }
    }
}
