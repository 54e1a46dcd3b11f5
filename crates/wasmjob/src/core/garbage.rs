//! Pods that have ended and are counted: kept for people to look at, so many of
//! them (Kubernetes' `--terminated-pod-gc-threshold`) and so many bytes.

use std::collections::BTreeMap;

use foldhash::HashMap;
use wasmjob_api::{ContainerStatus, Pod, Terminated, Uid};

use super::Core;
use super::turn::Turn;

/// Pods that have ended and are still there, oldest first.
pub(crate) struct FinishedPods {
    order: BTreeMap<u64, Finished>,
    places: HashMap<Uid, u64>,
    next: u64,
    bytes: u64,
    max: usize,
    bytes_max: u64,
}

struct Finished {
    uid: Uid,
    bytes: u64,
}

impl FinishedPods {
    /// None yet; so many are kept, of so many bytes.
    pub(crate) fn new(max: usize, bytes_max: u64) -> Self {
        Self {
            order: BTreeMap::new(),
            places: HashMap::default(),
            next: 0,
            bytes: 0,
            max,
            bytes_max,
        }
    }

    /// A pod has ended, which takes so many bytes.
    fn add(&mut self, uid: Uid, bytes: u64) {
        self.remove(uid);
        self.order.insert(self.next, Finished { uid, bytes });
        self.places.insert(uid, self.next);
        self.bytes += bytes;
        self.next += 1;
    }

    pub(super) fn remove(&mut self, uid: Uid) {
        if let Some(place) = self.places.remove(&uid)
            && let Some(gone) = self.order.remove(&place)
        {
            self.bytes -= gone.bytes;
        }
    }

    /// The oldest, if there are more than are kept.
    fn surplus(&self) -> Option<(Uid, u64)> {
        let (_, oldest) = self.order.first_key_value()?;
        let is_over = self.order.len() > self.max || self.bytes > self.bytes_max;
        is_over.then_some((oldest.uid, oldest.bytes))
    }
}

/// About what the tables take that have a pod, each by its UID or name.
const TABLES_BYTES: usize = 400;

/// About the memory that a pod's row takes. What it shares with the other pods of
/// its Job is the Job's.
fn row_bytes(pod: &Pod) -> u64 {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_ref().map_or(0, |text| text.len());
    let end = |end: &Terminated| size_of::<Terminated>() + end.message.len();
    let container = |status: &ContainerStatus| {
        let ends = status.state.terminated().into_iter();
        size_of::<ContainerStatus>()
            + ends
                .chain(status.last_terminated.as_deref())
                .map(end)
                .sum::<usize>()
    };
    let status = &pod.status;
    let containers = status.containers.iter().chain(&status.init_containers);
    let bytes = size_of::<Pod>()
        + pod.name.len()
        + text(&status.message)
        + containers.map(container).sum::<usize>()
        + TABLES_BYTES;
    bytes as u64
}

impl Core {
    /// Takes up a pod that has ended among those that are kept for a while.
    pub(super) fn keep_finished(&mut self, pod: &Pod) {
        let bytes = row_bytes(pod) + self.node.logs().bytes(pod.uid);
        self.finished_pods.add(pod.uid, bytes);
    }

    /// Removes the pods that ended first, beyond those that are kept. One that is
    /// not counted yet, or that a finalizer holds, stays until it may go.
    pub(super) fn collect_pods(&mut self, turn: &mut Turn) {
        while let Some((uid, bytes)) = self.finished_pods.surplus() {
            let stays = |pod: &std::sync::Arc<Pod>| pod.tracked || pod.is_held();
            if self.pod(uid).is_some_and(stays) {
                return self.finished_pods.add(uid, bytes);
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
