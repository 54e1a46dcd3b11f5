//! Commands in a container that runs: fresh instances of its module with arguments
//! of their own, as probes are, which somebody watches.
//!
//! A command sees what the container sees: its environment, its volumes, its working
//! directory. It has no memory of its own but what the container leaves of its limit,
//! it does not outlive the pod's deadline, and it ends with the container's run.

use std::sync::Arc;

use tokio::sync::oneshot;
use wasmjob_api::{Terminated, Uid};
use wasmjob_sandbox::{Input, Outcome, Output, RunHandle, Task};

use crate::beside::Beside;
use crate::node::{Node, Purpose};
use crate::pod::terminated;

/// Commands at once in one pod.
const EXECS_PER_POD: usize = 8;

/// All commands together may take one of so many slots of the pool; the others are
/// for pods.
const EXECS_SHARE: u32 = 8;

/// A command to be run.
pub struct Exec {
    /// The pod.
    pub pod: Uid,
    /// The container.
    pub container: Arc<str>,
    /// Its arguments, the program's name first.
    pub command: Arc<[String]>,
    /// What it reads, if anything.
    pub input: Option<Input>,
    /// Where its output goes.
    pub output: Arc<dyn Output>,
    /// Told how it ended; dropped if it could not be told.
    pub ended: oneshot::Sender<Terminated>,
}

/// A command that runs. Dropping it kills the command.
pub struct ExecHandle(RunHandle);

impl ExecHandle {
    /// Kills the command; its end is told as always.
    pub fn kill(&self) {
        self.0.kill();
    }
}

impl Drop for ExecHandle {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Why a command could not be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExecError {
    /// The container does not run, or there is none of that name.
    #[error("container not found ({0:?})")]
    NotRunning(Arc<str>),
    /// There are as many in the pod as may be.
    #[error("too many commands run in the pod: {EXECS_PER_POD} at once are allowed")]
    TooMany,
    /// The node has no room for another.
    #[error("the node has no room for another command")]
    NoRoom,
}

impl Node {
    /// Runs a command in a container.
    ///
    /// # Errors
    ///
    /// See [`ExecError`].
    pub fn exec(&mut self, exec: Exec) -> Result<ExecHandle, ExecError> {
        let not_running = || ExecError::NotRunning(Arc::clone(&exec.container));
        let run = self.pods.get(&exec.pod).ok_or_else(not_running)?;
        let mut slots = run.slots();
        let slot = slots.find(|slot| run.spec(*slot).name == exec.container);
        let slot = slot.ok_or_else(not_running)?;
        let container = run.container(slot).run.as_ref().ok_or_else(not_running)?;
        let images = run.images.as_ref().ok_or_else(not_running)?;
        let Ok(image) = &images.images[run.image_index(slot)] else {
            return Err(not_running());
        };
        if run.commands() >= EXECS_PER_POD {
            return Err(ExecError::TooMany);
        }
        let slots = image.module.slots();
        let guests = self.engine.capacity().guests;
        let taken = self.exec_slots.saturating_add(slots);
        let has_share = self.exec_slots == 0 || taken <= guests / EXECS_SHARE;
        if !has_share || self.slots_used.saturating_add(slots) > guests {
            return Err(ExecError::NoRoom);
        }
        let spec = run.spec(slot);
        let task = Task {
            module: image.module.clone(),
            args: exec.command,
            env: Arc::clone(&container.env),
            env_own: container.env_own.clone(),
            mounts: Arc::clone(&container.mounts),
            working_dir: spec.working_dir_in(image),
            memory_bytes_max: spec.memory_bytes_max,
            cpu: spec.cpu,
            fuel: spec.fuel,
            deadline: run.deadline,
            input: exec.input,
            beside: Some(container.handle.clone()),
            output: exec.output,
            network: run.network().unwrap_or_default(),
            extension: None,
        };
        self.next_token += 1;
        let token = self.next_token;
        self.slots_used += slots;
        self.exec_slots = taken;
        let purpose = Purpose::Exec(slot, exec.ended);
        self.runs.insert(token, (exec.pod, purpose, slots));
        let handle = self.engine.start(task, Arc::clone(&self.inbox) as _, token);
        let started = self.clock.wall();
        if let Some(run) = self.pods.get_mut(&exec.pod) {
            run.beside.push(Beside {
                token,
                slot,
                handle: handle.clone(),
                started,
                is_command: true,
            });
        }
        Ok(ExecHandle(handle))
    }

    /// A command has ended.
    pub(crate) fn exec_ended(
        &mut self,
        uid: Uid,
        token: u64,
        outcome: &Outcome,
        ended: oneshot::Sender<Terminated>,
    ) {
        let now = self.clock.wall();
        let Some(run) = self.pods.get_mut(&uid) else {
            return;
        };
        if let Some(command) = run.take_beside(token) {
            // Who asked may have gone.
            let _ = ended.send(terminated(outcome, command.started, now));
        }
        self.finish_if_ended(uid);
    }
}
