//! One look at a Job: what to change now, and when to look again.

mod ending;
mod manage;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Event, Job, JobConditionType, JobStatus, Pod, Uid};

use self::ending::Ending;
use super::PodSet;
use super::backoff;
use super::conditions::ensure;
use super::counting::{self, Tally};
use super::verdict::{Outcome, Verdict};

/// Pods created, or deleted for being too many, by one plan at most
/// (`MaxPodCreateDeletePerSync`), so that one Job does not hold up the others.
pub const PODS_PER_PLAN_MAX: u32 = 500;

/// What the host is to change for a Job, in one commit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// The new status; `None` if it stays as it is.
    pub status: Option<JobStatus>,
    /// Pods to create. The host gives them their UID, name and creation time,
    /// and reports an event for each.
    pub create: Vec<NewPod>,
    /// How many more would be created if there were room for them.
    pub refused: u32,
    /// Active pods to delete, first those that Kubernetes removes first. The
    /// host sets their deletion and reports an event for each.
    pub delete: Vec<Uid>,
    /// Pods to let go: their field `tracked` becomes false. What they count for
    /// is in the new status.
    pub release: Vec<Uid>,
    /// Events of the Job, other than those of the pods created and deleted.
    pub events: Vec<Event>,
    /// When to plan again even if nothing changed.
    pub look_again: Option<Timestamp>,
}

/// A pod to create.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NewPod {
    /// Its completion index, of an Indexed Job.
    pub index: Option<u32>,
    /// For the row's field of that name; with `backoffLimitPerIndex` only.
    pub index_failure_count: Option<u32>,
    /// For the row's field of that name; `None` for 0.
    pub index_ignored_failure_count: Option<u32>,
}

/// Decides what to change for `job`, whose pods are `pods`. Reads no clock and does no I/O.
///
/// See the [module](crate::job) for what follows Kubernetes and what differs.
#[must_use]
pub fn plan(job: &Job, pods: &PodSet, now: Timestamp) -> Plan {
    plan_within(job, pods, now, u32::MAX)
}

/// As [`plan`], where no more than `room` pods may be created: quotas leave no more.
#[must_use]
pub fn plan_within(job: &Job, pods: &PodSet, now: Timestamp, room: u32) -> Plan {
    if job.spec.managed_elsewhere {
        return Plan::default();
    }
    if job.finished().is_some() {
        // Nothing is counted any more; what is still held may go.
        let rest = pods.active_pods().chain(pods.unsettled());
        return Plan {
            release: rest.filter(|pod| pod.tracked).map(|pod| pod.uid).collect(),
            ..Plan::default()
        };
    }
    Look::new(job, pods, now, room).plan()
}

/// A plan in the making.
struct Look<'a> {
    job: &'a Job,
    pods: &'a PodSet,
    now: Timestamp,
    /// How many pods may be created.
    room: u32,
    /// The pods whose end is not counted yet.
    verdicts: Vec<Verdict<'a>>,
    tally: Tally,
    /// With `backoffLimitPerIndex`: for each index that waits for a
    /// replacement, its last failed pod. It stays tracked, because its row
    /// carries the failures of the index to the replacement.
    held: BTreeMap<u32, &'a Arc<Pod>>,
    status: JobStatus,
    active: u32,
    ready: u32,
    terminating: u32,
    plan: Plan,
}

impl<'a> Look<'a> {
    fn new(job: &'a Job, pods: &'a PodSet, now: Timestamp, room: u32) -> Self {
        let verdicts: Vec<_> = pods.unsettled().map(|pod| Verdict::of(job, pod)).collect();
        let mut status = job.status.clone();
        let tally = counting::tally(job, &verdicts, &mut status);
        let held = match job.spec.backoff_limit_per_index {
            Some(_) => held_pods(&verdicts, pods, &status),
            None => BTreeMap::new(),
        };
        Self {
            job,
            pods,
            now,
            room,
            verdicts,
            tally,
            held,
            status,
            active: pods.active(),
            ready: pods.ready(),
            terminating: pods.terminating(),
            plan: Plan::default(),
        }
    }

    fn plan(mut self) -> Plan {
        if self.status.start_time.is_none() && !self.job.spec.suspend {
            self.status.start_time = Some(self.now);
        }
        self.record_backoff();
        let ending = match self.decided_ending() {
            Some(ending) => {
                self.count_active(Some(&ending));
                self.delete_all_active();
                Some(ending)
            }
            None => self.manage(),
        };
        self.count_settled(ending.as_ref());
        self.status.active = self.active;
        self.status.ready = Some(self.ready);
        self.status.terminating = Some(self.terminating);
        match ending {
            Some(ending) => self.conclude(&ending),
            None => self.watch_deadline(),
        }
        if self.status != self.job.status {
            self.plan.status = Some(self.status);
        }
        self.plan
    }

