//! What policies leave open to a pod.

use core::net::IpAddr;
use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::validation::cidr;
use crate::validation::selects;

/// Connections that are left open: to one of these ports of one of these blocks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressRule {
    /// The ports; any if there are none to choose from.
    pub ports: Option<Vec<Ports>>,
    /// The addresses; any if there are none to choose from.
    pub to: Option<Vec<Block>>,
}

/// Ports of a protocol, the first and the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// UDP, else TCP.
    pub udp: bool,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// Addresses that begin with so many bits of one, but for some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// All.
    pub all: (IpAddr, u8),
    /// Those of them that do not belong to it.
    pub except: Vec<(IpAddr, u8)>,
}

/// What `policies`, all of a pod's namespace, leave open to a pod with those `labels`;
/// `None` if none of them restricts it.
pub fn egress<'a>(
    policies: impl IntoIterator<Item = &'a NetworkPolicy>,
    labels: &BTreeMap<String, String>,
) -> Option<Vec<EgressRule>> {
    let all = LabelSelector::default();
    let mut open: Option<Vec<EgressRule>> = None;
    for policy in policies {
        let Some(spec) = &policy.spec else { continue };
        let types = spec.policy_types.iter().flatten();
        let is_egress = types.into_iter().any(|kind| kind == "Egress");
        let selector = spec.pod_selector.as_ref().unwrap_or(&all);
        // One that cannot be understood, which none is that was checked, selects all:
        // it was meant to close something.
        if is_egress && selects(selector, labels).unwrap_or(true) {
            let rules = spec.egress.iter().flatten().map(rule);
            open.get_or_insert_default().extend(rules);
        }
    }
    open
}

fn rule(rule: &NetworkPolicyEgressRule) -> EgressRule {
    let ports = rule.ports.as_deref().filter(|ports| !ports.is_empty());
    let to = rule.to.as_deref().filter(|to| !to.is_empty());
    EgressRule {
        ports: ports.map(|all| all.iter().filter_map(ports_of).collect()),
        to: to.map(|peers| peers.iter().filter_map(block_of).collect()),
    }
}

fn ports_of(port: &NetworkPolicyPort) -> Option<Ports> {
    let udp = match port.protocol.as_deref() {
        None | Some("TCP") => false,
        Some("UDP") => true,
        // Nobody speaks SCTP here.
        Some(_) => return None,
    };
    let (first, last) = match &port.port {
        None => (0, u16::MAX),
        Some(IntOrString::Int(first)) => {
            let first = u16::try_from(*first).ok()?;
            let last = port.end_port.map_or(Ok(first), u16::try_from).ok()?;
            (first, last)
        }
        Some(IntOrString::String(_)) => return None,
    };
    Some(Ports { udp, first, last })
}

fn block_of(peer: &NetworkPolicyPeer) -> Option<Block> {
    let IPBlock { cidr: all, except } = peer.ip_block.as_ref()?;
    let all = cidr(all)?;
    let except: Option<Vec<_>> = except.iter().flatten().map(|it| cidr(it)).collect();
    Some(Block {
        all,
        except: except?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn policy(spec: Json) -> NetworkPolicy {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    fn open(specs: &[Json], labels: &[(&str, &str)]) -> Option<Vec<EgressRule>> {
        let policies: Vec<_> = specs.iter().cloned().map(policy).collect();
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        egress(&policies, &labels.iter().map(pair).collect())
    }

    #[test]
    fn only_policies_of_type_egress_that_select_a_pod_restrict_it() {
        let of =
            |types: Json| json!({"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": types});
        let pod = [("a", "b")];
        assert_eq!(open(&[], &pod), None);
        assert_eq!(open(&[of(json!(["Ingress"]))], &pod), None);
        assert_eq!(open(&[of(json!(["Egress"]))], &[("a", "c")]), None);
        assert_eq!(open(&[of(json!(["Egress"]))], &pod), Some(Vec::new()));
        let all = json!({"podSelector": {}, "policyTypes": ["Egress"]});
        assert_eq!(open(&[all], &[]), Some(Vec::new()));
    }

    #[test]
    fn what_any_of_them_lists_is_open() {
        let first = json!({"policyTypes": ["Egress"], "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
             "ports": [{"port": 80, "endPort": 90}, {"protocol": "UDP"}]},
        ]});
        let second = json!({"policyTypes": ["Egress"], "egress": [{}]});
        let rules = open(&[first, second], &[]).unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(
            rules,
            [
                EgressRule {
                    ports: Some(vec![
                        Ports {
                            udp: false,
                            first: 80,
                            last: 90
                        },
                        Ports {
                            udp: true,
                            first: 0,
                            last: u16::MAX
                        },
                    ]),
                    to: Some(vec![Block {
                        all: (address("10.0.0.0"), 8),
                        except: vec![(address("10.1.0.0"), 16)],
                    }]),
                },
                EgressRule {
                    ports: None,
                    to: None
                },
            ]
        );
    }

    #[test]
    fn peers_by_selector_and_ports_by_name_match_nothing() {
        let spec = json!({"policyTypes": ["Egress"], "egress": [
            {"to": [{"podSelector": {}}, {"namespaceSelector": {}}],
             "ports": [{"port": "http"}, {"protocol": "SCTP", "port": 1}]},
        ]});
        assert_eq!(
            open(&[spec], &[]),
            Some(vec![EgressRule {
                ports: Some(Vec::new()),
                to: Some(Vec::new())
            }])
        );
    }
}
