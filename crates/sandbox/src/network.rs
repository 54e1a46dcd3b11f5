//! Where a guest may connect to.
//!
//! A guest reaches nothing unless its task names destinations. Each connection is
//! checked by the address that it goes to, whatever the guest calls it: a name
//! opens those addresses that the host's own lookup of that very name gave this
//! guest, so a name that resolves to something else afterwards opens nothing.
//! Addresses of this machine and of its link count only where they are named as
//! such: those that are nobody else's (`127.0.0.1`, `localhost`) not where a name or a
//! wide network happens to lead there, those that its interfaces have on networks not in
//! a wide network. What listens there believes whoever can connect.
//!
//! A name is looked up only if the task names it and the host's bounds do, or name a
//! network into which it could lead: who answers for a name learns it.
//!
//! A task may say itself where a name leads (`aliases`). That is its word, not the
//! resolver's: the host's bounds must then list the address, not the name.
//!
//! No guest listens. Only components (`wasi:sockets`, and `wasi:http`, for which see
//! `http`) have a network; WASI 0.1 has no way to connect.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::StoreContextMut;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::SocketResult;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, Host as _, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsView};

use crate::files::descriptors_left;
use crate::lookup::Lookups;
use crate::{ComponentLinker, Egress, Guest};

const TCP: &str = "wasi:sockets/tcp-create-socket@0.2.12";
const UDP: &str = "wasi:sockets/udp-create-socket@0.2.12";

/// Addresses that are remembered for one guest: those of the lookups before are
/// forgotten when there are more.
const KNOWN_MAX: usize = 1_024;

/// What a guest may reach.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// What was asked for.
    pub wanted: Vec<Destination>,
    /// What the host allows at most. A connection must be in both.
    pub bounds: Vec<Destination>,
    /// Names that the host's resolver is not asked for, lower-case, with their addresses.
    /// They are the task's own words: in `bounds` they stand for nothing.
    pub aliases: HashMap<String, Vec<IpAddr>>,
    /// The port at which the host itself listens, 0 if at none: at addresses of this
    /// machine it must be named by address and port.
    pub own_port: Arc<AtomicU16>,
    /// What narrows it, as long as it does.
    pub egress: Arc<Egress>,
}

/// One destination, or several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The protocol.
    pub protocol: Protocol,
    /// The machines.
    pub place: Place,
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
    /// Requests that the host makes for the guest, over TCP.
    Http,
    /// The same, over TLS.
    Https,
}

/// Some machines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// All.
    Any,
    /// What a name resolves to; lower-case.
    Name(String),
    /// What names below a domain resolve to; lower-case, with the dot before it.
    Below(String),
    /// The addresses that begin with so many bits of this one.
    Network(IpAddr, u8),
}

impl Place {
    /// Whether it is that name, or could be where the name leads.
    fn takes_name(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(wanted) => wanted == name,
            Self::Below(domain) => name.ends_with(domain.as_str()),
            Self::Network(..) => false,
        }
    }

    /// Whether that name could lead to where it is.
    fn may_hold(&self, name: &str) -> bool {
        matches!(self, Self::Network(..)) || self.takes_name(name)
    }

    /// Whether an address is in it, which the guest learnt as `names`; `is_ours` tells
    /// whether this machine has it.
    fn takes(&self, address: IpAddr, names: &[Arc<str>], is_ours: impl FnOnce() -> bool) -> bool {
        let listed = match self {
            Self::Network(network, bits) => is_within(address, *network, *bits),
            Self::Any => true,
            named => names.iter().any(|name| named.takes_name(name)),
        };
        let names_ours = match self {
            _ if is_here(address) => self.means_here(),
            Self::Network(..) | Self::Any | Self::Below(_) => self.is_one() || !is_ours(),
            // Who lists a name means where it leads.
            Self::Name(_) => true,
        };
        listed && names_ours
    }

    /// Whether it names this machine or its link as such.
    fn means_here(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Network(network, bits) => {
                let least = match network {
                    IpAddr::V4(v4) if v4.is_loopback() => 8,
                    IpAddr::V4(_) => 16,
                    IpAddr::V6(v6) if v6.is_loopback() => 128,
                    IpAddr::V6(_) => 10,
                };
                is_here(*network) && *bits >= least
            }
            Self::Any | Self::Below(_) => false,
        }
    }

    /// Whether it is one address.
    fn is_one(&self) -> bool {
        let all = |network: &IpAddr| if network.is_ipv4() { 32 } else { 128 };
        matches!(self, Self::Network(network, bits) if *bits == all(network))
    }
}