    /// With `backoffLimitPerIndex` the pods carry the record, see [`Look::held`].
    fn record_backoff(&mut self) {
        if self.job.spec.backoff_limit_per_index.is_some() {
            return;
        }
        let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
        for verdict in self.verdicts.iter().filter(|verdict| verdict.valid) {
            match verdict.outcome {
                Outcome::Succeeded => succeeded.push(&**verdict.pod),
                Outcome::Failed(_) => failed.push(&**verdict.pod),
                Outcome::Undecided => {}
            }
        }
        if !(succeeded.is_empty() && failed.is_empty()) {
            self.status.backoff = backoff::record(self.status.backoff, &succeeded, &failed);
        }
    }

    /// Lets the active pods go because the Job ends or is deleted. To a Job
    /// that fails they count as failed.
    fn count_active(&mut self, ending: Option<&Ending>) {
        let failing = ending.is_some_and(|ending| !ending.success);
        for pod in self.pods.active_pods().filter(|pod| pod.tracked) {
            self.plan.release.push(pod.uid);
            let verdict = Verdict::of(self.job, pod);
            counting::count(self.job, &verdict, failing, &mut self.status);
        }
    }

    /// Counts the pods that ended, and lets them go.
    fn count_settled(&mut self, ending: Option<&Ending>) {
        let failing = ending.is_some_and(|ending| !ending.success);
        let all = ending.is_some() || self.job.deletion.is_some();
        for verdict in &self.verdicts {
            let uid = verdict.pod.uid;
            let held = verdict.index.and_then(|index| self.held.get(&index));
            let may_go = match verdict.outcome {
                Outcome::Succeeded => true,
                Outcome::Failed(_) => held.is_none_or(|held| held.uid != uid),
                Outcome::Undecided => false,
            };
            if all || may_go {
                self.plan.release.push(uid);
                counting::count(self.job, verdict, failing, &mut self.status);
            }
        }
    }

    /// Keeps the condition Suspended, and the start time, in step with `spec.suspend`.
    fn note_suspension(&mut self) {
        let suspended = JobConditionType::Suspended;
        let conditions = &mut self.status.conditions;
        if self.job.spec.suspend {
            // The deadline counts from the next start.
            self.status.start_time = None;
            if ensure(
                conditions,
                suspended,
                true,
                "JobSuspended",
                "Job suspended",
                self.now,
            ) {
                self.plan
                    .events
                    .push(Event::normal("Suspended", "Job suspended"));
            }
        } else if ensure(
            conditions,
            suspended,
            false,
            "JobResumed",
            "Job resumed",
            self.now,
        ) {
            self.status.start_time = Some(self.now);
            self.plan
                .events
                .push(Event::normal("Resumed", "Job resumed"));
        }
    }

    fn watch_deadline(&mut self) {
        if let Some(deadline) = self.deadline() {
            self.look_again_at(deadline);
        }
    }

    fn look_again_in(&mut self, delay: SignedDuration) {
        if let Ok(at) = self.now.checked_add(delay) {
            self.look_again_at(at);
        }
    }

    fn look_again_at(&mut self, at: Timestamp) {
        let timer = &mut self.plan.look_again;
        *timer = Some(timer.map_or(at, |earlier| earlier.min(at)));
    }
}

/// See [`Look::held`]; `getPodsWithDelayedDeletionPerIndex` of Kubernetes.
fn held_pods<'a>(
    verdicts: &[Verdict<'a>],
    pods: &PodSet,
    status: &JobStatus,
) -> BTreeMap<u32, &'a Arc<Pod>> {
    let failed_indexes = status.failed_indexes.as_ref();
    let mut held: BTreeMap<u32, &Arc<Pod>> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.failed()) {
        let Some(index) = verdict.index else { continue };
        let settled = status.completed_indexes.contains(index)
            || failed_indexes.is_some_and(|failed| failed.contains(index))
            || pods.active_indexes().contains(index);
        let known = held.get(&index);
        if !settled && known.is_none_or(|known| verdict.is_later_failure_than(known)) {
            held.insert(index, verdict.pod);
        }
    }
    held
}
