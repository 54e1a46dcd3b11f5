//! The pods of one Job, with what a plan asks about them kept up to date.
//!
//! Every change costs at most the logarithm of the number of pods. A plan reads
//! the sums and looks at single pods only where something is to be decided: at
//! those that ended and are not counted, and, when some must go, at the active
//! ones. Pods that ended and were counted are never looked at again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use wasmjob_api::{IndexSet, Phase, Pod, Uid};

/// The pods of one Job.
///
/// The sums follow from the pods alone: a set that was built by inserting all
/// rows is the same as one that was kept while they changed.
#[derive(Clone, Debug, Default)]
pub struct PodSet {
    pods: BTreeMap<Uid, Arc<Pod>>,
    /// Pending or Running, not being deleted.
    active: BTreeMap<Uid, Arc<Pod>>,
    /// Tracked, and ended or being deleted: what a plan has to judge. Oldest first.
    unsettled: BTreeMap<(Timestamp, Uid), Arc<Pod>>,
    ready: u32,
    terminating: u32,
    /// Restarts of the containers of all Pending and Running pods.
    restarts: u64,
    active_indexes: Indexes,
    terminating_indexes: Indexes,
}

/// The completion indexes of some pods.
#[derive(Clone, Debug, Default)]
struct Indexes {
    set: IndexSet,
    /// How many pods have the index, where more than one has it.
    repeated: BTreeMap<u32, u32>,
    /// Pods without an index.
    without: u32,
}

impl PodSet {
    /// A set without pods.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pod, or replaces the one with its UID.
    pub fn insert(&mut self, pod: Arc<Pod>) {
        let old = self.pods.insert(pod.uid, Arc::clone(&pod));
        if let Some(old) = old {
            self.forget(&old);
        }
        self.learn(pod);
    }

    /// Replaces the pod with that UID, or adds it.
    pub fn update(&mut self, pod: Arc<Pod>) {
        self.insert(pod);
    }

    /// Takes out the pod with that UID.
    pub fn remove(&mut self, uid: Uid) -> Option<Arc<Pod>> {
        let pod = self.pods.remove(&uid)?;
        self.forget(&pod);
        Some(pod)
    }

    /// The pod with that UID.
    #[must_use]
    pub fn get(&self, uid: Uid) -> Option<&Arc<Pod>> {
        self.pods.get(&uid)
    }

    /// All pods, in the order of their UIDs.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.values()
    }

    /// How many pods there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there are no pods.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// How many are Pending or Running and not being deleted.
    #[must_use]
    pub fn active(&self) -> u32 {
        u32::try_from(self.active.len()).unwrap_or(u32::MAX)
    }

    /// How many active pods are Ready.
    #[must_use]
    pub const fn ready(&self) -> u32 {
        self.ready
    }

    /// How many are Pending or Running and being deleted.
    #[must_use]
    pub const fn terminating(&self) -> u32 {
        self.terminating
    }

    /// Restarts of the containers and init containers of all Pending and Running pods.
    #[must_use]
    pub const fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The active pods, in the order of their UIDs.
    pub fn active_pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.active.values()
    }

    /// The pods that ended or are being deleted and are not counted yet, oldest first.
    pub fn unsettled(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.unsettled.values()
    }

    /// The indexes of the active pods.
    #[must_use]
    pub const fn active_indexes(&self) -> &IndexSet {
        &self.active_indexes.set
    }

    /// The indexes of the pods that are being deleted and have not ended.
    #[must_use]
    pub const fn terminating_indexes(&self) -> &IndexSet {
        &self.terminating_indexes.set
    }

    /// Whether an Indexed Job of so many completions has an active pod that it
    /// must not have: without index, out of range, or the second of its index.
    #[must_use]
    pub fn has_misplaced(&self, completions: u32) -> bool {
        let indexes = &self.active_indexes;
        indexes.without > 0
            || !indexes.repeated.is_empty()
            || indexes.set.last().is_some_and(|last| last >= completions)
    }

    fn learn(&mut self, pod: Arc<Pod>) {
        let restarts = restarts(&pod);
        match Place::of(&pod) {
            Place::Active => {
                self.active_indexes.insert(pod.index);
                self.ready += u32::from(pod.status.ready);
                self.restarts += restarts;
                self.active.insert(pod.uid, Arc::clone(&pod));
            }
            Place::Terminating => {
                self.terminating_indexes.insert(pod.index);
                self.terminating += 1;
                self.restarts += restarts;
            }
            Place::Ended => {}
        }
        if is_unsettled(&pod) {
            self.unsettled.insert((pod.created, pod.uid), pod);
        }
    }

    fn forget(&mut self, pod: &Pod) {
        let restarts = restarts(pod);
        match Place::of(pod) {
            Place::Active => {
                self.active_indexes.remove(pod.index);
                self.ready -= u32::from(pod.status.ready);
                self.restarts -= restarts;
                self.active.remove(&pod.uid);
            }
            Place::Terminating => {
                self.terminating_indexes.remove(pod.index);
                self.terminating -= 1;
                self.restarts -= restarts;
            }
            Place::Ended => {}
        }
        if is_unsettled(pod) {
            self.unsettled.remove(&(pod.created, pod.uid));
        }
    }
}

impl FromIterator<Arc<Pod>> for PodSet {
    fn from_iter<I: IntoIterator<Item = Arc<Pod>>>(pods: I) -> Self {
        let mut set = Self::new();
        for pod in pods {
            set.insert(pod);
        }
        set
    }
}

impl Indexes {
    fn insert(&mut self, index: Option<u32>) {
        match index {
            None => self.without += 1,
            Some(index) if self.set.insert(index) => {}
            Some(index) => *self.repeated.entry(index).or_insert(1) += 1,
        }
    }

    fn remove(&mut self, index: Option<u32>) {
        let Some(index) = index else {
            self.without -= 1;
            return;
        };
        match self.repeated.get_mut(&index) {
            None => {
                self.set.remove(index);
            }
            Some(2) => {
                self.repeated.remove(&index);
            }
            Some(count) => *count -= 1,
        }
    }
}

/// Where in its life a pod is.
enum Place {
    /// Pending or Running, not being deleted.
    Active,
    /// Pending or Running, being deleted.
    Terminating,
    /// Succeeded or Failed.
    Ended,
}

impl Place {
    fn of(pod: &Pod) -> Self {
        match (pod.status.phase, pod.deletion) {
            (Phase::Succeeded | Phase::Failed, _) => Self::Ended,
            (Phase::Pending | Phase::Running, None) => Self::Active,
            (Phase::Pending | Phase::Running, Some(_)) => Self::Terminating,
        }
    }
}

fn is_unsettled(pod: &Pod) -> bool {
    pod.tracked && !matches!(Place::of(pod), Place::Active)
}

fn restarts(pod: &Pod) -> u64 {
    let status = &pod.status;
    let containers = status.init_containers.iter().chain(&status.containers);
    containers
        .map(|container| u64::from(container.restarts))
        .sum()
}
