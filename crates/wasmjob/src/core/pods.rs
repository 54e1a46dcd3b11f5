//! Pods: made, changed, gone.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Deletion, Job, Pod, PodTemplate, Uid};
use wasmjob_controllers::job::{NewPod, pod_name_prefix};
use wasmjob_node::Update;
use wasmjob_store::{Key, Kind};

use super::Core;
use super::turn::Turn;

impl Core {
    /// Takes over what the node says of a pod.
    pub(super) fn pod_changed(&mut self, turn: &mut Turn, update: Update) {
        let uid = update.uid;
        let owner = self.owner_of(uid, update.owner);
        let old = match owner {
            Some(owner) => self.jobs.get(&owner).and_then(|job| job.pods.get(uid)),
            None => self.loose.get(&uid),
        };
        let Some(old) = old else { return };
        let mut pod = (**old).clone();
        pod.status = update.status;
        let ended = pod.status.phase.is_terminal() && !old.status.phase.is_terminal();
        let is_same = !pod.status.phase.is_terminal() && pod.status == old.status;
        let pod = Arc::new(pod);
        for event in update.events {
            let source = match &*event.reason {
                "Scheduled" | "FailedScheduling" | "Preempted" => "default-scheduler",
                _ => "kubelet",
            };
            self.event(
                turn,
                Key {
                    kind: Kind::Pod,
                    uid,
                },
                &pod.namespace,
                &pod.name,
                event,
                source,
            );
        }
        if is_same {
            // There were events, and nothing else.
            return;
        }
        if ended {
            self.policies.pod_ended(&pod);
            self.keep_finished(&pod);
            turn.effects.ended.push(Arc::clone(&pod));
        }
        match owner {
            Some(owner) => {
                turn.put_pod(&pod);
                if let Some(entry) = self.jobs.get_mut(&owner) {
                    entry.pods.update(pod);
                }
                self.mark(owner);
            }
            None if pod.deletion.is_some() && pod.status.phase.is_terminal() && !pod.is_held() => {
                self.loose.remove(&uid);
                self.pod_gone(turn, &pod);
            }
            None => {
                turn.put_pod(&pod);
                self.loose.insert(uid, pod);
            }
        }
    }

    pub(super) fn pod(&self, uid: Uid) -> Option<&Arc<Pod>> {
        if let Some(pod) = self.loose.get(&uid) {
            return Some(pod);
        }
        let of = |job: &Uid| self.jobs.get(job)?.pods.get(uid);
        if let Some(pod) = self.adopted.get(&uid).and_then(of) {
            return Some(pod);
        }
        // The store's row may be a turn old, but its owner is.
        let stored = self.store.get(Key {
            kind: Kind::Pod,
            uid,
        })?;
        let owner = stored.object.as_pod()?.template.owner.as_ref()?.uid;
        self.jobs.get(&owner)?.pods.get(uid)
    }

    pub(super) fn new_pod(
        &mut self,
        job: &Job,
        template: &Arc<PodTemplate>,
        new: NewPod,
        now: Timestamp,
    ) -> Pod {
        let uid = self.random.uid();
        let name = loop {
            let mut name = pod_name_prefix(&job.name, new.index);
            self.random.append_suffix(&mut name);
            let name: Arc<str> = Arc::from(name);
            let names = (Arc::clone(&job.namespace), Arc::clone(&name));
            if let Entry::Vacant(free) = self.pod_names.entry(names) {
                free.insert(uid);
                break name;
            }
        };
        Pod {
            metadata: None,
            uid,
            namespace: Arc::clone(&job.namespace),
            name,
            template: Arc::clone(template),
            index: new.index,
            index_failure_count: new.index_failure_count,
            index_ignored_failure_count: new.index_ignored_failure_count,
            created: now,
            deletion: None,
            tracked: true,
            status: wasmjob_api::PodStatus::default(),
        }
    }

    pub(super) fn change_pod(
        &mut self,
        turn: &mut Turn,
        job: Uid,
        uid: Uid,
        change: impl FnOnce(&mut Pod),
    ) {
        let Some(entry) = self.jobs.get_mut(&job) else {
            return;
        };
        let Some(pod) = entry.pods.get(uid) else {
            return;
        };
        let mut pod = (**pod).clone();
        change(&mut pod);
        let pod = Arc::new(pod);
        turn.put_pod(&pod);
        if pod.deletion.is_some() {
            entry.deleting.insert(pod.uid);
        }
        entry.pods.update(pod);
    }

    pub(super) fn delete_pod(
        &mut self,
        turn: &mut Turn,
        job: Uid,
        uid: Uid,
        grace: Duration,
        now: Timestamp,
    ) {
        self.change_pod(turn, job, uid, |pod| {
            if pod.deletion.is_none() {
                pod.deletion = Some(deletion(now, grace));
            }
        });
        turn.stop.push((uid, grace));
        self.mark(job);
    }

    /// The pod's name is taken.
    pub(super) fn know_pod_name(&mut self, pod: &Pod) {
        let names = (Arc::clone(&pod.namespace), Arc::clone(&pod.name));
        self.pod_names.insert(names, pod.uid);
    }

    pub(super) fn pod_gone(&mut self, turn: &mut Turn, pod: &Pod) {
        self.pod_names
            .remove(&(Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
        self.finished_pods.remove(pod.uid);
        self.policies.charge_pod(&pod.namespace, pod.uid, None);
        self.adopted.remove(&pod.uid);
        turn.gone.push(pod.uid);
        turn.effects.gone.push(pod.uid);
    }

    pub(super) fn delete_loose(
        &mut self,
        turn: &mut Turn,
        pod: &Arc<Pod>,
        grace: Duration,
        now: Timestamp,
    ) {
        if pod.status.phase.is_terminal() && !pod.is_held() {
            self.loose.remove(&pod.uid);
            return self.pod_gone(turn, pod);
        }
        let mut pod = (**pod).clone();
        pod.tracked = false;
        if pod.deletion.is_none() {
            pod.deletion = Some(deletion(now, grace));
        }
        let pod = Arc::new(pod);
        turn.put_pod(&pod);
        turn.stop.push((pod.uid, grace));
        self.loose.insert(pod.uid, pod);
    }
}

/// A pod's grace period.
pub(super) fn grace(template: &PodTemplate) -> Duration {
    let seconds = template.spec.termination_grace_period_seconds.unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

pub(super) fn deletion(now: Timestamp, grace: Duration) -> Deletion {
    let wait = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    Deletion {
        at: now.saturating_add(wait).unwrap_or(Timestamp::MAX),
        grace,
    }
}
