//! One CronJob, its Jobs, and its own time. CronJobs do not concern each other.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::schedule::{DstSurprise, Zone};
use wasmjob_api::{
    Cause, CronJob, CronJobSpec, Job, JobCondition, JobConditionType, JobReference, SlotRecord,
    SlotVerdict, Uid, defaults,
};

use super::course::{Course, Drive};
use super::load::Sweep;
use super::outcome::{Fate, Outcome};
use super::totals::{Idle, Totals};
use super::{Budget, CronJobForecast, Exhausted, Settings, Subject};
use crate::cron_job::{Awake, NewJob, Plan, Slots, Surroundings, jitter, new_job, plan};

/// A CronJob as its host would hold it.
pub(super) struct World<'a> {
    index: usize,
    settings: &'a Settings,
    drive: Drive,
    /// How long a pod takes.
    duration: Duration,
    cron_job: CronJob,
    jitter: SignedDuration,
    /// What the controller sees.
    jobs: Vec<Arc<Job>>,
    /// Those that have not ended, in the order of their starts, which is that of their ends.
    active: VecDeque<Active>,
    /// A Job of it, and the course that they all take.
    pattern: Arc<Job>,
    course: Arc<Course>,
    timer: Option<Timestamp>,
    /// The newest slot that was due, and whether it waits for the end of a Job.
    due: Option<Timestamp>,
    waits: bool,
    /// The newest record of the ledger: it may still change.
    open: Option<SlotRecord>,
    uids: u128,
    totals: Totals,
}

/// A Job that has not ended.
struct Active {
    uid: Uid,
    slot: Timestamp,
    start: Timestamp,
    end: Option<(Timestamp, bool)>,
    course: Arc<Course>,
    /// Changes of its pods that have been told, and how many pods run after them.
    told: usize,
    pods: i64,
}

impl<'a> World<'a> {
    pub(super) fn new(
        index: usize,
        subject: &Subject,
        settings: &'a Settings,
        drive: Drive,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let cron_job = prepare(&subject.cron_job, settings.from);
        let jitter = jitter(cron_job.uid, cron_job.spec.options.jitter);
        let name = NewJob {
            name: Arc::clone(&cron_job.name),
            slot: Some(settings.from),
        };
        let pattern = job(&cron_job, &name, Uid::from_random(0), settings);
        let span = settings.until.duration_since(settings.from);
        let mut world = Self {
            index,
            settings,
            drive,
            duration: subject.duration,
            jitter: SignedDuration::try_from(jitter).unwrap_or_default(),
            timer: Some(cron_job.created),
            cron_job,
            jobs: Vec::new(),
            active: VecDeque::new(),
            pattern: Arc::new(pattern),
            course: Arc::default(),
            due: None,
            waits: false,
            open: None,
            uids: 0,
            totals: Totals::default(),
        };
        world.course = world.drive(&world.pattern, settings.from, span, budget)?;
        Ok(world)
    }

    /// The course of a Job that starts at `start`.
    fn drive(
        &self,
        job: &Job,
        start: Timestamp,
        span: SignedDuration,
        budget: &mut Budget,
    ) -> Result<Arc<Course>, Exhausted> {
        let until = start.checked_add(span).unwrap_or(Timestamp::MAX);
        let job = Job {
            created: start,
            ..job.clone()
        };
        Course::of(job, start, until, self.duration, budget).map(Arc::new)
    }

    /// Lets everything happen that happens before `until`.
    pub(super) fn advance(
        &mut self,
        until: Timestamp,
        sweep: &mut Sweep,
        outcomes: &mut Vec<Outcome>,
        budget: &mut Budget,
    ) -> Result<(), Exhausted> {
        while let Some(now) = self.next().filter(|next| *next < until) {
            // A look costs more where many Jobs are active.
            budget.spend(1 + self.jobs.len() / 8)?;
            let ended = self.end_jobs(now, sweep, outcomes);
            let is_due = self.timer.is_some_and(|timer| timer <= now);
            if is_due {
                self.due = self
                    .timer
                    .and_then(|timer| timer.checked_sub(self.jitter).ok());
            }
            if is_due || ended && (self.waits || self.drive == Drive::Each) {
                self.look(now, sweep, outcomes, budget)?;
            }
        }
        for active in &mut self.active {
            active.tell_pods(until, sweep);
        }
        Ok(())
    }

    /// When something happens next.
    fn next(&self) -> Option<Timestamp> {
        let end = self.active.front().and_then(|active| active.end);
        let end = end.map(|(at, _)| at);
        self.timer.into_iter().chain(end).min()
    }

