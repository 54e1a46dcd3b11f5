//! Environment variables and where their values come from.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector};

use super::container::is_label_key;
use super::{Errors, text};
use crate::config::config_key;
use crate::field::{Error, Path};

const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn env(errors: &mut Errors, variables: &[EnvVar], path: &Path) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        if variable.name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        } else {
            name(errors, &variable.name, &path.child("name"));
        }
        if let Some(source) = &variable.value_from {
            let path = path.child("valueFrom");
            if !text(&variable.value).is_empty() {
                let message = "may not be specified when `value` is not empty";
                errors.push(Error::invalid(&path, "", message));
            }
            value_from(errors, source, &path);
        }
    }
}

fn name(errors: &mut Errors, name: &str, path: &Path) {
    if !name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=') {
        let message = "a valid environment variable name must consist only of printable ASCII characters other than '='";
        errors.push(Error::invalid(path, name, message));
    }
}

fn value_from(errors: &mut Errors, source: &EnvVarSource, path: &Path) {
    let set = [
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.secret_key_ref.is_some(),
        source.file_key_ref.is_some(),
    ];
    match set.iter().filter(|is_set| **is_set).count() {
        0 => errors.push(Error::invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )),
        1 => {}
        _ => errors.push(Error::invalid(
            path,
            "",
            "may not have more than one field specified at a time",
        )),
    }
    if let Some(selector) = &source.config_map_key_ref {
        let path = path.child("configMapKeyRef");
        key(errors, &selector.name, &selector.key, &path);
    }
    if let Some(selector) = &source.secret_key_ref {
        let path = path.child("secretKeyRef");
        key(errors, &selector.name, &selector.key, &path);
    }
    if let Some(field) = &source.field_ref {
        field_ref(errors, field, &path.child("fieldRef"));
    }
    if let Some(selector) = &source.resource_field_ref {
        resource(
            errors,
            &selector.resource,
            &path.child("resourceFieldRef.resource"),
        );
    }
}

/// A key of a ConfigMap or a Secret.
fn key(errors: &mut Errors, name: &str, key: &str, path: &Path) {
    object_name(errors, name, &path.child("name"));
    let path = path.child("key");
    if key.is_empty() {
        errors.push(Error::required(&path, ""));
    } else {
        for message in config_key(key) {
            errors.push(Error::invalid(&path, key, message));
        }
    }
}

/// The name of a ConfigMap or a Secret.
fn object_name(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    } else {
        errors.dns_subdomain(name, path);
    }
}

/// A resource of a container.
pub(super) fn resource(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    } else if !RESOURCES.contains(&name) && !name.contains("hugepages-") {
        errors.push(Error::not_supported(path, name, &RESOURCES));
    }
}

/// A field of the pod as a file: what a variable can have of the metadata, and all
/// labels or annotations.
pub(super) fn volume_field(errors: &mut Errors, field: &ObjectFieldSelector, path: &Path) {
    const FILES: [&str; 5] = [
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
    ];
    let value = field.field_path.as_str();
    if FILES.contains(&value) {
        return;
    }
    if FIELDS.contains(&value) {
        return errors.push(Error::not_supported(
            &path.child("fieldPath"),
            value,
            &FILES,
        ));
    }
    field_ref(errors, field, path);
}

fn field_ref(errors: &mut Errors, field: &ObjectFieldSelector, path: &Path) {
    if text(&field.api_version).is_empty() {
        errors.push(Error::required(&path.child("apiVersion"), ""));
        return;
    }
    let path = path.child("fieldPath");
    let value = field.field_path.as_str();
    if value.is_empty() {
        errors.push(Error::required(&path, ""));
        return;
    }
    let subscript = value
        .strip_suffix("']")
        .and_then(|value| value.split_once("['"));
    match subscript {
        Some(("metadata.labels", key)) if is_label_key(key) => {}
        Some(("metadata.annotations", key)) if is_label_key(&key.to_lowercase()) => {}
        Some(("metadata.labels" | "metadata.annotations", key)) => {
            errors.push(Error::invalid(
                &path,
                key,
                "the key is not a qualified name",
            ));
        }
        None if FIELDS.contains(&value) => {}
        None if matches!(value, "metadata.labels" | "metadata.annotations") => {
            errors.push(Error::not_supported(&path, value, &FIELDS));
        }
        _ => {
            let message = format!("error converting fieldPath: field label not supported: {value}");
            errors.push(Error::invalid(&path, value, message));
        }
    }
}

pub(super) fn env_from(errors: &mut Errors, sources: &[EnvFromSource], path: &Path) {
    for (index, source) in sources.iter().enumerate() {
        let path = path.index(index);
        let prefix = text(&source.prefix);
        name(errors, prefix, &path.child("prefix"));
        if let Some(reference) = &source.config_map_ref {
            object_name(errors, &reference.name, &path.child("configMapRef.name"));
        }
        if let Some(reference) = &source.secret_ref {
            object_name(errors, &reference.name, &path.child("secretRef.name"));
        }
        let message = match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => "must specify one of: `configMapRef` or `secretRef`",
            (Some(_), Some(_)) => "may not have more than one field specified at a time",
            _ => continue,
        };
        errors.push(Error::invalid(&path, "", message));
    }
}
