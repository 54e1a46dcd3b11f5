//! Label selectors: their syntax, and what they match.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Errors, meta, names};
use crate::field::{Error, Path};

type Labels = BTreeMap<String, String>;

pub(crate) fn syntax(errors: &mut Errors, selector: &LabelSelector, path: &Path) {
    meta::labels(
        errors,
        selector.match_labels.as_ref(),
        &path.child("matchLabels"),
    );
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    for (index, requirement) in expressions.iter().enumerate() {
        expression(
            errors,
            requirement,
            &path.child("matchExpressions").index(index),
        );
    }
}

fn expression(errors: &mut Errors, requirement: &LabelSelectorRequirement, path: &Path) {
    let values = requirement.values.as_deref().unwrap_or_default();
    let values_path = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => errors.push(Error::required(
            &values_path,
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(Error::forbidden(
            &values_path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => errors.push(Error::invalid(
            &path.child("operator"),
            other,
            "not a valid selector operator",
        )),
    }
    errors.qualified_name(&requirement.key, &path.child("key"));
    for (index, value) in values.iter().enumerate() {
        for message in names::label_value(value) {
            errors.push(Error::invalid(&values_path.index(index), value, message));
        }
    }
}

/// Whether `labels` are selected; `None` if the selector is malformed. No selector
/// at all selects nothing, an empty one everything.
pub(super) fn matches(selector: Option<&LabelSelector>, labels: &Labels) -> Option<bool> {
    match selector {
        None => Some(false),
        Some(selector) => matches_labels(selector, labels),
    }
}

/// The same, of a selector that there is.
pub(crate) fn matches_labels(selector: &LabelSelector, labels: &Labels) -> Option<bool> {
    let mut errors = Errors::new();
    syntax(&mut errors, selector, &Path::default());
    if !errors.into_list().is_empty() {
        return None;
    }
    let mut pairs = selector.match_labels.iter().flatten();
    let pairs_match = pairs.all(|(key, value)| labels.get(key) == Some(value));
    let mut expressions = selector.match_expressions.iter().flatten();
    Some(pairs_match && expressions.all(|requirement| holds(requirement, labels)))
}

fn holds(requirement: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&requirement.key);
    let listed = || {
        value.is_some_and(|v| {
            requirement
                .values
                .iter()
                .flatten()
                .any(|allowed| allowed == v)
        })
    };
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        _ => value.is_none(),
    }
}
