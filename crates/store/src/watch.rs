//! Following the changes.

use std::sync::Arc;

use crate::Change;
use crate::state::Shared;

/// The changes that were asked for are no longer kept: list anew and watch from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Expired {
    /// The revision after which changes were asked for.
    pub asked: u64,
    /// The oldest revision that can be asked for.
    pub oldest: u64,
}

/// A place in the history. It holds nothing back: a slow watcher costs the
/// store nothing, and learns that it was too slow.
pub struct Watch {
    shared: Arc<Shared>,
    revision: u64,
}

/// Changes that one look hands out, so that a watcher far behind holds the lock shortly.
const BATCH: usize = 1_000;

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, revision: u64) -> Self {
        Self { shared, revision }
    }

    /// The revision up to which all has been seen.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What happened since, with its revisions; empty if nothing did. What was
    /// committed together may come in two calls.
    ///
    /// # Errors
    ///
    /// [`Expired`] when some of it is no longer kept.
    pub fn try_next(&mut self) -> Result<Vec<(u64, Change)>, Expired> {
        let state = self.shared.lock();
        if self.revision < state.forgotten {
            return Err(Expired {
                asked: self.revision,
                oldest: state.forgotten,
            });
        }
        let start = state
            .history
            .partition_point(|(revision, _)| *revision <= self.revision);
        let mut seen: Vec<(u64, Change)> = Vec::new();
        seen.extend(state.history.range(start..).take(BATCH).cloned());
        // Not all revisions have a change; those that have been passed are seen.
        self.revision = match seen.last() {
            Some((revision, _)) if seen.len() == BATCH => *revision,
            _ => state.revision,
        };
        Ok(seen)
    }

    /// Waits until something happens, and gives it; empty once the store is
    /// [closed](crate::Store::close) and all has been seen.
    ///
    /// # Errors
    ///
    /// [`Expired`] when some of it is no longer kept.
    pub async fn next(&mut self) -> Result<Vec<(u64, Change)>, Expired> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Registered before the look, so that no commit falls in between.
            let committed = shared.committed.notified();
            // Asked before the look: what was shown before the end is still given.
            let is_closed = shared.is_closed();
            let seen = self.try_next()?;
            if is_closed || !seen.is_empty() {
                return Ok(seen);
            }
            committed.await;
        }
    }
}
