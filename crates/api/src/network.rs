//! The annotation `wasmjob.dev/allow-net` of a pod template: where its pods may
//! connect to.
//!
//! It is a list, split by commas or white space, of `tcp:HOST:PORT`,
//! `udp:HOST:PORT`, `https://HOST[:PORT]` and `http://HOST[:PORT]`:
//! - HOST is a name, `*.DOMAIN` for the names below a domain, an address (IPv6 in
//!   brackets), a network such as `10.0.0.0/8`, or `*`;
//! - PORT is a number, or `*`; without one, 443 and 80.
//!
//! `tcp` and `udp` are for sockets, `https` and `http` for requests that the host
//! makes for a guest. None includes another: a socket says nothing about which
//! requests go through it, and who may ask a server may not thereby speak to it raw.
//!
//! What an operator allows is written the same way.

use core::net::IpAddr;
use std::fmt;
use std::str::FromStr;

/// The annotation.
pub const ALLOW_NET: &str = "wasmjob.dev/allow-net";

/// Destinations that one template may name.
const DESTINATIONS_MAX: usize = 64;

/// One destination, or several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The protocol.
    pub protocol: Protocol,
    /// The machines.
    pub host: HostPattern,
    /// The port; any if there is none.
    pub port: Option<u16>,
}

/// How a destination is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// TCP connections.
    Tcp,
    /// UDP datagrams.
    Udp,
    /// Requests over TCP.
    Http,
    /// Requests over TLS.
    Https,
}

impl Protocol {
    /// The port where none is named.
    fn default_port(self) -> Option<u16> {
        match self {
            Self::Tcp | Self::Udp => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

/// Some machines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HostPattern {
    /// `*`
    Any,
    /// A name, in lower case.
    Name(String),
    /// `*.DOMAIN`: the domain in lower case, with the dot before it.
    Below(String),
    /// An address or a network: those that begin with so many bits of this one.
    Network(IpAddr, u8),
}

/// Why a text is no destination.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{text:?} {reason}: expected tcp:HOST:PORT, udp:HOST:PORT, https://HOST[:PORT] or http://HOST[:PORT], where HOST is a name, *.DOMAIN, an address, a network such as 10.0.0.0/8 or *, and PORT is a number or *"
)]
pub struct DestinationError {
    text: String,
    reason: &'static str,
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let error = |reason| DestinationError {
            text: text.chars().take(100).collect(),
            reason,
        };
        let (protocol, rest) = text
            .split_once(':')
            .ok_or_else(|| error("has no protocol"))?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "http" => Protocol::Http,
            "https" => Protocol::Https,
            _ => return Err(error("has an unknown protocol")),
        };
        let default = protocol.default_port();
        let rest = match default {
            None => rest,
            Some(_) => rest
                .strip_prefix("//")
                .ok_or_else(|| error("has no // after its scheme"))?,
        };
        // A network has a slash of its own; a URL's path begins with the last one.
        if default.is_some() && rest.ends_with('/') {
            return Err(error("has a path, and names a server only"));
        }
        // The colons of `[fd00::1]` are the address's.
        let split = rest
            .rsplit_once(':')
            .filter(|(_, port)| !port.contains(']'));
        let (host, port) = match split {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let port = match port {
            None => Some(default.ok_or_else(|| error("has no port"))?),
            Some("*") => None,
            Some(number) => Some(
                number
                    .parse()
                    .ok()
                    .filter(|port| *port != 0 && !number.starts_with('+'))
                    .ok_or_else(|| error("has no port from 1 to 65535"))?,
            ),
        };
        let host = host_pattern(host).ok_or_else(|| error("names no host"))?;
        Ok(Self {
            protocol,
            host,
            port,
        })
    }
}

