//! Standard input: a bounded channel from whoever feeds a guest.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::mpsc;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

/// Pieces that wait to be read: with pieces of [`PIECE_BYTES`], 512 KiB.
const PIECES_MAX: usize = 16;

/// Bytes that are sent as one piece.
const PIECE_BYTES: usize = 32 << 10;

/// What a guest will read. See [`input`].
pub struct Input(Stdin);

/// Feeds a guest. Its input ends when this is dropped.
pub struct InputSender(mpsc::Sender<Bytes>);

/// Nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the guest reads no more")]
pub struct InputClosed;

/// Makes a standard input and the end that feeds it.
#[must_use]
pub fn input() -> (InputSender, Input) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let state = State {
        receiver,
        rest: Bytes::new(),
        ended: false,
    };
    (
        InputSender(sender),
        Input(Stdin(Arc::new(Mutex::new(state)))),
    )
}

impl InputSender {
    /// Sends bytes; waits while the guest reads too slowly.
    ///
    /// # Errors
    ///
    /// When the guest is gone.
    pub async fn send(&self, mut bytes: Bytes) -> Result<(), InputClosed> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            self.0.send(piece).await.map_err(|_| InputClosed)?;
        }
        Ok(())
    }
}

struct State {
    receiver: mpsc::Receiver<Bytes>,
    /// What was received and not read.
    rest: Bytes,
    ended: bool,
}

impl State {
    /// Whether there is something to read, or the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.rest.is_empty() && !self.ended {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(piece) => self.rest = piece,
                None => self.ended = true,
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, bytes_max: usize) -> Bytes {
        self.rest.split_to(self.rest.len().min(bytes_max))
    }
}

/// The stream as a guest sees it. All handles on it share one place.
#[derive(Clone)]
struct Stdin(Arc<Mutex<State>>);

impl Stdin {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncRead + Send + Sync> {
        Box::new(self.0.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.0.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Stdin {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.lock().poll(cx)).await;
    }
}

impl InputStream for Stdin {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.lock();
        if state.rest.is_empty() && !state.ended {
            match state.receiver.try_recv() {
                Ok(piece) => state.rest = piece,
                Err(mpsc::error::TryRecvError::Empty) => return Ok(Bytes::new()),
                Err(mpsc::error::TryRecvError::Disconnected) => state.ended = true,
            }
        }
        if state.rest.is_empty() && state.ended {
            return Err(StreamError::Closed);
        }
        Ok(state.take(size))
    }
}

impl tokio::io::AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut state = self.lock();
        ready!(state.poll(cx));
        let piece = state.take(buf.remaining());
        buf.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}
