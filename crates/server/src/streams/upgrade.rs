//! From an HTTP request to a WebSocket.

use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use wasmjob_machinery::status::Status;

use super::channels::Protocol;
use crate::body::{self, Reply};

/// Bytes of a message from a client. Clients send what they read from a terminal
/// or a file in small pieces.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A WebSocket over a connection that was upgraded.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A request for a WebSocket that is well-formed.
pub(super) struct Upgrade {
    pub(super) protocol: Protocol,
    key: String,
    upgrade: OnUpgrade,
}

impl Upgrade {
    pub(super) fn of(parts: Parts) -> Result<Self, Status> {
        let headers = &parts.headers;
        if lists(headers, UPGRADE, "spdy/3.1") {
            return Err(Status::bad_request(
                "this server speaks WebSockets, not SPDY: use kubectl 1.31 or newer, or set KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true for 1.29 and 1.30",
            ));
        }
        if !lists(headers, UPGRADE, "websocket") || !lists(headers, CONNECTION, "upgrade") {
            return Err(Status::bad_request("Upgrade request required"));
        }
        if text(headers, SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(Status::bad_request(
                "only version 13 of the WebSocket protocol is spoken here",
            ));
        }
        same_origin(headers)?;
        let key = text(headers, SEC_WEBSOCKET_KEY).map(str::to_owned);
        let key = key.ok_or_else(|| Status::bad_request("Sec-WebSocket-Key is missing"))?;
        let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = offered.filter_map(|value| value.to_str().ok());
        let protocol = Protocol::choose(offered.flat_map(|value| value.split(',')))?;
        let mut request = Request::from_parts(parts, ());
        Ok(Self {
            protocol,
            key,
            upgrade: hyper::upgrade::on(&mut request),
        })
    }

    /// The answer that switches to the other protocol, and the socket that there will
    /// be once it has been sent.
    pub(super) fn accept(self) -> (Reply, impl Future<Output = Option<Socket>> + Send) {
        let mut reply = Reply::new(body::whole(""));
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = reply.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let protocol = HeaderValue::from_static(self.protocol.name());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        // Base64 is always a header's value.
        if let Ok(key) = HeaderValue::from_str(&derive_accept_key(self.key.as_bytes())) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        }
        let socket = async {
            let upgraded = self.upgrade.await.ok()?;
            let config = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_BYTES_MAX))
                .max_frame_size(Some(MESSAGE_BYTES_MAX));
            let io = TokioIo::new(upgraded);
            Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
        };
        (reply, socket)
    }
}

/// Browsers open WebSockets to anywhere, with the certificates that they have, and
/// say from where. A page of somebody else must not run commands.
fn same_origin(headers: &HeaderMap) -> Result<(), Status> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let host = text(headers, HOST).unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match authority {
        Some(authority) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Status::new(
            403,
            "Forbidden",
            format!("WebSockets are not opened from {origin:?}"),
        )),
    }
}

fn text(headers: &HeaderMap, name: hyper::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a header is a list with that word in it.
fn lists(headers: &HeaderMap, name: hyper::header::HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter();
    values.any(|value| {
        let mut words = value.to_str().unwrap_or_default().split(',');
        words.any(|own| own.trim().eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::Upgrade;

    fn refused(headers: &[(&str, &str)]) -> Option<(u16, String)> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let refused = Upgrade::of(parts).err();
        refused.map(|status| (status.code, status.message))
    }

    #[test]
    fn what_is_no_web_socket_is_told_so() {
        let good = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
            ("host", "127.0.0.1:6443"),
        ];
        assert_eq!(refused(&good), None);
        let text = |headers: &[(&str, &str)]| refused(headers).unwrap().1;
        assert_eq!(text(&good[1..]), "Upgrade request required");
        assert!(text(&[("upgrade", "SPDY/3.1")]).contains("not SPDY"));
        for missing in 2..5 {
            let mut headers = good.to_vec();
            headers.remove(missing);
            assert_eq!(refused(&headers).unwrap().0, 400, "{missing}");
        }
        let with = |origin| [good.to_vec(), vec![("origin", origin)]].concat();
        assert_eq!(refused(&with("https://127.0.0.1:6443")), None);
        assert_eq!(refused(&with("https://evil.example")).unwrap().0, 403);
        assert_eq!(refused(&with("null")).unwrap().0, 403);
    }
}
