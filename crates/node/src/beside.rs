//! What runs beside a container's own run: its probes, and commands in it.
//!
//! Each is an instance of its own. It ends with the container's run, counts as part of
//! the container, and the pod has not ended before it.

use jiff::Timestamp;
use wasmjob_sandbox::RunHandle;

use crate::pod::{PodRun, Slot};

/// A probe or a command of a pod.
pub(crate) struct Beside {
    pub(crate) token: u64,
    pub(crate) slot: Slot,
    pub(crate) handle: RunHandle,
    pub(crate) started: Timestamp,
    /// Somebody runs it; else it is a probe.
    pub(crate) is_command: bool,
}

impl PodRun {
    /// Takes out the one that has ended.
    pub(crate) fn take_beside(&mut self, token: u64) -> Option<Beside> {
        let place = self.beside.iter().position(|run| run.token == token);
        place.map(|place| self.beside.swap_remove(place))
    }

    /// Ends all that run beside a container whose run has ended.
    pub(crate) fn kill_beside(&self, slot: Slot) {
        self.beside_of(slot).for_each(RunHandle::kill);
    }

    /// All that run beside a container.
    pub(crate) fn beside_of(&self, slot: Slot) -> impl Iterator<Item = &RunHandle> {
        let beside = self.beside.iter().filter(move |run| run.slot == slot);
        beside.map(|run| &run.handle)
    }

    /// How many commands run in it.
    pub(crate) fn commands(&self) -> usize {
        self.beside.iter().filter(|run| run.is_command).count()
    }
}
