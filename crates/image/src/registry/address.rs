//! Which addresses a registry may lead to.
//!
//! A registry's answers name other hosts: where a blob is, where tokens are had. Whoever
//! writes an image line chooses the registry, so its answers must not reach what only this
//! host reaches. A registry stands somewhere (on the internet, in a private network, on this
//! machine), and may lead no further in than that. Addresses of the link itself, where clouds
//! answer with their credentials, are nobody's.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How far in an address is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Reach {
    Public,
    Private,
    Loopback,
    Nobody,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Self {
        let address = match address {
            IpAddr::V6(v6) => embedded(v6).unwrap_or(address),
            IpAddr::V4(_) => address,
        };
        match address {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                if v4.is_loopback() {
                    Self::Loopback
                } else if v4.is_link_local() || v4.is_multicast() || a == 0 || a >= 240 {
                    Self::Nobody
                } else if v4.is_private()
                    || (a == 100 && b & 0xc0 == 64)
                    || (a == 198 && b & 0xfe == 18)
                {
                    Self::Private
                } else {
                    Self::Public
                }
            }
            IpAddr::V6(v6) if v6.is_loopback() => Self::Loopback,
            IpAddr::V6(v6)
                if v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified() =>
            {
                Self::Nobody
            }
            IpAddr::V6(v6) if v6.is_unique_local() => Self::Private,
            IpAddr::V6(_) => Self::Public,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "an address of this machine",
            Self::Nobody => "an address that no registry has",
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, or by NAT64.
fn embedded(v6: Ipv6Addr) -> Option<IpAddr> {
    let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let mapped = v6.to_ipv4_mapped();
    let last = || {
        let [.., a, b, c, d] = v6.octets();
        std::net::Ipv4Addr::new(a, b, c, d)
    };
    mapped.or_else(|| nat64.then(last)).map(IpAddr::V4)
}

/// Where registries were found to stand; by host and port. Registries are few, and
/// beyond this many the memory begins anew.
#[derive(Default)]
pub(crate) struct Standing(Mutex<HashMap<String, Reach>>);

const STANDING_MAX: usize = 1_000;

impl Standing {
    /// Where the registry stands; on the internet, if a proxy knows it and we do not.
    pub(crate) fn of(&self, authority: &str) -> Reach {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(authority).copied().unwrap_or(Reach::Public)
    }

    fn learn(&self, authority: &str, reach: Reach) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STANDING_MAX {
            known.clear();
        }
        known.insert(authority.to_owned(), reach);
    }
}

/// Looks names up, and lets only addresses through that may be reached.
pub(crate) struct Guard {
    names: DefaultResolver,
    /// No address is further in than this.
    max: Reach,
    /// Where registries are remembered; not for hosts that they lead to.
    standing: Option<Arc<Standing>>,
}

impl Guard {
    /// For hosts that an image's name or the operator has named.
    pub(crate) fn of_registries(standing: Arc<Standing>) -> Self {
        Self {
            names: DefaultResolver::default(),
            max: Reach::Loopback,
            standing: Some(standing),
        }
    }

    /// For hosts that a registry has named which stands at `max`.
    pub(crate) fn of_hops(max: Reach) -> Self {
        Self {
            names: DefaultResolver::default(),
            max,
            standing: None,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("max", &self.max).finish()
    }
}

/// An address stands beyond what may be reached.
#[derive(Debug, thiserror::Error)]
#[error("{host} has {}, {}, where {allowed}", address, .reach.as_str())]
pub(crate) struct OutOfReach {
    host: String,
    address: IpAddr,
    reach: Reach,
    allowed: &'static str,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // The operator's own proxy may stand anywhere.
        let is_proxy = config
            .proxy()
            .is_some_and(|proxy| proxy.uri().authority() == uri.authority());
        if is_proxy {
            return Ok(found);
        }
        let mut furthest = Reach::Public;
        for address in &found {
            let reach = Reach::of(address.ip());
            furthest = furthest.max(reach);
            if reach > self.max {
                return Err(ureq::Error::Other(Box::new(OutOfReach {
                    host: uri.host().unwrap_or_default().to_owned(),
                    address: address.ip(),
                    reach,
                    allowed: match self.standing {
                        Some(_) => "no image may lead",
                        None => "its registry may not lead",
                    },
                })));
            }
        }
        if let Some(standing) = &self.standing {
            standing.learn(authority, furthest);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::Reach;

    #[test]
    fn addresses_are_told_apart() {
        let check = |text: &str, expected| assert_eq!(Reach::of(text.parse().unwrap()), expected);
        check("1.1.1.1", Reach::Public);
        check("2606:4700::1", Reach::Public);
        check("10.1.2.3", Reach::Private);
        check("172.16.0.1", Reach::Private);
        check("100.64.0.1", Reach::Private);
        check("fd00::1", Reach::Private);
        check("127.8.8.8", Reach::Loopback);
        check("::1", Reach::Loopback);
        check("::ffff:127.0.0.1", Reach::Loopback);
        check("::ffff:169.254.169.254", Reach::Nobody);
        check("64:ff9b::a9fe:a9fe", Reach::Nobody);
        check("169.254.169.254", Reach::Nobody);
        check("fe80::1", Reach::Nobody);
        check("0.0.0.0", Reach::Nobody);
        check("255.255.255.255", Reach::Nobody);
        check("224.0.0.1", Reach::Nobody);
    }
}
