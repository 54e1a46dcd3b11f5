//! ConfigMaps and Secrets: what Kubernetes fills in, and what is wrong with one.
//! They are kept as JSON, as everything that no controller decides about.

use k8s_openapi::ByteString;
use serde_json::{Map, Value as Json};

use crate::Quantity;
use crate::field::{Error, ErrorList, Path};

/// Bytes that all values of a ConfigMap or a Secret may have together.
const DATA_BYTES_MAX: usize = 1 << 20;

/// Fills in what a Secret leaves out. `stringData` is for writing only: its values
/// become data.
pub fn default_secret(secret: &mut Json) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let kind = fields.get("type").and_then(Json::as_str);
    if kind.unwrap_or_default().is_empty() {
        fields.insert("type".to_owned(), "Opaque".into());
    }
    let Some(Json::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    let data = fields
        .entry("data")
        .or_insert_with(|| Json::Object(Map::new()));
    if !data.is_object() {
        *data = Json::Object(Map::new());
    }
    for (key, text) in texts {
        let bytes = ByteString(text.as_str().unwrap_or_default().into());
        // A text always has a form as JSON.
        data[key] = serde_json::to_value(bytes).unwrap_or_default();
    }
}

/// What is wrong with a ConfigMap, but for its metadata.
#[must_use]
pub fn validate_config_map(value: &Json) -> ErrorList {
    let mut errors = ErrorList::new();
    validate_data(&mut errors, value, &["data", "binaryData"]);
    errors
}

/// What is wrong with a Secret, but for its metadata.
#[must_use]
pub fn validate_secret(value: &Json) -> ErrorList {
    let mut errors = ErrorList::new();
    validate_data(&mut errors, value, &["data"]);
    known_type(&mut errors, value);
    errors
}

/// The storage class of claims that name none.
pub const STORAGE_CLASS: &str = "local";

/// What Kubernetes' admission fills into a PersistentVolumeClaim: its class, unless it
/// says with an empty one that it wants none.
pub fn default_claim(value: &mut Json) {
    if let Some(spec) = value.get_mut("spec").and_then(Json::as_object_mut) {
        for (field, default) in [
            ("storageClassName", STORAGE_CLASS),
            ("volumeMode", "Filesystem"),
        ] {
            if spec.get(field).is_none_or(Json::is_null) {
                spec.insert(field.to_owned(), default.into());
            }
        }
    }
}

/// What is wrong with a PersistentVolumeClaim, but for its metadata.
#[must_use]
pub fn validate_claim(value: &Json) -> ErrorList {
    let mut errors = ErrorList::new();
    let spec = &value["spec"];
    let path = Path::new("spec");
    let modes = spec["accessModes"].as_array();
    if modes.is_none_or(Vec::is_empty) {
        let path = path.child("accessModes");
        errors.push(Error::required(&path, "at least 1 access mode is required"));
    }
    let known = [
        "ReadOnlyMany",
        "ReadWriteMany",
        "ReadWriteOnce",
        "ReadWriteOncePod",
    ];
    for mode in modes.into_iter().flatten().filter_map(Json::as_str) {
        if !known.contains(&mode) {
            errors.push(Error::not_supported(
                &path.child("accessModes"),
                mode,
                &known,
            ));
        }
    }
    let storage = &spec["resources"]["requests"]["storage"];
    let path = path.child("resources").key("storage");
    match storage.as_str().map(str::parse::<Quantity>) {
        Some(Ok(quantity)) if quantity > Quantity::default() => {}
        Some(Ok(_)) => errors.push(Error::invalid(&path, storage, "must be greater than zero")),
        Some(Err(error)) => errors.push(Error::invalid(&path, storage, error.to_string())),
        None if storage.is_null() => errors.push(Error::required(&path, "")),
        None => errors.push(Error::invalid(&path, storage, "must be a quantity")),
    }
    errors
}

/// What of an update of a PersistentVolumeClaim is not allowed: no class here can make
/// volumes larger.
#[must_use]
pub fn validate_claim_update(new: &Json, old: &Json) -> ErrorList {
    let (mut before, after) = (old["spec"].clone(), &new["spec"]);
    let path = Path::new("spec");
    // Both may be filled in once.
    for field in ["storageClassName", "volumeName"] {
        if before[field].is_null() && !after[field].is_null() {
            before[field] = after[field].clone();
        }
    }
    if before == *after {
        return ErrorList::new();
    }
    before["resources"] = after["resources"].clone();
    if before != *after {
        let text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        return vec![Error::forbidden(&path, text)];
    }
    let path = path.child("resources").child("requests");
    let text = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    vec![Error::forbidden(&path, text)]
}

/// What of an update of a ConfigMap or a Secret is not allowed.
#[must_use]
pub fn validate_update(new: &Json, old: &Json) -> ErrorList {
    let mut errors = ErrorList::new();
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
    // Only Secrets have one.
    if new["type"] != old["type"] {
        let path = Path::new("type");
        errors.push(Error::invalid(&path, &new["type"], "field is immutable"));
    }
    errors
}

fn validate_data(errors: &mut ErrorList, value: &Json, fields: &[&str]) {
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
fn known_type(errors: &mut ErrorList, value: &Json) {
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
pub(crate) fn config_key(key: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(storage: &Json) -> Json {
        let mut claim = json!({"spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": storage}},
        }});
        default_claim(&mut claim);
        claim
    }

    #[test]
    fn a_claim_asks_for_some_storage() {
        assert!(validate_claim(&claim(&json!("1Gi"))).is_empty());
        for (storage, text) in [
            (json!("-1Gi"), "must be greater than zero"),
            (json!("0"), "must be greater than zero"),
            (json!("much"), "spec.resources[storage]"),
            (json!(null), "Required value"),
            (json!(["1Gi"]), "must be a quantity"),
        ] {
            let errors = validate_claim(&claim(&storage));
            let said = errors.first().map(ToString::to_string).unwrap_or_default();
            assert!(said.contains(text), "{storage}: {said}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_made_null() {
        let mut none = json!({ "metadata": { "name": "c" } });
        default_claim(&mut none);
        assert_eq!(none, json!({ "metadata": { "name": "c" } }));
    }

    #[test]
    fn a_claim_stays_as_it_was_made() {
        let old = claim(&json!("1Gi"));
        assert_eq!(old["spec"]["storageClassName"], STORAGE_CLASS);
        let mut bound = old.clone();
        bound["spec"]["volumeName"] = "pvc-1".into();
        assert!(validate_claim_update(&bound, &old).is_empty());
        for size in ["2Gi", "512Mi"] {
            let errors = validate_claim_update(&claim(&json!(size)), &old);
            assert!(errors[0].to_string().contains("must support resize"));
        }
        let mut other = bound.clone();
        other["spec"]["volumeName"] = "pvc-2".into();
        let errors = validate_claim_update(&other, &bound);
        assert!(errors[0].to_string().contains("spec is immutable"));
        let mut none = old.clone();
        none["spec"]["storageClassName"] = "".into();
        default_claim(&mut none);
        assert_eq!(none["spec"]["storageClassName"], "", "it wants none");
    }
}
