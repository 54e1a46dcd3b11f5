//! What hangs below an object: its log, its eviction, its binding, streams.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use wasmjob::Propagation;
use wasmjob_machinery::resource;
use wasmjob_machinery::status::{self, Status};

use crate::api::Api;
use crate::body::{self, Reply};
use crate::call::Call;
use crate::decode;
use crate::show;
use crate::streams;
use crate::verbs::delete;

/// Answers a request about a subresource other than the status.
pub(crate) async fn answer(
    api: &Arc<Api>,
    call: &Call,
    parts: Parts,
    body: Incoming,
) -> Result<Reply, Status> {
    match (call.target.resource.plural, call.subresource(), call.verb) {
        ("pods", "log", "get") => api.log(call).await,
        ("pods", "eviction", "create") => evict(api, call, body).await,
        ("pods", "binding", "create") => Err(bound(api, call, call.name())),
        ("pods", "exec", "get" | "create") => streams::exec(api, call, parts),
        ("pods", "attach", "get" | "create") => streams::attach(api, call, parts),
        ("pods", "portforward", _) => {
            api.entry(call)?;
            Err(Status::bad_request(
                "a wasm pod listens on no port: there is nothing to forward to",
            ))
        }
        ("serviceaccounts", "token", "create") => crate::review::token(api, call, body).await,
        ("namespaces", "finalize", "update") => api.update(call, body::read(body).await?).await,
        _ => Err(Status::no_such_resource()),
    }
}

/// Why a pod cannot be bound: every pod is already, to the one node.
pub(crate) fn bound(api: &Api, call: &Call, name: &str) -> Status {
    let pods = resource::find("", "v1", "pods").unwrap_or(call.target.resource);
    match api.cache.get("pods", &call.target.namespace, name) {
        None => Status::not_found(pods, name),
        Some(entry) => {
            let node = entry.node();
            let why = format!("pod {name} is already assigned to node {node:?}");
            Status::conflict(pods, name, &why)
        }
    }
}

/// Deletes a pod as its eviction asks.
async fn evict(api: &Arc<Api>, call: &Call, body: Incoming) -> Result<Reply, Status> {
    let _room = api.room(&call.method)?;
    let body = body::read(body).await?;
    let eviction = decode::subresource(call, &body)?;
    let name = eviction["metadata"]["name"].as_str().unwrap_or_default();
    if !name.is_empty() && name != call.name() {
        return Err(Status::bad_request(format!(
            "name in URL does not match name in Eviction object: {} != {name}",
            call.name()
        )));
    }
    let options = delete::Options::of_value(call, eviction["deleteOptions"].clone())?;
    let entry = api.entry(call)?;
    api.delete_one(call, entry, &options, Propagation::Background)
        .await?;
    show::status(call, StatusCode::CREATED, &status::success(201))
}
