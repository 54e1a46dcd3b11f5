//! What narrows a guest's network, and may change while it runs.
//!
//! It is asked at each connection and at each request, also at one for which there is
//! a connection already. What goes on over a connection goes on.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Protocol;
use crate::network::is_within;

/// What a guest may reach of what its [`crate::Network`] opens: all, unless it is told.
#[derive(Debug, Default)]
pub struct Egress(RwLock<Option<Arc<[EgressRule]>>>);

/// Connections that stay open: to one of these ports, at one of these addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressRule {
    /// The ports; any if there are none to choose from.
    pub ports: Option<Vec<EgressPorts>>,
    /// The addresses; any if there are none to choose from.
    pub to: Option<Vec<EgressBlock>>,
}

/// The ports of a protocol, from the first to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EgressPorts {
    /// UDP, else TCP, which requests go over too.
    pub udp: bool,
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// The addresses that begin with so many bits of one, but for some.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressBlock {
    /// All of them.
    pub all: (IpAddr, u8),
    /// Those that do not belong to it.
    pub except: Vec<(IpAddr, u8)>,
}

impl Egress {
    /// From now on only what one of `rules` lists stays open; all, if there are none to
    /// choose from.
    pub fn set(&self, rules: Option<Vec<EgressRule>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules.map(Arc::from);
    }

    /// Whether a connection stays open.
    pub(crate) fn allows(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let rules = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        rules.is_none_or(|rules| rules.iter().any(|rule| rule.allows(protocol, address)))
    }
}

impl EgressRule {
    fn allows(&self, protocol: Protocol, address: SocketAddr) -> bool {
        let udp = protocol == Protocol::Udp;
        let port = |ports: &EgressPorts| {
            ports.udp == udp && (ports.first..=ports.last).contains(&address.port())
        };
        let ip = address.ip().to_canonical();
        let within = |(network, bits): &(IpAddr, u8)| is_within(ip, *network, *bits);
        let block = |block: &EgressBlock| within(&block.all) && !block.except.iter().any(within);
        let ports = self.ports.as_ref();
        let to = self.to.as_ref();
        ports.is_none_or(|ports| ports.iter().any(port)) && to.is_none_or(|to| to.iter().any(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(all: (&str, u8), except: &[(&str, u8)]) -> EgressBlock {
        let network = |(address, bits): (&str, u8)| (address.parse().unwrap(), bits);
        EgressBlock {
            all: network(all),
            except: except.iter().copied().map(network).collect(),
        }
    }

    fn allows(rules: Option<Vec<EgressRule>>, protocol: Protocol, address: &str) -> bool {
        let egress = Egress::default();
        egress.set(rules);
        egress.allows(protocol, address.parse().unwrap())
    }

    #[test]
    fn without_rules_all_stays_open_and_with_none_nothing() {
        assert!(allows(None, Protocol::Tcp, "10.0.0.1:80"));
        assert!(!allows(Some(vec![]), Protocol::Tcp, "10.0.0.1:80"));
        let egress = Egress::default();
        let at = "10.0.0.1:80".parse().unwrap();
        egress.set(Some(vec![]));
        assert!(!egress.allows(Protocol::Https, at));
        egress.set(None);
        assert!(egress.allows(Protocol::Https, at));
    }

    #[test]
    fn a_rule_lists_ports_and_blocks() {
        let tcp = |first, last| EgressPorts {
            udp: false,
            first,
            last,
        };
        let rules = |ports, to| Some(vec![EgressRule { ports, to }]);
        let some = || {
            rules(
                Some(vec![tcp(80, 90)]),
                Some(vec![block(("10.0.0.0", 8), &[("10.1.0.0", 16)])]),
            )
        };
        assert!(allows(some(), Protocol::Tcp, "10.0.0.1:80"));
        assert!(allows(some(), Protocol::Http, "10.0.0.1:90"));
        assert!(allows(some(), Protocol::Https, "[::ffff:10.0.0.1]:85"));
        assert!(!allows(some(), Protocol::Udp, "10.0.0.1:80"));
        assert!(!allows(some(), Protocol::Tcp, "10.0.0.1:91"));
        assert!(!allows(some(), Protocol::Tcp, "10.1.0.1:80"));
        assert!(!allows(some(), Protocol::Tcp, "11.0.0.1:80"));
        assert!(allows(rules(None, None), Protocol::Udp, "11.0.0.1:1"));
        assert!(!allows(
            rules(None, Some(vec![])),
            Protocol::Tcp,
            "11.0.0.1:1"
        ));
        assert!(!allows(
            rules(Some(vec![]), None),
            Protocol::Tcp,
            "11.0.0.1:1"
        ));
    }
}
