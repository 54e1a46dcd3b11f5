//! A connection whose other end must say and take something now and then.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream that fails if its other end is silent at first, or takes nothing for long.
pub(super) struct Talking<S> {
    stream: S,
    /// Until when it must have said something.
    silence: Option<Pin<Box<Sleep>>>,
    /// How long it may take nothing.
    stall_time: Duration,
    /// Until when it must have taken something.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Talking<S> {
    /// `silence_time`: how long it may be silent at first; `stall_time`: how long it may
    /// take nothing of what is for it.
    pub(super) fn new(stream: S, silence_time: Duration, stall_time: Duration) -> Self {
        Self {
            stream,
            silence: Some(Box::pin(sleep(silence_time))),
            stall_time,
            stall: None,
        }
    }

    /// What became of an attempt to write.
    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<Result<T>>) -> Poll<Result<T>> {
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let time = self.stall_time;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(time)));
        stall.as_mut().poll(cx).map(|()| Err(late()))
    }
}

fn late() -> Error {
    Error::from(ErrorKind::TimedOut)
}

impl<S: AsyncRead + Unpin> AsyncRead for Talking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &mut self.silence {
            Some(silence) if polled.is_pending() => silence.as_mut().poll(cx).map(|()| Err(late())),
            _ => {
                self.silence = None;
                polled
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Talking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_says_nothing_at_first_is_left() {
        let (client, server) = duplex(64);
        let mut talking = Talking::new(server, SHORT, LONG);
        let error = talking.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn who_has_said_something_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut talking = Talking::new(server, SHORT, LONG);
        client.write_u8(1).await.unwrap();
        assert_eq!(talking.read_u8().await.unwrap(), 1);
        let later = async {
            sleep(SHORT * 3).await;
            client.write_u8(2).await
        };
        let (said, heard) = tokio::join!(later, talking.read_u8());
        said.unwrap();
        assert_eq!(heard.unwrap(), 2);
    }

    #[tokio::test]
    async fn who_takes_nothing_is_left() {
        let (client, server) = duplex(4);
        let mut talking = Talking::new(server, LONG, SHORT);
        talking.write_all(b"1234").await.unwrap();
        let error = talking.write_all(b"5").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(client);
    }

    #[tokio::test]
    async fn who_takes_slowly_is_not_left() {
        let (mut client, server) = duplex(1);
        let mut talking = Talking::new(server, LONG, SHORT * 5);
        let slowly = async {
            for _ in 0..8 {
                sleep(SHORT).await;
                client.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(talking.write_all(b"12345678"), slowly);
        written.unwrap();
    }
}
