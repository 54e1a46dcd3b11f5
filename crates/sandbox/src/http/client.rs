//! What asks for one guest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::Common;
use super::body::{Answered, Outgoing};
use super::failure;
use super::pool::{Connection, Pool};
use super::target::Target;
use crate::lookup::Lookups;
use crate::{Limits, Network};

/// Longer, clocks need not be able to say.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A guest's client.
pub(super) struct Client {
    pub(super) network: Arc<Network>,
    pub(super) pool: Pool,
    pub(super) lookups: Lookups,
    pub(super) common: Arc<Common>,
    pub(super) tls: OnceCell<Arc<ClientConfig>>,
    pub(super) header_bytes: usize,
    /// Its guest has ended.
    ended: Arc<AtomicBool>,
    /// As patient as we are with a server.
    patience: Patience,
}

/// How long is waited.
#[derive(Clone, Copy)]
struct Patience {
    connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl Patience {
    /// What a guest asks for, if it is less.
    fn with(self, options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let least = |asked: Option<Duration>, own: Duration| asked.unwrap_or(own).min(own);
        Self {
            connect: least(options.connect_timeout, self.connect),
            first_byte: least(options.first_byte_timeout, self.first_byte),
            between_bytes: least(options.between_bytes_timeout, self.between_bytes),
        }
    }
}

impl Client {
    pub(super) fn new(
        network: Arc<Network>,
        lookups: Lookups,
        common: Arc<Common>,
        limits: &Limits,
    ) -> Self {
        Self {
            network,
            pool: Pool::new(limits.http_connections),
            lookups,
            common,
            tls: OnceCell::new(),
            header_bytes: limits.http_header_bytes,
            ended: Arc::default(),
            patience: Patience {
                connect: limits.http_connect.min(YEAR),
                first_byte: limits.http_first_byte.min(YEAR),
                between_bytes: limits.http_between_bytes.min(YEAR),
            },
        }
    }

    /// Ends all that waits for a next request. What is under way ends with the guest's
    /// handles, which must be there still: a body that they end is not whole.
    pub(super) fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.pool.close();
    }

    /// Sends a request, and waits for the head of the response.
    pub(super) async fn send(
        self: Arc<Self>,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        let target = Target::of(request.uri())?;
        if !target.is_allowed_by(&self.network) {
            return Err(Error::HttpRequestDenied);
        }
        // It would make a raw connection of a request, which nobody could use here.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let patience = self.patience.with(options);
        let taken = Arc::default();
        let mut request = to_server(request, &taken, &self.ended)?;
        loop {
            let used = self.pool.take(&target, &self.network).await;
            let is_used = used.is_some();
            let mut connection = match used {
                Some(connection) => connection,
                None => self.connect(&target, patience.connect).await?,
            };
            // A policy may have come meanwhile.
            if !target.leads_to(connection.peer, &self.network) {
                return Err(Error::DestinationIpProhibited);
            }
            let answer = connection.sender.try_send_request(request);
            match with_progress(answer, patience.first_byte, &taken).await? {
                Ok(response) => return Ok(self.answered(response, connection, patience)),
                Err(mut error) => match error.take_message() {
                    // A server may end a connection that waits: nothing was sent yet.
                    Some(unsent) if is_used => request = unsent,
                    _ => return Err(failure::exchange(error.error())),
                },
            }
        }
    }

    fn answered(
        self: Arc<Self>,
        response: Response<Incoming>,
        connection: Connection,
        patience: Patience,
    ) -> Response<WasiBody> {
        response.map(|incoming| {
            Answered::new(incoming, patience.between_bytes, self, connection).boxed_unsync()
        })
    }
}

/// The request as it goes to a server: with a path and no host in its first line.
fn to_server(
    request: Request<WasiBody>,
    taken: &Arc<AtomicU64>,
    ended: &Arc<AtomicBool>,
) -> Result<Request<Outgoing<WasiBody>>, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    parts.uri = Uri::try_from(path).map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(Request::from_parts(
        parts,
        Outgoing {
            body,
            taken: Arc::clone(taken),
            ended: Arc::clone(ended),
        },
    ))
}

/// Waits for an answer as long as the server takes something of the request within
/// each `patience`: the time of a long body is the guest's.
async fn with_progress<T>(
    answer: impl Future<Output = T>,
    patience: Duration,
    taken: &AtomicU64,
) -> Result<T, Error> {
    let mut answer = std::pin::pin!(answer);
    let mut before = taken.load(Ordering::Relaxed);
    loop {
        if let Ok(answer) = timeout(patience, &mut answer).await {
            return Ok(answer);
        }
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return Err(Error::ConnectionReadTimeout);
        }
        before = now;
    }
}
