//! What a start must write so that the built-in objects are there.
//!
//! As Kubernetes' reconciliation at start: what is missing of rules, subjects,
//! labels and annotations is added, what somebody added stays, and an object whose
//! annotation says `autoupdate: "false"` is left alone.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{cluster_role_bindings, cluster_roles};
use crate::rbac::{ClusterRole, ClusterRoleBinding, PolicyRule, covers, set_binding_defaults};

const AUTO_UPDATE: &str = "/metadata/annotations/rbac.authorization.kubernetes.io~1autoupdate";

/// One object to write. They come in an order in which they can be written.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// It does not exist.
    Create(Value),
    /// It lacks something: the object as it was, with that added. Its
    /// resourceVersion is that of the object that was looked at.
    Update(Value),
    /// The role of a binding cannot be changed: delete the old one, then create the
    /// new one.
    Recreate {
        /// The object that exists.
        old: Value,
        /// The object to create in its place.
        new: Value,
    },
}

/// Compares the built-in objects with all `ClusterRole`s and `ClusterRoleBinding`s
/// that exist. Nothing to do is an empty answer.
#[must_use]
pub fn reconcile(roles: &[Value], bindings: &[Value]) -> Vec<Change> {
    let mut changes = Vec::new();
    for expected in cluster_roles() {
        changes.extend(change(roles, expected, mend_role));
    }
    for expected in cluster_role_bindings() {
        changes.extend(change(bindings, expected, mend_binding));
    }
    changes
}

fn change(
    existing: &[Value],
    expected: Value,
    mend: fn(&Value, &Value) -> Option<Change>,
) -> Option<Change> {
    let name = |object: &Value| object.pointer("/metadata/name").cloned();
    let Some(old) = existing
        .iter()
        .find(|object| name(object) == name(&expected))
    else {
        return Some(Change::Create(expected));
    };
    if old.pointer(AUTO_UPDATE).and_then(Value::as_str) == Some("false") {
        return None;
    }
    mend(old, &expected)
}

fn mend_role(old: &Value, expected: &Value) -> Option<Change> {
    let mut new = old.clone();
    mend_metadata(&mut new, expected);
    let (had, wanted) = (read::<ClusterRole>(old), read::<ClusterRole>(expected));
    // What is wanted is ours, and short.
    let missing: Vec<PolicyRule> = covers(&had.rules, &wanted.rules).unwrap_or_default();
    append(
        &mut new,
        &["rules"],
        missing
            .iter()
            .map(serde_json::to_value)
            .filter_map(Result::ok),
    );
    match (&wanted.aggregation_rule, &had.aggregation_rule) {
        (None, Some(_)) => {
            new.as_object_mut()?.remove("aggregationRule");
        }
        (Some(wanted), had) => {
            let had = had.clone().unwrap_or_default().cluster_role_selectors;
            let path = ["aggregationRule", "clusterRoleSelectors"];
            let texts = expected.pointer("/aggregationRule/clusterRoleSelectors");
            let texts = texts.and_then(Value::as_array).cloned().unwrap_or_default();
            let missing = texts.into_iter().zip(&wanted.cluster_role_selectors);
            let missing = missing.filter(|(_, selector)| !had.contains(selector));
            append(&mut new, &path, missing.map(|(text, _)| text));
        }
        (None, None) => {}
    }
    (new != *old).then_some(Change::Update(new))
}

fn mend_binding(old: &Value, expected: &Value) -> Option<Change> {
    let mut defaulted = old.clone();
    set_binding_defaults(&mut defaulted);
    let had = read::<ClusterRoleBinding>(&defaulted);
    let wanted = read::<ClusterRoleBinding>(expected);
    if had.role_ref != wanted.role_ref {
        return Some(Change::Recreate {
            old: old.clone(),
            new: expected.clone(),
        });
    }
    let mut new = old.clone();
    mend_metadata(&mut new, expected);
    let missing = wanted
        .subjects
        .iter()
        .filter(|subject| !had.subjects.contains(subject));
    append(
        &mut new,
        &["subjects"],
        missing.map(serde_json::to_value).filter_map(Result::ok),
    );
    (new != *old).then_some(Change::Update(new))
}

/// Adds labels and annotations that are missing; others keep their values.
fn mend_metadata(object: &mut Value, expected: &Value) {
    for kind in ["labels", "annotations"] {
        let wanted = expected
            .pointer(&format!("/metadata/{kind}"))
            .and_then(Value::as_object);
        let Some(own) = entry(object, &["metadata", kind], || Value::Object(Map::new())) else {
            continue;
        };
        for (key, value) in wanted.into_iter().flatten() {
            if let Some(own) = own.as_object_mut()
                && !own.contains_key(key)
            {
                own.insert(key.clone(), value.clone());
            }
        }
    }
}

fn append(object: &mut Value, path: &[&str], values: impl Iterator<Item = Value>) {
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        return;
    }
    if let Some(own) = entry(object, path, || Value::Array(Vec::new()))
        && let Some(own) = own.as_array_mut()
    {
        own.extend(values);
    }
}

/// The value at a path; what is absent or null on the way is made, the last part
/// with `empty`.
fn entry<'a>(object: &'a mut Value, path: &[&str], empty: fn() -> Value) -> Option<&'a mut Value> {
    let mut value = object;
    for (index, part) in path.iter().enumerate() {
        let next = value.as_object_mut()?.entry(*part).or_insert(Value::Null);
        if next.is_null() {
            let is_last = index + 1 == path.len();
            *next = if is_last {
                empty()
            } else {
                Value::Object(Map::new())
            };
        }
        value = next;
    }
    Some(value)
}

/// An object of another shape, which the API does not let in, counts as empty.
fn read<T: for<'de> Deserialize<'de> + Default>(object: &Value) -> T {
    T::deserialize(object).unwrap_or_default()
}
