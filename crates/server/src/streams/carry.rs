//! Carrying a stream to its end, whoever ends it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use wasmjob::{InputSender, Stream};

use super::Wanted;
use super::channels::{self, Protocol, Said};
use super::terminal::{self, Terminal};
use super::upgrade::Socket;
use crate::http;

/// How often a client is asked for a sign of life: one whose machine is gone says no
/// word of it, and only who writes to it learns that.
const PING_EVERY: Duration = Duration::from_secs(15);

/// How long a client may take to close after the last message.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Keys whose effect was not shown yet. A terminal that is slower than its typist
/// misses some of what was typed.
const KEYS_MAX: usize = 64;

/// What comes of a key at a terminal.
enum Key {
    Echo(Bytes),
    Interrupt,
}

/// What is carried: output, and how it ended.
pub(super) trait Source: Send {
    /// The next piece of output; none at the end.
    fn next(&mut self) -> impl Future<Output = Option<(Stream, Bytes)>> + Send;

    /// Ctrl-C: ends it.
    fn interrupt(&mut self);

    /// The Status that comes last.
    fn end(&mut self) -> impl Future<Output = Value> + Send;
}

/// A source that has nothing but an end.
pub(super) struct Refused(pub(super) Value);

impl Source for Refused {
    async fn next(&mut self) -> Option<(Stream, Bytes)> {
        None
    }

    fn interrupt(&mut self) {}

    async fn end(&mut self) -> Value {
        self.0.clone()
    }
}

/// Carries `source` to a client, and what it sends to `input`, until one of them ends
/// or the server does.
pub(super) async fn carry(
    socket: Socket,
    protocol: Protocol,
    wanted: Wanted,
    mut source: impl Source,
    input: Option<InputSender>,
    ending: watch::Receiver<bool>,
) {
    let (mut sink, mut stream) = socket.split();
    {
        let (typed, keys) = mpsc::channel(KEYS_MAX);
        let writing = write(&mut sink, &mut source, wanted, keys);
        let client = Client {
            protocol,
            input,
            terminal: wanted.tty.then(Terminal::default),
            typed,
        };
        let reading = client.read(&mut stream);
        tokio::select! {
            biased;
            () = http::ended(ending) => {}
            written = writing => if written.is_err() {
                return;
            },
            // The client has gone: what is carried goes with it.
            () = reading => return,
        }
    }
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    let closing = async {
        sink.send(Message::Close(Some(close))).await?;
        // Until it has answered, so that the last message is not lost to a reset.
        while let Some(Ok(_)) = stream.next().await {}
        Ok::<_, Error>(())
    };
    let _ = timeout(CLOSE_TIME, closing).await;
}

async fn write(
    sink: &mut SplitSink<Socket, Message>,
    source: &mut impl Source,
    wanted: Wanted,
    mut keys: mpsc::Receiver<Key>,
) -> Result<(), Error> {
    // An empty message says that the streams are there, as upstream.
    let first = match wanted.stdout {
        true => channels::output(Stream::Stdout, b""),
        false => channels::output(Stream::Stderr, b""),
    };
    if wanted.stdout || wanted.stderr {
        sink.send(Message::Binary(first)).await?;
    }
    let mut ping_at = Instant::now() + PING_EVERY;
    loop {
        let piece = tokio::select! {
            biased;
            () = sleep_until(ping_at) => {
                ping_at = Instant::now() + PING_EVERY;
                sink.send(Message::Ping(Bytes::new())).await?;
                continue;
            }
            Some(key) = keys.recv() => {
                match key {
                    Key::Echo(bytes) => {
                        let message = channels::output(Stream::Stdout, &bytes);
                        sink.send(Message::Binary(message)).await?;
                    }
                    Key::Interrupt => source.interrupt(),
                }
                continue;
            }
            piece = source.next() => piece,
        };
        let Some((stream, bytes)) = piece else { break };
        let (stream, bytes) = match wanted.tty {
            true => (Stream::Stdout, terminal::shown(&bytes)),
            false => (stream, bytes),
        };
        let is_wanted = match stream {
            Stream::Stdout => wanted.stdout,
            Stream::Stderr => wanted.stderr,
        };
        if is_wanted {
            let message = channels::output(stream, &bytes);
            sink.send(Message::Binary(message)).await?;
        }
    }
    let status = channels::status(&source.end().await);
    sink.send(Message::Binary(status)).await
}

/// What a client says.
struct Client {
    protocol: Protocol,
    /// Where what it sends goes, as long as somebody reads it.
    input: Option<InputSender>,
    terminal: Option<Terminal>,
    typed: mpsc::Sender<Key>,
}

impl Client {
    /// Takes what it says until it has gone.
    async fn read(mut self, stream: &mut SplitStream<Socket>) {
        while let Some(Ok(message)) = stream.next().await {
            let data = match message {
                Message::Binary(data) => data,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                // Pings are answered below.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            match channels::read(self.protocol, data) {
                Said::Stdin(bytes) if self.terminal.is_some() => self.type_keys(&bytes).await,
                Said::Stdin(bytes) => self.feed(bytes).await,
                Said::EndOfStdin => self.input = None,
                Said::Nothing => {}
            }
        }
    }

    async fn feed(&mut self, bytes: Bytes) {
        if let Some(input) = &self.input
            && input.send(bytes).await.is_err()
        {
            self.input = None;
        }
    }

    async fn type_keys(&mut self, keys: &[u8]) {
        let Some(terminal) = &mut self.terminal else {
            return;
        };
        let typed = terminal.take(keys);
        // What nobody reads is not shown either.
        if self.input.is_some() && !typed.echo.is_empty() {
            let _ = self.typed.try_send(Key::Echo(typed.echo.into()));
        }
        if typed.interrupts {
            let _ = self.typed.send(Key::Interrupt).await;
        }
        self.feed(typed.input.into()).await;
        if typed.ends {
            self.input = None;
        }
    }
}