fn host_pattern(text: &str) -> Option<HostPattern> {
    if text == "*" {
        return Some(HostPattern::Any);
    }
    if let Some(domain) = text.strip_prefix("*.") {
        let domain = name(domain)?;
        return Some(HostPattern::Below(format!(".{domain}")));
    }
    let (address, bits) = match text.strip_prefix('[') {
        // `[fd00::1]` and `[fd00::]/8`
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let bits = match rest {
                "" => None,
                rest => Some(rest.strip_prefix('/')?),
            };
            (address, bits)
        }
        None => match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        },
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return name(text).map(HostPattern::Name);
    };
    // An IPv6 address without brackets would run into the port.
    if address.is_ipv6() != text.starts_with('[') {
        return None;
    }
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => all,
        Some(bits) => bits.parse().ok().filter(|bits| *bits <= all)?,
    };
    // `::ffff:10.0.0.1` is 10.0.0.1 to whoever connects.
    if bits == 128 && address.to_canonical().is_ipv4() {
        return Some(HostPattern::Network(address.to_canonical(), 32));
    }
    Some(HostPattern::Network(address, bits))
}

/// A DNS name, in lower case. What looks like an address in a form that resolvers
/// understand (`2130706433`, `0x7f.1`) is none.
fn name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(fits)
    };
    let last = text.rsplit('.').next()?;
    let is_number = last.starts_with(|c: char| c.is_ascii_digit());
    let fits = text.len() <= 253 && !is_number && text.split('.').all(is_label);
    fits.then(|| text.to_ascii_lowercase())
}

impl Destination {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// When one is no destination, or there are more than 64.
    pub fn list(text: &str) -> Result<Vec<Self>, DestinationError> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        if words.len() > DESTINATIONS_MAX {
            return Err(DestinationError {
                text: format!("a list of {}", words.len()),
                reason: "is longer than 64",
            });
        }
        words.into_iter().map(str::parse).collect()
    }

    /// Whether some connection may be both to `self` and to `other`.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let ports = self.port.is_none() || other.port.is_none() || self.port == other.port;
        self.protocol == other.protocol && ports && self.host.meets(&other.host)
    }
}

