//! What a container writes from now on, as it is kept in its log.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use wasmjob::{LogBuffer, LogFeed, LogRead, Stream, lost_notice};

use super::Asked;
use super::carry::{Refused, Source, carry};
use super::channels;
use crate::api::Api;
use crate::body::Reply;

/// Bytes that are read from a log at once.
const PIECE_BYTES: usize = 64 << 10;

#[expect(
    clippy::disallowed_methods,
    reason = "the stream ends with the server, which it follows"
)]
pub(super) fn begin(api: Arc<Api>, asked: Asked) -> Reply {
    let protocol = asked.upgrade.protocol;
    let (reply, socket) = asked.upgrade.accept();
    let (wanted, room) = (asked.wanted, asked.room);
    // Before the log is looked at, so that nothing is missed in between.
    let feed = match &asked.pod.template.owner {
        Some(owner) => api.host.follow_logs_of(owner.uid),
        None => api.host.follow_logs(),
    };
    let (pod, container) = (asked.pod.uid, asked.container);
    tokio::spawn(async move {
        let _room = room;
        let Some(socket) = socket.await else { return };
        let (host, ending) = (Arc::clone(&api.host), api.ending.clone());
        // A log on the disk is looked for there.
        let logs = tokio::task::spawn_blocking(move || host.logs(pod)).await;
        let mut logs = logs.unwrap_or_default();
        logs.retain(|log| log.container == container);
        let last = logs.into_iter().max_by_key(|log| log.restarts);
        match last {
            Some(log) => {
                let following = Following {
                    place: log.end_offset(),
                    log,
                    feed,
                    pieces: VecDeque::new(),
                    detached: false,
                };
                carry(socket, protocol, wanted, following, None, ending).await;
            }
            None => {
                let text = format!("container not found ({container:?})");
                let refused = Refused(channels::failure(404, "NotFound", &text));
                carry(socket, protocol, wanted, refused, None, ending).await;
            }
        }
    });
    reply
}

/// The log of a run that goes on.
struct Following {
    log: Arc<LogBuffer>,
    place: u64,
    feed: LogFeed,
    pieces: VecDeque<(Stream, Bytes)>,
    detached: bool,
}

impl Following {
    fn take_in(&mut self, read: LogRead) {
        let lost_at_end = read.lost_at_end();
        for chunk in read.chunks {
            self.lost(chunk.lost);
            self.pieces.push_back((chunk.stream, chunk.bytes.into()));
        }
        self.lost(lost_at_end);
    }

    fn lost(&mut self, bytes: u64) {
        if bytes > 0 {
            let text = format!("\n{}\n", lost_notice(bytes));
            self.pieces.push_back((Stream::Stderr, text.into()));
        }
    }
}

impl Source for Following {
    async fn next(&mut self) -> Option<(Stream, Bytes)> {
        while !self.detached {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            let (log, place) = (Arc::clone(&self.log), self.place);
            let read = tokio::task::spawn_blocking(move || log.read_at_most(place, PIECE_BYTES));
            let read = read.await.ok()?;
            let (is_new, ended) = (read.next > self.place, read.ended);
            self.place = read.next;
            self.take_in(read);
            if is_new {
                continue;
            }
            if ended {
                return None;
            }
            // Other logs of the Job's pods have news as well; it is read again for nothing.
            self.feed.next().await;
        }
        None
    }

    /// The container goes on; who attached has seen enough.
    fn interrupt(&mut self) {
        self.detached = true;
    }

    async fn end(&mut self) -> Value {
        channels::success()
    }
}
