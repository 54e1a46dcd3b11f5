//! What became of a slot.

use jiff::Timestamp;
use wasmjob_api::SlotVerdict;

/// A slot of a CronJob, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The place of the CronJob among the subjects.
    pub cron_job: usize,
    /// The slot.
    pub slot: Timestamp,
    /// When its Job started, if it got one.
    pub start: Option<Timestamp>,
    /// When the Job ended, if it did.
    pub end: Option<Timestamp>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Its Job completed.
    Complete,
    /// Its Job failed: a deadline was shorter than the pods take.
    Failed,
    /// A later slot replaced its Job.
    Replaced,
    /// Its Job is not over at the end of the forecast.
    Unfinished,
    /// It got no Job, and this is why.
    NoJob(SlotVerdict),
}
