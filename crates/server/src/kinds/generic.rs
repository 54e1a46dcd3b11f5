//! All other kinds: kept as they are written, with the defaults and the rules that
//! clients rely on.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use wasmjob::api::field::{Error, ErrorList, Path};
use wasmjob::api::k8s_openapi::api::core::v1::LimitRange;
use wasmjob::api::{config, defaults, network_policy, validation};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;
use wasmjob_machinery::validate_meta;

use super::job::texts;
use super::{Change, Draft, Stamp, Typed, check, meta, metadata};
use crate::render::seconds;

pub(super) fn create(
    resource: &Resource,
    mut value: Value,
    stamp: &Stamp,
) -> Result<Draft, Status> {
    let fields = metadata(&mut value);
    for field in [
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        fields.remove(field);
    }
    fields.insert("uid".to_owned(), stamp.uid.to_string().into());
    fields.insert("creationTimestamp".to_owned(), seconds(stamp.now).into());
    if !resource.namespaced && fields.get("namespace").is_some_and(|it| it == "") {
        fields.remove("namespace");
    }
    if resource.subresource("status").is_some()
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("status");
    }
    default(resource, &mut value);
    if resource.kind == "Namespace"
        && let Some(finalizers) = value.pointer_mut("/spec/finalizers")
        && let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|it| it == "kubernetes")
    {
        finalizers.push("kubernetes".into());
    }
    let mut errors = validate_meta::create(resource.kind, resource.namespaced, &value);
    errors.extend(validate(resource, &value));
    check(resource, meta(&value, "name"), &errors)?;
    if has_generation(resource) {
        metadata(&mut value).insert("generation".to_owned(), 1.into());
    }
    Ok(draft(resource, value))
}

pub(super) fn update(resource: &Resource, change: Change<'_>) -> Result<Draft, Status> {
    let Change {
        old_value: old,
        mut new,
        subresource,
        ..
    } = change;
    let has_status = resource.subresource("status").is_some();
    if subresource == "status" {
        // All but the status, and the metadata that goes with it, stays.
        let (status, fields) = (new["status"].take(), new["metadata"].take());
        new = old.clone();
        new["metadata"] = fields;
        set_or_remove(&mut new, "status", status);
    } else if has_status {
        set_or_remove(&mut new, "status", old["status"].clone());
    }
    if resource.kind == "Namespace" && subresource != "finalize" {
        // What holds a namespace is let go by its own subresource only.
        set_or_remove(&mut new, "spec", old["spec"].clone());
    }
    default(resource, &mut new);
    let name = meta(old, "name").to_owned();
    let mut errors = validate_meta::update(&new, old);
    errors.extend(validate(resource, &new));
    errors.extend(validate_change(resource, &new, old));
    check(resource, &name, &errors)?;
    if has_generation(resource) {
        network_policy::count_change(&mut new, old);
    }
    Ok(draft(resource, new))
}

fn draft(resource: &Resource, value: Value) -> Draft {
    let warnings = match (resource.group, resource.kind) {
        ("networking.k8s.io", "NetworkPolicy") => texts(network_policy::warnings(&value)),
        _ => Vec::new(),
    };
    Draft {
        value,
        typed: Typed::Generic,
        warnings,
    }
}

/// Whether changes of its spec are counted.
fn has_generation(resource: &Resource) -> bool {
    (resource.group, resource.kind) == ("networking.k8s.io", "NetworkPolicy")
}

fn set_or_remove(value: &mut Value, field: &str, content: Value) {
    if let Some(fields) = value.as_object_mut() {
        if content.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.to_owned(), content);
        }
    }
}

/// Sets a field that is absent or empty.
fn set(value: &mut Value, path: &[&str], content: impl Into<Value>) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let mut place = value;
    for parent in parents {
        if !place[*parent].is_object() {
            place[*parent] = Value::Object(Map::new());
        }
        place = &mut place[*parent];
    }
    let Some(fields) = place.as_object_mut() else {
        return;
    };
    if fields.get(*last).is_none_or(|it| it.is_null() || it == "") {
        fields.insert((*last).to_owned(), content.into());
    }
}

