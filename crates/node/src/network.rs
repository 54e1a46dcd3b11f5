//! What the pods of a template may reach.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;

use wasmjob_api::network::{self, ALLOW_NET, HostPattern};
use wasmjob_api::{PodTemplate, network_policy};
use wasmjob_sandbox::{
    Destination, EgressBlock, EgressPorts, EgressRule, Network, Place, Protocol,
};

use crate::Objects;
use crate::pod::PodRun;

/// What the operator allows.
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    /// Destinations that pods may ask for; none by default.
    pub allowed: Vec<network::Destination>,
    /// The port at which this host's own API listens; 0 if at none. At addresses of
    /// this machine a pod must name it, and be allowed to, by address and port.
    pub own_port: Arc<AtomicU16>,
}

impl NetworkPolicy {
    /// What pods of `template` may reach: nothing, unless its annotation asks for it.
    ///
    /// # Errors
    ///
    /// When it asks for what is never allowed: a guest that finds out by a refused
    /// connection would tell nobody why.
    pub(crate) fn of(&self, template: &PodTemplate) -> Result<Option<Arc<Network>>, String> {
        let annotations = template.metadata.annotations.as_ref();
        let Some(text) = annotations.and_then(|annotations| annotations.get(ALLOW_NET)) else {
            return Ok(None);
        };
        let wanted = network::Destination::list(text)
            .map_err(|error| format!("annotation {ALLOW_NET}: {error}"))?;
        for destination in &wanted {
            if !self
                .allowed
                .iter()
                .any(|allowed| allowed.meets(destination))
            {
                return Err(self.refusal(destination));
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut aliases: HashMap<String, Vec<IpAddr>> = HashMap::new();
        for alias in template.spec.host_aliases.iter().flatten() {
            let Ok(address) = alias.ip.parse() else {
                continue;
            };
            for name in alias.hostnames.iter().flatten() {
                aliases
                    .entry(name.to_ascii_lowercase())
                    .or_default()
                    .push(address);
            }
        }
        Ok(Some(Arc::new(Network {
            wanted: wanted.into_iter().map(destination).collect(),
            bounds: self.allowed.iter().cloned().map(destination).collect(),
            aliases,
            own_port: Arc::clone(&self.own_port),
            // Each pod has its own.
            egress: Arc::default(),
        })))
    }

    fn refusal(&self, wanted: &network::Destination) -> String {
        let allowed: Vec<String> = self.allowed.iter().map(ToString::to_string).collect();
        let allowed = match allowed.as_slice() {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        };
        format!(
            "annotation {ALLOW_NET}: {wanted} is not allowed by this host, which allows {allowed}; its operator can allow it with --allow-net"
        )
    }
}

impl PodRun {
    /// What its containers may reach.
    pub(crate) fn network(&self) -> Result<Option<Arc<Network>>, String> {
        let network = self.prepared.network.clone()?;
        Ok(network.map(|network| {
            Arc::new(Network {
                egress: Arc::clone(&self.egress),
                ..Network::clone(&network)
            })
        }))
    }
}

/// Narrows what the pod may reach to what policies leave open to it now.
pub(crate) fn narrow(run: &PodRun, objects: &dyn Objects) {
    if !matches!(run.prepared.network, Ok(Some(_))) {
        return;
    }
    let policies = objects.network_policies(&run.pod.namespace);
    let policies = policies.iter().map(|policy| &**policy);
    let rules = network_policy::egress(policies, &run.pod.labels());
    let rules = rules.map(|rules| rules.into_iter().map(rule).collect());
    run.egress.set(rules);
}

fn rule(of: network_policy::EgressRule) -> EgressRule {
    let ports = |ports: network_policy::Ports| EgressPorts {
        udp: ports.udp,
        first: ports.first,
        last: ports.last,
    };
    let block = |block: network_policy::Block| EgressBlock {
        all: block.all,
        except: block.except,
    };
    EgressRule {
        ports: of.ports.map(|all| all.into_iter().map(ports).collect()),
        to: of.to.map(|all| all.into_iter().map(block).collect()),
    }
}

fn destination(of: network::Destination) -> Destination {
    Destination {
        protocol: match of.protocol {
            network::Protocol::Tcp => Protocol::Tcp,
            network::Protocol::Udp => Protocol::Udp,
            network::Protocol::Http => Protocol::Http,
            network::Protocol::Https => Protocol::Https,
        },
        place: match of.host {
            HostPattern::Any => Place::Any,
            HostPattern::Name(name) => Place::Name(name),
            HostPattern::Below(domain) => Place::Below(domain),
            HostPattern::Network(address, bits) => Place::Network(address, bits),
        },
        port: of.port,
    }
}