impl Network {
    /// Whether a guest that learnt `address` as `names` may speak to it.
    #[must_use]
    pub fn allows(&self, protocol: Protocol, address: SocketAddr, names: &[Arc<str>]) -> bool {
        let ip = address.ip().to_canonical();
        if ip.is_unspecified() || ip.is_multicast() {
            return false;
        }
        let is_ours = LazyCell::new(|| is_local(ip));
        let own_port = self.own_port.load(Ordering::Relaxed);
        let is_own = own_port != 0 && own_port == address.port() && *is_ours;
        let takes = |destination: &Destination, names: &[Arc<str>]| {
            destination.protocol == protocol
                && destination.port.is_none_or(|port| port == address.port())
                && destination.place.takes(ip, names, || *is_ours)
                && (!is_own || destination.port.is_some() && destination.place.is_one())
        };
        // Who allows a name means where the resolver says that it leads.
        let resolved = names.iter().filter(|name| !self.is_alias(name));
        let resolved: Vec<Arc<str>> = resolved.cloned().collect();
        // Of what is the host's own, the one who asks must name it, and be allowed to.
        self.wanted.iter().any(|wanted| takes(wanted, names))
            && self.bounds.iter().any(|bound| takes(bound, &resolved))
            && self.egress.allows(protocol, address)
    }

    fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
    }

    /// Whether some address of the host `name` might be asked so.
    pub(crate) fn may_ask(&self, protocol: Protocol, name: &str, port: u16) -> bool {
        let on = |destination: &&Destination| {
            destination.protocol == protocol && destination.port.is_none_or(|named| named == port)
        };
        let mut wanted = self.wanted.iter().filter(on);
        let mut bounds = self.bounds.iter().filter(on);
        wanted.any(|it| it.place.takes_name(name)) && bounds.any(|it| it.place.may_hold(name))
    }

    /// Whether a guest may look a name up: who answers for it learns the name, so the host
    /// must allow that, too. Where it leads is checked when the guest connects.
    pub(crate) fn may_look_up(&self, name: &str) -> bool {
        let wanted = |to: &Destination| to.place.takes_name(name);
        let bound = |to: &Destination, bound: &Destination| {
            let ports = to.port.is_none() || bound.port.is_none() || to.port == bound.port;
            to.protocol == bound.protocol && ports && bound.place.may_hold(name)
        };
        self.wanted
            .iter()
            .any(|to| wanted(to) && self.bounds.iter().any(|it| bound(to, it)))
    }
}

/// A guest's network, shared by its store and the check of its sockets.
#[derive(Clone)]
pub(crate) struct Reach {
    pub(crate) network: Arc<Network>,
    pub(crate) lookups: Lookups,
    /// The names by which the guest knows an address.
    known: Arc<Mutex<HashMap<IpAddr, Vec<Arc<str>>>>>,
}

impl Reach {
    /// Opens what `network` names to the guest that `wasi` is made for.
    pub(crate) fn open(network: Arc<Network>, lookups: Lookups, wasi: &mut WasiCtxBuilder) -> Self {
        let reach = Self {
            network,
            lookups,
            known: Arc::default(),
        };
        let check = reach.clone();
        wasi.allow_tcp(true)
            .allow_udp(true)
            .socket_addr_check(move |address, purpose| {
                let may = check.may(address, purpose);
                Box::pin(std::future::ready(may))
            });
        reach
    }

    /// A lookup of `name` has given the guest an address.
    pub(crate) fn learn(&self, name: Arc<str>, address: IpAddr) {
        // Nothing that can panic runs between two changes.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let names = known.entry(address.to_canonical()).or_default();
        if !names.contains(&name) && names.len() < KNOWN_MAX {
            names.push(name);
        }
    }

    fn may(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        let protocol = match purpose {
            SocketAddrUse::TcpConnect => Protocol::Tcp,
            SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => Protocol::Udp,
            // Where it speaks from, the system chooses.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                return address.ip().is_unspecified() && address.port() == 0;
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => return false,
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let ip = address.ip().to_canonical();
        let names = known.get(&ip).map_or(&[][..], Vec::as_slice);
        self.network.allows(protocol, address, names)
    }
}

/// Redefines what differs for components; shadowing must be allowed.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap(
        "create-tcp-socket",
        |mut store: StoreContextMut<'_, Guest>, (family,): (IpAddressFamily,)| {
            if !descriptors_left() {
                return Ok((Err(ErrorCode::NewSocketLimit),));
            }
            let guest = store.data_mut();
            let made = guest.sockets().create_tcp_socket(family);
            Ok((told(guest, made)?,))
        },
    )?;
    let mut udp = linker.instance(UDP)?;
    udp.func_wrap_async(
        "create-udp-socket",
        |mut store: StoreContextMut<'_, Guest>, (family,): (IpAddressFamily,)| {
            Box::new(async move {
                if !descriptors_left() {
                    return Ok((Err(ErrorCode::NewSocketLimit),));
                }
                let guest = store.data_mut();
                let made = guest.sockets().create_udp_socket(family).await;
                Ok((told(guest, made)?,))
            })
        },
    )?;
    Ok(())
}

