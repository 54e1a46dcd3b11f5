//! `pods/exec` and `pods/attach`: streams of a container over a WebSocket.
//!
//! A command is a fresh instance of the container's module; to attach is to read
//! what the container writes from now on. What can be told from the request and the
//! pod's row is refused before the upgrade; what only the node knows, such as that
//! a container does not run at the moment, is said on the error channel after it,
//! as Kubernetes does: clients take a refused upgrade for a server without
//! WebSockets, and try SPDY, which there is none of.

mod attach;
mod carry;
mod channels;
mod exec;
mod terminal;
mod upgrade;

use std::sync::Arc;

use hyper::http::request::Parts;
use wasmjob::Object;
use wasmjob::api::Pod;
use wasmjob_machinery::status::Status;

use crate::api::{Api, LongRunning};
use crate::body::Reply;
use crate::call::Call;
use crate::logs;
use upgrade::Upgrade;

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    /// At the other end is a terminal: all output is one stream, and keys are typed.
    tty: bool,
}

/// A request that may go on as a stream.
struct Asked {
    pod: Arc<Pod>,
    container: Arc<str>,
    wanted: Wanted,
    upgrade: Upgrade,
    room: LongRunning,
}

/// Runs a command.
pub(crate) fn exec(api: &Arc<Api>, call: &Call, parts: Parts) -> Result<Reply, Status> {
    let command: Vec<String> = call.query.all("command").map(str::to_owned).collect();
    if command.is_empty() {
        return Err(Status::bad_request(
            "you must specify at least one command for the container",
        ));
    }
    let asked = ask(api, call, parts, "exec into")?;
    Ok(exec::begin(Arc::clone(api), asked, command))
}

/// Follows what a container writes.
pub(crate) fn attach(api: &Arc<Api>, call: &Call, parts: Parts) -> Result<Reply, Status> {
    let asked = ask(api, call, parts, "attach to")?;
    Ok(attach::begin(Arc::clone(api), asked))
}

/// Whether that can be done at all.
fn ask(api: &Arc<Api>, call: &Call, parts: Parts, what: &str) -> Result<Asked, Status> {
    // As upstream since 1.35: who may only look must not run anything.
    api.access.allow(api, &call.user, "create", &call.target)?;
    let entry = api.entry(call)?;
    let Object::Pod(pod) = &entry.object else {
        return Err(Status::not_found(call.target.resource, call.name()));
    };
    let (container, _) = logs::container(pod, call.query.get("container"))?;
    if pod.status.phase.is_terminal() {
        return Err(Status::bad_request(format!(
            "cannot {what} a container in a completed pod; current phase is {}",
            pod.status.phase.as_str()
        )));
    }
    if pod.status.scheduled.is_none() {
        return Err(Status::bad_request(format!(
            "pod {} does not have a host assigned",
            pod.name
        )));
    }
    let tty = call.query.is_set("tty");
    let wanted = Wanted {
        stdin: call.query.is_set("stdin"),
        stdout: call.query.is_set("stdout"),
        stderr: call.query.is_set("stderr") && !tty,
        tty,
    };
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return Err(Status::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    let upgrade = Upgrade::of(parts)?;
    Ok(Asked {
        pod: Arc::clone(pod),
        container: container.into(),
        wanted,
        upgrade,
        room: api.long_running()?,
    })
}
