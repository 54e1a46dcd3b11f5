//! What the server is called, and so what its certificate is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::ServerName;

use super::leaf::Purpose;
use super::{Error, Notice};

/// Names that pods use for the API server, whatever the host is called.
const USUAL_DNS_NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What the server certificate is for, beside `localhost`, the loopback addresses
/// and the names that pods use.
#[derive(Clone, Default, Debug)]
pub struct Names {
    /// The host's own name. One that cannot be a DNS name is left out.
    pub hostname: Option<String>,
    /// More DNS names (a first label `*` stands for any) and IP addresses.
    pub extra: Vec<String>,
}

/// A server of these names and the usual ones.
pub(super) fn server_purpose(names: &Names, notices: &mut Vec<Notice>) -> Result<Purpose, Error> {
    let mut dns_names: Vec<String> = USUAL_DNS_NAMES.map(str::to_owned).into();
    let mut ip_addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    if let Some(hostname) = &names.hostname
        && !add_name(hostname, &mut dns_names, &mut ip_addresses)
    {
        notices.push(Notice::HostnameLeftOut(hostname.clone()));
    }
    for name in &names.extra {
        if !add_name(name, &mut dns_names, &mut ip_addresses) {
            return Err(Error::Name(name.clone()));
        }
    }
    Ok(Purpose::Server {
        dns_names,
        ip_addresses,
    })
}

fn add_name(name: &str, dns_names: &mut Vec<String>, ip_addresses: &mut Vec<IpAddr>) -> bool {
    let without_wildcard = name.strip_prefix("*.").unwrap_or(name);
    match ServerName::try_from(without_wildcard) {
        Ok(ServerName::IpAddress(address)) if without_wildcard == name => {
            let address = IpAddr::from(address);
            if !ip_addresses.contains(&address) {
                ip_addresses.push(address);
            }
            true
        }
        Ok(ServerName::DnsName(_)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if !dns_names.contains(&name) {
                dns_names.push(name);
            }
            true
        }
        _ => false,
    }
}