    fn end_jobs(&mut self, now: Timestamp, sweep: &mut Sweep, outcomes: &mut Vec<Outcome>) -> bool {
        let mut ended = false;
        while let Some(active) = self.active.front()
            && let Some((at, complete)) = active.end
            && at <= now
            && let Some(mut active) = self.active.pop_front()
        {
            ended = true;
            active.tell_pods(Timestamp::MAX, sweep);
            if let Some(job) = self.jobs.iter_mut().find(|job| job.uid == active.uid) {
                finish(Arc::make_mut(job), complete, at);
            }
            let fate = if complete {
                Fate::Complete
            } else {
                Fate::Failed
            };
            self.settle(active.outcome(self.index, Some(at), fate), outcomes);
        }
        ended
    }

    fn look(
        &mut self,
        now: Timestamp,
        sweep: &mut Sweep,
        outcomes: &mut Vec<Outcome>,
        budget: &mut Budget,
    ) -> Result<(), Exhausted> {
        let around = Surroundings {
            now,
            awake: Awake {
                since: self.cron_job.created,
                after: Cause::Down,
            },
            started: self.cron_job.created,
            zone: &self.settings.zone,
            terminating: false,
            is_taken: &|_| false,
        };
        let plan = plan(&self.cron_job, &self.jobs, &around);
        self.take_over(plan, now, sweep, outcomes, budget)?;
        self.read_ledger(outcomes);
        self.waits = self.cron_job.status.last_schedule_time < self.due;
        Ok(())
    }

    fn take_over(
        &mut self,
        plan: Plan,
        now: Timestamp,
        sweep: &mut Sweep,
        outcomes: &mut Vec<Outcome>,
        budget: &mut Budget,
    ) -> Result<(), Exhausted> {
        if let Some(status) = plan.status {
            self.cron_job.status = status;
        }
        for uid in plan.delete {
            self.jobs.retain(|job| job.uid != uid);
            let place = self.active.iter().position(|active| active.uid == uid);
            if let Some(mut active) = place.and_then(|place| self.active.remove(place)) {
                active.tell_pods(now, sweep);
                sweep.pods(now, -active.pods);
                self.settle(
                    active.outcome(self.index, Some(now), Fate::Replaced),
                    outcomes,
                );
            }
        }
        for new in plan.create {
            self.start(&new, now, sweep, budget)?;
        }
        self.timer = plan.look_again;
        Ok(())
    }

    fn start(
        &mut self,
        new: &NewJob,
        now: Timestamp,
        sweep: &mut Sweep,
        budget: &mut Budget,
    ) -> Result<(), Exhausted> {
        self.uids += 1;
        let uid = Uid::from_random(self.uids);
        let (row, course) = match self.drive {
            Drive::Once => {
                let row = Job {
                    uid,
                    name: Arc::clone(&new.name),
                    created: now,
                    ..(*self.pattern).clone()
                };
                (row, Arc::clone(&self.course))
            }
            Drive::Each => {
                let row = job(&self.cron_job, new, uid, self.settings);
                let span = self.settings.until.duration_since(self.settings.from);
                let course = self.drive(&row, now, span, budget)?;
                (row, course)
            }
        };
        budget.spend(1 + course.pods.len())?;
        self.jobs.push(Arc::new(row));
        let name = Arc::clone(&new.name);
        self.cron_job.status.active.push(JobReference { uid, name });
        let end = course.end.and_then(|(after, complete)| {
            let at = now.checked_add(after).ok()?;
            Some((at, complete))
        });
        let slot = new.slot.unwrap_or(now);
        self.active.push_back(Active {
            uid,
            slot,
            start: now,
            end,
            course,
            told: 0,
            pods: 0,
        });
        sweep.job(self.index, now);
        let late = now.duration_since(slot) - self.jitter;
        self.totals.started(slot, now, late, self.active.len());
        Ok(())
    }

    /// Reads what became of slots that got no Job. All but the newest record is final and
    /// goes: the controller looks at the newest one only, and a short ledger is quick.
    fn read_ledger(&mut self, outcomes: &mut Vec<Outcome>) {
        if self.drive == Drive::Each {
            return;
        }
        let slots = &mut self.cron_job.status.ledger.slots;
        let newest = slots.pop();
        let done = std::mem::take(slots);
        slots.extend(newest.clone());
        self.open = newest;
        for record in &done {
            self.no_job(record, outcomes);
        }
    }

    /// Tells slots that share a fate: one, or the first and the last of two.
    fn no_job(&mut self, record: &SlotRecord, outcomes: &mut Vec<Outcome>) {
        if matches!(
            record.verdict,
            SlotVerdict::Ran { .. } | SlotVerdict::Replaced { .. }
        ) {
            return;
        }
        for slot in [Some(record.slot), record.until].into_iter().flatten() {
            let outcome = Outcome {
                cron_job: self.index,
                slot,
                start: None,
                end: None,
                fate: Fate::NoJob(record.verdict),
            };
            self.settle(outcome, outcomes);
        }
    }

