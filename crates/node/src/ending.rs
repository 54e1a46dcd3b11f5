//! The end of a pod.

use std::sync::Arc;
use std::time::Duration;

use wasmjob_api::{Event, Phase, Terminated, Uid};

use crate::node::{Node, Update, config_names};
use crate::pod::{Ending, PodRun, Slot, Stage};

impl Node {
    /// Begins to end a pod as a whole.
    pub(crate) fn end_pod(&mut self, uid: Uid, ending: Ending, grace: Duration) {
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        // Whatever comes later only shortens the grace of the first. It must do that: a
        // pod that has all the time there is would else outlive its limits.
        let is_first = run.ending.is_none();
        run.ending.get_or_insert(ending);
        let now = self.clock.monotonic();
        let slots: Vec<Slot> = run.slots().collect();
        for slot in &slots {
            let going = run.container(*slot).run.as_ref();
            let is_news = going.is_some_and(|it| is_first || it.is_killed_sooner(now, grace));
            if is_news && self.told.may(now) {
                let text = format!("Stopping container {}", run.spec(*slot).name);
                run.tell(*slot, Event::normal("Killing", text));
            }
        }
        for slot in slots {
            self.kill(uid, slot, grace);
        }
        self.finish_if_ended(uid);
    }

    /// Ends the pod's account once nothing of it runs any more.
    pub(crate) fn finish_if_ended(&mut self, uid: Uid) {
        let Some(run) = self.pods.get(&uid) else {
            return;
        };
        if run.ending.is_none() || run.is_live() {
            return;
        }
        let Some(mut run) = self.pods.remove(&uid) else {
            return;
        };
        let now = self.clock.wall();
        match run.ending.take() {
            None | Some(Ending::Done) => run.status.phase = run.final_phase(),
            Some(Ending::Deleted) => {
                let ran = run
                    .status
                    .containers
                    .iter()
                    .any(|c| c.state.terminated().is_some());
                run.status.phase = if ran {
                    run.final_phase()
                } else {
                    Phase::Failed
                };
            }
            Some(Ending::Deadline) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("DeadlineExceeded".into());
                run.status.message = Some(Arc::from(
                    "Pod was active on the node longer than the specified deadline",
                ));
            }
            Some(Ending::Image { reason, message }) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some(reason.into());
                run.status.message = Some(Arc::from(message));
            }
            Some(Ending::Preempted(message)) => {
                // It may have done its work within its grace.
                run.status.phase = run.final_phase();
                if run.status.phase != Phase::Succeeded {
                    run.status.reason = Some("Preempted".into());
                    run.status.message = Some(Arc::from(message));
                }
            }
            Some(Ending::Evicted(message)) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("Evicted".into());
                run.events.push(Event::warning("Evicted", message.clone()));
                run.status.message = Some(Arc::from(message));
            }
            Some(Ending::Volumes(message)) => {
                run.status.phase = Phase::Failed;
                run.status.reason = Some("FailedMount".into());
                run.status.message = Some(Arc::from(message));
            }
        }
        for status in &mut run.status.containers {
            status.ready = false;
        }
        // One that has done its work stays ready, as with a kubelet.
        for (status, spec) in run
            .status
            .init_containers
            .iter_mut()
            .zip(&run.prepared.init)
        {
            let done = |end: &Terminated| end.exit_code == 0 && !spec.restart.is_always();
            status.ready = status.state.terminated().is_some_and(done);
        }
        run.update_ready(now);
        self.release(&mut run);
        self.logs.pod_ended(uid);
        self.ended.push(Update {
            uid,
            owner: run.owner(),
            status: std::mem::take(&mut run.status),
            events: std::mem::take(&mut run.events),
        });
    }

    /// Gives back what the pod had.
    pub(crate) fn release(&mut self, run: &mut PodRun) {
        let uid = run.pod.uid;
        self.timers.cancel(run.deadline_timer.take());
        self.timers.cancel(run.renewal_timer.take());
        self.timers.cancel(run.volumes_timer.take());
        let (request, priority) = (run.prepared.request, run.prepared.priority);
        if run.stage != Stage::Queued {
            self.admission.release(uid, request, priority);
        } else if run.in_line {
            self.admission.forget(uid, priority);
        }
        for name in config_names(run) {
            if let Some(users) = self.config_users.get_mut(&name) {
                users.remove(&uid);
                if users.is_empty() {
                    self.config_users.remove(&name);
                }
            }
        }
        self.room = true;
        if !self.slot_waiters.is_empty() {
            self.slot_waiters.retain(|(waiting, _)| *waiting != uid);
        }
        self.leave_template(run);
        if let Some(volumes) = run.volumes.take() {
            // Every run of the pod has ended, and its measuring holds copies.
            if let Ok(volumes) = Arc::try_unwrap(volumes) {
                self.workers.submit(move || volumes.remove());
            }
        }
    }
}
