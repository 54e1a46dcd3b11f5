//! What goes into a sandbox and what comes out of it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::executor::Cell;
use crate::{Cpu, Input, Module, Network, Output, Quota, Signal};

/// One run of one container.
pub struct Task {
    /// What to run.
    pub module: Module,
    /// `argv`, the program's name first.
    pub args: Arc<[String]>,
    /// The environment that all runs of this container share.
    pub env: Arc<[(String, String)]>,
    /// What this run adds to it; a later value wins.
    pub env_own: Vec<(String, String)>,
    /// Directories that the guest may open.
    pub mounts: Arc<[Mount]>,
    /// The working directory, an absolute guest path. WASI 0.1 has none, so a
    /// directory inside a mount is also opened as `.`.
    pub working_dir: Option<Arc<str>>,
    /// Bytes of linear memories and tables together.
    pub memory_bytes_max: u64,
    /// Its share of the processors.
    pub cpu: Cpu,
    /// A deterministic budget of executed instructions.
    pub fuel: Option<u64>,
    /// When the guest must be dead ([`KillReason::Deadline`]).
    pub deadline: Option<Instant>,
    /// What it reads; nothing by default.
    pub input: Option<Input>,
    /// A guest whose memory it shares: it may take what that one leaves of
    /// `memory_bytes_max`, and is killed ([`KillReason::Memory`]) if that one needs it.
    pub beside: Option<RunHandle>,
    /// Where it may connect to; nowhere by default.
    pub network: Option<Arc<Network>>,
    /// Where its output goes.
    pub output: Arc<dyn Output>,
    /// What the embedder's host functions may want to know; see [`crate::Guest::extension`].
    pub extension: Option<Arc<dyn std::any::Any + Send + Sync>>,
}

/// A directory of the host, opened, at a path of the guest.
#[derive(Debug)]
pub struct Mount {
    /// The directory, opened by the caller: what it names cannot change any more.
    pub dir: OwnedFd,
    /// The absolute path at which the guest sees it.
    pub guest_path: String,
    /// Nothing in it may be changed.
    pub read_only: bool,
    /// How much its files may grow: all of them hold.
    pub quotas: Arc<[Arc<Quota>]>,
}

/// Takes the end of a run. Called on a guest thread, so it must be quick and must not block.
pub trait Exits: Send + Sync + 'static {
    /// The run that was started with `token` has ended, and holds nothing any more.
    fn exited(&self, token: u64, outcome: Outcome);

    /// The same, when other guests are ready to run on this thread at once, and
    /// the engine will tick within a millisecond: a caller that is woken by
    /// every end may let some gather. By default it is no different.
    fn exited_among_others(&self, token: u64, outcome: Outcome) {
        self.exited(token, outcome);
    }
}

/// How a run ended and what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// What a run used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time on a processor.
    pub cpu: Duration,
    /// Fuel consumed, where there was a budget.
    pub fuel: Option<u64>,
    /// The most bytes of linear memories and tables held at once.
    pub memory_bytes_peak: u64,
    /// Bytes written to files.
    pub written_bytes: u64,
}

/// What guests use while they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LiveUsage {
    /// Time on a processor so far; a millisecond late at most, for a guest that computes.
    pub cpu: Duration,
    /// Bytes of linear memories and tables that are held now, whether or not they
    /// were ever touched.
    pub memory_bytes: u64,
    /// Bytes written to files so far.
    pub written_bytes: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The guest returned (0) or called exit; the code modulo 256, as a shell sees it.
    Code(u8),
    /// The guest trapped: the trap and up to 20 frames.
    Trap(String),
    /// It asked for more memory than its limit; bytes it wanted in all.
    OutOfMemory {
        /// What it would have held.
        wanted_bytes: u64,
    },
    /// Its fuel was used up.
    OutOfFuel,
    /// It was killed from outside.
    Killed(KillReason),
    /// It could not be started; no guest code ran, or it failed while being instantiated.
    Start(String),
    /// The host failed it: a panic in a host function, say. Never the guest's fault.
    Host(String),
}

/// Why a guest was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KillReason {
    /// The caller asked for it.
    Requested = 1,
    /// The task's deadline passed.
    Deadline = 2,
    /// The guest whose memory it shares needs it.
    Memory = 3,
}

/// A running guest. Dropping the handle does not stop it.
#[derive(Clone)]
pub struct RunHandle {
    pub(crate) cell: Arc<Cell>,
}

impl RunHandle {
    /// Stops the guest as soon as it reaches an epoch check, or now if it is
    /// blocked in a host call. The end arrives through [`Exits`] as always.
    pub fn kill(&self) {
        Cell::kill(&self.cell, KillReason::Requested);
    }

    /// What the guest uses now. One that has ended holds nothing.
    #[must_use]
    pub fn usage(&self) -> LiveUsage {
        self.cell.live_usage()
    }

    /// Makes `signal` pending for a guest that asks for signals through
    /// [`crate::Signal`]'s host function. Others do not notice.
    pub fn signal(&self, signal: Signal) {
        self.cell.raise(signal);
    }
}
