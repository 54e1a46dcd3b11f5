//! Following logs: being told which have news.
//!
//! A follower has a place in the log, not a queue: a slow one costs nothing and
//! slows nobody down.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use wasmjob_api::Uid;

use super::{LogBuffer, Shared, lock};

/// What one follower has not been told yet. It holds a log once, however much
/// was written to it, so a slow follower costs no more than there are logs.
pub(super) struct FeedQueue {
    pub(super) job: Option<Uid>,
    fresh: Mutex<Fresh>,
    news: Notify,
}

#[derive(Default)]
struct Fresh {
    logs: Vec<Arc<LogBuffer>>,
    /// Addresses of `logs`.
    known: HashSet<usize>,
}

impl FeedQueue {
    pub(super) fn push(&self, log: &Arc<LogBuffer>) {
        let mut fresh = lock(&self.fresh);
        if fresh.known.insert(Arc::as_ptr(log).addr()) {
            fresh.logs.push(Arc::clone(log));
            drop(fresh);
            self.news.notify_one();
        }
    }
}

/// Tells which logs have news.
pub struct LogFeed {
    shared: Arc<Shared>,
    queue: Arc<FeedQueue>,
}

impl LogFeed {
    /// Follows from now on all logs, or those of a Job's pods.
    pub(super) fn new(shared: &Arc<Shared>, job: Option<Uid>) -> Self {
        let queue = Arc::new(FeedQueue {
            job,
            fresh: Mutex::default(),
            news: Notify::new(),
        });
        lock(&shared.feeds).push(Arc::clone(&queue));
        shared.followers.fetch_add(1, Ordering::AcqRel);
        Self {
            shared: Arc::clone(shared),
            queue,
        }
    }

    /// The logs with news since they were last handed out; read them from the
    /// place where you left off. Does not wait.
    #[must_use]
    pub fn try_next(&self) -> Vec<Arc<LogBuffer>> {
        std::mem::take(&mut *lock(&self.queue.fresh)).logs
    }

    /// Waits until some log has news; [`LogFeed::try_next`] gives them.
    pub async fn ready(&self) {
        while lock(&self.queue.fresh).logs.is_empty() {
            // A notification that came before we wait is kept.
            self.queue.news.notified().await;
        }
    }

    /// Waits for news.
    pub async fn next(&self) -> Vec<Arc<LogBuffer>> {
        self.ready().await;
        self.try_next()
    }
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        lock(&self.shared.feeds).retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.shared.followers.fetch_sub(1, Ordering::AcqRel);
    }
}
