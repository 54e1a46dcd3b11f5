//! Bodies on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::Error;

use super::client::Client;
use super::failure;
use super::pool::Connection;

/// Frames that are handed over before others have their turn: what drops a body reads
/// it in one go.
const FRAMES_MAX: u32 = 64;

/// A request's body.
pub(super) struct Outgoing<B> {
    pub(super) body: B,
    /// Counts the frames that the connection took.
    pub(super) taken: Arc<AtomicU64>,
    /// Its guest has ended.
    pub(super) ended: Arc<AtomicBool>,
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // With its guest's handles it ends as if it were whole. A server must not take
        // it for that: the connection is cut.
        if frame.is_none() && self.ended.load(Ordering::SeqCst) {
            return Poll::Ready(Some(Err(Error::HttpProtocolError)));
        }
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response's body, with the connection that it comes from.
pub(super) struct Answered {
    incoming: Incoming,
    patience: Duration,
    /// Since the guest waits; none while it does not.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Frames since others last had their turn.
    frames: u32,
    /// All of it was read.
    is_whole: bool,
    client: Arc<Client>,
    /// None once nothing more comes of it.
    connection: Option<Connection>,
}

impl Answered {
    pub(super) fn new(
        incoming: Incoming,
        patience: Duration,
        client: Arc<Client>,
        connection: Connection,
    ) -> Self {
        Self {
            incoming,
            patience,
            waiting: None,
            frames: 0,
            is_whole: false,
            client,
            connection: Some(connection),
        }
    }

    /// Gives the connection to the guest's next request, if nothing more comes of this.
    fn release(&mut self) {
        let connection = self.connection.take();
        if let Some(connection) = connection
            && (self.is_whole || self.incoming.is_end_stream())
        {
            self.client.pool.put(connection);
        }
    }

    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, Error>> {
        self.waiting = None;
        self.frames += 1;
        match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                self.connection = None;
                Some(Err(failure::exchange(&error)))
            }
            None => {
                self.is_whole = true;
                self.release();
                None
            }
        }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.frames >= FRAMES_MAX {
            self.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            return Poll::Ready(self.take(frame));
        }
        self.frames = 0;
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        // Nothing more will come of it.
        self.connection = None;
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    #[test]
    fn a_body_that_ends_with_its_guest_is_not_whole() {
        let ended = Arc::new(AtomicBool::new(false));
        let poll = || {
            let mut body = Outgoing {
                body: Empty::new().map_err(|never| match never {}),
                taken: Arc::default(),
                ended: Arc::clone(&ended),
            };
            let mut cx = Context::from_waker(Waker::noop());
            Pin::new(&mut body).poll_frame(&mut cx)
        };
        assert!(matches!(poll(), Poll::Ready(None)));
        ended.store(true, Ordering::SeqCst);
        assert!(matches!(poll(), Poll::Ready(Some(Err(_)))));
    }
}
