//! Planning for Jobs, and taking plans over.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wasmjob_api::{Event, EventNote, EventType, Job, Pod, Uid};
use wasmjob_controllers::invariants::check_plan;
use wasmjob_controllers::job::{Plan, plan};
use wasmjob_controllers::ttl::{self, Ttl};
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind};

use super::Core;
use super::pods::{deletion, grace};
use super::turn::Turn;
use crate::job::Propagation;

impl Core {
    /// Plans for a Job and takes the plan over.
    pub(super) fn look(&mut self, turn: &mut Turn, uid: Uid, now: Timestamp) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        entry.dirty = false;
        let plan = plan(&entry.job, &entry.pods, now);
        let look_again = plan.look_again;
        let watched = cfg!(debug_assertions).then(|| (Arc::clone(&entry.job), plan.clone()));
        self.take_over(turn, uid, plan, now);
        if let Some((before, plan)) = watched {
            self.assert_invariants(&before, &plan, now);
        }
        self.sweep(turn, uid);
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let again = match ttl::plan(&entry.job, now) {
            Ttl::Keep => look_again,
            Ttl::Until(at) => Some(look_again.map_or(at, |again| again.min(at))),
            Ttl::Expired => {
                self.delete_job(turn, uid, Propagation::Foreground);
                None
            }
        };
        self.arm(uid, again, now);
    }

    /// In builds with debug assertions, every plan that was taken over is held
    /// against the invariants of Jobs; a violation is a defect of ours.
    pub(super) fn assert_invariants(&self, before: &Job, plan: &Plan, now: Timestamp) {
        let Some(entry) = self.jobs.get(&before.uid) else {
            return;
        };
        if let Err(violation) = check_plan(before, plan, &entry.job, &entry.pods, now) {
            panic!("Job {}/{}: {violation}", before.namespace, before.name);
        }
    }

    pub(super) fn arm(&mut self, uid: Uid, again: Option<Timestamp>, now: Timestamp) {
        if again.is_some_and(|at| at <= now) {
            self.mark(uid);
        }
        let at = again.filter(|at| *at > now).and_then(|at| {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
            self.clock.monotonic().checked_add(wait)
        });
        if let Some(entry) = self.jobs.get_mut(&uid) {
            self.timers.set(uid, entry.timer, at);
            entry.timer = at;
        }
    }

    pub(super) fn take_over(&mut self, turn: &mut Turn, uid: Uid, plan: Plan, now: Timestamp) {
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let job = Arc::clone(&entry.job);
        for pod in plan.release {
            self.change_pod(turn, uid, pod, |pod| pod.tracked = false);
        }
        for pod in &plan.delete {
            let grace = grace(&job.spec.template);
            self.delete_pod(turn, uid, *pod, grace, now);
            if let Some(pod) = self.jobs.get(&uid).and_then(|entry| entry.pods.get(*pod)) {
                let event = Event {
                    event_type: EventType::Normal,
                    reason: "SuccessfulDelete".into(),
                    note: EventNote::DeletedPod(Arc::clone(&pod.name)),
                };
                self.job_event(turn, &job, event);
            }
        }
        for new in plan.create {
            let pod = Arc::new(self.new_pod(&job, new, now));
            let event = Event {
                event_type: EventType::Normal,
                reason: "SuccessfulCreate".into(),
                note: EventNote::CreatedPod(Arc::clone(&pod.name)),
            };
            self.job_event(turn, &job, event);
            turn.put_pod(&pod);
            if let Some(entry) = self.jobs.get_mut(&uid) {
                entry.pods.insert(Arc::clone(&pod));
            }
            turn.effects.start.push(pod);
        }
        for event in plan.events {
            self.job_event(turn, &job, event);
        }
        if let Some(status) = plan.status {
            let was_finished = job.finished().is_some();
            let job = self.put_job(
                turn,
                Job {
                    status,
                    ..(*job).clone()
                },
            );
            if job.finished().is_some() && !was_finished {
                turn.effects.finished.push(uid);
            }
            if let Some(entry) = self.jobs.get_mut(&uid) {
                entry.job = job;
            }
        }
    }

    /// Removes the rows of a Job's pods that were deleted, have ended and are
    /// counted; and the Job itself, when it only waited for that.
    pub(super) fn sweep(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let is_gone = |pod: &Arc<Pod>| pod.status.phase.is_terminal() && !pod.tracked;
        let deleting = entry.deleting.iter().filter_map(|uid| entry.pods.get(*uid));
        let gone: Vec<_> = deleting.filter(|pod| is_gone(pod)).cloned().collect();
        for pod in &gone {
            entry.pods.remove(pod.uid);
            entry.deleting.remove(&pod.uid);
        }
        let is_empty = entry.pods.is_empty();
        let waits = entry.foreground;
        for pod in &gone {
            self.pod_gone(turn, pod);
        }
        if waits && is_empty {
            self.forget_job(turn, uid);
        }
    }

    pub(super) fn delete_job(&mut self, turn: &mut Turn, uid: Uid, propagation: Propagation) {
        let now = self.clock.wall();
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let grace = grace(&entry.job.spec.template);
        let pods: Vec<_> = entry.pods.iter().cloned().collect();
        match propagation {
            Propagation::Foreground => {
                entry.foreground = true;
                let job = Job {
                    deletion: Some(now),
                    ..(*entry.job).clone()
                };
                let job = self.put_job(turn, job);
                if let Some(entry) = self.jobs.get_mut(&uid) {
                    entry.job = job;
                }
                for pod in pods {
                    self.change_pod(turn, uid, pod.uid, |pod| {
                        pod.tracked = false;
                        pod.deletion.get_or_insert(deletion(now, grace));
                    });
                    if !pod.status.phase.is_terminal() {
                        turn.stop.push((pod.uid, grace));
                    }
                }
                self.sweep(turn, uid);
                self.mark(uid);
            }
            Propagation::Background => {
                self.forget_job(turn, uid);
                for pod in pods {
                    self.delete_loose(turn, &pod, grace, now);
                }
            }
        }
    }

    pub(super) fn forget_job(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.remove(&uid) else {
            return;
        };
        self.timers.set(uid, entry.timer, None);
        let job = &entry.job;
        self.job_names
            .remove(&(Arc::clone(&job.namespace), Arc::clone(&job.name)));
        turn.transaction.delete(Key {
            kind: Kind::Job,
            uid,
        });
    }
}
