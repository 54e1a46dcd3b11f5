//! Without the feature `durable`: no store has a journal, so nothing here ever runs.

use crate::Health;
use crate::state::Write;

/// A journal that there is not.
pub(crate) enum JournalThread {}

impl JournalThread {
    pub(crate) fn push(&self, _: Vec<Write>) -> u64 {
        match *self {}
    }

    pub(crate) fn assigned(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn waiting(&self) -> usize {
        match *self {}
    }

    pub(crate) fn health(&self) -> Health {
        match *self {}
    }

    pub(crate) fn stop(&self) {
        match *self {}
    }
}
