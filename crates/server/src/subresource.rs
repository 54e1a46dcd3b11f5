//! What hangs below an object: its log, its eviction, its binding, streams.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use wasmjob::{Propagation, Write};
use wasmjob_machinery::status::{self, Status};

use crate::api::Api;
use crate::body::{self, Reply};
use crate::call::Call;
use crate::decode;
use crate::show;
use crate::streams;

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
        ("pods", "binding", "create") => {
            let entry = api.entry(call)?;
            let wasmjob::Object::Pod(pod) = &entry.object else {
                return Err(Status::not_found(call.target.resource, call.name()));
            };
            let why = format!(
                "pod {} is already assigned to node {:?}",
                pod.name,
                entry.node()
            );
            Err(Status::conflict(call.target.resource, call.name(), &why))
        }
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
    let entry = api.entry(call)?;
    let grace = eviction["deleteOptions"]["gracePeriodSeconds"].as_u64();
    if !call.is_dry_run() {
        let write = Write::Delete {
            key: entry.object.key(),
            seen: None,
            propagation: Propagation::Background,
            grace: grace.map(std::time::Duration::from_secs),
        };
        let written = api.host.write(write).await;
        written.map_err(|error| api.refused(call, call.name(), error))?;
    }
    show::status(call, StatusCode::CREATED, &status::success(201))
}
