//! The host's clock: wall time that jumps only where the host looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use wasmjob_node::Clock;

/// Differences below this are the system's clock being slewed, or ourselves
/// being slow between two looks.
const JUMP_MIN: SignedDuration = SignedDuration::from_millis(200);

/// Wall time as it was at some moment, plus the monotonic time since.
///
/// Deadlines, back-off and time to live are differences of wall times, and must
/// not jump when somebody sets the system's clock, or when the machine sleeps.
/// So this clock goes on steadily, until [`SteadyClock::follow`] is called, which
/// takes over the system's wall time and says by how much that jumped.
pub(crate) struct SteadyClock {
    system: Arc<dyn Clock>,
    anchor: Mutex<(Timestamp, Instant)>,
}

impl SteadyClock {
    pub(crate) fn start(system: Arc<dyn Clock>) -> Self {
        Self {
            anchor: Mutex::new((system.wall(), system.monotonic())),
            system,
        }
    }

    /// Takes over the system's wall time, and gives how much it has jumped.
    pub(crate) fn follow(&self) -> Option<SignedDuration> {
        let (before, system) = (self.wall(), self.system.wall());
        let jump = system.duration_since(before);
        if jump.abs() < JUMP_MIN {
            return None;
        }
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        *anchor = (system, self.system.monotonic());
        Some(jump)
    }
}

impl Clock for SteadyClock {
    fn wall(&self) -> Timestamp {
        let (wall, begun) = *self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.monotonic().saturating_duration_since(begun);
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
        wall.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Instant {
        self.system.monotonic()
    }
}
