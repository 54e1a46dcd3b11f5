//! From a request to its answer: who asks, whether they may, and which verb does it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER, WARNING};
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, watch};
use wasmjob::Host;
use wasmjob::api::Uid;
use wasmjob_machinery::negotiate;
use wasmjob_machinery::status::Status;

use crate::access::Access;
use crate::body::{self, Reply};
use crate::cache::Cache;
use crate::call::Call;
use crate::housekeeping::Dependents;
use crate::http::Peer;
use crate::kinds::Stamp;
use crate::paths;
use crate::request::{self, Query, ResourceTarget, Target};
use crate::requests::{Counted, Requests};
use crate::review;
use crate::select::Selection;
use crate::usage::Samples;
use crate::verbs::read::Snapshots;

/// Requests that read, and that change something, at once; as in Kubernetes.
const READS_MAX: usize = 400;
const CHANGES_MAX: usize = 200;

/// Watches, followed logs and streams at once.
const LONG_RUNNING_MAX: usize = 20_000;

/// What all requests share.
pub(crate) struct Api {
    pub(crate) host: Arc<Host>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) snapshots: Snapshots,
    pub(crate) dependents: Mutex<Dependents>,
    pub(crate) access: Access,
    pub(crate) random: Mutex<StdRng>,
    pub(crate) address: SocketAddr,
    pub(crate) ending: watch::Receiver<bool>,
    pub(crate) requests: Requests,
    pub(crate) samples: Samples,
    reads: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    long_running: Arc<AtomicUsize>,
}

