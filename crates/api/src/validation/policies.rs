//! podFailurePolicy, successPolicy, podReplacementPolicy.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicyRule,
};

use super::job::is_indexed;
use super::{Errors, index_string, text};
use crate::field::{Error, Path};

const RULES_MAX: usize = 20;
const PATTERNS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const SUCCEEDED_INDEXES_BYTES_MAX: usize = 64 << 10;

pub(super) fn policies(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    if let Some(policy) = &spec.pod_failure_policy {
        let rules = path.child("podFailurePolicy.rules");
        if policy.rules.len() > RULES_MAX {
            errors.push(Error::too_many(&rules, policy.rules.len(), RULES_MAX));
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            failure_rule(errors, spec, rule, &rules.index(index));
        }
    }
    if let Some(policy) = &spec.success_policy {
        let path = path.child("successPolicy");
        if is_indexed(spec) {
            success_rules(errors, spec, &policy.rules, &path.child("rules"));
        } else {
            errors.push(Error::invalid(
                &path,
                policy,
                "requires indexed completion mode",
            ));
        }
    }
    replacement(errors, spec, &path.child("podReplacementPolicy"));
}

fn replacement(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    let Some(policy) = &spec.pod_replacement_policy else {
        return;
    };
    let supported: &[&str] = if spec.pod_failure_policy.is_some() {
        &["Failed"]
    } else {
        &["Failed", "TerminatingOrFailed"]
    };
    if !supported.contains(&policy.as_str()) {
        errors.push(Error::not_supported(path, policy, supported));
    }
}

fn failure_rule(errors: &mut Errors, spec: &JobSpec, rule: &PodFailurePolicyRule, path: &Path) {
    const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
    let action = path.child("action");
    match rule.action.as_str() {
        "FailIndex" if spec.backoff_limit_per_index.is_none() => {
            let message = "requires the backoffLimitPerIndex to be set";
            errors.push(Error::invalid(&action, &rule.action, message));
        }
        value => one_of(errors, value, &ACTIONS, &action),
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(errors, spec, codes, &path.child("onExitCodes"));
    }
    pod_conditions(errors, patterns, &path.child("onPodConditions"));
    let message = match (&rule.on_exit_codes, patterns) {
        (Some(_), [_, ..]) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (None, []) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(Error::invalid_without_value(path, message));
}

/// As [`Errors::one_of`], with the list of values where none was given.
fn one_of(errors: &mut Errors, value: &str, supported: &[&str], path: &Path) {
    if value.is_empty() {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        errors.push(Error::required(
            path,
            format!("valid values: [{}]", list.join(" ")),
        ));
    } else if !supported.contains(&value) {
        errors.push(Error::not_supported(path, value, supported));
    }
}

fn exit_codes(
    errors: &mut Errors,
    spec: &JobSpec,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    path: &Path,
) {
    one_of(
        errors,
        &codes.operator,
        &["In", "NotIn"],
        &path.child("operator"),
    );
    if let Some(name) = &codes.container_name
        && !has_container(spec, name)
    {
        let message = "must be one of the container or initContainer names in the pod template";
        errors.push(Error::invalid(&path.child("containerName"), name, message));
    }
    let path = path.child("values");
    let values = &codes.values;
    if values.is_empty() {
        errors.push(Error::invalid(
            &path,
            values,
            "at least one value is required",
        ));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&path, values.len(), EXIT_CODES_MAX));
    }
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        if codes.operator == "In" && *value == 0 {
            let message = "must not be 0 for the In operator";
            errors.push(Error::invalid(&path.index(index), value, message));
        }
        if !seen.insert(value) {
            errors.push(Error::duplicate(&path.index(index), value));
        }
    }
    if !values.is_sorted() {
        errors.push(Error::invalid(&path, values, "must be ordered"));
    }
}

fn has_container(spec: &JobSpec, name: &str) -> bool {
    spec.template.spec.as_ref().is_some_and(|pod| {
        let mut containers = pod
            .containers
            .iter()
            .chain(pod.init_containers.iter().flatten());
        containers.any(|container| container.name == name)
    })
}

fn pod_conditions(
    errors: &mut Errors,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    path: &Path,
) {
    if patterns.len() > PATTERNS_MAX {
        errors.push(Error::too_many(path, patterns.len(), PATTERNS_MAX));
    }
    for (index, pattern) in patterns.iter().enumerate() {
        let path = path.index(index);
        errors.qualified_name(&pattern.type_, &path.child("type"));
        let status = text(&pattern.status);
        one_of(
            errors,
            status,
            &["False", "True", "Unknown"],
            &path.child("status"),
        );
    }
}

fn success_rules(errors: &mut Errors, spec: &JobSpec, rules: &[SuccessPolicyRule], path: &Path) {
    if rules.is_empty() {
        let message = "at least one rules must be specified when the successPolicy is specified";
        errors.push(Error::required(path, message));
    }
    if rules.len() > RULES_MAX {
        errors.push(Error::too_many(path, rules.len(), RULES_MAX));
    }
    // Without completions, which Indexed requires, there is nothing to measure by.
    let Some(completions) = spec.completions else {
        return;
    };
    for (index, rule) in rules.iter().enumerate() {
        success_rule(errors, rule, completions, &path.index(index));
    }
}

fn success_rule(errors: &mut Errors, rule: &SuccessPolicyRule, completions: i32, path: &Path) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let message = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(Error::required(path, message));
    }
    let mut listed = None;
    if let Some(indexes) = &rule.succeeded_indexes {
        let path = path.child("succeededIndexes");
        if indexes.len() > SUCCEEDED_INDEXES_BYTES_MAX {
            errors.push(Error::too_long(&path, SUCCEEDED_INDEXES_BYTES_MAX));
        }
        listed = Some(
            index_string::count(indexes, completions).unwrap_or_else(|message| {
                let message = format!("error parsing succeededIndexes: {message}");
                errors.push(Error::invalid(&path, indexes, message));
                0
            }),
        );
    }
    let Some(count) = rule.succeeded_count else {
        return;
    };
    let path = path.child("succeededCount");
    errors.not_negative(Some(count), &path);
    if count > completions {
        let message = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        errors.push(Error::invalid(&path, &count, message));
    }
    if let Some(listed) = listed.filter(|listed| count > *listed) {
        let message = format!(
            "must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.push(Error::invalid(&path, &count, message));
    }
}
