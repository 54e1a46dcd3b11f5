//! How clients find out what is served: `/api`, `/apis` and what is below.
//!
//! Both forms come from [`crate::resource`]: the legacy one, a document for each group
//! version, and the aggregated one, everything in two documents. `kubectl` asks for the
//! latter, and still for the former in places; dynamic clients know the former alone.

use serde_json::{Map, Value, json};

use crate::resource::{self, RESOURCES, Resource, Subresource, join};

/// What is only named, because roles speak of it: `kubectl create clusterrole
/// --resource=deployments.apps` looks the name up. Clients list what can be listed, and
/// nothing can be done with these.
static NAMED: [Resource; 1] = [Resource {
    group: "apps",
    version: "v1",
    plural: "deployments",
    singular: "deployment",
    kind: "Deployment",
    namespaced: true,
    short_names: &["deploy"],
    categories: &[],
    verbs: &[],
    subresources: &[],
    message: "",
}];

/// All that is told of: what is served, then what is only named.
fn all() -> impl Iterator<Item = &'static Resource> {
    RESOURCES.iter().chain(&NAMED)
}

fn of(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    all().filter(move |r| r.group == group && r.version == version)
}

fn groups() -> Vec<&'static str> {
    let mut groups = resource::groups();
    groups.extend(NAMED.iter().map(|named| named.group));
    groups
}

fn versions(group: &str) -> Vec<&'static str> {
    let mut versions = resource::versions(group);
    let named = NAMED.iter().filter(|named| named.group == group);
    versions.extend(named.map(|named| named.version));
    versions
}

/// `/api`: the versions of the core group, and where the server is reached
/// (`host:port`).
#[must_use]
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": resource::versions(""),
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address},
        ],
    })
}

