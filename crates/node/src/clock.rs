//! Time, from outside.

use std::time::Instant;

use jiff::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// Wall time: for labels and schedules.
    fn wall(&self) -> Timestamp;
    /// Monotonic time: for durations and deadlines.
    fn monotonic(&self) -> Instant;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one clock of the product"
    )]
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one clock of the product"
    )]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}
