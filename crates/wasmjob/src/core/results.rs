//! Who waits for an end, and what they are told.

use std::sync::Arc;

use tokio::sync::oneshot;
use wasmjob_api::{Job, Pod, Uid};

use super::Core;
use super::turn::{Finished, Turn};
use crate::{ContainerResult, JobResult, PodResult};

impl Core {
    pub(super) fn wait_job(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        reply: oneshot::Sender<JobResult>,
    ) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        entry.waiters.push(reply);
        if entry.job.finished().is_some() {
            turn.effects.asked.push(uid);
        }
    }

    /// The Job has finished with this turn: who waits is told once that is visible.
    pub(super) fn finished(&mut self, turn: &mut Turn, job: &Arc<Job>) {
        let Some(entry) = self.jobs.get_mut(&job.uid) else {
            return;
        };
        let waiters = std::mem::take(&mut entry.waiters);
        let pods = match waiters.is_empty() {
            true => Vec::new(),
            false => entry.pods.iter().cloned().collect(),
        };
        turn.effects.finished.push(Finished {
            job: Arc::clone(job),
            pods,
            waiters,
        });
    }

    /// Tells who came after the Job had finished.
    pub(super) fn tell_finished(&mut self, uid: Uid) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let waiters = std::mem::take(&mut entry.waiters);
        let pods = entry.pods.iter().cloned().collect();
        let job = Arc::clone(&entry.job);
        self.tell_end(&job, pods, waiters);
    }

    pub(super) fn tell_end(
        &self,
        job: &Arc<Job>,
        mut pods: Vec<Arc<Pod>>,
        waiters: Vec<oneshot::Sender<JobResult>>,
    ) {
        if waiters.is_empty() {
            return;
        }
        pods.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let result = JobResult {
            status: job.status.clone(),
            job: Arc::clone(job),
            pods: pods.iter().map(|pod| self.result(pod)).collect(),
        };
        for waiter in waiters {
            // Whoever waited may have gone.
            let _ = waiter.send(result.clone());
        }
    }

    pub(super) fn wait_pod(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        reply: oneshot::Sender<PodResult>,
    ) {
        let Some(pod) = self.pod(uid).cloned() else {
            return;
        };
        self.pod_waiters.entry(uid).or_default().push(reply);
        if pod.status.phase.is_terminal() {
            turn.effects.ended.push(pod);
        }
    }

    pub(super) fn tell_ended(&mut self, pod: &Arc<Pod>) {
        for waiter in self.pod_waiters.remove(&pod.uid).unwrap_or_default() {
            let _ = waiter.send(self.result(pod));
        }
    }

    pub(super) fn result(&self, pod: &Arc<Pod>) -> PodResult {
        let logs = self.node.logs().of(pod.uid);
        let output = |name: &str| {
            let last = logs.iter().rev().find(|log| &*log.container == name);
            let chunks = last.map(|log| log.read(0).chunks).unwrap_or_default();
            chunks.into_iter().flat_map(|chunk| chunk.bytes).collect()
        };
        let names = pod
            .template
            .spec
            .containers
            .iter()
            .map(|container| &container.name);
        let ends = pod
            .status
            .containers
            .iter()
            .map(|status| status.state.terminated().cloned());
        let containers = names
            .zip(ends)
            .map(|(name, end)| ContainerResult {
                name: name.clone(),
                end,
                output: output(name),
            })
            .collect();
        PodResult {
            pod: Arc::clone(pod),
            containers,
        }
    }
}
