//! The status of a container as Kubernetes shows it.

use k8s_openapi::api::core::v1 as core;

use super::{text, time};
use crate::{ContainerState, ContainerStatus, Pod, Terminated};

pub(super) fn status(
    pod: &Pod,
    container: &core::Container,
    status: &ContainerStatus,
) -> core::ContainerStatus {
    let id = |run: u32| format!("wasmjob://{}/{}/{run}", pod.uid, container.name);
    let runs = !matches!(status.state, ContainerState::Waiting { .. });
    let state = match &status.state {
        ContainerState::Waiting { reason, message } => core::ContainerState {
            waiting: Some(core::ContainerStateWaiting {
                reason: text(reason),
                message: text(message),
            }),
            ..Default::default()
        },
        ContainerState::Running { started } => core::ContainerState {
            running: Some(core::ContainerStateRunning {
                started_at: Some(time(*started)),
            }),
            ..Default::default()
        },
        ContainerState::Terminated(ended) => terminated(ended, id(status.restarts)),
    };
    let previous = status.restarts.saturating_sub(1);
    let last_state = status
        .last_terminated
        .as_deref()
        .map(|ended| terminated(ended, id(previous)));
    core::ContainerStatus {
        name: container.name.clone(),
        state: Some(state),
        last_state: Some(last_state.unwrap_or_default()),
        ready: status.ready,
        started: Some(status.started && matches!(status.state, ContainerState::Running { .. })),
        restart_count: i32::try_from(status.restarts).unwrap_or(i32::MAX),
        image: container.image.clone().unwrap_or_default(),
        image_id: status.image_id.as_deref().unwrap_or_default().to_owned(),
        container_id: runs.then(|| id(status.restarts)),
        ..core::ContainerStatus::default()
    }
}

fn terminated(ended: &Terminated, id: String) -> core::ContainerState {
    core::ContainerState {
        terminated: Some(core::ContainerStateTerminated {
            exit_code: ended.exit_code.into(),
            reason: text(&ended.reason),
            message: text(&ended.message),
            started_at: Some(time(ended.started)),
            finished_at: Some(time(ended.finished)),
            container_id: Some(id),
            signal: None,
        }),
        ..Default::default()
    }
}
