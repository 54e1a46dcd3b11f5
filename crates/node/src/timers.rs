//! What is due when, on the monotonic clock.

use std::collections::BTreeMap;
use std::time::Instant;

use wasmjob_api::Uid;

use crate::pod::Slot;
use crate::probe::ProbeKind;

/// Something that is due. One that has become pointless does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// The pod's `activeDeadlineSeconds` are over.
    Deadline(Uid),
    /// A container's back-off is over.
    Restart(Uid, Slot),
    /// A container that waits for a ConfigMap or a Secret is to be looked at.
    Config(Uid, Slot),
    /// The grace period of a run is over.
    Kill(u64),
    /// A probe of the run `.2` is due.
    Probe(Uid, Slot, u64, ProbeKind),
    /// The pod's directories are to be measured.
    Measure(Uid),
    /// The pod's directories are to be tried again.
    Volumes(Uid),
    /// A token in the pod's volumes is to be made anew.
    Tokens(Uid),
    /// The pod's images are to be tried again.
    Images(Uid),
    /// That they will be is to be said.
    ImageBackoff(Uid),
}

/// One of the timers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerKey(Instant, u64);

/// All timers, soonest first.
#[derive(Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Instant, u64), Timer>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn at(&mut self, at: Instant, timer: Timer) -> TimerKey {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), timer);
        TimerKey(at, self.sequence)
    }

    /// Takes back a timer that may be far away. Those that are soon due need not be.
    pub(crate) fn cancel(&mut self, key: Option<TimerKey>) {
        if let Some(TimerKey(at, sequence)) = key {
            self.queue.remove(&(at, sequence));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes the soonest timer that is due at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Timer> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
