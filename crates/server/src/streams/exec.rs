//! A command in a container, carried to its end.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;
use wasmjob::api::Terminated;
use wasmjob::{Exec, ExecError, ExecHandle, ExecRefused, OutputReader, Stream};

use super::Asked;
use super::carry::{Refused, Source, carry};
use super::channels;
use crate::api::Api;
use crate::body::Reply;

/// Exits with which a command never began.
const START_ERROR: &str = "StartError";

/// The code of a command that was ended by Ctrl-C, as a shell has it.
const INTERRUPTED: u8 = 130;

#[expect(
    clippy::disallowed_methods,
    reason = "the stream ends with the server, which it follows"
)]
pub(super) fn begin(api: Arc<Api>, asked: Asked, command: Vec<String>) -> Reply {
    let protocol = asked.upgrade.protocol;
    let (reply, socket) = asked.upgrade.accept();
    let exec = Exec {
        pod: asked.pod.uid,
        container: asked.container,
        command,
        stdin: asked.wanted.stdin,
    };
    let (wanted, room) = (asked.wanted, asked.room);
    tokio::spawn(async move {
        let _room = room;
        let Some(socket) = socket.await else { return };
        let ending = api.ending.clone();
        match api.host.exec(exec).await {
            Ok(session) => {
                let running = Running {
                    output: session.output,
                    ended: session.ended,
                    handle: session.handle,
                    interrupted: false,
                };
                carry(socket, protocol, wanted, running, session.input, ending).await;
            }
            Err(error) => {
                let refused = Refused(refused(&error));
                carry(socket, protocol, wanted, refused, None, ending).await;
            }
        }
    });
    reply
}

fn refused(error: &ExecRefused) -> Value {
    let (code, reason) = match error {
        ExecRefused::Node(ExecError::NotRunning(_)) => (404, "NotFound"),
        ExecRefused::Node(ExecError::TooMany | ExecError::NoRoom) => (429, "TooManyRequests"),
        ExecRefused::Gone(_) => (500, "InternalError"),
    };
    channels::failure(code, reason, &error.to_string())
}

/// A command that runs. It is killed when this is dropped.
struct Running {
    output: OutputReader,
    ended: oneshot::Receiver<Terminated>,
    handle: ExecHandle,
    interrupted: bool,
}

impl Source for Running {
    async fn next(&mut self) -> Option<(Stream, Bytes)> {
        self.output.next().await
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        self.handle.kill();
    }

    async fn end(&mut self) -> Value {
        let Ok(end) = (&mut self.ended).await else {
            return channels::failure(500, "InternalError", "the host was stopped");
        };
        match (end.exit_code, end.reason.as_ref()) {
            (0, _) => channels::success(),
            _ if self.interrupted => channels::exit_code(INTERRUPTED, ""),
            // What it traps with, or why it was killed, has no stream of its own.
            (_, START_ERROR) => channels::failure(500, "InternalError", &end.message),
            (code, _) => channels::exit_code(code, &end.message),
        }
    }
}
