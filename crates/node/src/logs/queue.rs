//! What waits for the writer's thread, and when it wakes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::lock;
use super::spool::DiskLog;
use crate::Clock;

/// The logs that have something to write. While there is none, and nothing else
/// is to be done, the thread sleeps without a timer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    logs: Vec<Arc<DiskLog>>,
    /// When the thread is to look.
    due: Option<Instant>,
    stop: bool,
}

/// What the thread woke up for.
pub(super) struct Work {
    pub(super) logs: Vec<Arc<DiskLog>>,
    pub(super) stop: bool,
}

impl Queue {
    /// Adds a log, to be looked at by `due`. A log is in the queue once.
    pub(super) fn push(&self, log: Arc<DiskLog>, due: Instant) {
        let mut state = lock(&self.state);
        if state.stop {
            return;
        }
        state.logs.push(log);
        self.advance(state, due);
    }

    /// Lets the thread look by `due`.
    pub(super) fn hurry(&self, due: Instant) {
        self.advance(lock(&self.state), due);
    }

    fn advance(&self, mut state: std::sync::MutexGuard<'_, State>, due: Instant) {
        if state.due.is_none_or(|at| due < at) {
            state.due = Some(due);
            drop(state);
            self.news.notify_one();
        }
    }

    /// Ends the thread; what comes later is not taken.
    pub(super) fn stop(&self) {
        lock(&self.state).stop = true;
        self.news.notify_one();
    }

    /// Waits until there is something to do: for logs, but not before
    /// `not_before`; or for the time `other`.
    pub(super) fn wait(
        &self,
        clock: &dyn Clock,
        other: Option<Instant>,
        not_before: Option<Instant>,
    ) -> Work {
        let mut state = lock(&self.state);
        loop {
            let now = clock.monotonic();
            let due = state
                .due
                .map(|due| not_before.map_or(due, |at| due.max(at)));
            let is_due = due.is_some_and(|due| due <= now);
            if is_due || state.stop {
                state.due = None;
                return Work {
                    logs: std::mem::take(&mut state.logs),
                    stop: state.stop,
                };
            }
            let at = due.into_iter().chain(other).min();
            state = match at {
                Some(at) if at <= now => {
                    return Work {
                        logs: Vec::new(),
                        stop: false,
                    };
                }
                Some(at) => {
                    self.news
                        .wait_timeout(state, at - now)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .news
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
