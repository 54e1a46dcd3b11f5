//! What is wrong with a NetworkPolicy (`pkg/apis/networking/validation`).

use core::net::IpAddr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value as Json;

use crate::field::{Error, ErrorList, Path};
use crate::validation::{Errors, port_name, selector_syntax};

const TYPES: [&str; 2] = ["Ingress", "Egress"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const PORT: &str = "must be between 1 and 65535, inclusive";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is wrong with a policy, but for its metadata.
#[must_use]
pub fn validate(policy: &Json) -> ErrorList {
    let mut errors = Errors::new();
    match serde_json::from_value::<NetworkPolicy>(policy.clone()) {
        Ok(policy) => validate_spec(&mut errors, &policy.spec.unwrap_or_default()),
        Err(error) => {
            let path = Path::new("spec");
            errors.push(Error::invalid_without_value(&path, error.to_string()));
        }
    }
    errors.into_list()
}

fn validate_spec(errors: &mut Errors, spec: &NetworkPolicySpec) {
    let path = Path::new("spec");
    if let Some(selector) = &spec.pod_selector {
        selector_syntax(errors, selector, &path.child("podSelector"));
    }
    for (n, rule) in spec.ingress.iter().flatten().enumerate() {
        let path = path.child("ingress").index(n);
        ports(errors, rule.ports.as_deref(), &path.child("ports"));
        peers(errors, rule.from.as_deref(), &path.child("from"));
    }
    for (n, rule) in spec.egress.iter().flatten().enumerate() {
        let path = path.child("egress").index(n);
        ports(errors, rule.ports.as_deref(), &path.child("ports"));
        peers(errors, rule.to.as_deref(), &path.child("to"));
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let path = path.child("policyTypes");
    if types.len() > TYPES.len() {
        let message = "may not specify more than two policyTypes";
        return errors.push(Error::invalid(&path, types, message));
    }
    for (n, kind) in types.iter().enumerate() {
        if !TYPES.contains(&kind.as_str()) {
            errors.push(Error::not_supported(&path.index(n), kind, &TYPES));
        }
    }
}

fn ports(errors: &mut Errors, ports: Option<&[NetworkPolicyPort]>, path: &Path) {
    for (n, port) in ports.into_iter().flatten().enumerate() {
        validate_port(errors, port, &path.index(n));
    }
}

fn validate_port(errors: &mut Errors, port: &NetworkPolicyPort, path: &Path) {
    if let Some(protocol) = &port.protocol
        && !PROTOCOLS.contains(&protocol.as_str())
    {
        let path = path.child("protocol");
        errors.push(Error::not_supported(&path, protocol, &PROTOCOLS));
    }
    let (port_path, end_path) = (path.child("port"), path.child("endPort"));
    let is_number = |number: i32| (1..=65_535).contains(&number);
    match &port.port {
        Some(IntOrString::Int(first)) => {
            if !is_number(*first) {
                errors.push(Error::invalid(&port_path, first, PORT));
            }
            let Some(last) = port.end_port else { return };
            if last < *first {
                let message = "must be greater than or equal to `port`";
                errors.push(Error::invalid(&end_path, first, message));
            }
            if !is_number(last) {
                errors.push(Error::invalid(&end_path, &last, PORT));
            }
        }
        Some(IntOrString::String(name)) => {
            if let Some(last) = port.end_port {
                let message = "may not be specified when `port` is non-numeric";
                errors.push(Error::invalid(&end_path, &last, message));
            }
            for message in port_name(name) {
                errors.push(Error::invalid(&port_path, name, message));
            }
        }
        None => {
            if let Some(last) = port.end_port {
                let message = "may not be specified when `port` is not specified";
                errors.push(Error::invalid(&end_path, &last, message));
            }
        }
    }
}

fn peers(errors: &mut Errors, peers: Option<&[NetworkPolicyPeer]>, path: &Path) {
    for (n, peer) in peers.into_iter().flatten().enumerate() {
        validate_peer(errors, peer, &path.index(n));
    }
}

fn validate_peer(errors: &mut Errors, peer: &NetworkPolicyPeer, path: &Path) {
    if let Some(selector) = &peer.pod_selector {
        selector_syntax(errors, selector, &path.child("podSelector"));
    }
    if let Some(selector) = &peer.namespace_selector {
        selector_syntax(errors, selector, &path.child("namespaceSelector"));
    }
    if let Some(block) = &peer.ip_block {
        validate_block(errors, block, &path.child("ipBlock"));
    }
    let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    if peer.ip_block.is_none() && !selects {
        errors.push(Error::required(path, "must specify a peer"));
    } else if peer.ip_block.is_some() && selects {
        let message = "may not specify both ipBlock and another peer";
        errors.push(Error::forbidden(path, message));
    }
}

fn validate_block(errors: &mut Errors, block: &IPBlock, path: &Path) {
    let path_of_all = path.child("cidr");
    if block.cidr.is_empty() {
        return errors.push(Error::required(&path_of_all, ""));
    }
    let Some(all) = cidr(&block.cidr) else {
        return errors.push(Error::invalid(&path_of_all, &block.cidr, CIDR));
    };
    for (n, text) in block.except.iter().flatten().enumerate() {
        let path = path.child("except").index(n);
        let Some(part) = cidr(text) else {
            errors.push(Error::invalid(&path, text, CIDR));
            continue;
        };
        if all.1 >= part.1 || !begins(part.0, all) {
            let message = "must be a strict subset of `cidr`";
            errors.push(Error::invalid(&path, text, message));
        }
    }
}

/// An address and how many of its bits count, as `10.0.0.0/8` says.
pub(super) fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.parse().ok().filter(|bits| is_number && *bits <= all)?;
    // `::ffff:10.0.0.0/104` is 10.0.0.0/8 to whoever connects.
    match address.to_canonical() {
        IpAddr::V4(v4) if bits >= 96 && address.is_ipv6() => Some((IpAddr::V4(v4), bits - 96)),
        _ => Some((address, bits)),
    }
}

/// Whether an address begins as the block's does.
fn begins(address: IpAddr, (block, bits): (IpAddr, u8)) -> bool {
    let bits = u32::from(bits);
    match (address, block) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(spec: Json) -> Vec<String> {
        let errors = validate(&json!({"metadata": {"name": "p"}, "spec": spec}));
        errors.iter().map(ToString::to_string).collect()
    }

    fn error_of_rule(rule: Json) -> Vec<String> {
        errors(json!({"podSelector": {}, "egress": [rule]}))
    }

    #[test]
    fn what_kubernetes_takes_is_taken() {
        let spec = json!({
            "podSelector": {"matchLabels": {"a": "b"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}, "namespaceSelector": {}}], "ports": [{"port": "http"}]}],
            "egress": [{
                "to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}, {"ipBlock": {"cidr": "fd00::/8"}}],
                "ports": [{"protocol": "UDP", "port": 53}, {"port": 8000, "endPort": 9000}, {}],
            }],
        });
        assert_eq!(errors(spec), [""; 0]);
        assert_eq!(errors(json!({"policyTypes": ["Egress"]})), [""; 0]);
    }

    #[test]
    fn what_it_refuses_is_refused_in_its_words() {
        let one = |rule: Json, text: &str| assert_eq!(error_of_rule(rule), [text]);
        let port = |port: Json| json!({"ports": [port]});
        let block = |block: Json| json!({"to": [{"ipBlock": block}]});
        one(
            port(json!({"port": 0})),
            "spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        );
        one(
            port(json!({"port": 80, "endPort": 79})),
            "spec.egress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`",
        );
        one(
            port(json!({"port": "http", "endPort": 79})),
            "spec.egress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is non-numeric",
        );
        one(
            port(json!({"endPort": 79})),
            "spec.egress[0].ports[0].endPort: Invalid value: 79: may not be specified when `port` is not specified",
        );
        one(
            port(json!({"protocol": "ICMP"})),
            "spec.egress[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
        );
        one(
            json!({"to": [{}]}),
            "spec.egress[0].to[0]: Required value: must specify a peer",
        );
        one(
            json!({"to": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}),
            "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer",
        );
        one(
            block(json!({"cidr": ""})),
            "spec.egress[0].to[0].ipBlock.cidr: Required value",
        );
        one(
            block(json!({"cidr": "10.0.0.0"})),
            "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        );
        for except in ["10.0.0.0/8", "11.0.0.0/16", "fd00::/16"] {
            one(
                block(json!({"cidr": "10.0.0.0/8", "except": [except]})),
                &format!(
                    "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"{except}\": must be a strict subset of `cidr`"
                ),
            );
        }
        assert_eq!(
            errors(json!({"policyTypes": ["Out"]})),
            [
                "spec.policyTypes[0]: Unsupported value: \"Out\": supported values: \"Ingress\", \"Egress\""
            ]
        );
        assert_eq!(
            errors(json!({"policyTypes": ["Egress", "Ingress", "Egress"]})),
            [
                "spec.policyTypes: Invalid value: [\"Egress\",\"Ingress\",\"Egress\"]: may not specify more than two policyTypes"
            ]
        );
    }

    #[test]
    fn blocks_are_read_as_those_who_connect_mean_them() {
        let is = |text: &str, address: &str, bits| {
            assert_eq!(cidr(text), Some((address.parse().unwrap(), bits)), "{text}");
        };
        is("10.0.0.0/8", "10.0.0.0", 8);
        is("::ffff:10.0.0.0/104", "10.0.0.0", 8);
        is("::/0", "::", 0);
        for text in [
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "010.0.0.0/8",
            "/8",
        ] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }
}
