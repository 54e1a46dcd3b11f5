//! Which roles and bindings make sense.
//!
//! The texts are those of Kubernetes' `pkg/apis/rbac/validation`. Of the metadata
//! only the name is looked at, because for these kinds alone it may be nearly
//! anything; the rest is the same for every kind and not checked here. Defaults must
//! be set before.

use super::objects::{
    ClusterRole, ClusterRoleBinding, GROUP, LabelSelector, ObjectMeta, PolicyRule, Role,
    RoleBinding, RoleRef, Subject,
};
use crate::field::FieldError;
use crate::names::is_dns_subdomain;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with a `Role`, new or updated.
#[must_use]
pub fn validate_role(role: &Role) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&role.metadata, &mut errors);
    check_rules(&role.rules, true, &mut errors);
    errors
}

/// What is wrong with a `ClusterRole`, new or updated.
#[must_use]
pub fn validate_cluster_role(role: &ClusterRole) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(&role.metadata, &mut errors);
    check_rules(&role.rules, false, &mut errors);
    if let Some(aggregation) = &role.aggregation_rule {
        let path = "aggregationRule.clusterRoleSelectors";
        if aggregation.cluster_role_selectors.is_empty() {
            errors.push(FieldError::required(
                path,
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            ));
        }
        for (index, selector) in aggregation.cluster_role_selectors.iter().enumerate() {
            check_selector(selector, &format!("{path}[{index}]"), &mut errors);
        }
    }
    errors
}

/// What is wrong with a `RoleBinding`.
#[must_use]
pub fn validate_role_binding(binding: &RoleBinding) -> Vec<FieldError> {
    let RoleBinding {
        metadata,
        subjects,
        role_ref,
    } = binding;
    check_binding(metadata, subjects, role_ref, true)
}

/// What is wrong with a new version of a `RoleBinding`.
#[must_use]
pub fn validate_role_binding_update(new: &RoleBinding, old: &RoleBinding) -> Vec<FieldError> {
    let mut errors = validate_role_binding(new);
    check_same_role(&new.role_ref, &old.role_ref, &mut errors);
    errors
}

/// What is wrong with a `ClusterRoleBinding`.
#[must_use]
pub fn validate_cluster_role_binding(binding: &ClusterRoleBinding) -> Vec<FieldError> {
    let ClusterRoleBinding {
        metadata,
        subjects,
        role_ref,
    } = binding;
    check_binding(metadata, subjects, role_ref, false)
}

/// What is wrong with a new version of a `ClusterRoleBinding`.
#[must_use]
pub fn validate_cluster_role_binding_update(
    new: &ClusterRoleBinding,
    old: &ClusterRoleBinding,
) -> Vec<FieldError> {
    let mut errors = validate_cluster_role_binding(new);
    check_same_role(&new.role_ref, &old.role_ref, &mut errors);
    errors
}

fn check_name(metadata: &ObjectMeta, errors: &mut Vec<FieldError>) {
    let ObjectMeta {
        name,
        generate_name,
        ..
    } = metadata;
    if name.is_empty() {
        if generate_name.is_empty() {
            let detail = "name or generateName is required";
            errors.push(FieldError::required("metadata.name", detail));
        }
        return;
    }
    check_path_segment("metadata.name", name, errors);
}

/// Names of roles may be all that can be a part of a URL's path.
fn check_path_segment(field: &str, name: &str, errors: &mut Vec<FieldError>) {
    if matches!(name, "." | "..") {
        errors.push(FieldError::invalid(
            field,
            &name,
            format!("may not be '{name}'"),
        ));
        return;
    }
    for part in ["/", "%"] {
        if name.contains(part) {
            errors.push(FieldError::invalid(
                field,
                &name,
                format!("may not contain '{part}'"),
            ));
        }
    }
}

