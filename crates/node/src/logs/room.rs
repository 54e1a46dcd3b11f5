//! How much may wait for the disk, and how long a guest may wait for room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::lock;
use crate::Clock;

/// The longest that one write of a guest waits. On a disk that keeps up, room
/// comes within milliseconds; the bound for a guest is 100 ms.
const WAIT_MAX: Duration = Duration::from_millis(50);

/// After a wait that was in vain nobody waits for this long. The wait takes a
/// guest thread, on which others would run: a disk that is too slow costs them
/// no more than a twentieth of their time.
const IMPATIENT: Duration = Duration::from_secs(1);

/// Memory for what was written and is not on its way to the disk yet.
pub(super) struct Room {
    max: usize,
    /// [`WAIT_MAX`], but for tests that ask what is written and not how fast.
    wait_max: Mutex<Duration>,
    used: AtomicUsize,
    waiting: AtomicUsize,
    /// Nobody waits before this.
    patient_from: Mutex<Option<Instant>>,
    freed: Condvar,
}

impl Room {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            wait_max: Mutex::new(WAIT_MAX),
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            patient_from: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    /// Waits for longer.
    #[cfg(test)]
    pub(super) fn be_patient(&self) {
        *lock(&self.wait_max) = Duration::from_secs(60);
    }

    /// Bytes that are taken.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes up to `wanted` bytes: what there is.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let mut got = 0;
        // It never fails: the closure always gives a number.
        let _ = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                got = wanted.min(self.max.saturating_sub(used));
                Some(used + got)
            });
        got
    }

    /// Gives bytes back.
    pub(super) fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        if self.waiting.load(Ordering::Acquire) > 0 {
            drop(lock(&self.patient_from));
            self.freed.notify_all();
        }
    }

    /// Waits until `has_room`, but not for long; whether there is room then.
    pub(super) fn wait(&self, clock: &dyn Clock, has_room: impl Fn() -> bool) -> bool {
        let begun = clock.monotonic();
        let mut patient_from = lock(&self.patient_from);
        if patient_from.is_some_and(|from| begun < from) {
            return has_room();
        }
        // Counted before the look: whoever gives room back afterwards notifies.
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let wait_max = *lock(&self.wait_max);
        let mut left = wait_max;
        let found = loop {
            if has_room() {
                break true;
            }
            if left.is_zero() {
                break false;
            }
            patient_from = self
                .freed
                .wait_timeout(patient_from, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            left = wait_max.saturating_sub(clock.monotonic().saturating_duration_since(begun));
        };
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        if !found {
            *patient_from = clock.monotonic().checked_add(IMPATIENT);
        }
        found
    }
}
