//! What pods use while they run.
//!
//! Processor time is a container's, over all of its runs and those of its probes
//! and commands since the pod began: it only grows, so whoever asks twice has a rate. Memory is
//! what is held now: linear memories and tables as they have grown, also the
//! pages that a guest never touched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmjob_api::Uid;

use crate::node::Node;
use crate::pod::{PodRun, Slot, Stage};

/// What the node's pods use.
#[derive(Clone, Debug)]
pub struct NodeUsage {
    /// When that was so, on the monotonic clock.
    pub at: Instant,
    /// Processor time of all guests since the node began.
    pub cpu: Duration,
    /// Bytes that all guests hold.
    pub memory_bytes: u64,
    /// Bytes that all guests have written to files since the node began.
    pub written_bytes: u64,
    /// Guests that have not ended, those of probes included.
    pub guests: usize,
    /// Pods that wait to be admitted.
    pub queued: usize,
    /// Pods that were admitted and have not ended.
    pub admitted: usize,
    /// Pods of which a container runs.
    pub pods: Vec<PodUsage>,
}

/// What one pod uses.
#[derive(Clone, Debug)]
pub struct PodUsage {
    /// The pod.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its containers that run.
    pub containers: Vec<ContainerUsage>,
}

/// What one container uses.
#[derive(Clone, Debug)]
pub struct ContainerUsage {
    /// Its name.
    pub name: Arc<str>,
    /// Processor time since the pod began.
    pub cpu: Duration,
    /// Bytes that it holds now.
    pub memory_bytes: u64,
}

impl Node {
    /// What its pods use now.
    #[must_use]
    pub fn usage(&self) -> NodeUsage {
        let all = self.engine.usage();
        let is_queued = |run: &&PodRun| run.stage == Stage::Queued;
        let queued = self.pods.values().filter(is_queued).count();
        let pods = self.pods.values().map(PodRun::usage);
        NodeUsage {
            at: self.clock.monotonic(),
            cpu: all.cpu,
            memory_bytes: all.memory_bytes,
            written_bytes: all.written_bytes,
            guests: self.engine.live(),
            queued,
            admitted: self.pods.len() - queued,
            pods: pods.filter(|pod| !pod.containers.is_empty()).collect(),
        }
    }
}

impl PodRun {
    fn usage(&self) -> PodUsage {
        let containers = self.slots().filter_map(|slot| self.container_usage(slot));
        PodUsage {
            uid: self.pod.uid,
            namespace: Arc::clone(&self.pod.namespace),
            name: Arc::clone(&self.pod.name),
            containers: containers.collect(),
        }
    }

    /// Bytes that its containers hold now.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let used = self.slots().filter_map(|slot| self.container_usage(slot));
        used.fold(0, |sum, it| sum.saturating_add(it.memory_bytes))
    }

    fn container_usage(&self, slot: Slot) -> Option<ContainerUsage> {
        let container = self.container(slot);
        let own = &container.run.as_ref()?.handle;
        let mut usage = ContainerUsage {
            name: Arc::clone(&self.spec(slot).name),
            cpu: container.cpu_before,
            memory_bytes: 0,
        };
        for handle in self.beside_of(slot).chain([own]) {
            let now = handle.usage();
            usage.cpu = usage.cpu.saturating_add(now.cpu);
            usage.memory_bytes = usage.memory_bytes.saturating_add(now.memory_bytes);
        }
        Some(usage)
    }
}
