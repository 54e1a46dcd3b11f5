//! How callers reach the host's thread.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use tokio::sync::oneshot;
use wasmjob_api::Uid;
use wasmjob_api::k8s_openapi::api::{batch::v1 as batch, core::v1 as core};
use wasmjob_api::manifest::Kept;
use wasmjob_node::{Exec, ExecError, ExecHandle};
use wasmjob_store::{Key, Store};

use super::{ManifestChanges, ManifestFile, NewObject, Write, WriteError, Written};
use crate::job::Propagation;
use crate::{ApplyError, EditError, Figures, JobResult, PodResult};

/// What callers ask of the host's thread.
pub(crate) enum Command {
    Apply(Vec<New>, oneshot::Sender<Result<Vec<Applied>, ApplyError>>),
    WaitJob(Uid, oneshot::Sender<JobResult>),
    WaitPod(Uid, oneshot::Sender<PodResult>),
    Edit(Uid, EditFn, oneshot::Sender<Result<(), EditError>>),
    Delete(Key, Propagation),
    Write(Box<Write>, oneshot::Sender<Result<Written, WriteError>>),
    /// Say whether it may be created.
    Review(
        Box<NewObject>,
        oneshot::Sender<Result<Option<Box<core::Pod>>, WriteError>>,
    ),
    /// Say whether it could be made.
    ReviewWrite(Box<Write>, oneshot::Sender<Result<(), WriteError>>),
    ApplyManifest(
        ManifestFile,
        oneshot::Sender<Result<ManifestChanges, ApplyError>>,
    ),
    RenameManifest(
        Arc<str>,
        Arc<str>,
        oneshot::Sender<Result<ManifestChanges, ApplyError>>,
    ),
    RemoveManifest(
        Arc<str>,
        oneshot::Sender<Result<ManifestChanges, ApplyError>>,
    ),
    Ping(oneshot::Sender<()>),
    /// Say whether a pod has a claim, or may yet have it.
    ClaimInUse(Arc<str>, Arc<str>, oneshot::Sender<bool>),
    Figures(oneshot::Sender<Figures>),
    Exec(Box<Exec>, oneshot::Sender<Result<ExecHandle, ExecError>>),
    /// There is somebody who makes tokens.
    Tokens,
    /// Begin nothing more, and say when nothing runs.
    Drain(oneshot::Sender<()>),
    Stop,
}

/// Changes a spec.
pub(crate) type EditFn = Box<dyn FnOnce(&mut batch::JobSpec) + Send>;

/// An object to take on: defaulted and valid, but for what creation adds.
pub(crate) enum New {
    Job(Box<batch::Job>, Arc<Path>),
    Pod(Box<core::Pod>, Arc<Path>),
    CronJob(Box<batch::CronJob>, Arc<Path>),
    Kept(Box<Kept>),
}

/// An object that was taken on.
pub(crate) struct Applied {
    pub(crate) key: Key,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// Where commands arrive, and how the thread is woken.
#[derive(Default)]
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    pub(super) thread: OnceLock<Thread>,
    pub(super) woken: AtomicBool,
    /// To be woken with the engine's next tick.
    at_tick: AtomicBool,
    stopped: AtomicBool,
}

impl Mailbox {
    pub(crate) fn send(&self, command: Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock, so that no command comes after the last look.
        if self.stopped.load(Ordering::Acquire) {
            // Dropping the command drops its reply, which its caller sees.
            return;
        }
        commands.push(command);
        drop(commands);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Wakes the thread with the engine's next tick.
    pub(crate) fn wake_at_tick(&self) {
        self.at_tick.store(true, Ordering::Release);
    }

    /// The engine ticks.
    pub(crate) fn tick(&self) {
        if self.at_tick.load(Ordering::Relaxed) && self.at_tick.swap(false, Ordering::AcqRel) {
            self.wake();
        }
    }

    pub(super) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells everybody that the host's thread is gone.
pub(super) struct CloseOnDrop(pub(super) Arc<Mailbox>, pub(super) Store);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut commands = self
            .0
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.0.stopped.store(true, Ordering::Release);
        let left = std::mem::take(&mut *commands);
        drop(commands);
        drop(left);
        self.1.close();
    }
}