impl HostPattern {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Name(name), Self::Below(domain)) | (Self::Below(domain), Self::Name(name)) => {
                name.ends_with(domain.as_str())
            }
            (Self::Below(a), Self::Below(b)) => a.ends_with(b.as_str()) || b.ends_with(a.as_str()),
            // Names lead anywhere.
            (Self::Network(a, bits), Self::Network(b, more)) => {
                let common = u32::from(*bits.min(more));
                match (a, b) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => {
                        (a.to_bits() ^ b.to_bits()).leading_zeros() >= common
                    }
                    (IpAddr::V6(a), IpAddr::V6(b)) => {
                        (a.to_bits() ^ b.to_bits()).leading_zeros() >= common
                    }
                    _ => false,
                }
            }
            _ => true,
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Http => "http",
            Protocol::Https => "https",
        };
        let slashes = match self.protocol.default_port() {
            Some(_) => "//",
            None => "",
        };
        write!(f, "{protocol}:{slashes}{}", self.host)?;
        match self.port {
            None => f.write_str(":*"),
            Some(port) if self.protocol.default_port() == Some(port) => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*{domain}"),
            Self::Network(IpAddr::V4(address), 32) => write!(f, "{address}"),
            Self::Network(IpAddr::V4(address), bits) => write!(f, "{address}/{bits}"),
            Self::Network(IpAddr::V6(address), 128) => write!(f, "[{address}]"),
            Self::Network(IpAddr::V6(address), bits) => write!(f, "[{address}]/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_and_shown_as_they_were() {
        for text in [
            "tcp:db:5432",
            "tcp:mysql.default:3306",
            "udp:10.0.0.1:53",
            "tcp:10.0.0.0/8:*",
            "tcp:*.example.com:443",
            "udp:*:*",
            "tcp:[fd00::1]:80",
            "tcp:[fd00::]/8:80",
            "https://api.example.com",
            "https://api.example.com:8443",
            "http://*.example.com:*",
            "https://*",
            "https://10.0.0.0/8",
            "http://[fd00::1]",
            "http://[fd00::]/8",
            "http://[fd00::1]:8080",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        let shown = |text: &str| text.parse::<Destination>().unwrap().to_string();
        assert_eq!(shown("tcp:DB.Local:1"), "tcp:db.local:1");
        assert_eq!(shown("tcp:10.0.0.1/32:1"), "tcp:10.0.0.1:1");
        assert_eq!(shown("tcp:[::ffff:127.0.0.1]:1"), "tcp:127.0.0.1:1");
        assert_eq!(shown("https://A.example:443"), "https://a.example");
        assert_eq!(shown("http://a:80"), "http://a");
        assert_eq!(shown("http://a:443"), "http://a:443");
    }

    #[test]
    fn what_is_no_destination_is_told() {
        for text in [
            "",
            "db",
            "db:5432",
            "tcp:db",
            "tcp::5432",
            "tcp:db:",
            "tcp:db:0",
            "tcp:db:+80",
            "tcp:db:65536",
            "tcp:db:http",
            "http:db:80",
            "https:db",
            "https://",
            "https://db/",
            "https://db/path",
            "https://user@db",
            "https://db:",
            "https://db:0",
            "https://fd00::1",
            "https://2130706433",
            "https://0x7f.1",
            "http+unix://socket",
            "HTTPS://db",
            "tcp:fd00::1:80",
            "tcp:[fd00::1:80",
            "tcp:[db]:80",
            "tcp:10.0.0.0/33:80",
            "tcp:db/8:80",
            "tcp:10.0.0:80",
            "tcp:2130706433:80",
            "tcp:0x7f000001:80",
            "tcp:127.0.0.0x1:80",
            "tcp:*.*:80",
            "tcp:a..b:80",
            "tcp:a b:80",
        ] {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(
                error.to_string().contains("expected tcp:HOST:PORT"),
                "{error}"
            );
        }
        let long = "tcp:a:1,".repeat(65);
        let error = Destination::list(&long).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("\"a list of 65\" is longer than 64"),
            "{error}"
        );
    }

    #[test]
    fn a_list_is_split_by_commas_and_white_space() {
        let list = Destination::list(" tcp:a:1, tcp:b:2\n\tudp:c:3,").unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(Destination::list("").unwrap(), []);
    }

    #[test]
    fn what_can_never_be_allowed_is_known() {
        let meets = |a: &str, b: &str| {
            let (a, b): (Destination, Destination) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.meets(&b), b.meets(&a));
            a.meets(&b)
        };
        assert!(meets("tcp:db:1", "tcp:*:*") && !meets("tcp:db:1", "udp:*:*"));
        assert!(meets("tcp:db:1", "tcp:db:*") && !meets("tcp:db:1", "tcp:db:2"));
        assert!(!meets("tcp:db:1", "tcp:other:1"));
        assert!(meets("https://db", "https://*:*") && !meets("https://db", "http://*:*"));
        assert!(!meets("https://db", "tcp:db:443") && !meets("https://db", "https://db:8443"));
        assert!(meets("tcp:db.local:1", "tcp:*.local:1") && !meets("tcp:db:1", "tcp:*.local:1"));
        assert!(meets("tcp:*.a.b:1", "tcp:*.b:1") && !meets("tcp:*.a:1", "tcp:*.b:1"));
        assert!(meets("tcp:db:1", "tcp:10.0.0.0/8:*"));
        assert!(meets("tcp:10.1.0.0/16:1", "tcp:10.0.0.0/8:*"));
        assert!(!meets("tcp:11.1.0.0/16:1", "tcp:10.0.0.0/8:*"));
        assert!(meets("tcp:1.2.3.4:1", "tcp:0.0.0.0/0:*"));
        assert!(!meets("tcp:1.2.3.4:1", "tcp:[::]/0:*"));
    }
}
