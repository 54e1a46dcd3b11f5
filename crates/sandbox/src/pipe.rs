//! Output that is read as it is written, and waits for its reader.
//!
//! A log takes whatever a guest writes and drops what is too much. Who runs a
//! command wants every byte of it: this holds a bounded amount, and a guest that
//! writes faster than it is read waits, as at a pipe.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::{Output, Stream};

/// Bytes that are held until they are read; a single write may exceed it by the most
/// that one may carry.
const HELD_BYTES_MAX: usize = 256 << 10;

/// Bytes that are handed out as one piece.
const PIECE_BYTES: usize = 32 << 10;

#[derive(Default)]
struct State {
    pieces: VecDeque<(Stream, BytesMut)>,
    bytes: usize,
    /// The guest is gone.
    ended: bool,
    /// The reader is gone: nothing is kept any more.
    closed: bool,
    guest: Option<Waker>,
    reader: Option<Waker>,
}

/// The end that a guest writes to.
pub struct OutputPipe(Arc<Mutex<State>>);

/// The end that is read.
pub struct OutputReader(Arc<Mutex<State>>);

/// Makes a pipe for a guest's output.
#[must_use]
pub fn output_pipe() -> (Arc<OutputPipe>, OutputReader) {
    let state = Arc::new(Mutex::new(State::default()));
    (
        Arc::new(OutputPipe(Arc::clone(&state))),
        OutputReader(state),
    )
}

/// What it guards stays consistent: nothing that can panic runs while it is held.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn has_room(&self) -> bool {
        self.closed || self.bytes < HELD_BYTES_MAX
    }
}

impl Output for OutputPipe {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut state = lock(&self.0);
        if state.closed || bytes.is_empty() {
            return;
        }
        state.bytes += bytes.len();
        match state.pieces.back_mut() {
            Some((last, piece)) if *last == stream && piece.len() + bytes.len() <= PIECE_BYTES => {
                piece.extend_from_slice(bytes);
            }
            _ => {
                for piece in bytes.chunks(PIECE_BYTES) {
                    state.pieces.push_back((stream, BytesMut::from(piece)));
                }
            }
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn has_room(&self) -> bool {
        lock(&self.0).has_room()
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.has_room() {
            return Poll::Ready(());
        }
        state.guest = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for OutputPipe {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl OutputReader {
    /// The next piece; none once the guest is gone and everything was read.
    pub async fn next(&mut self) -> Option<(Stream, Bytes)> {
        std::future::poll_fn(|cx| {
            let mut state = lock(&self.0);
            if let Some((stream, piece)) = state.pieces.pop_front() {
                state.bytes -= piece.len();
                let guest = match state.has_room() {
                    true => state.guest.take(),
                    false => None,
                };
                drop(state);
                if let Some(guest) = guest {
                    guest.wake();
                }
                return Poll::Ready(Some((stream, piece.freeze())));
            }
            if state.ended {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for OutputReader {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.closed = true;
        state.pieces.clear();
        state.bytes = 0;
        let guest = state.guest.take();
        drop(state);
        if let Some(guest) = guest {
            guest.wake();
        }
    }
}
