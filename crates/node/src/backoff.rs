//! How long a container that keeps ending waits for its next start.

use std::time::Duration;

/// The delay of the second start; the first is at once, as with a kubelet,
/// which only then begins to count.
const FIRST: Duration = Duration::from_secs(10);
/// The longest delay (`MaxContainerBackOff`).
const LONGEST: Duration = Duration::from_secs(300);
/// A run as long as this begins anew with the first delay (twice the longest).
const FORGIVEN: Duration = Duration::from_secs(600);

/// The crash-loop back-off of one container.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The delay after a run that took `ran`.
    pub(crate) fn next(&mut self, ran: Duration) -> Duration {
        let delay = match self.last {
            Some(Duration::ZERO) => FIRST,
            Some(last) if ran < FORGIVEN => last.saturating_mul(2).min(LONGEST),
            Some(_) | None => Duration::ZERO,
        };
        self.last = Some(delay);
        delay
    }
}

/// The back-off of a pod's images. Unlike a container, they wait from the first failure on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PullBackoff {
    last: Option<Duration>,
}

impl PullBackoff {
    /// The delay after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let next = self.last.map_or(FIRST, |last| last.saturating_mul(2));
        *self.last.insert(next.min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_a_long_run_forgives() {
        let mut backoff = Backoff::default();
        let mut next = |ran| backoff.next(Duration::from_secs(ran)).as_secs();
        let first: Vec<_> = (0..8).map(|_| next(1)).collect();
        assert_eq!(first, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(next(599), 300);
        assert_eq!(next(600), 0);
    }

    #[test]
    fn pulls_wait_from_the_first_failure_on() {
        let mut backoff = PullBackoff::default();
        let delays: Vec<_> = (0..7).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    }
}
