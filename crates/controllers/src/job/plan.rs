//! One look at a Job: what to change now, and when to look again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Event, Job, JobConditionType, JobStatus, Pod, Uid};

use super::PodSet;
use super::backoff;
use super::conditions::ensure;
use super::counting::{self, Tally};
use super::pending::first_pending_indexes;
use super::removal::pods_for_removal;
use super::success_policy::match_success_policy;
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
    Look::new(job, pods, now).plan()
}

/// How a Job ends.
pub(super) struct Ending {
    pub(super) success: bool,
    pub(super) reason: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl Ending {
    fn failure(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            success: false,
            reason: reason.into(),
            message: message.into(),
        }
    }

    fn success(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            success: true,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// A plan in the making.
struct Look<'a> {
    job: &'a Job,
    pods: &'a PodSet,
    now: Timestamp,
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
    fn new(job: &'a Job, pods: &'a PodSet, now: Timestamp) -> Self {
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

    /// How the Job ends, if that is decided before its pods are managed. What
    /// stands first wins.
    fn decided_ending(&self) -> Option<Ending> {
        self.earlier_decision()
            .or_else(|| self.failed_pod())
            .or_else(|| self.too_many_failures())
            .or_else(|| self.past_deadline())
            .or_else(|| self.failed_indexes())
            .or_else(|| self.success_policy())
    }

    fn earlier_decision(&self) -> Option<Ending> {
        let status = &self.job.status;
        let interim = [
            JobConditionType::SuccessCriteriaMet,
            JobConditionType::FailureTarget,
        ];
        let condition = interim
            .into_iter()
            .filter_map(|interim| status.condition(interim))
            .find(|condition| condition.status)?;
        Some(Ending {
            success: condition.condition_type == JobConditionType::SuccessCriteriaMet,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
    }

    fn failed_pod(&self) -> Option<Ending> {
        let message = self.verdicts.iter().find_map(Verdict::fail_job_message)?;
        Some(Ending::failure("PodFailurePolicy", message.to_owned()))
    }

    fn too_many_failures(&self) -> Option<Ending> {
        let limit = u64::from(self.job.spec.backoff_limit);
        // `pastBackoffLimitOnFailure`: restarts in place count as failures too.
        let restarts = self.pods.restarts();
        let restarted = self.job.spec.restart_on_failure && restarts >= limit.max(1);
        (self.tally.failed > limit || restarted).then(|| {
            Ending::failure(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
        })
    }

    fn past_deadline(&self) -> Option<Ending> {
        self.deadline().filter(|at| *at <= self.now).map(|_| {
            Ending::failure(
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            )
        })
    }

    /// When `activeDeadlineSeconds` is over; never, if no timestamp can hold it.
    fn deadline(&self) -> Option<Timestamp> {
        if self.job.spec.suspend {
            return None;
        }
        let deadline = SignedDuration::try_from(self.job.spec.active_deadline?).ok()?;
        self.status.start_time?.checked_add(deadline).ok()
    }

    fn failed_indexes(&self) -> Option<Ending> {
        let failed = self.status.failed_indexes.as_ref()?.len();
        let finished = failed + self.status.completed_indexes.len();
        let spec = &self.job.spec;
        if spec
            .max_failed_indexes
            .is_some_and(|max| failed > u64::from(max))
        {
            return Some(Ending::failure(
                "MaxFailedIndexesExceeded",
                "Job has exceeded the specified maximal number of failed indexes",
            ));
        }
        let all = finished >= u64::from(spec.completions.unwrap_or(0));
        (failed > 0 && all).then(|| Ending::failure("FailedIndexes", "Job has failed indexes"))
    }

    fn success_policy(&self) -> Option<Ending> {
        if !self.job.spec.is_indexed() {
            return None;
        }
        let rules = &self.job.spec.success_rules;
        let at = match_success_policy(rules, &self.status.completed_indexes)?;
        let message = format!("Matched rules at index {at}");
        Some(Ending::success("SuccessPolicy", message))
    }

    /// Brings the number of pods to what it should be; says if that completes the Job.
    fn manage(&mut self) -> Option<Ending> {
        let deleted = self.job.deletion.is_some();
        if deleted {
            self.count_active(None);
        } else {
            self.manage_pods();
        }
        let enough = match self.job.spec.completions {
            None => self.tally.succeeded > 0,
            Some(completions) => self.tally.succeeded >= u64::from(completions),
        };
        if enough && self.active == 0 {
            return Some(Ending::success(
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ));
        }
        if !deleted {
            self.note_suspension();
        }
        None
    }

    fn manage_pods(&mut self) {
        let spec = &self.job.spec;
        if spec.suspend {
            return self.delete_active(usize::MAX, usize::MAX);
        }
        let wanted = match spec.completions {
            // A work queue makes no more pods once one has succeeded.
            None if self.tally.succeeded > 0 => self.active,
            None => spec.parallelism,
            Some(completions) => {
                let missing = u64::from(completions).saturating_sub(self.tally.succeeded);
                spec.parallelism
                    .min(u32::try_from(missing).unwrap_or(u32::MAX))
            }
        };
        let surplus = self.active.saturating_sub(wanted);
        if surplus > 0
            || self
                .index_range()
                .is_some_and(|n| self.pods.has_misplaced(n))
        {
            // Either deletions or creations in one plan; deletions come first.
            self.look_again_in(SignedDuration::ZERO);
            return self.delete_active(surplus as usize, PODS_PER_PLAN_MAX as usize);
        }
        let occupied = match spec.replace_only_failed {
            true => self.active.saturating_add(self.terminating),
            false => self.active,
        };
        let missing = wanted.saturating_sub(occupied);
        if missing > 0 {
            self.create(missing);
        }
    }

    /// The completions of an Indexed Job.
    fn index_range(&self) -> Option<u32> {
        self.job
            .spec
            .completions
            .filter(|_| self.job.spec.is_indexed())
    }

    fn create(&mut self, missing: u32) {
        if self.job.spec.backoff_limit_per_index.is_none()
            && let Some(left) = backoff::remaining(self.status.backoff, self.now)
        {
            return self.look_again_in(left);
        }
        let number = missing.min(PODS_PER_PLAN_MAX);
        let before = self.plan.create.len();
        match self.index_range() {
            None => self.plan.create.resize(number as usize, NewPod::default()),
            Some(completions) => self.create_indexed(number, completions),
        }
        let created = self.plan.create.len() - before;
        self.active += u32::try_from(created).unwrap_or(u32::MAX);
        if created > 0 && number < missing {
            self.look_again_in(SignedDuration::ZERO);
        }
    }

    /// An index that waits for the end of its back-off keeps its place among
    /// the `number` lowest, as in Kubernetes.
    fn create_indexed(&mut self, number: u32, completions: u32) {
        for index in self.pending_indexes(number, completions) {
            let held = self.held.get(&index).copied();
            let left =
                held.and_then(|pod| backoff::remaining(backoff::record_of_index(pod), self.now));
            if let Some(left) = left {
                self.look_again_in(left);
                continue;
            }
            let mut new = NewPod {
                index: Some(index),
                ..NewPod::default()
            };
            if self.job.spec.backoff_limit_per_index.is_some() {
                let (failures, ignored) = counting::next_failure_counts(self.job, held);
                new.index_failure_count = Some(failures);
                new.index_ignored_failure_count = Some(ignored).filter(|ignored| *ignored > 0);
                // Its replacement carries the count on, so it may be counted and go.
                self.held.remove(&index);
            }
            self.plan.create.push(new);
        }
    }

    /// The lowest indexes that neither ended nor have a pod.
    fn pending_indexes(&self, number: u32, completions: u32) -> Vec<u32> {
        let mut taken = vec![self.pods.active_indexes(), &self.status.completed_indexes];
        taken.extend(&self.status.failed_indexes);
        if self.job.spec.replace_only_failed {
            taken.push(self.pods.terminating_indexes());
        }
        first_pending_indexes(&taken, number, completions)
    }

    /// Deletes at least that many active pods, and lets them go first, so that
    /// they are not counted as failed.
    fn delete_active(&mut self, at_least: usize, at_most: usize) {
        let pods = pods_for_removal(self.pods.active_pods(), self.index_range(), at_least);
        for pod in pods.into_iter().take(at_most) {
            if pod.tracked {
                self.plan.release.push(pod.uid);
            }
            self.delete(pod);
        }
    }

    fn delete_all_active(&mut self) {
        let pods = self.pods;
        for pod in pods.active_pods() {
            self.delete(pod);
        }
    }

    fn delete(&mut self, pod: &Pod) {
        self.plan.delete.push(pod.uid);
        self.active -= 1;
        self.ready -= u32::from(pod.status.ready);
        self.terminating += 1;
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

    /// Writes the decision down and, once no pod is left running, the end.
    fn conclude(&mut self, ending: &Ending) {
        let (interim, last) = match ending.success {
            true => (
                JobConditionType::SuccessCriteriaMet,
                JobConditionType::Complete,
            ),
            false => (JobConditionType::FailureTarget, JobConditionType::Failed),
        };
        let (reason, message) = (&ending.reason, &ending.message);
        // A clock that was set back must not make it end before it started.
        let at = self
            .status
            .start_time
            .map_or(self.now, |start| start.max(self.now));
        let conditions = &mut self.status.conditions;
        ensure(
            conditions,
            interim,
            true,
            reason.clone(),
            message.clone(),
            at,
        );
        if self.terminating > 0 {
            return;
        }
        ensure(conditions, last, true, reason.clone(), message.clone(), at);
        if self.status.start_time.is_none() && self.job.spec.completions != Some(0) {
            self.status.start_time = Some(at);
        }
        if ending.success {
            self.status.completion_time = Some(at);
            self.report_completion();
        } else {
            let event = Event::warning(reason.clone(), message.clone());
            self.plan.events.push(event);
        }
    }

    fn report_completion(&mut self) {
        let wanted = self.job.spec.completions;
        if wanted.is_some_and(|wanted| self.status.succeeded > wanted) {
            self.plan.events.push(Event::warning(
                "TooManySucceededPods",
                "Too many succeeded pods running after completion count reached",
            ));
        }
        self.plan
            .events
            .push(Event::normal("Completed", "Job completed"));
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
