//! Documents as kubectl needs them.

use serde_json::{Value, json};

use super::{Document, index, parts, path, v2, v2_protobuf, v3};
use crate::resource::{self, RESOURCES};

fn read(document: &Document) -> Value {
    serde_json::from_slice(&document.bytes).unwrap()
}

/// All references in a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(to) if key == "$ref" => found.push(to.clone()),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let mut documents: Vec<Value> = parts()
        .iter()
        .map(|part| read(v3(&path(part.group, part.version)).unwrap()))
        .collect();
    assert_eq!(documents.len(), 11);
    documents.push(read(v2()));
    for document in documents {
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for to in found {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
    }
}

/// What kubectl looks for before it sends an object.
#[test]
fn every_kind_that_can_be_patched_says_that_fields_are_validated() {
    for resource in RESOURCES.iter().filter(|r| r.supports("patch")) {
        let document = read(v3(&path(resource.group, resource.version)).unwrap());
        let kind =
            json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        let patches: Vec<&Value> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|item| item.get("patch"))
            .filter(|patch| patch["x-kubernetes-group-version-kind"] == kind)
            .collect();
        assert!(!patches.is_empty(), "{}", resource.kind);
        for patch in patches {
            let parameters = patch["parameters"].as_array().unwrap();
            assert!(parameters.iter().any(|p| p["name"] == "fieldValidation"));
            let content = &patch["requestBody"]["content"];
            assert!(content["application/strategic-merge-patch+json"].is_object());
        }
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let of_kind = schemas
            .values()
            .filter(|schema| {
                let kinds = schema["x-kubernetes-group-version-kind"].as_array();
                kinds.is_some_and(|kinds| kinds.contains(&kind))
            })
            .count();
        assert_eq!(of_kind, 1, "{}", resource.kind);
    }
}

#[test]
fn lists_say_how_they_merge() {
    let document = read(v3("apis/batch/v1").unwrap());
    let schemas = &document["components"]["schemas"];
    let pod_spec = &schemas["io.k8s.api.core.v1.PodSpec"];
    let containers = &pod_spec["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let volumes = &pod_spec["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(pod_spec["required"], json!(["containers"]));
    let reference = &schemas["io.k8s.api.core.v1.LocalObjectReference"];
    assert_eq!(reference["x-kubernetes-map-type"], "atomic");
    let port = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
    assert_eq!(port["default"], "TCP");
    let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    assert!(options["properties"]["kind"].is_object());
    // The fields of what is inlined stand in their parent, and every one is described.
    let volume = schemas["io.k8s.api.core.v1.Volume"]["properties"]
        .as_object()
        .unwrap();
    assert!(volume["emptyDir"]["description"].is_string());
    assert!(!volume.contains_key(""));
}

#[test]
fn the_index_has_every_group_version_with_its_hash() {
    let index = read(index());
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(paths.len(), parts().len());
    for (path, entry) in paths {
        let document = v3(path).unwrap();
        let url = format!("/openapi/v3/{path}?hash={}", document.hash);
        assert_eq!(entry["serverRelativeURL"], url);
        assert_eq!(document.hash.len(), 128);
    }
    assert!(v3("apis/apps/v1").is_none());
    assert!(v3("api").is_none());
    if let Some(theirs) = crate::vectors::json("openapi_v3.json") {
        assert!(paths.keys().any(|path| theirs["paths"].get(path).is_some()));
    }
}

#[test]
fn names_of_operations_are_unique() {
    for part in parts() {
        let document = read(v3(&path(part.group, part.version)).unwrap());
        let mut ids = Vec::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                ids.extend(operation["operationId"].as_str().map(str::to_owned));
            }
        }
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(resource::of(part.group, part.version).count() > 0);
    }
    let batch = read(v3("apis/batch/v1").unwrap());
    let jobs = &batch["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs/{name}"];
    assert_eq!(jobs["get"]["operationId"], "readBatchV1NamespacedJob");
    assert_eq!(
        batch["paths"]["/apis/batch/v1/jobs"]["get"]["operationId"],
        "listBatchV1JobForAllNamespaces"
    );
}

#[test]
fn version_2_has_every_kind_with_all_its_versions() {
    let document = read(v2());
    let cron_job = &document["definitions"]["io.k8s.api.batch.v1.CronJob"];
    let kinds = cron_job["x-kubernetes-group-version-kind"]
        .as_array()
        .unwrap();
    assert_eq!(kinds.len(), 2);
    let spec = &document["definitions"]["io.k8s.api.batch.v1.JobSpec"]["properties"];
    assert_eq!(
        spec["template"]["$ref"],
        "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"
    );
    let quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
    assert_eq!(document["definitions"][quantity]["type"], "string");
    let jobs = &document["paths"]["/apis/batch/v1/namespaces/{namespace}/jobs"];
    let body = jobs["post"]["parameters"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(body["in"], "body");
    assert_eq!(body["required"], true);
    assert_eq!(jobs["post"]["produces"][0], "application/json");
    assert_eq!(jobs["parameters"][0]["type"], "string");
}

#[test]
fn version_2_is_written_in_protobuf_as_well() {
    let bytes = &v2_protobuf().bytes;
    // `swagger` is the first field, of number 1.
    assert!(bytes.starts_with(b"\x0a\x032.0"));
    let holds = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(holds("io.k8s.api.batch.v1.CronJobList"));
    assert!(holds(
        r#"[{"group":"batch","kind":"JobList","version":"v1"}]"#
    ));
    assert!(holds("application/strategic-merge-patch+json"));
}
