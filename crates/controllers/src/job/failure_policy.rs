//! `podFailurePolicy`: what the failure of a pod means to its Job.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
};
use wasmjob_api::k8s_openapi::{self, api::core::v1::Container};
use wasmjob_api::{ContainerStatus, Pod};

/// What a rule says about a failed pod (`action`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PodFailureAction {
    /// The Job fails.
    FailJob,
    /// The index fails without another try.
    FailIndex,
    /// The failure is not counted.
    Ignore,
    /// The failure is counted, as without a rule.
    Count,
}

/// The first rule that a failed pod matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureMatch {
    /// What the rule says.
    pub action: PodFailureAction,
    /// For FailJob: the message of the Job's condition.
    pub message: Option<String>,
}

/// Finds the first rule of `policy` that `pod` matches.
///
/// As `matchPodFailurePolicy` of Kubernetes: a rule with an action that we do
/// not know is passed over.
#[must_use]
pub fn match_failure_policy(policy: &PodFailurePolicy, pod: &Pod) -> Option<FailureMatch> {
    policy.rules.iter().enumerate().find_map(|(at, rule)| {
        let action = match rule.action.as_str() {
            "FailJob" => PodFailureAction::FailJob,
            "FailIndex" => PodFailureAction::FailIndex,
            "Ignore" => PodFailureAction::Ignore,
            "Count" => PodFailureAction::Count,
            _ => return None,
        };
        let what = if let Some(requirement) = &rule.on_exit_codes {
            let (container, code) = match_exit_codes(requirement, pod)?;
            format!(
                "Container {container} for pod {}/{} failed with exit code {code}",
                pod.namespace, pod.name
            )
        } else {
            let condition = match_conditions(rule.on_pod_conditions.as_deref()?, pod)?;
            format!(
                "Pod {}/{} has condition {condition}",
                pod.namespace, pod.name
            )
        };
        let message = (action == PodFailureAction::FailJob)
            .then(|| format!("{what} matching FailJob rule at index {at}"));
        Some(FailureMatch { action, message })
    })
}

/// The first container that ended with a code that `requirement` asks for;
/// containers come before init containers.
fn match_exit_codes<'a>(
    requirement: &PodFailurePolicyOnExitCodesRequirement,
    pod: &'a Pod,
) -> Option<(&'a str, u8)> {
    let spec = &pod.template.spec;
    let init = spec.init_containers.as_deref().unwrap_or_default();
    match_containers(requirement, &spec.containers, &pod.status.containers)
        .or_else(|| match_containers(requirement, init, &pod.status.init_containers))
}

fn match_containers<'a>(
    requirement: &PodFailurePolicyOnExitCodesRequirement,
    containers: &'a [Container],
    statuses: &[ContainerStatus],
) -> Option<(&'a str, u8)> {
    containers
        .iter()
        .zip(statuses)
        .find_map(|(container, status)| {
            let code = status.state.terminated()?.exit_code;
            let named = &requirement.container_name;
            let meant = named.as_ref().is_none_or(|name| *name == container.name);
            let matches = meant && code != 0 && asks_for(requirement, code);
            matches.then_some((container.name.as_str(), code))
        })
}

fn asks_for(requirement: &PodFailurePolicyOnExitCodesRequirement, code: u8) -> bool {
    let listed = requirement.values.contains(&i32::from(code));
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

/// The type of the first condition of `pod` that one of the patterns describes.
fn match_conditions(
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    pod: &Pod,
) -> Option<&'static str> {
    let conditions = conditions(pod);
    let found = conditions.into_iter().find(|(condition, status)| {
        patterns.iter().any(|pattern| {
            pattern.type_ == *condition && pattern.status.as_deref().unwrap_or("True") == *status
        })
    });
    found.map(|(condition, _)| condition)
}

/// The conditions that a pod's row stands for: type and status, as `api` renders them.
fn conditions(pod: &Pod) -> Vec<(&'static str, &'static str)> {
    let word = |value: bool| if value { "True" } else { "False" };
    let status = &pod.status;
    let mut conditions = Vec::with_capacity(6);
    if status.disruption.is_some() {
        conditions.push(("DisruptionTarget", "True"));
    }
    if status.started.is_some() {
        let has_sandbox = !status.phase.is_terminal();
        conditions.push(("PodReadyToStartContainers", word(has_sandbox)));
        conditions.push(("Initialized", word(is_initialized(pod))));
        conditions.push(("Ready", word(status.ready)));
        conditions.push(("ContainersReady", word(status.ready)));
    }
    if status.scheduled.is_some() {
        conditions.push(("PodScheduled", "True"));
    }
    conditions
}

/// Whether all init containers are done, or (sidecars) have started.
fn is_initialized(pod: &Pod) -> bool {
    let init = pod.template.spec.init_containers.iter().flatten();
    init.enumerate().all(|(at, container)| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        pod.status.init_containers.get(at).is_some_and(|status| {
            let ended = status.state.terminated();
            let succeeded = ended.is_some_and(|ended| ended.exit_code == 0);
            succeeded || is_sidecar && status.started
        })
    })
}