    fn settle(&mut self, outcome: Outcome, outcomes: &mut Vec<Outcome>) {
        self.totals.settled(&outcome);
        outcomes.push(outcome);
    }

    /// The time is over: tells what is not.
    pub(super) fn end(&mut self, outcomes: &mut Vec<Outcome>) {
        if let Some(record) = self.open.take() {
            self.no_job(&record, outcomes);
        }
        for active in std::mem::take(&mut self.active) {
            self.settle(active.outcome(self.index, None, Fate::Unfinished), outcomes);
        }
    }

    pub(super) fn conclude(self, zone: &Zone) -> CronJobForecast {
        CronJobForecast {
            idle: (self.totals.jobs == 0).then(|| self.idle(zone)),
            job_takes: self.course.end.map(|(after, _)| after),
            surprises: self.surprises(zone),
            totals: self.totals,
        }
    }

    fn idle(&self, zone: &Zone) -> Idle {
        let spec = &self.cron_job.spec;
        let (Ok(schedule), Ok(own)) = (&spec.schedule, &spec.zone) else {
            return Idle::Unreadable;
        };
        let zone = own.as_ref().unwrap_or(zone);
        let next = Slots::new(&self.cron_job, schedule, zone).next(self.cron_job.created);
        match next {
            _ if spec.suspend => Idle::Suspended,
            Some(next) => Idle::Until(next),
            None => Idle::Never,
        }
    }

    fn surprises(&self, zone: &Zone) -> Vec<DstSurprise> {
        let spec = &self.cron_job.spec;
        match (&spec.schedule, &spec.zone) {
            (Ok(schedule), Ok(own)) if !spec.suspend => {
                let zone = own.as_ref().unwrap_or(zone);
                let Settings { from, until, .. } = self.settings;
                schedule.dst_surprises(*from, *until, zone, spec.options.dst)
            }
            _ => Vec::new(),
        }
    }
}

impl Active {
    /// Tells the changes of its pods that come before `until`.
    fn tell_pods(&mut self, until: Timestamp, sweep: &mut Sweep) {
        while let Some((after, pods)) = self.course.pods.get(self.told)
            && let Ok(at) = self.start.checked_add(*after)
            && at < until
        {
            sweep.pods(at, *pods);
            self.pods += pods;
            self.told += 1;
        }
    }

    fn outcome(&self, cron_job: usize, end: Option<Timestamp>, fate: Fate) -> Outcome {
        Outcome {
            cron_job,
            slot: self.slot,
            start: Some(self.start),
            end,
            fate,
        }
    }
}

/// The CronJob as it is when the time begins.
pub(super) fn prepare(cron_job: &CronJob, from: Timestamp) -> CronJob {
    let annotations = cron_job.metadata.annotations.as_ref();
    let parsed = CronJobSpec::parse(cron_job.spec.object.clone(), annotations);
    let is_interval = parsed
        .schedule
        .as_ref()
        .is_ok_and(|schedule| schedule.interval().is_some());
    CronJob {
        // Slots are those after the creation; `@every` counts from it, to the second.
        created: if is_interval {
            from
        } else {
            a_moment_before(from)
        },
        status: wasmjob_api::CronJobStatus::default(),
        spec: Arc::new(CronJobSpec {
            // Jobs that ended change no decision, and make every look longer.
            successful_jobs_history_limit: Some(0),
            failed_jobs_history_limit: Some(0),
            ..parsed
        }),
        ..cron_job.clone()
    }
}

/// The Job of a slot, as the host would make it.
fn job(cron_job: &CronJob, new: &NewJob, uid: Uid, settings: &Settings) -> Job {
    let mut object = new_job(cron_job, new, &settings.zone);
    defaults::job(&mut object);
    defaults::prepare_job(&mut object, uid);
    Job::new(object, uid, settings.from)
}

/// What the CronJob controller looks for in a Job that ended.
fn finish(job: &mut Job, complete: bool, at: Timestamp) {
    let condition_type = match complete {
        true => JobConditionType::Complete,
        false => JobConditionType::Failed,
    };
    job.status.start_time = Some(job.created);
    job.status.completion_time = complete.then_some(at);
    job.status.conditions.push(JobCondition {
        condition_type,
        status: true,
        reason: Cow::Borrowed(""),
        message: Cow::Borrowed(""),
        last_probe: at,
        last_transition: at,
    });
}

/// The instant a nanosecond earlier.
pub(super) fn a_moment_before(at: Timestamp) -> Timestamp {
    at.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(at)
}
