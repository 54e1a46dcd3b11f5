//! All other kinds: kept as they are written, with the defaults and the rules that
//! clients rely on.

use serde_json::{Map, Value, json};
use wasmjob::api::field::{Error, ErrorList, Path};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;
use wasmjob_machinery::validate_meta;

use super::{Change, Draft, Stamp, Typed, check, meta, metadata};
use crate::render::seconds;

/// Bytes that all values of a ConfigMap or a Secret may have together.
const DATA_BYTES_MAX: usize = 1 << 20;

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
        && let Some(finalizers) = value["spec"]["finalizers"].as_array_mut()
        && !finalizers.iter().any(|it| it == "kubernetes")
    {
        finalizers.push("kubernetes".into());
    }
    let mut errors = validate_meta::create(resource.kind, resource.namespaced, &value);
    errors.extend(validate(resource, &value));
    check(resource, meta(&value, "name"), &errors)?;
    Ok(draft(value))
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
    Ok(draft(new))
}

fn draft(value: Value) -> Draft {
    Draft {
        value,
        typed: Typed::Generic,
        warnings: Vec::new(),
    }
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
        ("", "Secret") => {
            set(value, &["type"], "Opaque");
            merge_string_data(value);
        }
        ("", "PersistentVolumeClaim") => {
            set(value, &["spec", "volumeMode"], "Filesystem");
            set(value, &["status", "phase"], "Pending");
        }
        ("", "PersistentVolume") => {
            set(value, &["spec", "volumeMode"], "Filesystem");
            set(value, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
            set(value, &["status", "phase"], "Available");
        }
        ("", "Service") => {
            set(value, &["spec", "type"], "ClusterIP");
            set(value, &["spec", "sessionAffinity"], "None");
            set(value, &["spec", "internalTrafficPolicy"], "Cluster");
            set(value, &["status", "loadBalancer"], json!({}));
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            set(value, &["roleRef", "apiGroup"], "rbac.authorization.k8s.io");
            let subjects = value["subjects"].as_array_mut();
            for subject in subjects.into_iter().flatten() {
                if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
                    set(subject, &["apiGroup"], "rbac.authorization.k8s.io");
                }
            }
        }
        _ => {}
    }
}

/// `stringData` is for writing only: its values become data.
fn merge_string_data(secret: &mut Value) {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    let data = fields
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    for (key, text) in texts {
        data[key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

fn validate(resource: &Resource, value: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    match (resource.group, resource.kind) {
        ("", "ConfigMap") => validate_data(&mut errors, value, &["data", "binaryData"]),
        ("", "Secret") => {
            validate_data(&mut errors, value, &["data"]);
            validate_secret(&mut errors, value);
        }
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

fn validate_data(errors: &mut ErrorList, value: &Value, fields: &[&str]) {
    let mut bytes = 0;
    for field in fields {
        for (key, content) in value[*field].as_object().into_iter().flatten() {
            bytes += content.as_str().map_or(0, str::len);
            let path = Path::new(field).key(key);
            for message in config_key(key) {
                errors.push(Error::invalid(&path, key, message));
            }
            if fields.len() > 1 && *field == fields[0] && value[fields[1]].get(key).is_some() {
                errors.push(Error::invalid(
                    &path,
                    key,
                    format!("duplicate of key present in {}", fields[1]),
                ));
            }
        }
    }
    if bytes > DATA_BYTES_MAX {
        // Of a ConfigMap it is said of no field, which Kubernetes writes so.
        let path = if fields.len() > 1 { "[]" } else { fields[0] };
        errors.push(Error::too_long(&Path::new(path), DATA_BYTES_MAX));
    }
}

/// A secret of a known type has what belongs to it.
fn validate_secret(errors: &mut ErrorList, value: &Value) {
    let data = &value["data"];
    let mut require = |key: &str, is_there: bool| {
        if !is_there {
            errors.push(Error::required(&Path::new("data").key(key), ""));
        }
    };
    let has = |key: &str| data.get(key).is_some();
    match value["type"].as_str().unwrap_or_default() {
        "kubernetes.io/tls" => {
            require("tls.crt", has("tls.crt"));
            require("tls.key", has("tls.key"));
        }
        "kubernetes.io/ssh-auth" => {
            let key = data["ssh-privatekey"].as_str().unwrap_or_default();
            require("ssh-privatekey", !key.is_empty());
        }
        "kubernetes.io/basic-auth" => {
            let any = has("username") || has("password");
            require("username", any);
            require("password", any);
        }
        "kubernetes.io/dockercfg" => require(".dockercfg", has(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => {
            require(".dockerconfigjson", has(".dockerconfigjson"));
        }
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let name = value["metadata"]["annotations"][key].as_str();
            if name.unwrap_or_default().is_empty() {
                let path = Path::new("metadata.annotations").key(key);
                errors.push(Error::required(&path, ""));
            }
        }
        _ => {}
    }
}

/// What is wrong with a key of a ConfigMap or Secret (`IsConfigMapKey`).
fn config_key(key: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if key.len() > 253 {
        messages.push("must be no more than 253 bytes".to_owned());
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if key.is_empty() || !key.bytes().all(is_allowed) {
        messages.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match key {
        "." => messages.push("must not be '.'".to_owned()),
        ".." => messages.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => messages.push("must not start with '..'".to_owned()),
        _ => {}
    }
    messages
}

fn validate_change(resource: &Resource, new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    match (resource.group, resource.kind) {
        ("", "ConfigMap" | "Secret") => {
            if old["immutable"] == true {
                let message = "field is immutable when `immutable` is set";
                if new["immutable"] != true {
                    errors.push(Error::forbidden(&Path::new("immutable"), message));
                }
                for field in ["data", "binaryData"] {
                    if new[field] != old[field] {
                        errors.push(Error::forbidden(&Path::new(field), message));
                    }
                }
            }
            if resource.kind == "Secret" && new["type"] != old["type"] {
                let path = Path::new("type");
                errors.push(Error::invalid(&path, &new["type"], "field is immutable"));
            }
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
