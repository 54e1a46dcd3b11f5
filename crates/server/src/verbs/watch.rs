//! Watching: a stream of events that ends by itself, and begins anywhere in the
//! history that is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, sleep_until};
use wasmjob_machinery::status::Status;

use crate::api::{Api, LongRunning};
use crate::body::{self, Reply};
use crate::cache::{Entry, Event, EventKind, Watching, frame};
use crate::call::{Call, number};
use crate::http;
use crate::select::{Selection, kept_as};
use crate::show::Show;
use crate::verbs::read::{check_options, revision_of};

/// How often a client is told how far it has come, if it wants to know.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// A watch without `timeoutSeconds` lasts between so many seconds and twice as many:
/// `kubectl get -w` ends with it, and clients must not all come back at once.
const LENGTH_SECONDS: u64 = 1_800;

/// Bytes of events that are joined when several are there.
const JOINED_BYTES: usize = 64 << 10;

/// Annotation of the bookmark after the last initial event.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl Api {
    pub(crate) async fn watch(self: &Arc<Self>, call: &Call) -> Result<Reply, Status> {
        let room = self.long_running()?;
        let query = &call.query;
        let length = length(query.get("timeoutSeconds"))?;
        check_options(query)?;
        let selection = Selection::of(&call.target, query)?;
        let revision = query.get("resourceVersion").unwrap_or_default();
        let since = revision_of(revision)?;
        // Whether the client asks to begin with what there is.
        let initial = query
            .get("sendInitialEvents")
            .map(|_| query.is_set("sendInitialEvents"));
        self.await_revision(since).await?;
        let resource = kept_as(call.target.resource);
        let scope = selection.scope.clone();
        let show = Show::for_watch(call)?;
        let mut stream = Stream {
            show,
            selection,
            pending: VecDeque::new(),
            held: None,
            bookmarks: query.is_set("allowWatchBookmarks"),
            bookmark_at: Instant::now() + BOOKMARK_EVERY,
            ends_at: Instant::now() + length,
            watching: None,
            api: Arc::clone(self),
            _room: room,
        };
        // Without a revision a watch begins with what there is.
        let lists = match initial {
            Some(wanted) => wanted,
            None => since.is_none(),
        };
        if lists {
            let (listed, watching) = self.cache.list_and_watch(&resource, scope);
            for entry in &listed.entries {
                stream.initial(entry);
            }
            if initial == Some(true) && stream.bookmarks {
                stream.bookmark(listed.revision, true);
            }
            stream.begin(watching);
        } else {
            match self.cache.watch(&resource, scope, since) {
                Ok(watching) => stream.begin(watching),
                // In the stream, as Kubernetes says it: some clients list anew only then,
                // and ask for ever for a watch that is refused.
                Err(_) => stream.fail(&Status::version_expired()),
            }
        }
        let pieces = futures_util::stream::unfold(stream, async |mut stream| {
            let piece = stream.next().await?;
            Some((piece, stream))
        });
        let content_type = "application/json";
        Ok(body::reply(
            StatusCode::OK,
            content_type,
            body::stream(pieces),
        ))
    }
}

fn length(seconds: Option<&str>) -> Result<Duration, Status> {
    let given = seconds.map(number).transpose()?.unwrap_or(0);
    let seconds = match u64::try_from(given) {
        Ok(0) | Err(_) => rand::rng().random_range(LENGTH_SECONDS..=2 * LENGTH_SECONDS),
        Ok(seconds) => seconds.min(7 * 24 * 3_600),
    };
    Ok(Duration::from_secs(seconds))
}

/// A watch on its way to its client. A client that does not read is not waited for:
/// its queue fills, the cache lets it go, and the stream ends.
struct Stream {
    show: Show,
    selection: Selection,
    /// What is to be sent before anything new.
    pending: VecDeque<Bytes>,
    /// An event that came after a bookmark that was on its way.
    held: Option<Arc<Event>>,
    bookmarks: bool,
    bookmark_at: Instant,
    ends_at: Instant,
    watching: Option<Watching>,
    api: Arc<Api>,
    _room: LongRunning,
}

impl Stream {
    fn begin(&mut self, mut watching: Watching) {
        for event in std::mem::take(&mut watching.missed) {
            self.take_in(&event);
        }
        self.watching = Some(watching);
    }

