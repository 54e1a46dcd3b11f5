//! Nodes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{NONE, UNKNOWN, age, condition, list, name, or, text};
use super::{Cells, Column, Printer};

pub(super) const NODE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Status", "The status of the node"),
        Column::new("Roles", "The roles of the node"),
        Column::AGE,
        Column::new("Version", "The version of the kubelet."),
        Column::new("Internal-IP", "The address within the cluster.").wide(),
        Column::new("External-IP", "The address from outside.").wide(),
        Column::new("OS-Image", "The operating system.").wide(),
        Column::new("Kernel-Version", "The version of the kernel.").wide(),
        Column::new(
            "Container-Runtime",
            "What runs containers, and its version.",
        )
        .wide(),
    ],
    row,
};

fn row(node: &Value, now: Timestamp) -> Cells {
    let info = &node["status"]["nodeInfo"];
    let ready = condition(node, "Ready").map(|condition| condition["status"] == "True");
    let mut status = match ready {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    let address = |ty: &str| {
        let addresses = list(&node["status"]["addresses"]).iter();
        let address = addresses.clone().find(|address| address["type"] == ty);
        json!(address.map_or(NONE, |address| text(&address["address"])))
    };
    let mut kernel = or(text(&info["kernelVersion"]), UNKNOWN).to_owned();
    let architecture = text(&info["architecture"]);
    if !architecture.is_empty() {
        kernel.push_str(&format!(" ({architecture})"));
    }
    vec![
        name(node),
        json!(status),
        json!(or(&roles(node), NONE)),
        age(node, now),
        json!(text(&info["kubeletVersion"])),
        address("InternalIP"),
        address("ExternalIP"),
        json!(or(text(&info["osImage"]), UNKNOWN)),
        json!(kernel),
        json!(or(text(&info["containerRuntimeVersion"]), UNKNOWN)),
    ]
    .into()
}

/// The roles that labels give it, sorted.
fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object();
    let mut roles = BTreeSet::new();
    for (key, value) in labels.into_iter().flatten() {
        let role = match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => role,
            None if key == "kubernetes.io/role" => text(value),
            None => "",
        };
        if !role.is_empty() {
            roles.insert(role);
        }
    }
    roles.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::row;
    use serde_json::json;

    #[test]
    fn nodes_say_whether_they_are_ready() {
        let node = json!({
            "metadata": {"name": "n", "labels": {
                "node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge",
            }},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                "nodeInfo": {"kubeletVersion": "v1", "kernelVersion": "6", "architecture": "amd64"},
            },
        });
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        assert_eq!(
            row(&node, now).cells,
            [
                "n",
                "Ready,SchedulingDisabled",
                "edge,worker",
                "<unknown>",
                "v1",
                "10.0.0.1",
                "<none>",
                "<unknown>",
                "6 (amd64)",
                "<unknown>",
            ]
        );
        assert_eq!(row(&json!({}), now).cells[1], "Unknown");
    }
}
