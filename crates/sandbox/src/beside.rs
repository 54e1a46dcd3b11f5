//! Guests beside another, within that one's memory.
//!
//! A command that is run in a container has no memory of its own: it may take what
//! the container leaves. The container comes first. It grows as if it were alone,
//! and if what they hold together is then too much, those beside it are killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::KillReason;
use crate::executor::Cell;

/// The guests beside one.
#[derive(Default)]
pub(crate) struct Beside {
    /// There is one, or was; so that the others need not look.
    any: AtomicBool,
    cells: Mutex<Vec<Weak<Cell>>>,
}

impl Beside {
    /// Adds a guest. Before it grows for the first time.
    pub(crate) fn add(&self, cell: &Arc<Cell>) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.retain(|cell| cell.strong_count() > 0);
        cells.push(Arc::downgrade(cell));
        self.any.store(true, Ordering::SeqCst);
    }

    fn living(&self) -> Vec<Arc<Cell>> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.iter().filter_map(Weak::upgrade).collect()
    }

    /// The guest `own` holds `bytes` from now on; kills those beside it if it is too
    /// much with what they hold.
    pub(crate) fn grown(&self, own: &Cell, bytes: u64, bytes_max: u64) {
        own.holds(bytes);
        if !self.any.load(Ordering::SeqCst) {
            return;
        }
        let others = self.living();
        let held = others.iter().map(|cell| cell.live_usage().memory_bytes);
        if held.fold(bytes, u64::saturating_add) > bytes_max {
            for cell in &others {
                Cell::kill(cell, KillReason::Memory);
            }
        }
    }

    /// Whether `own`, which is beside `main`, may hold `bytes`; then it does from now on.
    pub(crate) fn grows(&self, main: &Cell, own: &Cell, bytes: u64, bytes_max: u64) -> bool {
        let others = self.living();
        let before = own.live_usage().memory_bytes;
        // First, so that `main` sees it if it grows meanwhile.
        own.holds(bytes);
        let held = others
            .iter()
            .filter(|cell| !std::ptr::eq(Arc::as_ptr(cell), own))
            .map(|cell| cell.live_usage().memory_bytes)
            .fold(main.live_usage().memory_bytes, u64::saturating_add);
        if held.saturating_add(bytes) > bytes_max {
            own.holds(before);
            return false;
        }
        true
    }
}
