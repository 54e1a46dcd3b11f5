//! NetworkPolicies (`networking.k8s.io/v1`): what Kubernetes fills in, what is wrong
//! with one, and what they leave open.
//!
//! Here they narrow what the annotation `wasmjob.dev/allow-net` opens: a pod that a
//! policy of type Egress selects connects to what some rule of those that select it
//! lists, and to nothing else. Blocks of addresses are matched by the address that a
//! connection goes to. Pods and namespaces have no addresses here, so that peers by
//! selector match nothing, nor do ports by name; nobody listens, so that there is
//! nothing for rules of Ingress to act on. Names are looked up by the host, which no
//! policy concerns.

mod egress;
mod validation;

use serde_json::{Value as Json, json};

pub use egress::{Block, EgressRule, Ports, egress};
pub use validation::validate;

use crate::field::Path;

/// The resource that they are kept as.
pub const RESOURCE: &str = "networkpolicies.networking.k8s.io";

/// Fills in what a policy leaves out.
pub fn default(policy: &mut Json) {
    let Some(spec) = policy.get_mut("spec").and_then(Json::as_object_mut) else {
        return;
    };
    for rules in ["ingress", "egress"] {
        let rules = spec.get_mut(rules).and_then(Json::as_array_mut);
        for rule in rules.into_iter().flatten() {
            let ports = rule.get_mut("ports").and_then(Json::as_array_mut);
            let ports = ports.into_iter().flatten();
            for port in ports.filter_map(Json::as_object_mut) {
                if port.get("protocol").is_none_or(Json::is_null) {
                    port.insert("protocol".to_owned(), "TCP".into());
                }
            }
        }
    }
    let is_empty = |field: Option<&Json>| {
        field
            .and_then(Json::as_array)
            .is_none_or(|list| list.is_empty())
    };
    if is_empty(spec.get("policyTypes")) {
        let types = match is_empty(spec.get("egress")) {
            true => json!(["Ingress"]),
            false => json!(["Ingress", "Egress"]),
        };
        spec.insert("policyTypes".to_owned(), types);
    }
    if spec.get("podSelector").is_none_or(Json::is_null) {
        spec.insert("podSelector".to_owned(), json!({}));
    }
}

/// Counts a change of what a policy says, which was `old`.
pub fn count_change(policy: &mut Json, old: &Json) {
    let before = old["metadata"]["generation"].as_i64().unwrap_or(0);
    let changes = i64::from(policy["spec"] != old["spec"]);
    if let Some(metadata) = policy["metadata"].as_object_mut() {
        let now = before.saturating_add(changes);
        metadata.insert("generation".to_owned(), now.into());
    }
}

/// What of a policy has no effect here.
#[must_use]
pub fn warnings(policy: &Json) -> Vec<(Path, String)> {
    let spec = &policy["spec"];
    let path = Path::new("spec");
    let mut warnings = Vec::new();
    let types = spec["policyTypes"].as_array();
    let is_egress = |kind: &Json| kind == "Egress";
    if !types.is_some_and(|types| types.iter().any(is_egress)) {
        let text = "nothing listens in a pod here: a policy without Egress has no effect";
        warnings.push((path.child("policyTypes"), text.to_owned()));
    } else if spec["ingress"].is_array() {
        let text = "nothing listens in a pod here: rules of Ingress have no effect";
        warnings.push((path.child("ingress"), text.to_owned()));
    }
    let rules = spec["egress"].as_array().into_iter().flatten();
    for (n, rule) in rules.enumerate() {
        let path = path.child("egress").index(n);
        let peers = rule["to"].as_array().into_iter().flatten();
        for (n, _) in peers.enumerate().filter(|(_, it)| it["ipBlock"].is_null()) {
            let text = "pods have no addresses here: a peer by selector matches nothing";
            warnings.push((path.child("to").index(n), text.to_owned()));
        }
        let ports = rule["ports"].as_array().into_iter().flatten();
        for (n, _) in ports.enumerate().filter(|(_, it)| it["port"].is_string()) {
            let text = "pods have no named ports here: a port by name matches nothing";
            let path = path.child("ports").index(n).child("port");
            warnings.push((path, text.to_owned()));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_from_the_rules_and_protocols_are_tcp() {
        let defaulted = |spec: Json| {
            let mut policy = json!({"spec": spec});
            default(&mut policy);
            policy["spec"].take()
        };
        assert_eq!(
            defaulted(json!({})),
            json!({"podSelector": {}, "policyTypes": ["Ingress"]})
        );
        assert_eq!(
            defaulted(json!({"podSelector": {}, "egress": [{"ports": [{"port": 1}]}]})),
            json!({
                "podSelector": {},
                "egress": [{"ports": [{"port": 1, "protocol": "TCP"}]}],
                "policyTypes": ["Ingress", "Egress"],
            })
        );
        let own = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        assert_eq!(defaulted(own.clone()), own);
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let told = |spec: Json| {
            let warnings = warnings(&json!({"spec": spec}));
            let paths = warnings.iter().map(|(path, _)| path.as_str().to_owned());
            paths.collect::<Vec<_>>()
        };
        assert_eq!(
            told(json!({"policyTypes": ["Ingress"]})),
            ["spec.policyTypes"]
        );
        assert!(told(json!({"policyTypes": ["Egress"]})).is_empty());
        // Ingress stands there by default, and is nobody's mistake.
        assert!(told(json!({"policyTypes": ["Ingress", "Egress"]})).is_empty());
        let both = json!({"policyTypes": ["Ingress", "Egress"], "ingress": [{}]});
        assert_eq!(told(both), ["spec.ingress"]);
        let rules = json!([
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"podSelector": {}}]},
            {"ports": [{"port": 80}, {"port": "http"}]},
        ]);
        assert_eq!(
            told(json!({"policyTypes": ["Egress"], "egress": rules})),
            ["spec.egress[0].to[1]", "spec.egress[1].ports[1].port"]
        );
    }
}
