//! Services.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{NONE, UNKNOWN, age, labels, list, name, or, text};
use super::{Cells, Column, Printer};

pub(super) const SERVICE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Type", "How the service is exposed."),
        Column::new("Cluster-IP", "The address within the cluster."),
        Column::new("External-IP", "The addresses from outside."),
        Column::new("Port(s)", "The ports that it has."),
        Column::AGE,
        Column::new("Selector", "The labels of the pods that serve it.").wide(),
    ],
    row,
};

fn row(service: &Value, now: Timestamp) -> Cells {
    let spec = &service["spec"];
    let internal = or(text(&spec["clusterIPs"][0]), text(&spec["clusterIP"]));
    let ports: Vec<String> = list(&spec["ports"]).iter().map(port).collect();
    vec![
        name(service),
        json!(text(&spec["type"])),
        json!(or(internal, NONE)),
        json!(external(service)),
        json!(or(&ports.join(","), NONE)),
        age(service, now),
        json!(labels(&spec["selector"])),
    ]
    .into()
}

fn port(port: &Value) -> String {
    let number = port["port"].as_i64().unwrap_or(0);
    let protocol = text(&port["protocol"]);
    match port["nodePort"].as_i64() {
        Some(node) if node > 0 => format!("{number}:{node}/{protocol}"),
        _ => format!("{number}/{protocol}"),
    }
}

fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let mut addresses: Vec<&str> = list(&spec["externalIPs"]).iter().map(text).collect();
    match text(&spec["type"]) {
        "ClusterIP" | "NodePort" => or(&addresses.join(","), NONE).to_owned(),
        "ExternalName" => text(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            let ingress = list(&service["status"]["loadBalancer"]["ingress"]);
            let mut balancers: Vec<&str> = ingress
                .iter()
                .map(|one| or(text(&one["ip"]), text(&one["hostname"])))
                .filter(|address| !address.is_empty())
                .collect();
            balancers.sort_unstable();
            balancers.dedup();
            balancers.append(&mut addresses);
            or(&balancers.join(","), "<pending>").to_owned()
        }
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::row;
    use serde_json::json;

    #[test]
    fn services_say_where_they_are() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let service = json!({"metadata": {"name": "s"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.0.0.1", "selector": {"b": "2", "a": "1"},
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}],
        }});
        assert_eq!(
            row(&service, now).cells,
            [
                "s",
                "LoadBalancer",
                "10.0.0.1",
                "<pending>",
                "80:30080/TCP,53/UDP",
                "<unknown>",
                "a=1,b=2"
            ]
        );
    }
}
