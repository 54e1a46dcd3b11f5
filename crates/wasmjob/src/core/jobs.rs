//! Planning for Jobs, and taking plans over.

use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;
use wasmjob_api::{Event, EventNote, EventType, Job, Pod, PodTemplate, Uid};
use wasmjob_controllers::invariants::check_plan;
use wasmjob_controllers::job::{Plan, plan_within};
use wasmjob_controllers::ttl::{self, Ttl};
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind};

use super::Core;
use super::pods::{deletion, grace};
use super::turn::Turn;
use crate::job::{JobEntry, Propagation};

impl Core {
    /// Plans for a Job and takes the plan over.
    pub(super) fn look(&mut self, turn: &mut Turn, uid: Uid, now: Timestamp) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        entry.dirty = false;
        let room = self.room(uid, now);
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let plan = plan_within(&entry.job, &entry.pods, now, room.pods);
        let (mut look_again, refused) = (plan.look_again, plan.refused);
        let got_some = !plan.create.is_empty();
        let watched = cfg!(debug_assertions).then(|| (Arc::clone(&entry.job), plan.clone()));
        self.take_over(turn, uid, plan, now);
        if let Some(at) = self.note_refused(turn, uid, room, (got_some, refused), now) {
            look_again = Some(look_again.map_or(at, |again| again.min(at)));
        }
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
                    field_path: None,
                };
                self.job_event(turn, &job, event);
            }
        }
        let came = match plan.create.is_empty() {
            true => None,
            false => self.came(uid),
        };
        for new in plan.create {
            let template = came
                .as_ref()
                .map_or(&job.spec.template, |came| &came.template);
            let pod = Arc::new(self.new_pod(&job, template, new, now));
            self.charge_new_pod(&pod, came.as_ref().and_then(|came| came.claim.clone()));
            let event = Event {
                event_type: EventType::Normal,
                reason: "SuccessfulCreate".into(),
                note: EventNote::CreatedPod(Arc::clone(&pod.name)),
                field_path: None,
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
            let before = job;
            let job = self.set_job(
                turn,
                Job {
                    status,
                    ..(*before).clone()
                },
            );
            self.counts.job_changed(&before, &job);
            if job.finished().is_some() && before.finished().is_none() {
                self.finished(turn, &job);
                if let Some(owner) = self.jobs.get(&uid).and_then(|entry| entry.owner) {
                    self.mark_cron(owner);
                }
            }
        }
    }

    /// Takes a Job on that has a row.
    pub(super) fn know_job(&mut self, mut entry: JobEntry) {
        let job = &entry.job;
        let uid = job.uid;
        let names = (Arc::clone(&job.namespace), Arc::clone(&job.name));
        self.job_names.insert(names, uid);
        entry.owner = self.controller_of(job);
        if let Some(owner) = entry.owner.and_then(|owner| self.cron_jobs.get_mut(&owner)) {
            owner.jobs.insert(uid);
        }
        if entry.job.spec.has_manual_selector() {
            self.manual_selectors.insert(uid);
        }
        self.jobs.insert(uid, entry);
        self.mark(uid);
    }

    /// Removes the rows of a Job's pods that were deleted, have ended and are
    /// counted; and the Job itself, when it only waited for that.
    pub(super) fn sweep(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let is_gone =
            |pod: &Arc<Pod>| pod.status.phase.is_terminal() && !pod.tracked && !pod.is_held();
        let deleting = entry.deleting.iter().filter_map(|uid| entry.pods.get(*uid));
        let gone: Vec<_> = deleting.filter(|pod| is_gone(pod)).cloned().collect();
        for pod in &gone {
            entry.pods.remove(pod.uid);
            entry.deleting.remove(&pod.uid);
        }
        let may_go = entry.deleting_self && entry.pods.is_empty() && !is_held(&entry.job);
        for pod in &gone {
            self.pod_gone(turn, pod);
        }
        if may_go {
            self.forget_job(turn, uid);
        }
    }

    pub(super) fn delete_job(&mut self, turn: &mut Turn, uid: Uid, propagation: Propagation) {
        let now = self.clock.wall();
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let (job, held) = (Arc::clone(&entry.job), is_held(&entry.job));
        let grace = grace(&job.spec.template);
        let pods: Vec<_> = entry.pods.iter().cloned().collect();
        if propagation == Propagation::Orphan {
            self.orphan_pods(turn, uid);
        }
        let waits = propagation == Propagation::Foreground || held;
        if !waits {
            self.forget_job(turn, uid);
            for pod in pods {
                match propagation {
                    Propagation::Orphan => self.claim(turn, pod.uid),
                    Propagation::Background | Propagation::Foreground => {
                        self.delete_loose(turn, &pod, grace, now);
                    }
                }
            }
            return;
        }
        if job.deletion.is_none() {
            let deletion = Some(now);
            self.set_job(
                turn,
                Job {
                    deletion,
                    ..(*job).clone()
                },
            );
        }
        if let Some(entry) = self.jobs.get_mut(&uid) {
            entry.deleting_self = true;
        }
        for pod in pods {
            if propagation == Propagation::Orphan {
                self.claim(turn, pod.uid);
            } else {
                self.change_pod(turn, uid, pod.uid, |pod| {
                    pod.tracked = false;
                    pod.deletion.get_or_insert(deletion(now, grace));
                });
                if !pod.status.phase.is_terminal() {
                    turn.stop.push((pod.uid, grace));
                }
            }
        }
        self.sweep(turn, uid);
        self.mark(uid);
    }

    /// The pods of a Job are nobody's any more; they go on.
    fn orphan_pods(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let pods = std::mem::take(&mut entry.pods);
        entry.deleting.clear();
        let mut templates: HashMap<usize, Arc<PodTemplate>> = HashMap::default();
        for pod in pods.iter() {
            let address = Arc::as_ptr(&pod.template).addr();
            let template = templates.entry(address).or_insert_with(|| {
                Arc::new(PodTemplate {
                    metadata: pod.template.metadata.clone(),
                    spec: Arc::clone(&pod.template.spec),
                    owner: None,
                    base: Arc::clone(&pod.template.base),
                })
            });
            let metadata = pod.metadata.as_deref().map(|metadata| {
                let mut metadata = metadata.clone();
                if let Some(owners) = &mut metadata.owner_references {
                    owners.retain(|owner| owner.controller != Some(true));
                }
                Arc::new(metadata)
            });
            let pod = Arc::new(Pod {
                template: Arc::clone(template),
                metadata,
                tracked: false,
                ..(**pod).clone()
            });
            turn.put_pod(&pod);
            self.adopted.remove(&pod.uid);
            self.loose.insert(pod.uid, pod);
        }
    }

    /// The Job is nobody's any more; it goes on.
    pub(super) fn orphan_job(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let owner = entry.owner.take();
        let mut metadata = (*entry.job.metadata).clone();
        if let Some(owners) = &mut metadata.owner_references {
            owners.retain(|owner| owner.controller != Some(true));
        }
        let job = Job {
            metadata: Arc::new(metadata),
            ..(*entry.job).clone()
        };
        self.set_job(turn, job);
        if let Some(owner) = owner.and_then(|owner| self.cron_jobs.get_mut(&owner)) {
            owner.jobs.remove(&uid);
        }
    }

    fn forget_job(&mut self, turn: &mut Turn, uid: Uid) {
        self.refused_no_more(uid);
        let Some(entry) = self.jobs.remove(&uid) else {
            return;
        };
        self.timers.set(uid, entry.timer, None);
        self.manual_selectors.remove(&uid);
        let job = &entry.job;
        self.policies.charge_object(&job.namespace, uid, || None);
        self.job_names
            .remove(&(Arc::clone(&job.namespace), Arc::clone(&job.name)));
        turn.transaction.delete(Key {
            kind: Kind::Job,
            uid,
        });
        if let Some(owner) = entry.owner {
            if let Some(cron) = self.cron_jobs.get_mut(&owner) {
                cron.jobs.remove(&uid);
            }
            self.mark_cron(owner);
        }
    }
}

/// Whether somebody's finalizer holds the Job.
fn is_held(job: &Job) -> bool {
    job.metadata.finalizers.iter().flatten().next().is_some()
}
