//! One Job as the host drives it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use wasmjob_api::{Job, Uid};
use wasmjob_controllers::job::PodSet;

use crate::JobResult;
use crate::core::{Admitted, Refused};

/// How deleting a Job treats its pods (`propagationPolicy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Propagation {
    /// The Job goes now, its pods after it.
    Background,
    /// The pods go first; the Job stays until they are gone.
    Foreground,
    /// The Job goes, its pods stay and are nobody's.
    Orphan,
}

/// A Job and what the host keeps for it.
pub(crate) struct JobEntry {
    pub(crate) job: Arc<Job>,
    pub(crate) pods: PodSet,
    /// Its pods that are being deleted.
    pub(crate) deleting: BTreeSet<Uid>,
    /// When to look again.
    pub(crate) timer: Option<Instant>,
    /// Who waits for its end.
    pub(crate) waiters: Vec<oneshot::Sender<JobResult>>,
    /// It stands among those to be looked at.
    pub(crate) dirty: bool,
    /// It is to go once its pods are gone and no finalizer holds it.
    pub(crate) deleting_self: bool,
    /// The CronJob that controls it.
    pub(crate) owner: Option<Uid>,
    /// What its pods come in as.
    pub(crate) admitted: Option<Admitted>,
    /// Its pods were refused.
    pub(crate) refused: Refused,
}

impl JobEntry {
    pub(crate) fn new(job: Arc<Job>) -> Self {
        Self {
            job,
            pods: PodSet::new(),
            deleting: BTreeSet::new(),
            timer: None,
            waiters: Vec::new(),
            dirty: false,
            deleting_self: false,
            owner: None,
            admitted: None,
            refused: Refused::default(),
        }
    }
}

/// When which Job is to be looked at again.
#[derive(Default)]
pub(crate) struct JobTimers(BTreeSet<(Instant, Uid)>);

impl JobTimers {
    /// Moves the timer of a Job from `old` to `new`.
    pub(crate) fn set(&mut self, uid: Uid, old: Option<Instant>, new: Option<Instant>) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.0.remove(&(at, uid));
        }
        if let Some(at) = new {
            self.0.insert((at, uid));
        }
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first that is due at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Uid> {
        let (at, uid) = *self.0.first()?;
        (at <= now).then(|| {
            self.0.pop_first();
            uid
        })
    }
}
