//! ResourceQuotas (`ValidateResourceQuota`).

use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement,
};

use super::{Errors, resources};
use crate::field::{Error, ErrorList, Path};

/// Names without a domain that a quota may count.
const STANDARD: [&str; 19] = [
    "configmaps",
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// Those of them that come in whole numbers.
const WHOLE: [&str; 8] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
];

/// Those of them that are about pods, and so those that scopes go with.
const OF_PODS: [&str; 10] = [
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "pods",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// What is wrong with a ResourceQuota, but for its metadata.
#[must_use]
pub fn validate_resource_quota(quota: &ResourceQuota) -> ErrorList {
    let mut errors = Errors::new();
    let Some(spec) = &quota.spec else {
        return errors.into_list();
    };
    let path = Path::new("spec.hard");
    for (name, amount) in spec.hard.iter().flatten() {
        let path = path.key(name);
        errors.qualified_name(name, &path);
        let is_standard = STANDARD.contains(&name.as_str())
            || ["hugepages-", "requests.hugepages-"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if !name.contains('/') && !is_standard {
            let message = "must be a standard resource for quota";
            errors.push(Error::invalid(&path, name, message));
        }
        let Some(quantity) = resources::quantity(&mut errors, amount, &path) else {
            continue;
        };
        if quantity.is_negative() {
            let message = "must be greater than or equal to 0";
            errors.push(Error::invalid(&path, &amount.0, message));
        }
        let counts = WHOLE.contains(&name.as_str())
            || name == "services.nodeports"
            || name.starts_with("count/");
        if counts && !quantity.is_whole() {
            errors.push(Error::invalid(&path, &amount.0, "must be an integer"));
        }
    }
    scopes(&mut errors, spec);
    selector(&mut errors, spec);
    errors.into_list()
}

/// What of an update of a ResourceQuota is not allowed.
#[must_use]
pub fn validate_resource_quota_update(new: &ResourceQuota, old: &ResourceQuota) -> ErrorList {
    let mut errors = Errors::new();
    let scopes = |quota: &ResourceQuota| {
        let scopes = quota.spec.as_ref().and_then(|spec| spec.scopes.clone());
        let mut scopes = scopes.unwrap_or_default();
        scopes.sort();
        scopes.dedup();
        scopes
    };
    errors.immutable(&scopes(new), &scopes(old), &Path::new("spec.scopes"));
    errors.into_list()
}

fn scopes(errors: &mut Errors, spec: &ResourceQuotaSpec) {
    let Some(scopes) = spec.scopes.as_ref().filter(|scopes| !scopes.is_empty()) else {
        return;
    };
    let path = Path::new("spec.scopes");
    for scope in scopes {
        check_scope(errors, spec, scope, &path, scopes);
    }
    conflicts(
        errors,
        |scope| scopes.iter().any(|it| it == scope),
        &path,
        scopes,
    );
}

fn selector(errors: &mut Errors, spec: &ResourceQuotaSpec) {
    let Some(selector) = &spec.scope_selector else {
        return;
    };
    let all = selector.match_expressions.as_deref().unwrap_or_default();
    let path = Path::new("spec.scopeSelector.matchExpressions");
    for requirement in all {
        check_scope(
            errors,
            spec,
            &requirement.scope_name,
            &path.child("scopeName"),
            &requirement.scope_name,
        );
        check_requirement(errors, requirement, &path);
    }
    let has = |scope: &str| all.iter().any(|it| it.scope_name == scope);
    conflicts(errors, has, &path, all);
}

fn check_requirement(
    errors: &mut Errors,
    requirement: &ScopedResourceSelectorRequirement,
    path: &Path,
) {
    let operator = requirement.operator.as_str();
    let takes_values = matches!(
        requirement.scope_name.as_str(),
        "PriorityClass" | "VolumeAttributesClass"
    );
    if !takes_values && operator != "Exists" {
        let message = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(Error::invalid(&path.child("operator"), operator, message));
    }
    let values = requirement.values.as_deref().unwrap_or_default();
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let message =
                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(Error::required(&path.child("values"), message));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let message =
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(Error::invalid(&path.child("values"), values, message));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
}

fn check_scope<T: serde::Serialize + ?Sized>(
    errors: &mut Errors,
    spec: &ResourceQuotaSpec,
    scope: &str,
    path: &Path,
    shown: &T,
) {
    if !SCOPES.contains(&scope) {
        return errors.push(Error::invalid(path, shown, "unsupported scope"));
    }
    let goes_with = |name: &str| match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => {
            matches!(name, "persistentvolumeclaims" | "requests.storage")
        }
        _ => OF_PODS.contains(&name),
    };
    let names = spec.hard.iter().flatten().map(|(name, _)| name.as_str());
    for name in names.filter(|name| STANDARD.contains(name)) {
        if !goes_with(name) {
            let message = "unsupported scope applied to resource";
            errors.push(Error::invalid(path, shown, message));
        }
    }
}

fn conflicts<T: serde::Serialize + ?Sized>(
    errors: &mut Errors,
    has: impl Fn(&str) -> bool,
    path: &Path,
    shown: &T,
) {
    for pair in [
        ["BestEffort", "NotBestEffort"],
        ["Terminating", "NotTerminating"],
    ] {
        if pair.iter().all(|scope| has(scope)) {
            errors.push(Error::invalid(path, shown, "conflicting scopes"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::validate_resource_quota;

    fn texts(spec: &str) -> Vec<String> {
        let json = format!(r#"{{"metadata":{{"name":"q"}},"spec":{spec}}}"#);
        let quota = serde_json::from_str(&json).unwrap();
        let errors = validate_resource_quota(&quota);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn usual_ones_are_valid() {
        for spec in [
            r#"{"hard":{"pods":"4","requests.cpu":"1","limits.memory":"2Gi","count/jobs.batch":"5","gold.storageclass.storage.k8s.io/requests.storage":"1Gi","requests.wasmjob.dev/fuel":"1"}}"#,
            r#"{"hard":{"pods":"1"},"scopes":["BestEffort","Terminating"]}"#,
            r#"{"hard":{"cpu":"1"},"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]}}"#,
            "{}",
        ] {
            assert_eq!(texts(spec), [""; 0], "{spec}");
        }
    }

    #[test]
    fn others_are_refused_in_kubernetes_words() {
        for (spec, wanted) in [
            (
                r#"{"hard":{"jobs":"4"}}"#,
                "spec.hard[jobs]: Invalid value: \"jobs\": must be a standard resource for quota",
            ),
            (
                r#"{"hard":{"pods":"-1"}}"#,
                "spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
            ),
            (
                r#"{"hard":{"count/jobs.batch":"1500m"}}"#,
                "spec.hard[count/jobs.batch]: Invalid value: \"1500m\": must be an integer",
            ),
            (
                r#"{"hard":{"cpu":"1"},"scopes":["BestEffort"]}"#,
                "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
            ),
            (
                r#"{"hard":{"pods":"1"},"scopes":["Terminating","NotTerminating"]}"#,
                "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes",
            ),
            (
                r#"{"hard":{"pods":"1"},"scopes":["Odd"]}"#,
                "spec.scopes: Invalid value: [\"Odd\"]: unsupported scope",
            ),
            (
                r#"{"hard":{"pods":"1"},"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In"}]}}"#,
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
            ),
        ] {
            assert_eq!(texts(spec), [wanted], "{spec}");
        }
    }
}
