//! Requests that the host makes for a guest (`wasi:http/outgoing-handler`).
//!
//! What may be asked is a matter of `network`: the scheme, the name and the port of
//! each request must be listed, and so must the address that it goes to, once the
//! name is looked up. The connection goes to the address that was checked. Nobody
//! follows redirects but the guest, whose next request is checked like its first.
//!
//! A guest has connections of its own, which serve its next requests and end with
//! it: they belong to its store, as do the tasks that drive them. They are HTTP/1.1,
//! and those with TLS always look at certificates (`trust`). Bodies are streamed: a
//! connection is read when its guest reads, so that what waits is one buffer.
//!
//! Without a network every request is refused with `HTTP-request-denied`.

mod body;
mod client;
mod connect;
mod failure;
mod pool;
mod target;
mod trust;

use std::future::ready;
use std::sync::Arc;

use hyper::Request;
use hyper::header::HeaderName;
use tokio::sync::Semaphore;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use self::client::Client;
use self::trust::Trust;
use crate::lookup::Lookups;
use crate::{ComponentLinker, Guest, Limits, Network};

/// Bytes that a guest may write of a request's body before it waits.
const CHUNK_BYTES: usize = 64 << 10;

/// What all guests' lookups and clients share.
pub(crate) struct Common {
    trust: Trust,
    /// Lookups at once, of sockets' guests too: files have the other threads.
    lookups: Arc<Semaphore>,
}

impl Common {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            trust: Trust::default(),
            lookups: Arc::new(Semaphore::new(limits.blocking_threads.div_ceil(2))),
        }
    }

    /// The lookups of one more guest.
    pub(crate) fn lookups(&self) -> Lookups {
        Lookups::new(Arc::clone(&self.lookups))
    }
}

type Answer = Result<(hyper::Response<WasiBody>, Driver), Error>;
type Driver = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// One guest's side of `wasi:http`.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    /// What it may ask; nothing if there is none.
    network: Option<Arc<Network>>,
    /// Made at the first request.
    client: Option<Arc<Client>>,
    limits: Limits,
    lookups: Lookups,
    common: Arc<Common>,
}

impl Http {
    pub(crate) fn new(
        network: Option<Arc<Network>>,
        lookups: Lookups,
        limits: &Limits,
        common: Arc<Common>,
    ) -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(limits.http_header_bytes);
        Self {
            ctx,
            hooks: Hooks {
                network,
                client: None,
                limits: limits.clone(),
                lookups,
                common,
            },
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(client) = &self.hooks.client {
            client.close();
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let WasiCtxView { table, .. } = self.wasi.ctx();
        WasiHttpCtxView {
            hooks: &mut self.http.hooks,
            table,
            ctx: &mut self.http.ctx,
        }
    }
}

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let Some(network) = &self.network else {
            return Box::new(ready(Err(Error::HttpRequestDenied)));
        };
        let client = self.client.get_or_insert_with(|| {
            let (network, common) = (Arc::clone(network), Arc::clone(&self.common));
            let lookups = self.lookups.clone();
            Arc::new(Client::new(network, lookups, common, &self.limits))
        });
        let client = Arc::clone(client);
        Box::new(async move {
            let response = client.send(request, options).await?;
            // What drives the connection belongs to the response's body.
            let driver: Driver = Box::new(ready(Ok(())));
            Ok((response, driver))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES
    }

    // Errors are told apart where they happen; what is left says no more, and is a
    // guest's affair, not one for the host's log.
    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::DestinationUnavailable
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

/// Defines `wasi:http/types` and `wasi:http/outgoing-handler`.
pub(crate) fn component(linker: &mut ComponentLinker) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}
