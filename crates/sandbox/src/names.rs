//! `wasi:sockets/ip-name-lookup`: names that guests look up themselves.
//!
//! Wasmtime's own asks the resolver on a thread that nobody counts and that outlives
//! the guest's handle; ours asks by `lookup`.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use tokio::time::timeout;
use url::Host;
use wasmtime::StoreContextMut;
use wasmtime::component::{Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, Network as Capability};
use wasmtime_wasi::p2::{Pollable, SocketResult, subscribe};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, poll_noop, spawn};
use wasmtime_wasi::{WasiCtxView, WasiView as _, async_trait};

use crate::lookup::ADDRESSES_MAX;
use crate::network::told;
use crate::{ComponentLinker, Guest};

const LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// Bytes of what a guest may ask for: names are shorter, however they are written.
const NAME_BYTES_MAX: usize = 1_024;

/// How long a guest waits for its turn and for the resolver together.
const PATIENCE: Duration = Duration::from_secs(30);

/// A lookup that a guest has begun.
struct Lookup {
    /// As what it learns the addresses; none if it asked with an address.
    name: Option<Arc<str>>,
    found: Found,
}

enum Found {
    Waiting(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
    Told(Result<vec::IntoIter<IpAddr>, ErrorCode>),
}

impl Lookup {
    fn known(name: Option<Arc<str>>, addresses: Vec<IpAddr>) -> Self {
        Self {
            name,
            found: Found::Told(Ok(addresses.into_iter())),
        }
    }

    fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        if let Found::Waiting(asked) = &mut self.found {
            let found = poll_noop(std::pin::Pin::new(asked)).ok_or(ErrorCode::WouldBlock)?;
            self.found = Found::Told(found.map(Vec::into_iter));
        }
        match &mut self.found {
            Found::Told(Ok(addresses)) => Ok(addresses.next()),
            Found::Told(Err(error)) => Err(*error),
            Found::Waiting(_) => Err(ErrorCode::WouldBlock),
        }
    }
}

#[async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let Found::Waiting(asked) = &mut self.found {
            let found = asked.await;
            self.found = Found::Told(found.map(Vec::into_iter));
        }
    }
}

/// Redefines the interface; shadowing must be allowed.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    let mut lookup = linker.instance(LOOKUP)?;
    lookup.resource(
        "resolve-address-stream",
        ResourceType::host::<Lookup>(),
        |mut store, rep| {
            let guest: &mut Guest = store.data_mut();
            let WasiCtxView { table, .. } = guest.wasi.ctx();
            table.delete(Resource::<Lookup>::new_own(rep))?;
            Ok(())
        },
    )?;
    lookup.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, Guest>,
         (capability, name): (Resource<Capability>, String)| {
            let guest = store.data_mut();
            let begun = resolve(guest, &capability, &name);
            Ok((told(guest, begun)?,))
        },
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, Guest>, (stream,): (Resource<Lookup>,)| {
            let guest = store.data_mut();
            let WasiCtxView { table, .. } = guest.wasi.ctx();
            let lookup = table.get_mut(&stream)?;
            let (next, name) = (lookup.next(), lookup.name.clone());
            if let (Ok(Some(address)), Some(name), Some(reach)) = (&next, name, &guest.reach) {
                reach.learn(name, *address);
            }
            Ok((next.map(|address| address.map(IpAddress::from)),))
        },
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, Guest>, (stream,): (Resource<Lookup>,)| {
            let WasiCtxView { table, .. } = store.data_mut().wasi.ctx();
            Ok((subscribe(table, stream)?,))
        },
    )?;
    Ok(())
}

/// Begins to look a name up, if the guest may.
fn resolve(
    guest: &mut Guest,
    capability: &Resource<Capability>,
    name: &str,
) -> SocketResult<Resource<Lookup>> {
    let WasiCtxView { table, .. } = guest.wasi.ctx();
    table.get(capability)?;
    let Some(reach) = &guest.reach else {
        return Err(ErrorCode::AccessDenied.into());
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(ErrorCode::InvalidArgument.into());
    }
    // What is checked is what the resolver is asked for. An address is no secret, and
    // connecting to it is checked.
    let lookup = match Host::parse(name) {
        Ok(Host::Ipv4(address)) => Lookup::known(None, vec![address.into()]),
        Ok(Host::Ipv6(address)) => Lookup::known(None, vec![address.into()]),
        Err(_) => match name.parse::<Ipv6Addr>() {
            Ok(address) => Lookup::known(None, vec![address.into()]),
            Err(_) => return Err(ErrorCode::InvalidArgument.into()),
        },
        Ok(Host::Domain(asked)) => {
            // One that ends in a dot is the same one, said in full.
            let plain = asked.strip_suffix('.').unwrap_or(&asked);
            if !reach.network.may_look_up(plain) {
                return Err(ErrorCode::AccessDenied.into());
            }
            let plain = Arc::from(plain);
            match reach.network.aliases.get(&*plain) {
                Some(addresses) => {
                    let addresses = addresses.iter().copied().take(ADDRESSES_MAX);
                    Lookup::known(Some(plain), addresses.collect())
                }
                None => {
                    let lookups = reach.lookups.clone();
                    let asked = spawn(async move {
                        match timeout(PATIENCE, lookups.addresses(asked)).await {
                            Ok(found) => found.map_err(|_| ErrorCode::NameUnresolvable),
                            Err(_) => Err(ErrorCode::TemporaryResolverFailure),
                        }
                    });
                    Lookup {
                        name: Some(plain),
                        found: Found::Waiting(asked),
                    }
                }
            }
        }
    };
    Ok(guest.wasi.ctx().table.push(lookup)?)
}
