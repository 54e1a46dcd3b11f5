//! One CronJob as the host drives it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use wasmjob_api::{CronJob, CronJobSpec, Job, Uid};

/// A CronJob and what the host keeps for it.
pub(crate) struct CronEntry {
    pub(crate) cron_job: Arc<CronJob>,
    /// A Job that was made of it and validated, and of which version: the next ones
    /// are made of that.
    pub(crate) made: Option<(Arc<CronJobSpec>, Arc<Path>, Arc<Job>)>,
    /// The Jobs that it controls.
    pub(crate) jobs: BTreeSet<Uid>,
    /// When to look again (wall time).
    pub(crate) timer: Option<Timestamp>,
    /// It stands among those to be looked at.
    pub(crate) dirty: bool,
}

impl CronEntry {
    pub(crate) fn new(cron_job: Arc<CronJob>) -> Self {
        Self {
            cron_job,
            made: None,
            jobs: BTreeSet::new(),
            timer: None,
            dirty: false,
        }
    }

    /// A Job that was made of the CronJob as it is now.
    pub(crate) fn made(&self) -> Option<&Arc<Job>> {
        let (spec, base, job) = self.made.as_ref()?;
        let is_current =
            Arc::ptr_eq(spec, &self.cron_job.spec) && Arc::ptr_eq(base, &self.cron_job.base);
        is_current.then_some(job)
    }
}

/// When which CronJob is to be looked at again, in wall time: only the first is
/// ever waited for.
#[derive(Default)]
pub(crate) struct CronTimers(BTreeSet<(Timestamp, Uid)>);

impl CronTimers {
    /// Moves the timer of a CronJob from `old` to `new`.
    pub(crate) fn set(&mut self, uid: Uid, old: Option<Timestamp>, new: Option<Timestamp>) {
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

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first that is due at `now`.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Uid> {
        let (at, uid) = *self.0.first()?;
        (at <= now).then(|| {
            self.0.pop_first();
            uid
        })
    }
}