fn check_rules(rules: &[PolicyRule], is_namespaced: bool, errors: &mut Vec<FieldError>) {
    for (index, rule) in rules.iter().enumerate() {
        let field = |name| format!("rules[{index}].{name}");
        let mut required = |name, detail| errors.push(FieldError::required(field(name), detail));
        if rule.verbs.is_empty() {
            required("verbs", "verbs must contain at least one value");
        }
        if !rule.non_resource_urls.is_empty() {
            let urls = &rule.non_resource_urls;
            let mut invalid =
                |detail| errors.push(FieldError::invalid(field("nonResourceURLs"), urls, detail));
            if is_namespaced {
                invalid("namespaced rules cannot apply to non-resource URLs");
            }
            let names_resources = !rule.api_groups.is_empty()
                || !rule.resources.is_empty()
                || !rule.resource_names.is_empty();
            if names_resources {
                invalid("rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if rule.api_groups.is_empty() {
            required(
                "apiGroups",
                "resource rules must supply at least one api group",
            );
        }
        if rule.resources.is_empty() {
            required(
                "resources",
                "resource rules must supply at least one resource",
            );
        }
    }
}

fn check_binding(
    metadata: &ObjectMeta,
    subjects: &[Subject],
    role: &RoleRef,
    is_namespaced: bool,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_name(metadata, &mut errors);
    if role.api_group != GROUP {
        errors.push(FieldError::not_supported(
            "roleRef.apiGroup",
            &role.api_group,
            &[GROUP],
        ));
    }
    let kinds: &[&str] = if is_namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(FieldError::not_supported("roleRef.kind", &role.kind, kinds));
    }
    if role.name.is_empty() {
        errors.push(FieldError::required("roleRef.name", ""));
    } else {
        check_path_segment("roleRef.name", &role.name, &mut errors);
    }
    for (index, subject) in subjects.iter().enumerate() {
        check_subject(
            subject,
            &format!("subjects[{index}]"),
            is_namespaced,
            &mut errors,
        );
    }
    errors
}

fn check_subject(subject: &Subject, path: &str, is_namespaced: bool, errors: &mut Vec<FieldError>) {
    let field = |name| format!("{path}.{name}");
    let Subject {
        kind,
        api_group,
        name,
        namespace,
    } = subject;
    if name.is_empty() {
        errors.push(FieldError::required(field("name"), ""));
    }
    match kind.as_str() {
        "ServiceAccount" => {
            if name.len() > 253 {
                let detail = "must be no more than 253 bytes";
                errors.push(FieldError::invalid(field("name"), name, detail));
            } else if !name.is_empty() && !is_dns_subdomain(name) {
                errors.push(FieldError::invalid(field("name"), name, SUBDOMAIN));
            }
            if !api_group.is_empty() {
                errors.push(FieldError::not_supported(
                    field("apiGroup"),
                    api_group,
                    &[""],
                ));
            }
            if !is_namespaced && namespace.is_empty() {
                errors.push(FieldError::required(field("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if name.is_empty() {
                let detail = format!("{} name cannot be empty", kind.to_ascii_lowercase());
                errors.push(FieldError::invalid(field("name"), name, detail));
            }
            if api_group != GROUP {
                errors.push(FieldError::not_supported(
                    field("apiGroup"),
                    api_group,
                    &[GROUP],
                ));
            }
        }
        _ => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(field("kind"), kind, &kinds));
        }
    }
}

fn check_same_role(new: &RoleRef, old: &RoleRef, errors: &mut Vec<FieldError>) {
    if new != old {
        errors.push(FieldError::invalid("roleRef", new, "cannot change roleRef"));
    }
}

fn check_selector(selector: &LabelSelector, path: &str, errors: &mut Vec<FieldError>) {
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let field = |name| format!("{path}.matchExpressions[{index}].{name}");
        match (requirement.operator.as_str(), requirement.values.is_empty()) {
            ("In" | "NotIn", true) => errors.push(FieldError::required(
                field("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            ("Exists" | "DoesNotExist", false) => errors.push(FieldError::forbidden(
                field("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (operator, _) => errors.push(FieldError::invalid(
                field("operator"),
                &operator,
                "not a valid selector operator",
            )),
        }
    }
}

#[cfg(test)]
mod tests;
