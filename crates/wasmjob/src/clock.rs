//! The host's clock: wall time that no adjustment of the system's clock moves.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use wasmjob_node::{Clock, SystemClock};

/// Wall time as it was when the host started, plus the monotonic time since:
/// deadlines, back-off and time to live do not jump with the system's clock.
pub(crate) struct SteadyClock {
    wall: Timestamp,
    monotonic: Instant,
}

impl SteadyClock {
    pub(crate) fn start() -> Self {
        Self {
            wall: SystemClock.wall(),
            monotonic: SystemClock.monotonic(),
        }
    }
}

impl Clock for SteadyClock {
    fn wall(&self) -> Timestamp {
        let since = self.monotonic().saturating_duration_since(self.monotonic);
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(since).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }
}
