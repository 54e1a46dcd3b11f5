//! Which pods are admitted, and who makes room for them.

use std::sync::Arc;
use std::time::Duration;

use wasmjob_api::{Disruption, Event, Uid};

use crate::admission::{Candidate, Turn, Waiter};
use crate::network;
use crate::node::{Node, config_names};
use crate::pod::{Ending, Stage};
use crate::timers::Timer;
use crate::{ConfigKind, ConfigName, Objects};

/// A pod that makes room has no longer than that, whatever grace it was given: others
/// wait for it, and its owner is not to decide for how long.
const PREEMPTION_GRACE_MAX: Duration = Duration::from_secs(30);

impl Node {
    /// Lets the pod wait for room if the claims are there that it needs, and only then.
    pub(crate) fn stand_in_line(&mut self, uid: Uid) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.ending.is_some() {
            return;
        }
        let (request, priority) = (run.prepared.request, run.prepared.priority);
        let is_claim = |name: &ConfigName| name.kind == ConfigKind::Claim;
        let mut lacks = None;
        for name in config_names(run).filter(is_claim) {
            lacks = lacks.or_else(|| missing(&*self.objects, &name));
            self.config_users.entry(name).or_default().insert(uid);
        }
        if let Some(lacks) = lacks {
            if std::mem::take(&mut run.in_line) {
                self.admission.forget(uid, priority);
            }
            return self.waits(uid, format!("0/1 nodes are available: {lacks}."));
        }
        if std::mem::replace(&mut run.in_line, true) {
            return;
        }
        // What it has waited for is there; what it waits for now is not known yet.
        if run.status.message.take().is_some() {
            run.status.reason = None;
            run.dirty = true;
            self.changed.push(uid);
        }
        self.admission.push(uid, request, priority);
        self.room = true;
    }

    pub(crate) fn admit(&mut self) {
        let mut waiting = Vec::new();
        for turn in self.admission.turns() {
            match turn {
                Turn::Admitted(uid) => self.admitted(uid),
                Turn::Waits(uid, lacks) => {
                    let lacks = lacks.join(", 1 ");
                    self.waits(uid, format!("0/1 nodes are available: 1 {lacks}."));
                    waiting.push(uid);
                }
            }
        }
        let waiters = waiting.into_iter().filter_map(|uid| self.waiter(uid));
        let waiters: Vec<Waiter> = waiters.collect();
        if !waiters.is_empty() {
            self.make_room(waiters);
        }
    }

    /// Whether a pod has a claim, or waits for nothing but room to have it.
    #[must_use]
    pub fn has_claim(&self, namespace: &Arc<str>, name: &Arc<str>) -> bool {
        let users = self.config_users.get(&ConfigName {
            kind: ConfigKind::Claim,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
        });
        let has = |uid: &Uid| {
            let run = self.pods.get(uid);
            run.is_some_and(|run| run.in_line || run.stage != Stage::Queued)
        };
        users.into_iter().flatten().any(has)
    }

    /// The pod, which waits, if others may have to end for it.
    pub(crate) fn waiter(&self, uid: Uid) -> Option<Waiter> {
        let prepared = &self.pods.get(&uid)?.prepared;
        let (request, priority) = (prepared.request, prepared.priority);
        let may = prepared.preempts && self.admission.may_preempt(request, priority);
        may.then_some(Waiter {
            uid,
            request,
            priority,
        })
    }

    /// Ends pods that are less important than the first of `waiters` that fits then.
    /// They have their grace period, for which it waits, within bounds.
    pub(crate) fn make_room(&mut self, waiters: Vec<Waiter>) {
        let soon = self.clock.monotonic() + PREEMPTION_GRACE_MAX;
        let admitted = self
            .pods
            .iter()
            .filter(|(_, run)| run.stage != Stage::Queued);
        let candidates = admitted.map(|(uid, run)| Candidate {
            uid: *uid,
            priority: run.prepared.priority,
            request: run.prepared.request,
            since: run.status.scheduled,
            is_ending: run.ends_by(soon),
        });
        let candidates: Vec<_> = candidates.collect();
        let made = self.admission.make_room(waiters.into_iter(), &candidates);
        let Some((uid, victims)) = made else {
            return;
        };
        let now = self.clock.wall();
        for victim in victims {
            let text = format!("Preempted by pod {uid} on node {}", self.config.name);
            let Some(run) = self.pods.get_mut(&victim) else {
                continue;
            };
            run.events.push(Event::normal("Preempted", text.clone()));
            run.status.disruption = Some(Box::new(Disruption {
                reason: "PreemptionByScheduler".into(),
                message: "default-scheduler: preempting to accommodate a higher priority pod"
                    .into(),
                at: now,
            }));
            run.dirty = true;
            let grace = run.prepared.grace.min(PREEMPTION_GRACE_MAX);
            self.touch(victim);
            self.end_pod(victim, Ending::Preempted(text), grace);
        }
    }

    fn waits(&mut self, uid: Uid, message: String) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if run.status.message.as_deref() == Some(&*message) {
            return;
        }
        run.status.reason = Some("Unschedulable".into());
        run.status.message = Some(Arc::from(&*message));
        run.events.push(Event::warning("FailedScheduling", message));
        run.dirty = true;
        self.touch(uid);
    }

    pub(crate) fn admitted(&mut self, uid: Uid) {
        let now = self.clock.wall();
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        run.status.scheduled = Some(now);
        run.status.started = Some(now);
        run.status.reason = None;
        run.status.message = None;
        run.stage = Stage::Images;
        run.in_line = false;
        run.dirty = true;
        if self.told.may(self.clock.monotonic()) {
            let (pod, node) = (&run.pod, &self.config.name);
            let text = format!(
                "Successfully assigned {}/{} to {node}",
                pod.namespace, pod.name
            );
            run.events.push(Event::normal("Scheduled", text));
        }
        if let Some(limit) = run.prepared.active_deadline {
            // A deadline beyond what the clock can say never comes.
            run.deadline = self.clock.monotonic().checked_add(limit);
            if let Some(at) = run.deadline {
                run.deadline_timer = Some(self.timers.at(at, Timer::Deadline(uid)));
            }
        }
        for name in config_names(run) {
            self.config_users.entry(name).or_default().insert(uid);
        }
        network::narrow(run, &*self.objects);
        self.touch(uid);
        self.want_images(uid);
    }
}

/// Why a pod with that claim cannot be bound, in the scheduler's words.
fn missing(objects: &dyn Objects, claim: &ConfigName) -> Option<String> {
    let name = &claim.name;
    match objects.claim(&claim.namespace, name) {
        None => Some(format!("persistentvolumeclaim {name:?} not found")),
        Some(it) if it.metadata.deletion_timestamp.is_some() => {
            Some(format!("persistentvolumeclaim {name:?} is being deleted"))
        }
        Some(it) => {
            let class = it.spec.as_ref()?.storage_class_name.as_deref();
            // It asks for a volume that somebody has made, and here nobody does.
            (class == Some("")).then(|| {
                format!("pod has unbound immediate PersistentVolumeClaims ({name:?} asks for no storage class)")
            })
        }
    }
}
