//! Whom a request is for.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use wasmtime_wasi_http::Error;

use crate::{Network, Protocol};

/// A server, as a request names it. Requests to equal ones may share a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) protocol: Protocol,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    /// By its address.
    Address(IpAddr),
    /// By its name: lower-case, without a dot at its end.
    Name(Box<str>),
}

impl Target {
    /// The target of a request whose authority is a name or an address, with or
    /// without a port.
    ///
    /// # Errors
    ///
    /// When it is anything else: a user, or a name that resolvers take for an address.
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let (protocol, port) = match uri.scheme_str() {
            Some("http") => (Protocol::Http, 80),
            Some("https") => (Protocol::Https, 443),
            _ => return Err(Error::HttpProtocolError),
        };
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let text = authority.as_str();
        if text.contains('@') {
            return Err(Error::HttpRequestDenied);
        }
        let host = authority.host();
        let port = match text.strip_prefix(host) {
            Some("") => port,
            Some(rest) => rest
                .strip_prefix(':')
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port != 0)
                .ok_or(Error::HttpRequestUriInvalid)?,
            None => return Err(Error::HttpRequestUriInvalid),
        };
        Ok(Self {
            protocol,
            host: Host::of(host).ok_or(Error::HttpRequestDenied)?,
            port,
        })
    }

    /// Whether it may be asked, as far as can be told before its name is looked up.
    pub(super) fn is_allowed_by(&self, network: &Network) -> bool {
        match &self.host {
            Host::Address(address) => {
                network.allows(self.protocol, SocketAddr::new(*address, self.port), &[])
            }
            Host::Name(name) => network.may_ask(self.protocol, name, self.port),
        }
    }
}

impl Host {
    fn of(text: &str) -> Option<Self> {
        let bracketed = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = bracketed {
            let address = address.parse().ok().map(IpAddr::V6)?;
            return Some(Self::Address(address.to_canonical()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(IpAddr::V4(address)));
        }
        // One that ends in a dot is the same one, said in full.
        let name = text.strip_suffix('.').unwrap_or(text);
        is_name(name).then(|| Self::Name(name.to_ascii_lowercase().into()))
    }
}

/// Whether it is a DNS name, and none that resolvers take for an address
/// (`2130706433`, `0x7f.1`, `127.1`).
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    let is_number = last.starts_with(|c: char| c.is_ascii_digit());
    text.len() <= 253 && !is_number && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<Target> {
        Target::of(&uri.parse().ok()?).ok()
    }

    fn shown(uri: &str) -> Option<String> {
        of(uri).map(|target| match target.host {
            Host::Address(address) => format!("{:?} {address} {}", target.protocol, target.port),
            Host::Name(name) => format!("{:?} {name} {}", target.protocol, target.port),
        })
    }

    #[test]
    fn a_target_is_a_name_or_an_address_with_a_port() {
        let is = |uri: &str, text: &str| assert_eq!(shown(uri).as_deref(), Some(text), "{uri}");
        is("https://Api.Example/x?y", "Https api.example 443");
        is("http://api.example./", "Http api.example 80");
        is("https://api.example:8443/", "Https api.example 8443");
        is("http://10.0.0.1/", "Http 10.0.0.1 80");
        is("http://[fd00::1]:81/", "Http fd00::1 81");
        is("http://[::ffff:127.0.0.1]/", "Http 127.0.0.1 80");
        is("http://a_b.local/", "Http a_b.local 80");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_none() {
        for uri in [
            "http://user@api.example/",
            "http://user:word@api.example/",
            "http://127.0.0.1@api.example/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://127.0.0.0x1/",
            "http://1/",
            "http://api.example:0/",
            "http://api.example:65536/",
            "http://api.example:/",
            "http://api..example/",
            "http://.example/",
            "http://%6cocalhost/",
            "http://a%00.example/",
            "http://[fd00::1%25lo]/",
            "http://[127.0.0.1]/",
            "http+unix://socket/",
            "file:///etc/passwd",
        ] {
            assert!(of(uri).is_none(), "{uri}: {:?}", shown(uri));
        }
    }
}
