//! From a target to a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::Error;
use wasmtime_wasi_http::io::TokioIo;

use super::client::Client;
use super::failure;
use super::pool::Connection;
use super::target::{Host, Target};
use crate::files::descriptors_left;
use crate::{Network, Protocol};

/// Less, hyper does not read with.
const HEADER_BYTES_MIN: usize = 8 << 10;

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 16;

impl Target {
    /// Whether a connection to it may go to `peer`.
    pub(super) fn leads_to(&self, peer: SocketAddr, network: &Network) -> bool {
        let name: Option<Arc<str>> = match &self.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(Arc::from(&**name)),
        };
        network.allows(self.protocol, peer, name.as_slice())
    }

    fn server_name(&self) -> Result<ServerName<'static>, Error> {
        match &self.host {
            Host::Address(address) => Ok(ServerName::from(*address)),
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|_| Error::HttpRequestUriInvalid)
            }
        }
    }
}

impl Client {
    /// Connects to `target`, within `patience`.
    pub(super) async fn connect(
        &self,
        target: &Target,
        patience: Duration,
    ) -> Result<Connection, Error> {
        let until = Instant::now() + patience;
        let left = || until.saturating_duration_since(Instant::now());
        let slot = timeout(left(), self.pool.slot())
            .await
            .map_err(|_| Error::ConnectionLimitReached)??;
        let found = timeout(left(), self.look_up(target))
            .await
            .map_err(|_| Error::DnsTimeout)??;
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .map(|address| SocketAddr::new(address, target.port))
            .filter(|address| target.leads_to(*address, &self.network))
            .take(ADDRESSES_MAX)
            .collect();
        let mut failed = Error::DestinationIpProhibited;
        for (n, peer) in allowed.iter().enumerate() {
            // One that does not answer leaves the others their time.
            let others = u32::try_from(allowed.len() - n).unwrap_or(1);
            // A policy may have come while another was tried.
            if !target.leads_to(*peer, &self.network) {
                failed = Error::DestinationIpProhibited;
                continue;
            }
            match timeout(left() / others, reach(*peer)).await {
                Ok(Ok(stream)) => {
                    let made = self.secure(target, *peer, stream, slot);
                    let made = timeout(left(), made).await;
                    return made.map_err(|_| Error::ConnectionTimeout)?;
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = Error::ConnectionTimeout,
            }
        }
        Err(failed)
    }

    /// The addresses of a target.
    async fn look_up(&self, target: &Target) -> Result<Vec<IpAddr>, Error> {
        let name = match &target.host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        if let Some(addresses) = self.network.aliases.get(&**name) {
            return Ok(addresses.clone());
        }
        let found = self.lookups.addresses(name.to_string()).await;
        found.map_err(|_| Error::DnsError {
            rcode: Some("address not available".to_owned()),
            info_code: None,
        })
    }

    async fn secure(
        &self,
        target: &Target,
        peer: SocketAddr,
        stream: TcpStream,
        slot: OwnedSemaphorePermit,
    ) -> Result<Connection, Error> {
        if target.protocol != Protocol::Https {
            return self.speak(target, peer, stream, slot).await;
        }
        let config = self
            .tls
            .get_or_try_init(|| self.common.trust.config())
            .await?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector
            .connect(target.server_name()?, stream)
            .await
            .map_err(|error| failure::handshake(&error))?;
        self.speak(target, peer, stream, slot).await
    }

    async fn speak(
        &self,
        target: &Target,
        peer: SocketAddr,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        slot: OwnedSemaphorePermit,
    ) -> Result<Connection, Error> {
        let mut builder = http1::Builder::new();
        // Also the bound of what an answer's head may be.
        builder.max_buf_size(self.header_bytes.max(HEADER_BYTES_MIN));
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failure::exchange(&error))?;
        let driver = spawn(async move {
            // Who waits for a response is told by its sender.
            let _ = connection.await;
        });
        Ok(Connection {
            target: target.clone(),
            peer,
            sender,
            _driver: driver,
            _slot: slot,
        })
    }
}

/// Connects to one address.
async fn reach(peer: SocketAddr) -> Result<TcpStream, Error> {
    if !descriptors_left() {
        return Err(Error::ConnectionLimitReached);
    }
    let connected = TcpStream::connect(peer).await;
    let stream = connected.map_err(|error| failure::connecting(&error))?;
    // A request is written at once; a delay would gather nothing.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}
