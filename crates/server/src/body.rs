//! Bodies: requests read within limits, responses whole or as streams.

use std::convert::Infallible;
use std::io::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;
use wasmjob_machinery::status::Status;

/// Bytes that a request's body may have, as in Kubernetes.
pub(crate) const BODY_BYTES_MAX: usize = 3 << 20;

/// How long a client may say nothing in the midst of a body.
const BODY_IDLE: Duration = Duration::from_secs(10);

/// How long a body may take as a whole.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Bodies beyond this are compressed for clients that take it, as in Kubernetes.
const GZIP_BYTES_MIN: usize = 128 << 10;

/// What a response carries.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A response.
pub(crate) type Reply = Response<Body>;

/// The whole body of a request.
pub(crate) async fn read(mut body: Incoming) -> Result<Bytes, Status> {
    let too_large = || Status::request_entity_too_large(BODY_BYTES_MAX);
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let read = async {
        let mut bytes = BytesMut::new();
        loop {
            let frame = match timeout(BODY_IDLE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    return Err(Status::bad_request("the body could not be read to its end"));
                }
                Ok(None) => return Ok(bytes.freeze()),
                Err(_) => return Err(Status::timeout("the body did not come in time", 1)),
            };
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > BODY_BYTES_MAX {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
    };
    match timeout(BODY_TIME, read).await {
        Ok(read) => read,
        Err(_) => Err(Status::timeout("the body did not come in time", 1)),
    }
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

/// A body that comes piece by piece.
pub(crate) fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)))).boxed_unsync()
}

/// A response with a body of that type.
pub(crate) fn reply(code: StatusCode, content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = code;
    let content_type = HeaderValue::from_static(content_type);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// A response with a value as JSON.
pub(crate) fn json(code: StatusCode, value: &Value) -> Reply {
    // A value always has a form as text.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    reply(code, "application/json", whole(bytes))
}

/// A response with text.
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Reply {
    reply(code, "text/plain; charset=utf-8", whole(text))
}

/// The body of a response of that many bytes, compressed if that pays and the
/// client takes it.
pub(crate) fn compressed(mut reply: Reply, bytes: Bytes, takes_gzip: bool) -> Reply {
    if !takes_gzip || bytes.len() < GZIP_BYTES_MIN {
        *reply.body_mut() = whole(bytes);
        return reply;
    }
    // The fastest level, as in Kubernetes: networks are quick, processors few.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(1));
    let zipped = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    match zipped {
        Ok(zipped) => {
            let headers = reply.headers_mut();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            *reply.body_mut() = whole(zipped);
        }
        Err(_) => *reply.body_mut() = whole(bytes),
    }
    reply
}
