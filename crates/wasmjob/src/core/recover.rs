//! What a restart means: for pods, that their node was rebooted.
//!
//! Jobs go on where their rows say. A pod that ran has now failed, for a cause
//! outside of it, because nobody can tell how far its guest had come; the Job
//! counts and replaces it by its usual rules. One that was not admitted yet, as
//! far as the rows tell, is made anew under another name, and not counted. No
//! guest ever runs twice under one pod's name.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;
use wasmjob_api::{
    ContainerState, ContainerStatus, Disruption, Event, Phase, Pod, PodStatus, Terminated, Usage,
};
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind};

use super::Core;
use super::turn::Turn;
use crate::cron::CronEntry;
use crate::job::JobEntry;

const REASON: &str = "NodeRestart";
const MESSAGE: &str = "The node was restarted before the pod ended";

impl Core {
    /// Takes over what the store holds.
    pub(super) fn recover(&mut self, ready: oneshot::Sender<()>) {
        let cron_jobs = self.store.list(Kind::CronJob, |_| true).1;
        for row in cron_jobs
            .iter()
            .filter_map(|stored| stored.object.as_cron_job())
        {
            self.know_cron_job(CronEntry::new(Arc::clone(row)));
        }
        let manifests = self.store.list(Kind::Manifest, |_| true).1;
        for record in manifests
            .iter()
            .filter_map(|stored| stored.object.as_manifest())
        {
            self.manifests
                .insert(Arc::clone(&record.file), Arc::clone(record));
        }
        let generic = self.store.list(Kind::Generic, |_| true).1;
        for object in generic
            .iter()
            .filter_map(|stored| stored.object.as_generic())
        {
            self.know_generic(object);
        }
        let jobs = self.store.list(Kind::Job, |_| true).1;
        for job in jobs.iter().filter_map(|stored| stored.object.as_job()) {
            let mut entry = JobEntry::new(Arc::clone(job));
            entry.deleting_self = job.deletion.is_some();
            self.know_job(entry);
        }
        let mut turn = Turn::default();
        let mut pods = self.store.list(Kind::Pod, |_| true).1;
        // About the order in which they ended.
        pods.sort_by_key(|stored| stored.revision);
        let live = pods
            .iter()
            .filter_map(|stored| stored.object.as_pod())
            .filter(|pod| !pod.status.phase.is_terminal() && pod.status.scheduled.is_some())
            .count();
        for pod in pods.iter().filter_map(|stored| stored.object.as_pod()) {
            self.recover_pod(&mut turn, pod);
        }
        self.begin_counting();
        if self.store.revision() > 0 {
            tracing::info!(
                cron_jobs = cron_jobs.len(),
                jobs = jobs.len(),
                pods = pods.len(),
                failed = live,
                revision = self.store.revision(),
                "took over what the store holds"
            );
        }
        turn.effects.answers.push(Box::new(move |_| {
            let _ = ready.send(());
        }));
        self.act(turn);
    }

    fn recover_pod(&mut self, turn: &mut Turn, pod: &Arc<Pod>) {
        if self.recover_queued(turn, pod) {
            return;
        }
        self.know_pod_name(pod);
        let mut pod = Arc::clone(pod);
        if !pod.status.phase.is_terminal() {
            let now = self.clock.wall();
            pod = Arc::new(Pod {
                status: ended(&pod.status, now),
                ..(*pod).clone()
            });
            turn.put_pod(&pod);
            let key = Key {
                kind: Kind::Pod,
                uid: pod.uid,
            };
            let event = Event::warning(REASON, MESSAGE);
            self.event(turn, key, &pod.namespace, &pod.name, event, "kubelet");
        }
        self.keep_finished(&pod);
        let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
        match owner.and_then(|owner| self.jobs.get_mut(&owner)) {
            Some(entry) => {
                if pod.deletion.is_some() {
                    entry.deleting.insert(pod.uid);
                }
                entry.pods.insert(pod);
            }
            // Nobody waits for it any more.
            None if pod.deletion.is_some() => self.pod_gone(turn, &pod),
            None => {
                self.loose.insert(pod.uid, pod);
            }
        }
    }

    /// A pod of which nothing says that it was admitted. Its Job makes another one,
    /// and nothing is counted: a restart must not fail a Job for pods that queued.
    /// A bare one queues again, if it is known that it did.
    fn recover_queued(&mut self, turn: &mut Turn, pod: &Arc<Pod>) -> bool {
        if pod.status.scheduled.is_some() || pod.status.phase.is_terminal() {
            return false;
        }
        let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
        if owner.is_some_and(|owner| self.jobs.contains_key(&owner)) {
            self.pod_gone(turn, pod);
            return true;
        }
        let waited = pod.status.reason.as_deref() == Some("Unschedulable");
        let is_wanted = waited && owner.is_none() && pod.deletion.is_none();
        if is_wanted {
            self.know_pod_name(pod);
            self.loose.insert(pod.uid, Arc::clone(pod));
            turn.effects.start.push(Arc::clone(pod));
        }
        is_wanted
    }

    /// Whether a pod that was to be started still is.
    pub(super) fn is_wanted(&self, pod: &Pod) -> bool {
        let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
        let row = match owner.and_then(|owner| self.jobs.get(&owner)) {
            Some(entry) => entry.pods.get(pod.uid),
            None => self.loose.get(&pod.uid),
        };
        row.is_some_and(|row| row.deletion.is_none() && !row.status.phase.is_terminal())
    }
}

/// The status of a pod that nobody runs any more.
fn ended(status: &PodStatus, now: Timestamp) -> PodStatus {
    let mut status = status.clone();
    status.phase = Phase::Failed;
    status.reason = Some(REASON.into());
    status.message = Some(Arc::from(MESSAGE));
    if status.ready {
        status.ready = false;
        status.ready_transition = Some(now);
    }
    status.disruption = Some(Box::new(Disruption {
        reason: "TerminationByKubelet".into(),
        message: MESSAGE.into(),
        at: now,
    }));
    let containers = status
        .init_containers
        .iter_mut()
        .chain(&mut status.containers);
    containers.for_each(|container| end_container(container, now));
    status
}

/// As the kubelet says of a container that it cannot find any more.
fn end_container(container: &mut ContainerStatus, now: Timestamp) {
    container.ready = false;
    container.started = false;
    let started = match &container.state {
        ContainerState::Terminated(_) => return,
        ContainerState::Running { started } => *started,
        ContainerState::Waiting { .. } => now,
    };
    container.state = ContainerState::Terminated(Box::new(Terminated {
        exit_code: 137,
        reason: "ContainerStatusUnknown".into(),
        message: "The container could not be located when the pod was terminated".into(),
        started,
        finished: now,
        usage: Usage::default(),
    }));
}
