//! Through which proxy a registry is reached: what the usual variables say, as curl and
//! Go's programs read them.

use std::fmt;
use std::net::IpAddr;

use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// Proxies by scheme, and who is reached without one. By default there are none.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    without: Vec<Without>,
}

/// A variable that names no proxy. Its value, which may hold a password, is not told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the variable {0} is no http or https address of a proxy")]
pub struct ProxyError(&'static str);

/// An entry of `NO_PROXY`.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Without {
    All,
    /// What is below a name, and perhaps that itself; perhaps at a port only.
    Host {
        name: String,
        itself: bool,
        port: Option<u16>,
    },
    Net(IpAddr, u8),
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The addresses may hold passwords.
        f.debug_struct("Proxies")
            .field("without", &self.without)
            .finish_non_exhaustive()
    }
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, also in lower case, by
    /// `variable`.
    ///
    /// # Errors
    ///
    /// When one names no proxy.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |names: [&'static str; 2]| {
            let mut set = names
                .into_iter()
                .filter_map(|name| Some((name, variable(name)?)));
            set.find(|(_, value)| !value.trim().is_empty())
        };
        let proxy = |names| {
            let read = |(name, value): (&'static str, String)| {
                let proxy = Proxy::new(value.trim()).map_err(|_| ProxyError(name))?;
                // Others would be passed by in silence.
                match proxy.protocol() {
                    ProxyProtocol::Http | ProxyProtocol::Https => Ok(proxy),
                    _ => Err(ProxyError(name)),
                }
            };
            value(names).map(read).transpose()
        };
        let all = proxy(["all_proxy", "ALL_PROXY"])?;
        let without = value(["no_proxy", "NO_PROXY"]).map_or_else(String::new, |(_, value)| value);
        Ok(Self {
            http: proxy(["http_proxy", "HTTP_PROXY"])?.or_else(|| all.clone()),
            https: proxy(["https_proxy", "HTTPS_PROXY"])?.or(all),
            without: without.split(',').filter_map(Without::read).collect(),
        })
    }

    /// The proxy for `uri`. This machine itself is never reached through one.
    pub(crate) fn of(&self, uri: &Uri) -> Option<&Proxy> {
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        let is_here = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let mut without = self.without.iter();
        if is_here || without.any(|entry| entry.covers(host, address, uri.port_u16())) {
            return None;
        }
        match uri.scheme_str() {
            Some("http") => self.http.as_ref(),
            _ => self.https.as_ref(),
        }
    }
}

impl Without {
    fn read(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Self::All);
        }
        let (net, bits) = entry.split_once('/').unwrap_or((&entry, ""));
        if let Ok(address) = net.trim_matches(['[', ']']).parse::<IpAddr>() {
            let all = if address.is_ipv4() { 32 } else { 128 };
            let bits = if bits.is_empty() {
                all
            } else {
                bits.parse().ok()?
            };
            return (bits <= all).then_some(Self::Net(address, bits));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        let below = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
        Some(Self::Host {
            itself: below.is_none(),
            name: below.unwrap_or(name).to_owned(),
            port,
        })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, at: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Host { name, itself, port } => {
                let host = host.to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                let fits = below.is_some_and(|rest| match rest {
                    "" => *itself,
                    rest => rest.ends_with('.'),
                });
                fits && port.is_none_or(|port| at == Some(port))
            }
            Self::Net(net, bits) => match (net, address) {
                (IpAddr::V4(net), Some(IpAddr::V4(address))) => {
                    let shift = 32 - u32::from(*bits);
                    let mask = u32::MAX.checked_shl(shift).unwrap_or(0);
                    net.to_bits() & mask == address.to_bits() & mask
                }
                (IpAddr::V6(net), Some(IpAddr::V6(address))) => {
                    let shift = 128 - u32::from(*bits);
                    let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
                    net.to_bits() & mask == address.to_bits() & mask
                }
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Proxies;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let find = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxies::read(find).unwrap()
    }

    fn of(proxies: &Proxies, url: &str) -> Option<String> {
        let found = proxies.of(&url.parse().unwrap());
        found.map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn schemes_have_their_proxies() {
        let both = proxies(&[
            ("HTTP_PROXY", "http://plain:1"),
            ("https_proxy", "secure:2"),
        ]);
        assert_eq!(of(&both, "http://r.example/").as_deref(), Some("plain"));
        assert_eq!(of(&both, "https://r.example/").as_deref(), Some("secure"));
        let all = proxies(&[("ALL_PROXY", "http://u:p@all:1"), ("HTTPS_PROXY", "")]);
        assert_eq!(of(&all, "https://r.example/").as_deref(), Some("all"));
        assert_eq!(of(&all, "http://127.0.0.1:5000/"), None);
        assert_eq!(of(&all, "http://[::1]:5000/"), None);
        assert_eq!(of(&all, "http://localhost/"), None);
        assert!(!format!("{all:?}").contains("u:p"), "{all:?}");
        assert_eq!(of(&proxies(&[]), "https://r.example/"), None);
    }

    #[test]
    fn no_proxy_is_read_as_it_is_written() {
        let check = |no_proxy: &str, host: &str, direct: bool| {
            let proxies = proxies(&[("ALL_PROXY", "all:1"), ("NO_PROXY", no_proxy)]);
            let found = of(&proxies, &format!("https://{host}/"));
            assert_eq!(found.is_none(), direct, "{no_proxy} {host}");
        };
        check("r.example", "r.example", true);
        check("a.b, r.example ", "x.R.example", true);
        check("r.example", "notr.example", false);
        check(".r.example", "r.example", false);
        check("*.r.example", "x.r.example", true);
        check("r.example:5000", "r.example:5000", true);
        check("r.example:5000", "r.example", false);
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("10.0.0.1", "10.0.0.1:5000", true);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("fd00::/8", "[fd12::1]:5000", true);
        check("*", "r.example", true);
        check("10.0.0.0/99, x:y, ,", "10.0.0.1", false);
    }

    #[test]
    fn what_is_no_proxy_is_told_without_its_password() {
        for value in ["socks5://u:hunter2@p:1", "ftp://u:hunter2@p", "::hunter2"] {
            let read = Proxies::read(|name| (name == "HTTPS_PROXY").then(|| value.to_owned()));
            let error = read.unwrap_err().to_string();
            assert!(
                error.contains("HTTPS_PROXY") && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
