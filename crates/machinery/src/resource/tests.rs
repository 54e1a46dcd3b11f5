//! The table against what a real server says.

use serde_json::Value;

use super::{RESOURCES, by_kind, find, groups, versions};
use crate::vectors;

#[test]
fn every_resource_is_there_once_and_in_order() {
    for pair in RESOURCES.windows(2) {
        if (pair[0].group, pair[0].version) == (pair[1].group, pair[1].version) {
            assert!(pair[0].plural < pair[1].plural, "{}", pair[1].plural);
        }
    }
    for resource in RESOURCES {
        let (group, version) = (resource.group, resource.version);
        let found = find(group, version, resource.plural).unwrap();
        assert!(std::ptr::eq(found, resource), "{}", resource.plural);
        let found = by_kind(&resource.api_version(), resource.kind).unwrap();
        assert!(std::ptr::eq(found, resource), "{}", resource.kind);
        assert!(resource.verbs.is_sorted());
        assert!(resource.subresources.is_sorted_by_key(|sub| sub.name));
    }
    assert_eq!(groups()[3], "batch");
    assert_eq!(versions("batch"), ["v1", "v1beta1"]);
    assert_eq!(versions("apps"), [""; 0]);
}

/// Compares with what a real server says of the resources that both have.
#[test]
fn names_and_verbs_are_those_of_kubernetes() {
    let (Some(core), Some(groups)) = (
        vectors::json("api_v1.json"),
        vectors::json("apis-aggregated.json"),
    ) else {
        return;
    };
    let mut compared = 0;
    for resource in RESOURCES.iter().filter(|r| r.group.is_empty()) {
        let theirs = legacy(&core, resource.plural);
        assert_eq!(theirs["singularName"], resource.singular);
        assert_eq!(theirs["kind"], resource.kind);
        assert_eq!(theirs["namespaced"], resource.namespaced);
        assert_eq!(list(&theirs["verbs"]), resource.verbs);
        assert_eq!(list(&theirs["shortNames"]), resource.short_names);
        assert_eq!(list(&theirs["categories"]), resource.categories);
        for sub in resource.subresources {
            let theirs = legacy(&core, &format!("{}/{}", resource.plural, sub.name));
            assert_eq!(theirs["kind"], sub.kind);
            assert_eq!(theirs["group"].as_str().unwrap_or_default(), sub.group);
            assert_eq!(theirs["version"].as_str().unwrap_or_default(), sub.version);
            assert_eq!(list(&theirs["verbs"]), sub.verbs);
        }
        compared += 1;
    }
    for group in groups["items"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            for theirs in version["resources"].as_array().unwrap() {
                let Some(resource) = find(
                    group["metadata"]["name"].as_str().unwrap(),
                    version["version"].as_str().unwrap(),
                    theirs["resource"].as_str().unwrap(),
                ) else {
                    continue;
                };
                assert_eq!(theirs["singularResource"], resource.singular);
                assert_eq!(theirs["responseKind"]["kind"], resource.kind);
                assert_eq!(theirs["scope"] == "Namespaced", resource.namespaced);
                assert_eq!(list(&theirs["verbs"]), resource.verbs);
                assert_eq!(list(&theirs["shortNames"]), resource.short_names);
                assert_eq!(list(&theirs["categories"]), resource.categories);
                let subs = theirs["subresources"].as_array();
                assert_eq!(subs.map_or(0, Vec::len), resource.subresources.len());
                compared += 1;
            }
        }
    }
    // All but batch/v1beta1 and metrics, which that server did not have.
    assert_eq!(compared, RESOURCES.len() - 3);
}

fn legacy<'a>(list: &'a Value, name: &str) -> &'a Value {
    let resources = list["resources"].as_array().unwrap();
    resources.iter().find(|r| r["name"] == *name).unwrap()
}

fn list(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}