    /// Says why it ends at once.
    fn fail(&mut self, status: &Status) {
        // A value always has a form as text.
        let object = serde_json::to_vec(&status.to_value()).unwrap_or_default();
        self.pending.push_back(frame("ERROR", &object));
    }

    fn initial(&mut self, entry: &Arc<Entry>) {
        if self.selection.covers(entry) {
            let piece = self
                .show
                .event(EventKind::Added, entry, None, self.api.now());
            self.pending.push_back(piece);
        }
    }

    /// Turns an event into what this client is to be told, if it is any of its business.
    fn take_in(&mut self, event: &Arc<Event>) {
        let covers = |entry: &Entry| self.selection.covers(entry);
        let now = self.api.now();
        let (kind, entry, whole) = match (event.kind, &event.before) {
            _ if self.selection.is_everything() => (event.kind, &event.entry, true),
            (EventKind::Modified, Some(before)) => {
                match (covers(&event.entry), covers(before)) {
                    (true, true) => (EventKind::Modified, &event.entry, true),
                    (true, false) => (EventKind::Added, &event.entry, false),
                    // As it was, under the revision at which it ceased to match.
                    (false, true) => {
                        let gone = before.at_revision(event.entry.revision);
                        let piece = self.show.event(EventKind::Deleted, &gone, None, now);
                        return self.pending.push_back(piece);
                    }
                    (false, false) => return,
                }
            }
            _ if covers(&event.entry) => (event.kind, &event.entry, true),
            _ => return,
        };
        let shared = whole.then(|| event.as_ref());
        let piece = self.show.event(kind, entry, shared, now);
        self.pending.push_back(piece);
    }

    fn bookmark(&mut self, revision: u64, ends_initial: bool) {
        let mut metadata = json!({
            "resourceVersion": revision.to_string(),
            "creationTimestamp": null,
        });
        if ends_initial {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        let object: Value = self.show.bookmark(metadata, self.api.now());
        // A value always has a form as text.
        let object = serde_json::to_vec(&object).unwrap_or_default();
        self.pending.push_back(frame("BOOKMARK", &object));
    }

    /// What is to be sent next; the stream ends with none.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.joined() {
                return Some(piece);
            }
            let watching = self.watching.as_mut()?;
            if let Some(event) = self.held.take() {
                self.take_in(&event);
                continue;
            }
            let next_bookmark = match self.bookmarks {
                true => self.bookmark_at.min(self.ends_at),
                false => self.ends_at,
            };
            let event = tokio::select! {
                biased;
                () = http::ended(self.api.ending.clone()) => return None,
                event = watching.receiver.recv() => Some(event?),
                () = sleep_until(next_bookmark) => None,
            };
            match event {
                Some(event) => self.take_in(&event),
                None => self.tell_place(),
            }
        }
    }

    /// Says how far the client has come; and that it is over, when it is.
    fn tell_place(&mut self) {
        let now = Instant::now();
        if self.bookmarks {
            // All up to this revision is in the queue by now.
            let revision = self.api.cache.revision();
            if !self.take_in_up_to(revision) {
                // It was cut off: there may be more up to there.
                self.watching = None;
                return;
            }
            self.bookmark(revision, false);
            self.bookmark_at = now + BOOKMARK_EVERY;
        }
        if now >= self.ends_at {
            self.watching = None;
        }
    }

    /// Whether that was all.
    fn take_in_up_to(&mut self, revision: u64) -> bool {
        loop {
            let Some(watching) = &mut self.watching else {
                return true;
            };
            match watching.receiver.try_recv() {
                Ok(event) if event.entry.revision <= revision => self.take_in(&event),
                Ok(event) => {
                    self.held = Some(event);
                    return true;
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// What is pending, several events as one piece.
    fn joined(&mut self) -> Option<Bytes> {
        let first = self.pending.pop_front()?;
        if self.pending.is_empty() {
            return Some(first);
        }
        let mut joined = BytesMut::from(first.as_ref());
        while let Some(next) = self.pending.front()
            && joined.len() + next.len() <= JOINED_BYTES
        {
            joined.extend_from_slice(next);
            self.pending.pop_front();
        }
        Some(joined.freeze())
    }
}
