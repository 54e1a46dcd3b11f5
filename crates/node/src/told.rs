//! What goes as it should, told as far as people can read it.
//!
//! A kubelet tells so many events a second and no more (`eventRecordQPS`,
//! `eventBurst`); with thousands of pods a second they would push out those that
//! matter. Warnings are told always.

use std::time::Instant;

/// Events a second (`eventRecordQPS`).
const PER_SECOND: f64 = 50.0;
/// Events at once after a quiet time (`eventBurst`).
const BURST: f64 = 100.0;

/// How many more may be told.
#[derive(Debug)]
pub(crate) struct Told {
    left: f64,
    at: Option<Instant>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            left: BURST,
            at: None,
        }
    }
}

impl Told {
    /// Whether one more may be told at `now`.
    pub(crate) fn may(&mut self, now: Instant) -> bool {
        let since = self.at.replace(now);
        let passed = since.map(|at| now.saturating_duration_since(at));
        let more = passed.unwrap_or_default().as_secs_f64() * PER_SECOND;
        self.left = (self.left + more).min(BURST);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Clock as _;

    #[test]
    fn a_burst_is_told_and_then_so_many_a_second() {
        let mut told = Told::default();
        let start = crate::SystemClock.monotonic();
        let mut count = |after: f64, asked: usize| {
            let now = start + Duration::from_secs_f64(after);
            (0..asked).filter(|_| told.may(now)).count()
        };
        assert_eq!(count(0.0, 200), 100);
        assert_eq!(count(1.0, 200), 50);
        assert_eq!(count(1.1, 200), 5);
        assert_eq!(count(60.0, 200), 100);
    }
}