/// What Kubernetes fills in.
fn default(resource: &Resource, value: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Namespace") => {
            let name = meta(value, "name").to_owned();
            set(
                value,
                &["metadata", "labels", "kubernetes.io/metadata.name"],
                name,
            );
            set(value, &["spec", "finalizers"], json!(["kubernetes"]));
            set(value, &["status", "phase"], "Active");
        }
        ("", "Secret") => config::default_secret(value),
        ("", "PersistentVolumeClaim") => {
            config::default_claim(value);
            set(value, &["status", "phase"], "Pending");
        }
        ("", "PersistentVolume") => {
            set(value, &["spec", "volumeMode"], "Filesystem");
            set(value, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
            set(value, &["status", "phase"], "Available");
        }
        ("", "LimitRange") => default_limits(value),
        ("scheduling.k8s.io", "PriorityClass") => {
            set(value, &["preemptionPolicy"], "PreemptLowerPriority");
        }
        ("", "Service") => {
            set(value, &["spec", "type"], "ClusterIP");
            set(value, &["spec", "sessionAffinity"], "None");
            set(value, &["spec", "internalTrafficPolicy"], "Cluster");
            set(value, &["status", "loadBalancer"], json!({}));
        }
        ("networking.k8s.io", "NetworkPolicy") => network_policy::default(value),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            set(value, &["roleRef", "apiGroup"], "rbac.authorization.k8s.io");
            let subjects = value.get_mut("subjects").and_then(Value::as_array_mut);
            for subject in subjects.into_iter().flatten() {
                if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
                    set(subject, &["apiGroup"], "rbac.authorization.k8s.io");
                }
            }
        }
        _ => {}
    }
}

/// What the limits of a LimitRange say of the defaults. What cannot be read is refused
/// by whoever validates it.
fn default_limits(value: &mut Value) {
    if let Ok(mut limit_range) = read::<LimitRange>(value) {
        defaults::limit_range(&mut limit_range);
        let limits = limit_range.spec.map(|spec| spec.limits);
        let spec = value.get_mut("spec").and_then(Value::as_object_mut);
        if let (Some(limits), Some(spec)) = (limits, spec) {
            // Kubernetes' types always have a form as JSON.
            let limits = serde_json::to_value(limits).unwrap_or_default();
            spec.insert("limits".to_owned(), limits);
        }
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, ErrorList> {
    T::deserialize(value).map_err(|error| {
        let path = Path::new("spec");
        vec![Error::invalid_without_value(&path, error.to_string())]
    })
}

/// What is wrong with an object that is checked as Kubernetes' type.
fn checked<T: DeserializeOwned>(value: &Value, check: fn(&T) -> ErrorList) -> ErrorList {
    match read(value) {
        Ok(object) => check(&object),
        Err(errors) => errors,
    }
}

/// What of an update is not allowed, likewise. An old state that cannot be read allows all.
fn checked_change<T: DeserializeOwned>(
    new: &Value,
    old: &Value,
    check: fn(&T, &T) -> ErrorList,
) -> ErrorList {
    match (read(new), read(old)) {
        (Ok(new), Ok(old)) => check(&new, &old),
        _ => ErrorList::new(),
    }
}

fn validate(resource: &Resource, value: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    match (resource.group, resource.kind) {
        ("", "LimitRange") => errors = checked(value, validation::validate_limit_range),
        ("", "ResourceQuota") => errors = checked(value, validation::validate_resource_quota),
        ("scheduling.k8s.io", "PriorityClass") => {
            errors = checked(value, validation::validate_priority_class);
        }
        ("", "ConfigMap") => errors = config::validate_config_map(value),
        ("", "Secret") => errors = config::validate_secret(value),
        ("", "PersistentVolumeClaim") => errors = config::validate_claim(value),
        ("networking.k8s.io", "NetworkPolicy") => errors = network_policy::validate(value),
        ("", "Event") => {
            let (own, of) = (
                meta(value, "namespace"),
                value["involvedObject"]["namespace"].as_str(),
            );
            let of = of.unwrap_or_default();
            if of != own && !(of.is_empty() && own == "default") {
                let path = Path::new("involvedObject.namespace");
                errors.push(Error::invalid(&path, of, "does not match event.namespace"));
            }
        }
        ("coordination.k8s.io", "Lease") => {
            let seconds = &value["spec"]["leaseDurationSeconds"];
            if seconds.as_i64().is_some_and(|seconds| seconds <= 0) {
                let path = Path::new("spec.leaseDurationSeconds");
                errors.push(Error::invalid(&path, seconds, "must be greater than 0"));
            }
            let changes = &value["spec"]["leaseTransitions"];
            if changes.as_i64().is_some_and(|changes| changes < 0) {
                let path = Path::new("spec.leaseTransitions");
                let message = "must be greater than or equal to 0";
                errors.push(Error::invalid(&path, changes, message));
            }
        }
        _ => {}
    }
    errors
}

fn validate_change(resource: &Resource, new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    match (resource.group, resource.kind) {
        ("", "ConfigMap" | "Secret") => errors = config::validate_update(new, old),
        ("", "PersistentVolumeClaim") => errors = config::validate_claim_update(new, old),
        ("", "ResourceQuota") => {
            errors = checked_change(new, old, validation::validate_resource_quota_update);
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            errors = checked_change(new, old, validation::validate_priority_class_update);
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding")
            if new["roleRef"] != old["roleRef"] =>
        {
            let path = Path::new("roleRef");
            errors.push(Error::invalid(
                &path,
                &new["roleRef"],
                "cannot change roleRef",
            ));
        }
        _ => {}
    }
    errors
}
