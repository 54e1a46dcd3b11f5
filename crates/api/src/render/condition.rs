//! The conditions of a pod, derived from its row as a kubelet derives them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;

use super::{text, time};
use crate::{ContainerState, ContainerStatus, Phase, Pod, PodStatus};

/// The conditions of `pod`; `None` as long as nobody has looked at it.
pub(super) fn conditions(pod: &Pod, spec: &core::PodSpec) -> Option<Vec<core::PodCondition>> {
    let status = &pod.status;
    let mut list = Vec::new();
    if let Some(disruption) = &status.disruption {
        let mut target = condition("DisruptionTarget", true, disruption.at);
        target.reason = text(&disruption.reason);
        target.message = text(&disruption.message);
        list.push(target);
    }
    let scheduled = match status.scheduled {
        Some(at) => Some(condition("PodScheduled", true, at)),
        None => unschedulable(pod),
    };
    if let Some(started) = status.started {
        let at = status.ready_transition.unwrap_or(started);
        let has_sandbox = !status.phase.is_terminal() && may_start(status);
        let since = if has_sandbox { started } else { at };
        list.push(condition("PodReadyToStartContainers", has_sandbox, since));
        list.push(initialized(pod, spec, started));
        list.push(ready("Ready", pod, spec, at));
        list.push(ready("ContainersReady", pod, spec, at));
    }
    list.extend(scheduled);
    (!list.is_empty()).then_some(list)
}

/// Whether its directories are made, or its images are looked for, which comes first here:
/// a container waits for nothing else.
fn may_start(status: &PodStatus) -> bool {
    let mut all = status.init_containers.iter().chain(&status.containers);
    all.any(|container| match &container.state {
        ContainerState::Waiting { reason, .. } => {
            !matches!(&**reason, "ContainerCreating" | "PodInitializing")
        }
        _ => true,
    })
}

/// Whether it waits because the node has no room for it.
pub(super) fn is_unschedulable(status: &PodStatus) -> bool {
    status.phase == Phase::Pending && status.reason.as_deref() == Some(UNSCHEDULABLE)
}

const UNSCHEDULABLE: &str = "Unschedulable";

fn unschedulable(pod: &Pod) -> Option<core::PodCondition> {
    is_unschedulable(&pod.status).then(|| core::PodCondition {
        reason: text(UNSCHEDULABLE),
        message: pod.status.message.as_deref().and_then(text),
        ..condition("PodScheduled", false, pod.created)
    })
}

fn condition(kind: &str, is_true: bool, at: Timestamp) -> core::PodCondition {
    core::PodCondition {
        type_: kind.to_owned(),
        status: if is_true { "True" } else { "False" }.to_owned(),
        last_transition_time: Some(time(at)),
        ..core::PodCondition::default()
    }
}

/// Whether all init containers are done, or (sidecars) have started.
fn initialized(pod: &Pod, spec: &core::PodSpec, started: Timestamp) -> core::PodCondition {
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let waiting = names(init, &pod.status.init_containers, |container, status| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        let succeeded = status
            .state
            .terminated()
            .is_some_and(|ended| ended.exit_code == 0);
        succeeded || (is_sidecar && status.started)
    });
    if pod.status.phase == Phase::Succeeded {
        let mut condition = condition("Initialized", true, started);
        condition.reason = text("PodCompleted");
        return condition;
    }
    if waiting.is_empty() {
        let done = pod
            .status
            .init_containers
            .iter()
            .filter_map(|s| s.state.terminated());
        let at = done.map(|ended| ended.finished).max().unwrap_or(started);
        return condition("Initialized", true, at);
    }
    let mut condition = condition("Initialized", false, started);
    condition.reason = text("ContainersNotInitialized");
    condition.message = Some(format!(
        "containers with incomplete status: [{}]",
        waiting.join(" ")
    ));
    condition
}

fn ready(kind: &str, pod: &Pod, spec: &core::PodSpec, at: Timestamp) -> core::PodCondition {
    let mut condition = condition(kind, pod.status.ready, at);
    if pod.status.ready {
        return condition;
    }
    match pod.status.phase {
        Phase::Succeeded => condition.reason = text("PodCompleted"),
        Phase::Failed => condition.reason = text("PodFailed"),
        Phase::Pending | Phase::Running => {
            let unready = names(&spec.containers, &pod.status.containers, |_, status| {
                status.ready && matches!(status.state, ContainerState::Running { .. })
            });
            condition.reason = text("ContainersNotReady");
            condition.message = Some(format!(
                "containers with unready status: [{}]",
                unready.join(" ")
            ));
        }
    }
    condition
}

/// The names of the containers that are not `fine`, or of which nothing is known.
fn names<'a>(
    containers: &'a [core::Container],
    statuses: &[ContainerStatus],
    fine: impl Fn(&core::Container, &ContainerStatus) -> bool,
) -> Vec<&'a str> {
    containers
        .iter()
        .enumerate()
        .filter(|(index, container)| {
            statuses
                .get(*index)
                .is_none_or(|status| !fine(container, status))
        })
        .map(|(_, container)| container.name.as_str())
        .collect()
}
