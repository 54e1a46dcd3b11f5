//! How guests share the processors: by weight, and below a ceiling.
//!
//! Every guest has a clock that runs with the processor time that it uses, slower the
//! heavier it is; whoever is furthest behind goes next. A guest that slept begins where
//! the others are, so that sleep earns nothing.
//!
//! A ceiling is a debt: each nanosecond of processor time must be waited for, so many
//! nanoseconds long as the ceiling says, except for what a guest did not use within
//! the last period.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::now;

/// A guest's share of the processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Its weight among those that compute, in thousandths of a processor as
    /// Kubernetes' requests are.
    pub weight: u32,
    /// What it may use at most, in thousandths of a processor.
    pub limit_milli: Option<u32>,
}

/// The weight of a guest that asks for nothing: enough to be done soon what is short,
/// whatever else computes.
const DEFAULT_WEIGHT: u32 = 100;

/// What is not used is forgotten after so long (the kernel's `cpu.max` has the same).
const PERIOD: Duration = Duration::from_millis(100);

/// The smallest weight and ceiling: a guest must go on.
const LEAST: u32 = 2;

impl Default for Cpu {
    fn default() -> Self {
        Self {
            weight: DEFAULT_WEIGHT,
            limit_milli: None,
        }
    }
}

/// What a guest has used of its share.
pub(crate) struct Share {
    weight: u64,
    limit_milli: Option<u64>,
    /// Its clock.
    virtual_nanos: AtomicU64,
    /// Until when its debt lasts, in nanoseconds since `begun`.
    owes_until: AtomicU64,
    begun: Instant,
}

impl Share {
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self {
            weight: u64::from(cpu.weight.max(LEAST)),
            limit_milli: cpu.limit_milli.map(|limit| u64::from(limit.max(LEAST))),
            virtual_nanos: AtomicU64::new(0),
            owes_until: AtomicU64::new(0),
            begun: now(),
        }
    }

    /// Takes down so much processor time.
    pub(crate) fn charge(&self, nanos: u64) {
        let slowed = nanos.saturating_mul(u64::from(DEFAULT_WEIGHT)) / self.weight;
        // One thread polls a guest at a time, so nobody else writes.
        let virtual_nanos = self.virtual_nanos.load(Ordering::Relaxed);
        self.virtual_nanos
            .store(virtual_nanos.saturating_add(slowed), Ordering::Relaxed);
        if let Some(limit) = self.limit_milli {
            let period = u64::try_from(PERIOD.as_nanos()).unwrap_or(u64::MAX);
            let forgotten = self.since_begun().saturating_sub(period);
            let owes = self.owes_until.load(Ordering::Relaxed).max(forgotten);
            let debt = nanos.saturating_mul(1000) / limit;
            self.owes_until
                .store(owes.saturating_add(debt), Ordering::Relaxed);
        }
    }

    /// Its clock, which is at least at `floor` from now on.
    pub(crate) fn catch_up(&self, floor: u64) -> u64 {
        let at = self.virtual_nanos.load(Ordering::Relaxed).max(floor);
        self.virtual_nanos.store(at, Ordering::Relaxed);
        at
    }

    /// When it may go on, if not now.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.limit_milli?;
        let owes = self.owes_until.load(Ordering::Relaxed);
        if owes <= self.since_begun() {
            return None;
        }
        self.begun.checked_add(Duration::from_nanos(owes))
    }

    fn since_begun(&self) -> u64 {
        let since = now().saturating_duration_since(self.begun);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: u32, limit_milli: Option<u32>) -> Share {
        Share::new(Cpu {
            weight,
            limit_milli,
        })
    }

    #[test]
    fn the_clock_of_the_heavier_runs_slower() {
        let (light, heavy) = (share(100, None), share(300, None));
        light.charge(3_000);
        heavy.charge(9_000);
        assert_eq!((light.catch_up(0), heavy.catch_up(0)), (3_000, 3_000));
        assert_eq!(light.catch_up(5_000), 5_000);
        assert!(light.waits_until().is_none());
    }

    #[test]
    fn what_is_over_the_ceiling_is_waited_for() {
        let limited = share(100, Some(100));
        assert!(limited.waits_until().is_none());
        // 30 ms of a tenth are 300 ms, of which 100 may have been saved at most.
        limited.charge(30_000_000);
        let wait = limited
            .waits_until()
            .unwrap()
            .saturating_duration_since(now());
        assert!((150..=300).contains(&wait.as_millis()), "{wait:?}");
    }

    #[test]
    fn no_number_breaks_it() {
        let least = share(0, Some(0));
        least.charge(u64::MAX);
        least.charge(u64::MAX);
        assert!(least.catch_up(0) >= u64::MAX - 1);
        let _ = least.waits_until();
    }
}
