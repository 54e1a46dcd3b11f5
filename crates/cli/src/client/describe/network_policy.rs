//! A NetworkPolicy, described.

use serde_json::Value;

use super::parts::{annotations, head, items, labels, moment, plain, selector};
use super::safe;
use crate::client::api::text;
use crate::client::tabs::Tabbed;

const NONE: &str = "<none>";

/// The words that differ between what comes and what goes.
struct Direction {
    kind: &'static str,
    rules: &'static str,
    peers: &'static str,
    peer: &'static str,
    unrestricted: &'static str,
}

const INGRESS: Direction = Direction {
    kind: "ingress",
    rules: "ingress",
    peers: "from",
    peer: "From",
    unrestricted: "source",
};
const EGRESS: Direction = Direction {
    kind: "egress",
    rules: "egress",
    peers: "to",
    peer: "To",
    unrestricted: "destination",
};

pub(super) fn describe(policy: &Value, out: &mut Tabbed) {
    let spec = &policy["spec"];
    head(policy, out);
    let created = moment(&policy["metadata"]["creationTimestamp"]);
    let created = created.map(|at| at.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    out.field(
        "Created on",
        created.unwrap_or_else(|| "<unknown>".to_owned()),
    );
    labels("Labels", &policy["metadata"]["labels"], out);
    annotations("Annotations", &policy["metadata"]["annotations"], out);
    out.line("Spec:");
    let pods = match chosen(&spec["podSelector"]).as_str() {
        NONE => {
            format!("{NONE} (Allowing the specific traffic to all pods in this namespace)")
        }
        pods => pods.to_owned(),
    };
    out.line(format_args!("  PodSelector:     {pods}"));
    let types: Vec<String> = items(&spec["policyTypes"]).iter().map(plain).collect();
    for direction in [INGRESS, EGRESS] {
        let kind = direction.kind;
        if types.iter().any(|it| it.eq_ignore_ascii_case(kind)) {
            out.line(format_args!("  Allowing {kind} traffic:"));
            rules(&spec[direction.rules], &direction, out);
        } else {
            out.line(format_args!("  Not affecting {kind} traffic"));
        }
    }
    out.line(format_args!("  Policy Types: {}", types.join(", ")));
}

fn rules(rules: &Value, direction: &Direction, out: &mut Tabbed) {
    let rules = items(rules);
    if rules.is_empty() {
        let kind = direction.kind;
        out.line(format_args!(
            "    {NONE} (Selected pods are isolated for {kind} connectivity)"
        ));
    }
    for (place, rule) in rules.iter().enumerate() {
        if place > 0 {
            out.line("    ----------");
        }
        let ports = items(&rule["ports"]);
        if ports.is_empty() {
            out.line("    To Port: <any> (traffic allowed to all ports)");
        }
        for it in ports {
            out.line(format_args!("    {}", port(it)));
        }
        let peers = items(&rule[direction.peers]);
        let peer = direction.peer;
        if peers.is_empty() {
            let by = direction.unrestricted;
            out.line(format_args!(
                "    {peer}: <any> (traffic not restricted by {by})"
            ));
        }
        for it in peers {
            out.line(format_args!("    {peer}:"));
            describe_peer(it, out);
        }
    }
}

fn port(port: &Value) -> String {
    let protocol = match &port["protocol"] {
        Value::Null => "TCP".to_owned(),
        protocol => plain(protocol),
    };
    let first = match &port["port"] {
        Value::Null => "<nil>".to_owned(),
        first => plain(first),
    };
    match &port["endPort"] {
        Value::Null => format!("To Port: {first}/{protocol}"),
        last => format!("To Port Range: {first}-{}/{protocol}", plain(last)),
    }
}

fn describe_peer(peer: &Value, out: &mut Tabbed) {
    let block = &peer["ipBlock"];
    if block.is_null() {
        for (title, field) in [
            ("NamespaceSelector", "namespaceSelector"),
            ("PodSelector", "podSelector"),
        ] {
            if !peer[field].is_null() {
                out.line(format_args!("      {title}: {}", chosen(&peer[field])));
            }
        }
        return;
    }
    let except: Vec<String> = items(&block["except"]).iter().map(plain).collect();
    out.line("      IPBlock:");
    out.line(format_args!("        CIDR: {}", safe(text(block, "/cidr"))));
    out.line(format_args!("        Except: {}", except.join(", ")));
}

/// A selector; one of everything is `<none>`.
fn chosen(of: &Value) -> String {
    match selector(of).as_str() {
        "" => NONE.to_owned(),
        text => safe(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::describe;
    use crate::client::tabs::Tabbed;

    fn described(spec: Value) -> String {
        let mut out = Tabbed::default();
        let metadata = json!({
            "name": "p",
            "namespace": "default",
            "creationTimestamp": "2026-11-29T20:18:34Z",
        });
        describe(&json!({"metadata": metadata, "spec": spec}), &mut out);
        let text = out.finish();
        let (_, spec) = text.split_once("Spec:\n").unwrap();
        assert!(text.contains("Created on:   2026-11-29 20:18:34 +0000 UTC\n"));
        spec.to_owned()
    }

    /// As kubectl 1.32 prints it.
    #[test]
    fn a_policy_is_described_as_kubectl_does() {
        let full = json!({
            "podSelector": {
                "matchLabels": {"app": "report"},
                "matchExpressions": [{"key": "x", "operator": "In", "values": ["a", "b"]}],
            },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        {"podSelector": {"matchLabels": {"c": "d"}}, "namespaceSelector": {}},
                        {"namespaceSelector": {"matchLabels": {"e": "f"}}},
                    ],
                    "ports": [{"port": "http", "protocol": "TCP"}],
                },
                {},
            ],
            "egress": [
                {
                    "to": [
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}},
                        {"podSelector": {}},
                    ],
                    "ports": [
                        {"port": 443, "protocol": "TCP"},
                        {"protocol": "UDP", "port": 8000, "endPort": 9000},
                        {"protocol": "TCP"},
                    ],
                },
                {"to": [{"ipBlock": {"cidr": "11.0.0.0/8"}}]},
            ],
        });
        let lines = [
            "  PodSelector:     app=report,x in (a,b)",
            "  Allowing ingress traffic:",
            "    To Port: http/TCP",
            "    From:",
            "      NamespaceSelector: <none>",
            "      PodSelector: c=d",
            "    From:",
            "      NamespaceSelector: e=f",
            "    ----------",
            "    To Port: <any> (traffic allowed to all ports)",
            "    From: <any> (traffic not restricted by source)",
            "  Allowing egress traffic:",
            "    To Port: 443/TCP",
            "    To Port Range: 8000-9000/UDP",
            "    To Port: <nil>/TCP",
            "    To:",
            "      IPBlock:",
            "        CIDR: 10.0.0.0/8",
            "        Except: 10.1.0.0/16, 10.2.0.0/16",
            "    To:",
            "      PodSelector: <none>",
            "    ----------",
            "    To Port: <any> (traffic allowed to all ports)",
            "    To:",
            "      IPBlock:",
            "        CIDR: 11.0.0.0/8",
            "        Except: ",
            "  Policy Types: Ingress, Egress",
            "",
        ];
        assert_eq!(described(full), lines.join("\n"));
        assert_eq!(
            described(json!({"podSelector": {}, "policyTypes": ["Egress"]})),
            "  PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)\n\
             \x20 Not affecting ingress traffic\n\
             \x20 Allowing egress traffic:\n\
             \x20   <none> (Selected pods are isolated for egress connectivity)\n\
             \x20 Policy Types: Egress\n"
        );
    }
}
