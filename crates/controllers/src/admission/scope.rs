//! Which pods a quota is about.

use k8s_openapi::api::core::v1::{PodSpec, ResourceQuotaSpec};
use wasmjob_api::qos_class;

/// What the scopes of quotas ask about a pod.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Facts {
    terminating: bool,
    best_effort: bool,
    cross_namespace: bool,
    priority_class: Option<String>,
}

impl Facts {
    pub(super) fn of(spec: &PodSpec) -> Self {
        let class = spec.priority_class_name.clone();
        Self {
            terminating: spec.active_deadline_seconds.is_some_and(|it| it >= 0),
            best_effort: qos_class(spec) == "BestEffort",
            cross_namespace: names_other_namespaces(spec),
            priority_class: class.filter(|name| !name.is_empty()),
        }
    }
}

/// Whether an affinity term looks beyond the pod's own namespace.
fn names_other_namespaces(spec: &PodSpec) -> bool {
    let Some(affinity) = &spec.affinity else {
        return false;
    };
    let (near, far) = (
        affinity.pod_affinity.as_ref(),
        affinity.pod_anti_affinity.as_ref(),
    );
    let required = [
        near.and_then(|it| {
            it.required_during_scheduling_ignored_during_execution
                .as_ref()
        }),
        far.and_then(|it| {
            it.required_during_scheduling_ignored_during_execution
                .as_ref()
        }),
    ];
    let preferred = [
        near.and_then(|it| {
            it.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        }),
        far.and_then(|it| {
            it.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        }),
    ];
    let preferred = preferred.into_iter().flatten().flatten();
    let mut terms = required
        .into_iter()
        .flatten()
        .flatten()
        .chain(preferred.map(|weighted| &weighted.pod_affinity_term));
    terms.any(|term| {
        term.namespaces.as_ref().is_some_and(|it| !it.is_empty())
            || term.namespace_selector.is_some()
    })
}

/// One thing that a quota asks of what it counts.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    name: String,
    operator: String,
    values: Vec<String>,
}

impl Scope {
    pub(super) fn all(spec: &ResourceQuotaSpec) -> Vec<Self> {
        let plain = spec.scopes.iter().flatten().map(|name| Self {
            name: name.clone(),
            operator: "Exists".to_owned(),
            values: Vec::new(),
        });
        let selector = spec.scope_selector.as_ref();
        let requirements = selector.and_then(|it| it.match_expressions.as_ref());
        let selected = requirements.into_iter().flatten().map(|it| Self {
            name: it.scope_name.clone(),
            operator: it.operator.clone(),
            values: it.values.clone().unwrap_or_default(),
        });
        plain.chain(selected).collect()
    }

    /// Whether a pod is among those.
    pub(super) fn takes(&self, facts: &Facts) -> bool {
        match self.name.as_str() {
            "Terminating" => facts.terminating,
            "NotTerminating" => !facts.terminating,
            "BestEffort" => facts.best_effort,
            "NotBestEffort" => !facts.best_effort,
            "CrossNamespacePodAffinity" => facts.cross_namespace,
            "PriorityClass" => {
                let is_listed = |class: &String| self.values.contains(class);
                let class = facts.priority_class.as_ref();
                match self.operator.as_str() {
                    "Exists" => class.is_some(),
                    "DoesNotExist" => class.is_none(),
                    "In" => class.is_some_and(is_listed),
                    "NotIn" => !class.is_some_and(is_listed),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}
