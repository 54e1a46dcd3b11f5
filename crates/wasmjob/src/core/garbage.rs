//! Pods that have ended and are counted: kept for people to look at, so many of
//! them (Kubernetes' `--terminated-pod-gc-threshold`).

use std::collections::BTreeMap;

use foldhash::HashMap;
use wasmjob_api::{Pod, Uid};

use super::Core;
use super::turn::Turn;

/// Pods that have ended and are still there, oldest first.
pub(super) struct FinishedPods {
    order: BTreeMap<u64, Uid>,
    places: HashMap<Uid, u64>,
    next: u64,
    max: usize,
}

impl FinishedPods {
    pub(super) fn new(max: usize) -> Self {
        Self {
            order: BTreeMap::new(),
            places: HashMap::default(),
            next: 0,
            max,
        }
    }

    pub(super) fn add(&mut self, uid: Uid) {
        self.remove(uid);
        self.order.insert(self.next, uid);
        self.places.insert(uid, self.next);
        self.next += 1;
    }

    pub(super) fn remove(&mut self, uid: Uid) {
        if let Some(place) = self.places.remove(&uid) {
            self.order.remove(&place);
        }
    }
}

impl Core {
    /// Removes the pods that ended first, beyond those that are kept. One that is
    /// not counted yet stays until it is.
    pub(super) fn collect_pods(&mut self, turn: &mut Turn) {
        while self.finished_pods.order.len() > self.finished_pods.max {
            let Some((_, uid)) = self.finished_pods.order.first_key_value() else {
                return;
            };
            let uid = *uid;
            let is_tracked = self.pod(uid).is_some_and(|pod| pod.tracked);
            if is_tracked {
                return self.finished_pods.add(uid);
            }
            self.drop_pod(turn, uid);
            // Also if the row was gone already.
            self.finished_pods.remove(uid);
        }
    }

    /// Removes a pod's row, and what is known of it.
    pub(super) fn drop_pod(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(pod) = self.pod(uid).cloned() else {
            return;
        };
        match self.owner_entry(&pod) {
            Some(entry) => {
                entry.pods.remove(uid);
                entry.deleting.remove(&uid);
            }
            None => {
                self.loose.remove(&uid);
            }
        }
        self.pod_gone(turn, &pod);
    }

    /// The pods that wait to be admitted have not run, and the host ends: their
    /// Jobs make them anew at the next start. Bare ones wait for it.
    pub(super) fn drop_queued(&mut self, turn: &mut Turn) {
        for uid in self.node.take_queued() {
            let is_of_job = self
                .pod(uid)
                .cloned()
                .is_some_and(|pod: std::sync::Arc<Pod>| self.owner_entry(&pod).is_some());
            if is_of_job {
                self.drop_pod(turn, uid);
            }
        }
    }

    fn owner_entry(&mut self, pod: &Pod) -> Option<&mut crate::job::JobEntry> {
        let owner = pod.template.owner.as_ref()?.uid;
        self.jobs.get_mut(&owner)
    }
}