/// `/apis`: all groups but the core group.
#[must_use]
pub fn api_group_list() -> Value {
    let groups: Vec<Value> = groups().into_iter().filter_map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`; none for an unknown group, and for the core group.
#[must_use]
pub fn api_group(name: &str) -> Option<Value> {
    let mut group = group(name)?;
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn group(name: &str) -> Option<Value> {
    if name.is_empty() {
        return None;
    }
    let versions: Vec<Value> = versions(name)
        .into_iter()
        .map(|version| json!({"groupVersion": join(name, version), "version": version}))
        .collect();
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

/// `/api/v1` and `/apis/{group}/{version}`: the resources of a group version; none for
/// an unknown one.
#[must_use]
pub fn api_resource_list(group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for resource in of(group, version) {
        resources.push(legacy(resource));
        for sub in resource.subresources {
            resources.push(legacy_sub(resource, sub));
        }
    }
    if resources.is_empty() {
        return None;
    }
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": join(group, version),
        "resources": resources,
    });
    // The core group is older than the field, and upstream leaves it out to this day.
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

fn legacy(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    add_lists(&mut value, resource);
    value
}

fn legacy_sub(resource: &Resource, sub: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, sub.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind,
        "verbs": sub.verbs,
    });
    if !sub.version.is_empty() {
        value["group"] = sub.group.into();
        value["version"] = sub.version.into();
    }
    value
}

fn add_lists(value: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = resource.short_names.into();
    }
    if !resource.categories.is_empty() {
        value["categories"] = resource.categories.into();
    }
}

/// The aggregated form of `/api`: the core group. `version` is that of the form, `v2` or
/// `v2beta1`.
#[must_use]
pub fn aggregated_api(version: &str) -> Value {
    aggregated(version, &[""])
}

/// The aggregated form of `/apis`: all other groups.
#[must_use]
pub fn aggregated_apis(version: &str) -> Value {
    aggregated(version, &groups())
}

fn aggregated(version: &str, groups: &[&str]) -> Value {
    let items: Vec<Value> = groups.iter().map(|group| aggregated_group(group)).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_group(group: &str) -> Value {
    let versions: Vec<Value> = versions(group)
        .into_iter()
        .map(|version| {
            let resources: Vec<Value> = of(group, version).map(aggregated_resource).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let mut metadata = Map::new();
    if !group.is_empty() {
        metadata.insert("name".to_owned(), group.into());
    }
    json!({"metadata": metadata, "versions": versions})
}

fn aggregated_resource(resource: &Resource) -> Value {
    let scope = if resource.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let mut value = json!({
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    add_lists(&mut value, resource);
    if !resource.subresources.is_empty() {
        let subresources = resource.subresources.iter().map(|sub| {
            json!({
                "subresource": sub.name,
                "responseKind": {"group": sub.group, "version": sub.version, "kind": sub.kind},
                "verbs": sub.verbs,
            })
        });
        value["subresources"] = subresources.collect();
    }
    value
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        aggregated_api, aggregated_apis, api_group, api_group_list, api_resource_list, api_versions,
    };
    use crate::vectors;

    #[test]
    fn a_group_version_is_described_as_by_a_real_server() {
        let Some(mut theirs) = vectors::json("apis_batch_v1.json") else {
            return;
        };
        for resource in theirs["resources"].as_array_mut().unwrap() {
            // Says how objects are stored, and nobody reads it but storage migrators.
            resource
                .as_object_mut()
                .unwrap()
                .remove("storageVersionHash");
        }
        assert_eq!(api_resource_list("batch", "v1").unwrap(), theirs);
        let theirs = vectors::json("api_v1.json").unwrap();
        let ours = api_resource_list("", "v1").unwrap();
        assert_eq!(ours.get("apiVersion"), theirs.get("apiVersion"));
    }

    #[test]
    fn groups_are_described_as_by_a_real_server() {
        let (Some(legacy), Some(aggregated)) = (
            vectors::json("apis.json"),
            vectors::json("apis-aggregated.json"),
        ) else {
            return;
        };
        let rbac = "rbac.authorization.k8s.io";
        let named = |list: &Value, key: &str| -> Value {
            let groups = list[key].as_array().unwrap();
            groups
                .iter()
                .find(|g| g["name"] == rbac || g["metadata"]["name"] == rbac)
                .unwrap()
                .clone()
        };
        assert_eq!(named(&api_group_list(), "groups"), named(&legacy, "groups"));
        assert_eq!(
            named(&aggregated_apis("v2"), "items"),
            named(&aggregated, "items")
        );
    }

    #[test]
    fn subresources_of_other_groups_say_so() {
        let core = aggregated_api("v2beta1");
        assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2beta1");
        let resources = core["items"][0]["versions"][0]["resources"]
            .as_array()
            .unwrap();
        let pods = resources.iter().find(|r| r["resource"] == "pods").unwrap();
        assert_eq!(
            pods["subresources"][2],
            json!({"subresource": "eviction", "verbs": ["create"],
                "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}})
        );
        assert_eq!(core["items"][0]["metadata"], json!({}));
    }

    #[test]
    fn what_is_only_named_offers_no_verb() {
        let apps = api_resource_list("apps", "v1").unwrap();
        assert_eq!(apps["resources"][0]["name"], "deployments");
        assert_eq!(apps["resources"][0]["verbs"], json!([]));
        let all = aggregated_apis("v2");
        let groups = all["items"].as_array().unwrap();
        let apps = groups.iter().find(|it| it["metadata"]["name"] == "apps");
        let deployments = &apps.unwrap()["versions"][0]["resources"][0];
        assert_eq!(deployments["responseKind"]["kind"], "Deployment");
        assert_eq!(deployments["verbs"], json!([]));
    }

    #[test]
    fn the_preferred_version_is_the_first() {
        let batch = api_group("batch").unwrap();
        assert_eq!(batch["kind"], "APIGroup");
        assert_eq!(batch["preferredVersion"]["version"], "v1");
        assert_eq!(batch["versions"][1]["groupVersion"], "batch/v1beta1");
        assert_eq!(api_versions("h:1")["versions"], json!(["v1"]));
        assert!(api_group("").is_none());
        assert!(api_group("autoscaling").is_none());
        assert!(api_resource_list("batch", "v2").is_none());
    }
}
