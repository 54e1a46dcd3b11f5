//! Scripted guests: they start, become ready, exit, and are started again in place.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use wasmjob_api::{
    ContainerState, ContainerStatus, Disruption, Phase, Pod, PodStatus, Terminated, Uid, Usage,
};

use super::super::journal::End;
use super::super::scenario;
use super::{Happening, World};

impl World {
    pub(super) fn start(&mut self, uid: Uid) {
        self.edit_live(uid, |pod, now| {
            pod.status.phase = Phase::Running;
            pod.status.scheduled = Some(now);
            pod.status.started = Some(now);
            pod.status.containers = vec![ContainerStatus {
                state: ContainerState::Running { started: now },
                ..ContainerStatus::default()
            }];
        });
        let (ready, exit) = (self.rng.below(3), 3 + self.rng.below(90));
        self.queue_in(ready, Happening::Ready(uid));
        self.queue_in(exit, Happening::Exit(uid));
    }

    pub(super) fn exit(&mut self, uid: Uid) {
        let fine = self.calm_since.is_some() || self.rng.chance(55);
        let code = self.rng.pick(&scenario::CODES);
        let end = if fine { End::Success } else { End::Code(code) };
        // The deadline of the pod itself ends it for good.
        let in_place = self.job.spec.restart_on_failure && !self.rng.chance(5);
        let deleted = self.rows.get(&uid).is_none_or(|pod| pod.deletion.is_some());
        if end == End::Success || !in_place || deleted {
            return self.end(uid, end);
        }
        self.edit_live(uid, |pod, now| {
            let container = &mut pod.status.containers[0];
            container.restarts += 1;
            container.last_terminated = Some(Box::new(terminated(code, now)));
        });
        let again = 1 + self.rng.below(40);
        self.queue_in(again, Happening::Exit(uid));
    }

    /// Ends a pod, unless it has ended.
    pub(super) fn end(&mut self, uid: Uid, end: End) {
        let Some(pod) = self
            .rows
            .get(&uid)
            .filter(|pod| !pod.status.phase.is_terminal())
        else {
            return;
        };
        let mut pod = Pod::clone(pod);
        let code = match end {
            End::Success => 0,
            End::Code(code) => code,
            End::Disrupted => 137,
        };
        pod.status = PodStatus {
            phase: if end == End::Success {
                Phase::Succeeded
            } else {
                Phase::Failed
            },
            ready: false,
            ready_transition: Some(self.now),
            containers: vec![ContainerStatus {
                state: ContainerState::Terminated(Box::new(terminated(code, self.now))),
                ..ContainerStatus::default()
            }],
            disruption: (end == End::Disrupted).then(|| {
                Box::new(Disruption {
                    reason: Cow::Borrowed("TerminationByKubelet"),
                    message: Cow::Borrowed("the host was restarted"),
                    at: self.now,
                })
            }),
            ..pod.status
        };
        self.journal.ended(uid, end, self.now);
        self.put(pod);
    }
}

fn terminated(exit_code: u8, at: Timestamp) -> Terminated {
    Terminated {
        exit_code,
        reason: Cow::Borrowed(if exit_code == 0 { "Completed" } else { "Error" }),
        message: Arc::from(""),
        started: at,
        finished: at,
        usage: Usage::default(),
    }
}