/// A place among the requests that go on for long.
pub(crate) struct LongRunning(Arc<AtomicUsize>);

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Api {
    pub(crate) fn new(
        host: Arc<Host>,
        cache: Arc<Cache>,
        access: Access,
        address: SocketAddr,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            host,
            cache,
            snapshots: Snapshots::default(),
            dependents: Mutex::default(),
            access,
            random: Mutex::new(StdRng::from_rng(&mut rand::rng())),
            address,
            ending,
            requests: Requests::default(),
            samples: Samples::default(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            long_running: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// What a new object gets.
    pub(crate) fn stamp(&self) -> Stamp {
        use rand::Rng as _;
        let mut random = self
            .random
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (high, low) = (random.next_u64(), random.next_u64());
        drop(random);
        Stamp {
            uid: Uid::from_random(u128::from(high) << 64 | u128::from(low)),
            now: self.now(),
        }
    }

    /// A name that begins with `prefix`.
    pub(crate) fn generated_name(&self, prefix: &str) -> String {
        use rand::RngExt as _;
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut random = self
            .random
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let letter = || char::from(ALPHABET[random.random_range(0..ALPHABET.len())]);
        let suffix: String = std::iter::repeat_with(letter).take(5).collect();
        wasmjob::api::defaults::generated_name(prefix, &suffix)
    }

    /// A place for a request that goes on for long.
    pub(crate) fn long_running(&self) -> Result<LongRunning, Status> {
        let room = LongRunning(Arc::clone(&self.long_running));
        if room.0.fetch_add(1, Ordering::AcqRel) >= LONG_RUNNING_MAX {
            return Err(too_many());
        }
        Ok(room)
    }

    /// Requests that are being answered: that read, that change something, and that go
    /// on for long.
    pub(crate) fn in_flight(&self) -> [usize; 3] {
        [
            READS_MAX - self.reads.available_permits(),
            CHANGES_MAX - self.changes.available_permits(),
            self.long_running.load(Ordering::Acquire),
        ]
    }

    /// Answers a request.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Reply {
        let id = self.stamp().uid.to_string();
        let (parts, body) = request.into_parts();
        let counted = Counted::of(&parts);
        let mut reply = match self.answer(parts, body, &peer).await {
            Ok(reply) => reply,
            Err(status) => failure(&status),
        };
        self.requests.count(counted, reply.status());
        let headers = reply.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(HeaderName::from_static("audit-id"), id);
        }
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache, private"));
        reply
    }

    async fn answer(
        self: &Arc<Self>,
        parts: hyper::http::request::Parts,
        body: Incoming,
        peer: &Peer,
    ) -> Result<Reply, Status> {
        let path = parts.uri.path().to_owned();
        if !path.starts_with('/') {
            return Err(Status::bad_request(
                "the path of a request begins with a slash",
            ));
        }
        let query = Query::read(parts.uri.query());
        let target = request::target(&path);
        let user = self.access.authenticate(self, peer, &parts.headers)?;
        let user = self.access.impersonate(self, user, &parts.headers)?;
        let target = match target {
            Target::Resource(target) => target,
            Target::Path => {
                let verb = request::verb(&parts.method, None, &query);
                self.access.allow_path(self, &user, verb, &path)?;
                let _room = self.room(&parts.method)?;
                return paths::answer(self, &parts, &path, &query).await;
            }
            Target::UnknownResource => {
                self.access.allow_path(self, &user, "get", &path)?;
                return Err(Status::no_such_resource());
            }
        };
        let verb = request::verb(&parts.method, Some(&target), &query);
        self.access
            .allow(self, &user, verb, &asked_about(verb, &target, &query))?;
        check_verb(&parts.method, verb, &target)?;
        let wanted = parts.headers.get(hyper::header::ACCEPT);
        let wanted = wanted.and_then(|value| value.to_str().ok());
        // JSON is there already; protobuf is made for who takes nothing else.
        let accepted = match negotiate::objects(wanted, false) {
            Err(_) if verb != "watch" => negotiate::objects(wanted, true)?,
            accepted => accepted?,
        };
        let call = Call::new(
            parts.method.clone(),
            query,
            parts.headers.clone(),
            target,
            verb,
            user,
            accepted,
        );
        let mut reply = self.dispatch(&call, parts, body).await?;
        for text in call.take_warnings() {
            // 299: miscellaneous, and to be shown; the agent is not named.
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
                reply.headers_mut().append(WARNING, value);
            }
        }
        Ok(reply)
    }

    async fn dispatch(
        self: &Arc<Self>,
        call: &Call,
        parts: hyper::http::request::Parts,
        body: Incoming,
    ) -> Result<Reply, Status> {
        if let Some(subresource) = call.target.subresource
            && subresource.name != "status"
        {
            return crate::subresource::answer(self, call, parts, body).await;
        }
        if call.verb == "watch" {
            return self.watch(call).await;
        }
        let _room = self.room(&call.method)?;
        match call.verb {
            "get" => self.get(call).await,
            "list" => self.list(call).await,
            "create" => {
                let body = body::read(body).await?;
                match review::is_review(call.target.resource) {
                    true => review::answer(self, call, &body),
                    false => self.create(call, body).await,
                }
            }
            "update" => self.update(call, body::read(body).await?).await,
            "patch" => self.patch(call, body::read(body).await?).await,
            "delete" => self.delete(call, body::read(body).await?).await,
            "deletecollection" => self.delete_collection(call, body::read(body).await?).await,
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// A place among the requests that are answered at once.
    pub(crate) fn room(
        &self,
        method: &Method,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, Status> {
        let room = match *method {
            Method::GET | Method::HEAD => &self.reads,
            _ => &self.changes,
        };
        Arc::clone(room).try_acquire_owned().map_err(|_| too_many())
    }
}

fn too_many() -> Status {
    Status::too_many_requests("too many requests, please try again later", 1)
}

/// Whether the resource can do that.
/// What is asked for, to whoever decides: a list or a watch of one name is about that
/// object, as in Kubernetes.
fn asked_about(verb: &str, target: &ResourceTarget, query: &Query) -> ResourceTarget {
    let mut about = target.clone();
    if matches!(verb, "list" | "watch") && about.name.is_none() {
        // What cannot be read is refused later.
        about.name = Selection::of(target, query)
            .ok()
            .and_then(|selection| selection.scope.name);
    }
    about
}

fn check_verb(method: &Method, verb: &str, target: &ResourceTarget) -> Result<(), Status> {
    if !matches!(
        *method,
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    ) {
        return Err(Status::method_not_allowed());
    }
    let supports = match target.subresource {
        Some(subresource) => {
            // A stream is opened by GET or POST, whichever the client prefers.
            let is_stream = subresource.message.is_empty() && verb == "create" || verb == "get";
            subresource.supports(verb) || is_stream && subresource.supports("get")
        }
        // One object is watched as a list of one.
        None => target.resource.supports(verb),
    };
    let is_named = target.name.is_some();
    if is_named && target.subresource.is_none() && target.resource.verbs == ["create"] {
        return Err(Status::no_such_resource());
    }
    let names_one = matches!(verb, "update" | "patch");
    if !supports
        || names_one && !is_named
        || verb == "create" && is_named && target.subresource.is_none()
    {
        return Err(Status::method_not_allowed());
    }
    let needs_namespace =
        matches!(verb, "create" | "deletecollection") && target.resource.namespaced;
    if needs_namespace && target.namespace.is_empty() {
        return Err(Status::method_not_allowed());
    }
    Ok(())
}

/// A failure as an answer.
fn failure(status: &Status) -> Reply {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = body::json(code, &status.to_value());
    if let Some(seconds) = status.retry_after_seconds {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    reply
}
