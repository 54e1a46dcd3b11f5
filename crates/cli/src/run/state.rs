//! What is known of the run: Jobs and pods in their last form, also of those that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wasmjob::api::{Job, Phase, Pod, Uid};
use wasmjob::{Change, Object, Taken};

/// A run's Jobs and pods.
#[derive(Default)]
pub(crate) struct State {
    /// In the order of the manifests.
    pub(crate) jobs: Vec<Arc<Job>>,
    pub(crate) pods: BTreeMap<Uid, Arc<Pod>>,
    /// The bare Pods, in the order of the manifests.
    pub(crate) bare: Vec<Uid>,
    /// Jobs and bare Pods that were said to wait for room.
    waiting: BTreeSet<Uid>,
}

/// What a change means to somebody who watches.
pub(crate) enum News {
    /// A Job changed.
    Job(Arc<Job>),
    /// A pod ended in failure.
    PodFailed(Arc<Pod>),
    /// A pod does not fit on the node now; its status says why. Told once a Job.
    PodWaits(Arc<Pod>),
    /// Nothing worth saying.
    Nothing,
}

impl State {
    /// What was taken on, as it is now.
    pub(crate) fn begin(&mut self, taken: &Taken) {
        self.jobs = taken
            .jobs
            .iter()
            .filter_map(wasmjob::JobHandle::get)
            .collect();
        self.bare = taken.pods.iter().map(wasmjob::PodHandle::uid).collect();
    }

    /// Takes a change in.
    pub(crate) fn learn(&mut self, change: &Change) -> News {
        match change.object() {
            Object::Job(job) => {
                let Some(known) = self.jobs.iter_mut().find(|known| known.uid == job.uid) else {
                    return News::Nothing;
                };
                if known.resource_version > job.resource_version {
                    return News::Nothing;
                }
                *known = Arc::clone(job);
                News::Job(Arc::clone(job))
            }
            Object::Pod(pod) => {
                let was = self
                    .pods
                    .insert(pod.uid, Arc::clone(pod))
                    .map(|pod| pod.status.phase);
                let failed = pod.status.phase == Phase::Failed && was != Some(Phase::Failed);
                if failed {
                    return News::PodFailed(Arc::clone(pod));
                }
                let owner = pod.template.owner.as_ref().map_or(pod.uid, |job| job.uid);
                let waits = pod.status.reason.as_deref() == Some("Unschedulable");
                if waits && self.waiting.insert(owner) {
                    return News::PodWaits(Arc::clone(pod));
                }
                News::Nothing
            }
            Object::Event(_) | Object::CronJob(_) | Object::Manifest(_) | Object::Generic(_) => {
                News::Nothing
            }
        }
    }

    /// Whether everything that can end has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.jobs
            .iter()
            .all(|job| job.finished().is_some() || never_ends(job).is_some())
            && self.bare.iter().all(|uid| self.phase(*uid).is_terminal())
    }

    /// Whether everything has ended well.
    pub(crate) fn is_complete(&self) -> bool {
        self.jobs
            .iter()
            .all(|job| job.status.is_true(wasmjob::api::JobConditionType::Complete))
            && self
                .bare
                .iter()
                .all(|uid| self.phase(*uid) == Phase::Succeeded)
    }

    /// Whether something has failed for good.
    pub(crate) fn has_failed(&self) -> bool {
        self.jobs
            .iter()
            .any(|job| job.status.is_true(wasmjob::api::JobConditionType::Failed))
            || self
                .bare
                .iter()
                .any(|uid| self.phase(*uid) == Phase::Failed)
    }

    /// The pods of a Job, in order of creation.
    pub(crate) fn pods_of(&self, job: &Job) -> Vec<&Arc<Pod>> {
        let is_own = |pod: &&Arc<Pod>| {
            pod.template
                .owner
                .as_ref()
                .is_some_and(|owner| owner.uid == job.uid)
        };
        let mut pods: Vec<_> = self.pods.values().filter(is_own).collect();
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        pods
    }

    fn phase(&self, uid: Uid) -> Phase {
        self.pods
            .get(&uid)
            .map_or(Phase::Pending, |pod| pod.status.phase)
    }
}

/// Why a Job cannot end by itself, if it cannot.
pub(crate) fn never_ends(job: &Job) -> Option<&'static str> {
    if job.spec.managed_elsewhere {
        Some("spec.managedBy names another controller, so nothing here runs it")
    } else if job.spec.suspend {
        Some("it is suspended; set spec.suspend to false to run it")
    } else {
        None
    }
}
