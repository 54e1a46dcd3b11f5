//! Pods that have ended and are counted: kept for people to look at, so many of
//! them (Kubernetes' `--terminated-pod-gc-threshold`).

use std::collections::VecDeque;

use wasmjob_api::{Pod, Uid};

use super::Core;
use super::turn::Turn;

/// Pods that have ended, oldest first.
pub(super) struct FinishedPods {
    order: VecDeque<Uid>,
    max: usize,
}

impl FinishedPods {
    pub(super) fn new(max: usize) -> Self {
        Self {
            order: VecDeque::new(),
            max,
        }
    }
}

impl Core {
    /// A pod has ended.
    pub(super) fn pod_finished(&mut self, pod: &Pod) {
        self.finished_pods.order.push_back(pod.uid);
    }

    /// Removes the pods that ended first, beyond those that are kept. One that is
    /// not counted yet stays until it is.
    pub(super) fn collect_pods(&mut self, turn: &mut Turn) {
        while self.finished_pods.order.len() > self.finished_pods.max {
            let Some(uid) = self.finished_pods.order.pop_front() else {
                return;
            };
            // It may have gone by itself.
            let Some(pod) = self.pod(uid).cloned() else {
                continue;
            };
            if pod.tracked {
                self.finished_pods.order.push_back(uid);
                return;
            }
            let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
            match owner.and_then(|owner| self.jobs.get_mut(&owner)) {
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
    }
}
