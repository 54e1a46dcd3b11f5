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
    /// Requests that wait for a slot.
    waiting: usize,
    closed: bool,
}

/// A request that waits for a slot.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    /// Makes room, if a connection waits for nothing; else the next one that would
    /// does.
    fn begin(pool: &'a Pool) -> Self {
        let mut idle = pool.lock();
        idle.waiting += 1;
        if pool.slots.available_permits() == 0 && !idle.connections.is_empty() {
            idle.connections.remove(0);
        }
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
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
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = Waiting::begin(self);
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.map_err(|_| Error::ConnectionLimitReached)
    }

    /// Keeps a connection for the guest's next request, unless another waits for its
    /// slot.
    pub(super) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.closed || idle.waiting > 0 || connection.sender.is_closed() {
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use hyper::client::conn::http1;
    use wasmtime_wasi::runtime::spawn;
    use wasmtime_wasi_http::io::TokioIo;

    use super::*;

    fn in_runtime<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(test)
    }

    /// A connection, and the server's end of it.
    async fn connect(slot: OwnedSemaphorePermit) -> (Connection, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64);
        let (sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        let driver = spawn(async move {
            let _ = connection.await;
        });
        let connection = Connection {
            target: Target::of(&"http://api.example/".parse().unwrap()).unwrap(),
            peer: ([10, 0, 0, 5], 80).into(),
            sender,
            _driver: driver,
            _slot: slot,
        };
        (connection, theirs)
    }

    #[test]
    fn a_connection_that_was_used_leaves_its_slot_to_who_waits() {
        in_runtime(async {
            let pool = Pool::new(1);
            let (connection, _server) = connect(pool.slot().await.unwrap()).await;
            let mut next = Box::pin(pool.slot());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(next.as_mut().poll(&mut cx).is_pending());
            pool.put(connection);
            let Poll::Ready(Ok(slot)) = next.as_mut().poll(&mut cx) else {
                panic!("the slot is free");
            };
            drop(next);
            // Nobody waits any more: the next one is kept.
            let (connection, _server) = connect(slot).await;
            pool.put(connection);
            assert_eq!(pool.slots.available_permits(), 0);
            assert_eq!(pool.lock().connections.len(), 1);
        });
    }

    #[test]
    fn who_has_stopped_to_wait_is_not_waited_for() {
        in_runtime(async {
            let pool = Pool::new(1);
            let (connection, _server) = connect(pool.slot().await.unwrap()).await;
            let mut next = Box::pin(pool.slot());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(next.as_mut().poll(&mut cx).is_pending());
            drop(next);
            pool.put(connection);
            assert_eq!(pool.lock().connections.len(), 1);
            // And one that waits for nothing makes room.
            assert!(pool.slot().await.is_ok());
            assert_eq!(pool.lock().connections.len(), 0);
        });
    }
}
