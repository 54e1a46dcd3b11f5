//! The connections of one guest.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::Outgoing;
use super::target::Target;
use crate::Network;

/// Connections that wait for a guest's next request.
const IDLE_MAX: usize = 8;
/// How long one may have waited: most servers keep it for a minute at least.
const IDLE: Duration = Duration::from_secs(55);
/// How long one may take to be done with the request before, whose response has ended.
const SETTLES: Duration = Duration::from_millis(250);

/// One connection. It ends when this is dropped.
pub(super) struct Connection {
    pub(super) target: Target,
    pub(super) peer: SocketAddr,
    pub(super) sender: SendRequest<Outgoing<WasiBody>>,
    pub(super) _driver: AbortOnDropJoinHandle<()>,
    pub(super) _slot: OwnedSemaphorePermit,
}

pub(super) struct Pool {
    slots: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The last one used last.
    connections: Vec<(Instant, Connection)>,
    closed: bool,
}

impl Pool {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(connections_max)),
            idle: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing that can panic runs between two changes.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to `target` that was used before, if what it leads to is still
    /// allowed.
    pub(super) async fn take(&self, target: &Target, network: &Network) -> Option<Connection> {
        loop {
            let mut connection = self.take_idle(target)?;
            let usable = target.leads_to(connection.peer, network)
                && matches!(
                    timeout(SETTLES, connection.sender.ready()).await,
                    Ok(Ok(()))
                );
            if usable {
                return Some(connection);
            }
        }
    }

    fn take_idle(&self, target: &Target) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.lock();
        idle.connections.retain(|(since, connection)| {
            now.saturating_duration_since(*since) < IDLE && !connection.sender.is_closed()
        });
        let place = idle
            .connections
            .iter()
            .rposition(|(_, connection)| connection.target == *target)?;
        Some(idle.connections.remove(place).1)
    }

    /// A place for a new connection. One that waits for nothing makes room, if need be.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        if self.slots.available_permits() == 0 {
            let mut idle = self.lock();
            if !idle.connections.is_empty() {
                idle.connections.remove(0);
            }
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.map_err(|_| Error::ConnectionLimitReached)
    }

    /// Keeps a connection for the guest's next request.
    pub(super) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.closed || connection.sender.is_closed() {
            return;
        }
        if idle.connections.len() >= IDLE_MAX {
            idle.connections.remove(0);
        }
        idle.connections.push((Instant::now(), connection));
    }

    /// Ends those that wait, and all that will come.
    pub(super) fn close(&self) {
        self.slots.close();
        let mut idle = self.lock();
        idle.closed = true;
        idle.connections.clear();
    }
}
