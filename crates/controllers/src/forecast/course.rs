//! The course of a Job that nobody disturbs: the Job controller, in virtual time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{
    ContainerState, ContainerStatus, Deletion, Job, JobConditionType, Phase, Pod, PodStatus,
    Terminated, Uid, Usage,
};

use super::{Budget, Exhausted};
use crate::job::{PodSet, plan};

/// How often the Job controller is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drive {
    /// For one Job of each CronJob; the others take its course.
    Once,
    /// For every Job, and the CronJob controller at every end. What tests compare with.
    Each,
}

/// The course of a Job, counted from its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Course {
    /// How many pods more (or less) run from then on, in the order of time.
    pub(super) pods: Vec<(SignedDuration, i64)>,
    /// When it ends and whether it is Complete; `None` if not before the time is over.
    pub(super) end: Option<(SignedDuration, bool)>,
}

impl Course {
    /// Drives `job` through its controller, from `start` until before `until`. Each pod
    /// starts at once, takes `duration`, and succeeds, unless a deadline comes first.
    pub(super) fn of(
        job: Job,
        start: Timestamp,
        until: Timestamp,
        duration: Duration,
        budget: &mut Budget,
    ) -> Result<Self, Exhausted> {
        let deadline = job.spec.template.spec.active_deadline_seconds;
        let deadline = deadline.map(|seconds| Duration::from_secs(seconds.max(0).unsigned_abs()));
        let mut run = Run {
            job,
            start,
            takes: deadline.map_or(duration, |deadline| duration.min(deadline)),
            phase: match deadline {
                Some(deadline) if deadline < duration => Phase::Failed,
                _ => Phase::Succeeded,
            },
            pods: PodSet::new(),
            ends: BTreeMap::new(),
            uids: 0,
            changes: BTreeMap::new(),
        };
        let mut now = start;
        loop {
            let again = run.sync(now, budget)?;
            if let Some(end) = run.job.finished() {
                let complete = end.condition_type == JobConditionType::Complete;
                return Ok(run.course(Some((now.duration_since(start), complete))));
            }
            let end = run.ends.keys().next().map(|(at, _)| *at);
            let next = again.into_iter().chain(end).min();
            match next.filter(|next| *next < until) {
                Some(next) => now = now.max(next),
                None => return Ok(run.course(None)),
            }
            run.end_pods(now);
        }
    }
}

/// A Job, its pods, and when they end.
struct Run {
    job: Job,
    start: Timestamp,
    takes: Duration,
    phase: Phase,
    pods: PodSet,
    ends: BTreeMap<(Timestamp, Uid), ()>,
    uids: u128,
    changes: BTreeMap<SignedDuration, i64>,
}

impl Run {
    /// Plans once and takes the plan over; says when to plan again.
    fn sync(
        &mut self,
        now: Timestamp,
        budget: &mut Budget,
    ) -> Result<Option<Timestamp>, Exhausted> {
        let plan = plan(&self.job, &self.pods, now);
        budget.spend(1 + plan.create.len() + plan.delete.len())?;
        if let Some(status) = plan.status {
            self.job.status = status;
        }
        for uid in plan.release {
            self.change(uid, |pod| pod.tracked = false);
        }
        let deleted = !plan.delete.is_empty();
        for uid in plan.delete {
            self.delete(uid, now);
        }
        for new in plan.create {
            self.uids += 1;
            let pod = Pod {
                metadata: None,
                uid: Uid::from_random(self.uids),
                namespace: Arc::clone(&self.job.namespace),
                // Nothing here looks at it.
                name: Arc::clone(&self.job.name),
                template: Arc::clone(&self.job.spec.template),
                index: new.index,
                index_failure_count: new.index_failure_count,
                index_ignored_failure_count: new.index_ignored_failure_count,
                created: now,
                deletion: None,
                tracked: true,
                status: PodStatus {
                    phase: Phase::Running,
                    started: Some(now),
                    ..PodStatus::default()
                },
            };
            // Who ends after the last of times never ends.
            let takes = SignedDuration::try_from(self.takes).unwrap_or(SignedDuration::MAX);
            if let Ok(end) = now.checked_add(takes) {
                self.ends.insert((end, pod.uid), ());
            }
            self.pods.insert(Arc::new(pod));
            self.count(now, 1);
        }
        // Deleted pods have ended at once, which the Job has yet to see.
        Ok(match deleted {
            true => Some(now),
            false => plan.look_again,
        })
    }

    fn end_pods(&mut self, now: Timestamp) {
        while let Some(entry) = self.ends.first_entry()
            && entry.key().0 <= now
        {
            let ((_, uid), ()) = entry.remove_entry();
            let phase = self.phase;
            self.end_pod(uid, now, |pod| end(pod, phase, now));
        }
    }

    /// Ends a pod, unless it has ended.
    fn end_pod(&mut self, uid: Uid, now: Timestamp, end: impl FnOnce(&mut Pod)) {
        let runs = |pod: &Arc<Pod>| !pod.status.phase.is_terminal();
        if self.pods.get(uid).is_some_and(runs) {
            self.change(uid, end);
            self.count(now, -1);
        }
    }

    fn delete(&mut self, uid: Uid, now: Timestamp) {
        self.end_pod(uid, now, |pod| {
            let grace = Duration::ZERO;
            pod.deletion = Some(Deletion { at: now, grace });
            end(pod, Phase::Failed, now);
        });
    }

    /// Changes a pod; one that has ended and is counted is of no interest any more.
    fn change(&mut self, uid: Uid, change: impl FnOnce(&mut Pod)) {
        let Some(pod) = self.pods.remove(uid) else {
            return;
        };
        let mut pod = Arc::unwrap_or_clone(pod);
        change(&mut pod);
        if pod.tracked || !pod.status.phase.is_terminal() {
            self.pods.insert(Arc::new(pod));
        }
    }

    fn count(&mut self, now: Timestamp, pods: i64) {
        *self
            .changes
            .entry(now.duration_since(self.start))
            .or_default() += pods;
    }

    fn course(self, end: Option<(SignedDuration, bool)>) -> Course {
        let changes = self.changes.into_iter().filter(|(_, pods)| *pods != 0);
        Course {
            pods: changes.collect(),
            end,
        }
    }
}

fn end(pod: &mut Pod, phase: Phase, now: Timestamp) {
    let exit_code = if phase == Phase::Succeeded { 0 } else { 137 };
    pod.status.phase = phase;
    pod.status.containers = vec![ContainerStatus {
        state: ContainerState::Terminated(Box::new(Terminated {
            exit_code,
            reason: Cow::Borrowed(if exit_code == 0 { "Completed" } else { "Error" }),
            message: Arc::from(""),
            started: pod.status.started.unwrap_or(now),
            finished: now,
            usage: Usage::default(),
        })),
        ..ContainerStatus::default()
    }];
}
