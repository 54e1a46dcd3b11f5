//! HTTP over the daemon's socket.
//!
//! Every request has a connection of its own: on a socket of this machine it costs
//! nothing, and a stream that is given up takes its connection along.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT, WARNING};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::failure::{Failure, Refusal, Result};
use super::uri::Uri;
use crate::exit::say;

/// The socket's name in the data directory.
const SOCKET: &str = "wasmjob.sock";

/// Where a daemon that systemd runs keeps its data, which is not where a user's would.
const SYSTEM_DIR: &str = "/var/lib/wasmjob";

/// Bytes of one event of a watch at most: an object may have 3 MiB.
const LINE_BYTES_MAX: usize = 64 << 20;

/// A daemon, by its socket.
pub(crate) struct Socket {
    dir: PathBuf,
}

/// What is sent.
pub(crate) struct Message<'a> {
    pub(crate) method: Method,
    pub(crate) uri: &'a Uri,
    pub(crate) accept: &'a str,
    /// Its type, and its bytes.
    pub(crate) body: Option<(&'a str, Vec<u8>)>,
}

/// What comes back, piece by piece.
pub(crate) struct Answer {
    pub(crate) code: u16,
    body: Incoming,
    /// What came and was not asked for yet.
    rest: BytesMut,
    /// Moves the bytes, as long as the answer is there.
    _connection: JoinSet<()>,
}

impl Socket {
    pub(crate) const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Sends a message; an answer that is a failure is an error.
    pub(crate) async fn send(&self, message: Message<'_>) -> Result<Answer> {
        let path = self.dir.join(SOCKET);
        let stream = UnixStream::connect(&path).await;
        let stream = stream.map_err(|error| self.unreachable(&path, &error))?;
        let broken = |error: hyper::Error| self.broken(&error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended");
            }
        });
        let response = sender.send_request(request(message)?).await;
        let (head, body) = response.map_err(broken)?.into_parts();
        let mut answer = Answer {
            code: head.status.as_u16(),
            body,
            rest: BytesMut::new(),
            _connection: driver,
        };
        tell_warnings(&Response::from_parts(head, ()));
        if (200..300).contains(&answer.code) {
            return Ok(answer);
        }
        let body = answer.whole().await?;
        Err(Failure::Refused(Box::new(Refusal::read(
            answer.code,
            &body,
        ))))
    }

    fn unreachable(&self, socket: &Path, error: &std::io::Error) -> Failure {
        let dir = self.dir.display();
        let text = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                let mut text = format!(
                    "no daemon runs at {dir}\nhint: start one with `wasmjob serve --data-dir {dir}`"
                );
                if self.dir != Path::new(SYSTEM_DIR) && Path::new(SYSTEM_DIR).exists() {
                    text += &format!(", or name the system's with `--data-dir {SYSTEM_DIR}`");
                }
                text
            }
            ErrorKind::PermissionDenied => format!(
                "permission denied: {}\nhint: the socket is for the user whose daemon it is, and for root: try `sudo wasmjob …`",
                socket.display()
            ),
            _ => format!(
                "failed to reach the daemon at {}: {error}",
                socket.display()
            ),
        };
        Failure::Other(text)
    }

    fn broken(&self, error: &hyper::Error) -> Failure {
        Failure::Other(format!(
            "the daemon at {} broke off: {error}",
            self.dir.display()
        ))
    }
}

fn request(message: Message<'_>) -> Result<Request<Full<Bytes>>> {
    let mut builder = Request::builder()
        .method(message.method)
        .uri(message.uri.as_str())
        // There is no host to be named.
        .header(HOST, "wasmjob")
        .header(USER_AGENT, concat!("wasmjob/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, message.accept);
    let mut bytes = Vec::new();
    if let Some((content_type, body)) = message.body {
        builder = builder.header(CONTENT_TYPE, content_type);
        bytes = body;
    }
    builder
        .body(Full::new(bytes.into()))
        .map_err(|error| Failure::other(format!("failed to make the request: {error}")))
}

/// Says what the daemon says beside its answer: `299 - "text"`.
fn tell_warnings(head: &Response<()>) {
    for value in head.headers().get_all(WARNING) {
        let text = value.to_str().unwrap_or_default();
        if let Some((_, quoted)) = text.split_once('"') {
            let text = quoted.strip_suffix('"').unwrap_or(quoted);
            let text = text.replace("\\\"", "\"").replace("\\\\", "\\");
            say(format_args!("Warning: {text}"));
        }
    }
}

impl Answer {
    /// The next piece of the body; none at its end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>> {
        if !self.rest.is_empty() {
            return Ok(Some(self.rest.split().freeze()));
        }
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(Failure::other(format!("the daemon broke off: {error}")));
                }
            }
        }
    }

    /// The next line, without its end; none at the end of the body.
    pub(crate) async fn line(&mut self) -> Result<Option<Bytes>> {
        let mut line = std::mem::take(&mut self.rest);
        let mut searched = 0;
        loop {
            if let Some(at) = line[searched..].iter().position(|byte| *byte == b'\n') {
                let mut rest = line.split_off(searched + at);
                rest.advance(1);
                self.rest = rest;
                return Ok(Some(line.freeze()));
            }
            searched = line.len();
            if searched > LINE_BYTES_MAX {
                return Err(Failure::other("the daemon sent a line without an end"));
            }
            match self.piece().await? {
                Some(piece) => line.extend_from_slice(&piece),
                None if line.is_empty() => return Ok(None),
                None => return Ok(Some(line.freeze())),
            }
        }
    }

    /// The whole body.
    pub(crate) async fn whole(&mut self) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}
