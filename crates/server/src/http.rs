//! Connections: accepted, secured, bounded and ended.

mod talking;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::api::Api;
use talking::Talking;

/// How long a client may take for the headers of a request, and for the handshake.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// How long a client may take nothing of what is for it: who stops a pager comes back
/// sooner, and who never does should not keep a list or a stream for ever.
const STALL_TIME: Duration = Duration::from_secs(600);

/// Bytes of headers that a request may have.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 100;

/// How long requests may go on once the server ends.
const GRACE: Duration = Duration::from_secs(2);

/// How long no connection is accepted after the system had no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// A client over TLS, with the certificate that it has shown and that was verified.
    Tls {
        /// Its leaf, in DER.
        certificate: Option<Arc<[u8]>>,
    },
    /// A process on this machine that may write to the socket.
    Unix,
}

/// What all connections share.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) api: Arc<Api>,
    pub(crate) room: Arc<Semaphore>,
    /// True once the server is to end.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Connections {
    /// Serves TLS until the server ends.
    pub(crate) async fn serve_tls(self, listener: TcpListener, acceptor: TlsAcceptor) {
        let mut connections = JoinSet::new();
        while let Some(((stream, peer), room)) = self.accept(|| listener.accept()).await {
            // Watches send small pieces that must not wait for each other.
            let _ = stream.set_nodelay(true);
            let (this, acceptor) = (self.clone(), acceptor.clone());
            connections.spawn(async move {
                let _room = room;
                this.serve_tls_stream(stream, peer, acceptor).await;
            });
            reap(&mut connections);
        }
        connections.join_all().await;
    }

    async fn serve_tls_stream(
        self,
        stream: tokio::net::TcpStream,
        peer: SocketAddr,
        acceptor: TlsAcceptor,
    ) {
        let stream = match timeout(HEADER_TIME, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "the handshake failed"),
            Err(_) => return tracing::debug!(%peer, "the handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        let certificate = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| Arc::from(leaf.as_ref()));
        self.serve(stream, Peer::Tls { certificate }).await;
    }

    /// Serves the socket of this machine's own programs until the server ends.
    pub(crate) async fn serve_unix(self, listener: UnixListener) {
        let mut connections = JoinSet::new();
        while let Some(((stream, _), room)) = self.accept(|| listener.accept()).await {
            let this = self.clone();
            connections.spawn(async move {
                let _room = room;
                this.serve(stream, Peer::Unix).await;
            });
            reap(&mut connections);
        }
        connections.join_all().await;
    }

    /// The next connection, once there is room for it; none when the server ends.
    async fn accept<T, F>(&self, next: impl Fn() -> F) -> Option<(T, OwnedSemaphorePermit)>
    where
        F: Future<Output = std::io::Result<T>>,
    {
        let mut ending = self.ending.clone();
        loop {
            let accepted = async {
                let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
                Some((next().await, room))
            };
            let accepted = tokio::select! {
                _ = ending.wait_for(|ending| *ending) => None,
                accepted = accepted => accepted,
            };
            match accepted? {
                (Ok(stream), room) => return Some((stream, room)),
                (Err(error), _) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let api = self.api;
        let service = service_fn(move |request| {
            let (api, peer) = (Arc::clone(&api), peer.clone());
            async move { Ok::<_, Infallible>(api.handle(request, peer).await) }
        });
        let builder = builder();
        // hyper waits for ever for the first bytes, which tell the version.
        let stream = Talking::new(stream, HEADER_TIME, STALL_TIME);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut ending = self.ending.clone();
        let ended = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => None,
            ended = connection.as_mut() => Some(ended),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match timeout(GRACE, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Without a timer hyper waits for headers for ever.
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Waits until the server ends.
pub(crate) async fn ended(mut ending: watch::Receiver<bool>) {
    // A sender that is gone means the end as well.
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Forgets the connections that have ended.
fn reap(connections: &mut JoinSet<()>) {
    while connections.try_join_next().is_some() {}
}
