//! Volumes, described.

use serde_json::Value;

use super::parts::{items, plain};
use super::safe;
use crate::client::api::text;
use crate::client::tabs::Tabbed;

/// `space` stands before the title, as in the template of a Job.
pub(super) fn volumes(volumes: &Value, space: &str, out: &mut Tabbed) {
    if items(volumes).is_empty() {
        return out.field(&format!("{space}Volumes"), "<none>");
    }
    out.line(format_args!("{space}Volumes:"));
    for volume in items(volumes) {
        let indent = if space.is_empty() { "  " } else { "   " };
        out.line(format_args!("{indent}{}:", text(volume, "/name")));
        source(volume, out);
    }
}

fn source(volume: &Value, out: &mut Tabbed) {
    let kind = |what: &str, out: &mut Tabbed| out.field("    Type", what);
    let field = |name: &str, value: String, out: &mut Tabbed| {
        out.field(&format!("    {name}"), value);
    };
    let or = |value: &Value, default: &str| match value {
        Value::Null => default.to_owned(),
        value => plain(value),
    };
    let optional = |source: &Value| (source["optional"] == true).to_string();
    if let Some(path) = there(volume, "hostPath") {
        kind("HostPath (bare host directory volume)", out);
        field("Path", plain(&path["path"]), out);
        let kind = or(&path["type"], "<none>");
        field("HostPathType", kind, out);
    } else if let Some(dir) = there(volume, "emptyDir") {
        kind(
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
            out,
        );
        field("Medium", plain(&dir["medium"]), out);
        field("SizeLimit", or(&dir["sizeLimit"], "<unset>"), out);
    } else if let Some(secret) = there(volume, "secret") {
        kind("Secret (a volume populated by a Secret)", out);
        field("SecretName", plain(&secret["secretName"]), out);
        field("Optional", optional(secret), out);
    } else if let Some(map) = there(volume, "configMap") {
        kind("ConfigMap (a volume populated by a ConfigMap)", out);
        field("Name", plain(&map["name"]), out);
        field("Optional", optional(map), out);
    } else if let Some(api) = there(volume, "downwardAPI") {
        kind(
            "DownwardAPI (a volume populated by information about the pod)",
            out,
        );
        out.line("    Items:");
        for item in items(&api["items"]) {
            let from = match text(item, "/fieldRef/fieldPath") {
                "" => text(item, "/resourceFieldRef/resource"),
                path => path,
            };
            out.line(format_args!(
                "      {from} -> {}",
                safe(text(item, "/path"))
            ));
        }
    } else if let Some(projected) = there(volume, "projected") {
        kind(
            "Projected (a volume that contains injected data from multiple sources)",
            out,
        );
        items(&projected["sources"])
            .iter()
            .for_each(|source| part(source, out));
    } else if let Some(claim) = there(volume, "persistentVolumeClaim") {
        kind(
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            out,
        );
        field("ClaimName", plain(&claim["claimName"]), out);
        field("ReadOnly", (claim["readOnly"] == true).to_string(), out);
    } else {
        out.line("  <unknown>");
    }
}

/// One source of a projected volume.
fn part(source: &Value, out: &mut Tabbed) {
    let named = |title: &str, source: &Value, out: &mut Tabbed| {
        out.field(&format!("    {title}"), text(source, "/name"));
        out.field("    Optional", source["optional"] == true);
    };
    if let Some(secret) = there(source, "secret") {
        named("SecretName", secret, out);
    } else if there(source, "downwardAPI").is_some() {
        out.field("    DownwardAPI", "true");
    } else if let Some(map) = there(source, "configMap") {
        named("ConfigMapName", map, out);
    } else if let Some(token) = there(source, "serviceAccountToken") {
        let seconds = token["expirationSeconds"].as_i64().unwrap_or(0);
        out.field("    TokenExpirationSeconds", seconds);
    }
}

fn there<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    of.get(name).filter(|value| !value.is_null())
}