/// An error that is the guest's, or one that ends it.
pub(crate) fn told<T>(
    guest: &mut Guest,
    result: SocketResult<T>,
) -> wasmtime::Result<Result<T, ErrorCode>> {
    Ok(match result {
        Ok(value) => Ok(value),
        Err(error) => Err(guest.sockets().convert_error_code(error)?),
    })
}

/// An address of this machine by its kind, or of its link.
fn is_here(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// Whether one of this machine's interfaces has the address, as far as can be told.
fn is_local(address: IpAddr) -> bool {
    // Only then it can be spoken from, unless the system lets one speak from anywhere.
    match UdpSocket::bind((address, 0)) {
        Ok(_) => !binds_anywhere(address) || speaks_to_itself(address) || is_listed(address),
        Err(error) => error.kind() != ErrorKind::AddrNotAvailable,
    }
}

/// Whether any address may be spoken from (`net.ipv4.ip_nonlocal_bind`).
fn binds_anywhere(family: IpAddr) -> bool {
    // Addresses that no machine has: 240.0.0.1, and one of a block that is discarded.
    let nobodys = match family {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
    };
    UdpSocket::bind((nobodys, 0)).is_ok()
}

/// Whether an interface lists the address; also if they cannot be told.
fn is_listed(address: IpAddr) -> bool {
    let Ok(mut listed) = nix::ifaddrs::getifaddrs() else {
        return true;
    };
    listed.any(|interface| {
        let Some(own) = interface.address else {
            return false;
        };
        let v4 = own.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
        let v6 = own.as_sockaddr_in6().map(|own| IpAddr::V6(own.ip()));
        v4.or(v6) == Some(address)
    })
}

/// Whether the system answers the address from the address itself.
fn speaks_to_itself(address: IpAddr) -> bool {
    let anywhere: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Nothing is sent.
    let asked = UdpSocket::bind((anywhere, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    asked.is_ok_and(|from| from.ip() == address)
}

pub(crate) fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let same = |a: &[u8], b: &[u8]| {
        let (bytes, rest) = (usize::from(bits / 8), bits % 8);
        let begins = bytes <= a.len() && a.get(..bytes) == b.get(..bytes);
        let mask = !(0xff_u8.checked_shr(u32::from(rest)).unwrap_or(0));
        let tail = rest == 0
            || matches!((a.get(bytes), b.get(bytes)), (Some(a), Some(b)) if a & mask == b & mask);
        begins && tail
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(place: Place, port: Option<u16>) -> Destination {
        Destination {
            protocol: Protocol::Tcp,
            place,
            port,
        }
    }

    fn net(text: &str) -> Place {
        let (address, bits) = text.split_once('/').unwrap();
        Place::Network(address.parse().unwrap(), bits.parse().unwrap())
    }

    fn allows(wanted: Place, address: &str, names: &[&str]) -> bool {
        let network = Network {
            wanted: vec![to(wanted, Some(5432))],
            bounds: vec![
                to(Place::Any, None),
                to(net("127.0.0.0/8"), None),
                to(net("::1/128"), None),
                to(net("169.254.0.0/16"), None),
                to(Place::Name("localhost".into()), None),
            ],
            ..Network::default()
        };
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        network.allows(Protocol::Tcp, address.parse().unwrap(), &names)
    }

    #[test]
    fn a_name_opens_what_it_was_looked_up_as() {
        let db = || Place::Name("db.local".into());
        assert!(allows(db(), "10.0.0.5:5432", &["db.local"]));
        assert!(!allows(db(), "10.0.0.5:5432", &[]), "never looked up");
        assert!(!allows(db(), "10.0.0.5:5432", &["other"]));
        assert!(!allows(db(), "10.0.0.5:5433", &["db.local"]));
        let below = || Place::Below(".local".into());
        assert!(allows(below(), "10.0.0.5:5432", &["db.local"]));
        assert!(!allows(below(), "10.0.0.5:5432", &["dblocal"]));
    }

    #[test]
    fn this_machine_and_its_link_must_be_named() {
        for address in [
            "127.0.0.1:5432",
            "[::1]:5432",
            "169.254.169.254:5432",
            "[::ffff:127.0.0.1]:5432",
        ] {
            assert!(!allows(Place::Any, address, &[]), "{address}");
            assert!(
                !allows(Place::Name("db".into()), address, &["db"]),
                "{address}"
            );
            assert!(!allows(net("0.0.0.0/0"), address, &[]), "{address}");
            assert!(!allows(net("::/0"), address, &[]), "{address}");
        }
        assert!(!allows(net("96.0.0.0/3"), "127.0.0.1:5432", &[]));
        assert!(allows(net("127.0.0.1/32"), "127.0.0.1:5432", &[]));
        assert!(allows(net("127.0.0.1/32"), "[::ffff:127.0.0.1]:5432", &[]));
        assert!(allows(
            net("169.254.169.254/32"),
            "169.254.169.254:5432",
            &[]
        ));
        assert!(allows(
            Place::Name("localhost".into()),
            "127.0.0.1:5432",
            &["localhost"]
        ));
        for address in ["0.0.0.0:5432", "[::]:5432", "224.0.0.1:5432"] {
            assert!(!allows(Place::Any, address, &[]), "{address}");
            assert!(!allows(net("0.0.0.0/32"), address, &[]), "{address}");
        }
    }

    #[test]
    fn what_this_machine_has_on_a_network_is_not_in_a_wide_one() {
        let ours: IpAddr = [10, 0, 0, 5].into();
        let names = [Arc::from("db.local")];
        let takes = |place: Place, is_ours| place.takes(ours, &names, || is_ours);
        let domain = Place::Below(".local".into());
        for wide in [Place::Any, net("10.0.0.0/8"), net("10.0.0.4/31"), domain] {
            assert!(!takes(wide.clone(), true), "{wide:?}");
            assert!(takes(wide.clone(), false), "{wide:?}");
        }
        for named in [net("10.0.0.5/32"), Place::Name("db.local".into())] {
            assert!(takes(named.clone(), true), "{named:?}");
        }
    }

    #[test]
    fn this_machine_knows_its_addresses() {
        for address in ["127.0.0.1", "127.9.9.9", "0.0.0.0"] {
            assert!(is_local(address.parse().unwrap()), "{address}");
        }
        for address in ["240.0.0.1", "9.9.9.9"] {
            assert!(!is_local(address.parse().unwrap()), "{address}");
        }
        assert!(speaks_to_itself([127, 0, 0, 1].into()));
        assert!(!speaks_to_itself([240, 0, 0, 1].into()));
        assert!(is_listed([127, 0, 0, 1].into()) && !is_listed([240, 0, 0, 1].into()));
        // The one that it would speak from, if it has a network.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        if socket.connect(("9.9.9.9", 9)).is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_local(own) && speaks_to_itself(own), "{own}");
            assert!(is_listed(own), "{own}");
            let at = SocketAddr::new(own, 5432).to_string();
            assert!(!allows(Place::Any, &at, &[]), "{own}");
        }
    }

    #[test]
    fn both_the_pod_and_the_host_must_allow_it() {
        let network = |bounds: Vec<Destination>| Network {
            wanted: vec![to(Place::Name("db".into()), Some(1))],
            bounds,
            ..Network::default()
        };
        let at = "10.1.2.3:1".parse().unwrap();
        let names = [Arc::from("db")];
        let allows = |bounds| network(bounds).allows(Protocol::Tcp, at, &names);
        assert!(allows(vec![to(net("10.0.0.0/8"), None)]));
        assert!(!allows(vec![to(net("10.2.0.0/15"), None)]));
        assert!(allows(vec![to(net("10.0.0.0/15"), Some(1))]));
        assert!(!allows(vec![to(net("10.0.0.0/8"), Some(2))]));
        assert!(!allows(vec![]));
        let udp = Destination {
            protocol: Protocol::Udp,
            ..to(Place::Any, None)
        };
        assert!(!allows(vec![udp]));
    }

    #[test]
    fn a_name_that_the_host_does_not_allow_is_not_looked_up() {
        let network = |wanted: Destination, bound: Destination| Network {
            wanted: vec![wanted],
            bounds: vec![bound],
            ..Network::default()
        };
        let name = |text: &str| Place::Name(text.into());
        let may = |bound: Destination| {
            let network = network(to(Place::Any, Some(80)), bound);
            let up = network.may_look_up("secret.example.com");
            let asked = network.may_ask(Protocol::Tcp, "secret.example.com", 80);
            assert_eq!(up, asked);
            up
        };
        assert!(!may(to(name("db.local"), Some(80))));
        assert!(!may(to(Place::Below(".local".into()), None)));
        assert!(may(to(name("secret.example.com"), None)));
        assert!(may(to(Place::Below(".example.com".into()), Some(80))));
        assert!(!may(to(name("secret.example.com"), Some(81))), "no port");
        // The name may lead there.
        assert!(may(to(net("10.0.0.0/8"), Some(80))) && may(to(Place::Any, None)));
        let other = Destination {
            protocol: Protocol::Https,
            ..to(Place::Any, None)
        };
        assert!(!may(other), "another protocol");
        let narrow = network(to(name("db.local"), None), to(Place::Any, None));
        assert!(narrow.may_look_up("db.local") && !narrow.may_look_up("secret.example.com"));
    }

    #[test]
    fn an_alias_is_no_name_that_the_host_allowed() {
        let allows = |bound: Place, aliases: &[&str]| {
            let addresses = vec![[10, 0, 0, 5].into()];
            let aliases = aliases
                .iter()
                .map(|name| ((*name).into(), addresses.clone()));
            let network = Network {
                wanted: vec![to(Place::Name("x.example.com".into()), Some(80))],
                bounds: vec![to(bound, None)],
                aliases: aliases.collect(),
                ..Network::default()
            };
            let at = "10.0.0.5:80".parse().unwrap();
            network.allows(Protocol::Tcp, at, &[Arc::from("x.example.com")])
        };
        let below = || Place::Below(".example.com".into());
        assert!(allows(below(), &[]) && allows(below(), &["y.example.com"]));
        for bound in [below(), Place::Name("x.example.com".into())] {
            assert!(!allows(bound.clone(), &["x.example.com"]), "{bound:?}");
        }
        for bound in [net("10.0.0.0/8"), net("10.0.0.5/32"), Place::Any] {
            assert!(allows(bound.clone(), &["x.example.com"]), "{bound:?}");
        }
        // Nor does one make an address of this machine's link the machine's own name.
        let network = Network {
            wanted: vec![to(Place::Name("localhost".into()), None)],
            bounds: vec![to(Place::Name("localhost".into()), None)],
            aliases: [("localhost".to_owned(), Vec::new())].into(),
            ..Network::default()
        };
        let at = "169.254.169.254:80".parse().unwrap();
        assert!(!network.allows(Protocol::Tcp, at, &[Arc::from("localhost")]));
    }

    #[test]
    fn what_the_host_listens_at_must_be_named_by_address_and_port() {
        let allows = |wanted: Destination| {
            let network = Network {
                wanted: vec![wanted],
                bounds: vec![
                    to(net("127.0.0.1/32"), Some(6443)),
                    to(net("127.0.0.0/8"), None),
                ],
                own_port: Arc::new(6443.into()),
                ..Network::default()
            };
            let allows = |port| network.allows(Protocol::Tcp, ([127, 0, 0, 1], port).into(), &[]);
            (allows(6443), allows(80))
        };
        assert_eq!(allows(to(net("127.0.0.0/8"), None)), (false, true));
        assert_eq!(allows(to(net("127.0.0.1/32"), None)), (false, true));
        assert_eq!(allows(to(net("127.0.0.1/32"), Some(6443))), (true, false));
    }

    #[test]
    fn networks_are_compared_bit_by_bit() {
        let within = |address: &str, network: &str| {
            let Place::Network(at, bits) = net(network) else {
                return false;
            };
            is_within(address.parse().unwrap(), at, bits)
        };
        assert!(within("10.0.0.255", "10.0.0.0/24") && !within("10.0.1.0", "10.0.0.0/24"));
        assert!(within("10.0.0.127", "10.0.0.0/25") && !within("10.0.0.128", "10.0.0.0/25"));
        assert!(within("1.2.3.4", "0.0.0.0/0") && !within("1.2.3.4", "::/0"));
        assert!(within("1.2.3.4", "1.2.3.4/32") && !within("1.2.3.5", "1.2.3.4/32"));
        assert!(within("fd00::1", "fd00::/8") && !within("fe00::1", "fd00::/8"));
        assert!(!within("1.2.3.4", "1.2.3.4/200"));
    }
}
