//! `ttlSecondsAfterFinished`: when a finished Job is to be deleted.
//!
//! The host deletes the Job as for a foreground deletion: its pods go first.

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::Job;

/// What is to happen to a Job because of its time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ttl {
    /// Nothing: it has no time to live, has not finished, or is being deleted.
    Keep,
    /// It goes at that time, unless it changes before.
    Until(Timestamp),
    /// Its time is over.
    Expired,
}

/// Decides whether the time to live of `job` is over.
///
/// It runs from the transition of the condition Complete or Failed, as in
/// `timeLeft` of Kubernetes' ttlafterfinished controller. A time so far away
/// that no timestamp can hold it never comes.
#[must_use]
pub fn plan(job: &Job, now: Timestamp) -> Ttl {
    let (Some(ttl), Some(finished), None) =
        (job.spec.ttl_after_finished, job.finished(), job.deletion)
    else {
        return Ttl::Keep;
    };
    let expiry = SignedDuration::try_from(ttl)
        .ok()
        .and_then(|ttl| finished.last_transition.checked_add(ttl).ok());
    match expiry {
        Some(expiry) if expiry <= now => Ttl::Expired,
        Some(expiry) => Ttl::Until(expiry),
        None => Ttl::Keep,
    }
}
