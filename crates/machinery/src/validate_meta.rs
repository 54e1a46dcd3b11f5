//! Whether the metadata of an object is valid, whatever its kind.
//!
//! The rules are those that Jobs and CronJobs are checked by in `wasmjob-api`; what
//! differs between kinds is how they may be named and whether they have a namespace.

use serde_json::Value;
use wasmjob_api::field::{Error, ErrorList, Path};
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::validation::{NameRule, validate_metadata, validate_metadata_update};

/// How objects of `kind` may be named.
#[must_use]
pub fn name_rule(kind: &str) -> NameRule {
    match kind {
        "Namespace" | "Service" => NameRule::Label,
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => NameRule::PathSegment,
        _ => NameRule::Subdomain,
    }
}

/// What is wrong with the metadata of a new object of `kind`.
#[must_use]
pub fn create(kind: &str, namespaced: bool, object: &Value) -> ErrorList {
    match metadata(object) {
        Ok(metadata) => validate_metadata(&metadata, name_rule(kind), namespaced),
        Err(error) => vec![error],
    }
}

/// What is wrong with the metadata of an object that is to replace `old`.
#[must_use]
pub fn update(new: &Value, old: &Value) -> ErrorList {
    let (new, old) = match (metadata(new), metadata(old)) {
        (Ok(new), Ok(old)) => (new, old),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    let mut errors = validate_metadata_update(&new, &old);
    errors.extend(added_finalizers(&new, &old));
    errors
}

/// What is wrong with the finalizers of an object that is to replace `old`: one that is
/// being deleted gets no more of them.
#[must_use]
pub fn new_finalizers(new: &Value, old: &Value) -> Option<Error> {
    added_finalizers(&metadata(new).ok()?, &metadata(old).ok()?)
}

fn added_finalizers(new: &ObjectMeta, old: &ObjectMeta) -> Option<Error> {
    old.deletion_timestamp.as_ref()?;
    let known = old.finalizers.as_deref().unwrap_or_default();
    let added = new.finalizers.iter().flatten();
    let added: Vec<String> = added
        .filter(|finalizer| !known.contains(finalizer))
        .map(|finalizer| format!("{finalizer:?}"))
        .collect();
    (!added.is_empty()).then(|| {
        Error::forbidden(
            &Path::new("metadata").child("finalizers"),
            format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            ),
        )
    })
}

/// The metadata; of a wrong shape is only what strict decoding lets through.
fn metadata(object: &Value) -> Result<ObjectMeta, Error> {
    let mut metadata = match &object["metadata"] {
        Value::Null => return Ok(ObjectMeta::default()),
        metadata => metadata.clone(),
    };
    if let Value::Object(fields) = &mut metadata {
        // They are large, and none of the rules is about them.
        fields.remove("managedFields");
    }
    serde_json::from_value(metadata)
        .map_err(|error| Error::invalid_without_value(&Path::new("metadata"), error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{create, update};
    use crate::patch::any;
    use serde_json::{Value, json};

    fn texts(errors: wasmjob_api::field::ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        assert!(create("ClusterRole", false, &named("system:node")).is_empty());
        assert!(create("Namespace", false, &named("a-b")).is_empty());
        assert!(create("Node", false, &named("a.b")).is_empty());
        let first = |kind: &str, name: &str| texts(create(kind, false, &named(name)))[0].clone();
        assert!(first("Namespace", "a.b").starts_with(
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label must consist of"
        ));
        assert!(first("Node", "a:b").contains("a lowercase RFC 1123 subdomain must consist of"));
        assert_eq!(
            first("ClusterRole", "a/b"),
            "metadata.name: Invalid value: \"a/b\": may not contain '/'"
        );
        assert_eq!(
            first("ClusterRole", ".."),
            "metadata.name: Invalid value: \"..\": may not be '..'"
        );
        assert_eq!(
            texts(create("Node", false, &json!({}))),
            ["metadata.name: Required value: name or generateName is required"]
        );
    }

    #[test]
    fn namespaces_are_where_they_belong() {
        let object = json!({"metadata": {"name": "x", "namespace": "n"}});
        assert!(create("ConfigMap", true, &object).is_empty());
        assert_eq!(
            texts(create("Node", false, &object)),
            ["metadata.namespace: Forbidden: not allowed on this type"]
        );
        let bare = json!({"metadata": {"name": "x"}});
        assert_eq!(
            texts(create("ConfigMap", true, &bare)),
            ["metadata.namespace: Required value"]
        );
    }

    #[test]
    fn the_rest_is_checked_as_of_jobs() {
        let object = json!({"metadata": {
            "name": "x", "labels": {"a b": "c"}, "finalizers": ["plain"],
            "ownerReferences": [{"apiVersion": "", "kind": "K", "name": "n", "uid": "u"}],
            "annotations": {"a": "x".repeat(262_144)},
        }});
        assert_eq!(create("Node", false, &object).len(), 4, "{object}");
    }

    #[test]
    fn identity_stays() {
        let old = json!({"metadata": {"name": "x", "uid": "u", "resourceVersion": "1"}});
        assert!(update(&old, &old).is_empty());
        let mut new = old.clone();
        new["metadata"]["uid"] = json!("v");
        new["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        assert_eq!(
            texts(update(&new, &old)),
            [
                "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
                "metadata.uid: Invalid value: \"v\": field is immutable",
            ]
        );
    }

    #[test]
    fn what_is_being_deleted_gets_no_finalizers() {
        let old = json!({"metadata": {
            "name": "x", "resourceVersion": "1", "finalizers": ["e.com/a"],
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        }});
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(["e.com/b"]);
        assert_eq!(
            texts(update(&new, &old)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"e.com/b\"}"
            ]
        );
        new["metadata"]["finalizers"] = json!([]);
        assert!(update(&new, &old).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(old in any::value(), new in any::value()) {
            let _ = create("Node", false, &Value::clone(&old));
            let _ = update(&new, &old);
        }
    }
}
