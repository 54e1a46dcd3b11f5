//! What a host has done and what its pods use: numbers for who watches it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use wasmjob_api::{CompletionMode, Job, JobConditionType};
use wasmjob_node::NodeUsage;

/// Numbers about a host, all of one moment.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What its pods use.
    pub usage: NodeUsage,
    /// What its controllers have done.
    pub counts: Counts,
}

/// What the controllers have done since the host began. They are counted where it
/// is decided, so none is missed however fast objects come and go.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Jobs that have finished.
    pub jobs_finished: BTreeMap<FinishedJobs, u64>,
    /// Pods that were counted in their Job's status.
    pub pods_finished: BTreeMap<FinishedPods, u64>,
    /// How long after its slot a CronJob's Job was created.
    pub creation_skew: Skew,
}

/// Jobs that have finished in the same way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FinishedJobs {
    /// `Indexed` or `NonIndexed`.
    pub completion_mode: &'static str,
    /// Whether they are Complete.
    pub succeeded: bool,
    /// Why they failed, as their condition says; empty for those that are Complete.
    pub reason: Cow<'static, str>,
}

/// Pods of Jobs that have ended in the same way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FinishedPods {
    /// `Indexed` or `NonIndexed`.
    pub completion_mode: &'static str,
    /// Whether they succeeded.
    pub succeeded: bool,
}

/// Durations, counted by their length.
#[derive(Clone, Debug, Default)]
pub struct Skew {
    /// For each of [`Skew::BOUNDS`], how many were longer than the bound before and
    /// no longer than this one.
    pub buckets: [u64; 10],
    /// How many there were.
    pub count: u64,
    /// How long they were together.
    pub sum: Duration,
}

impl Skew {
    /// The upper bounds, in seconds; as in Kubernetes.
    pub const BOUNDS: [u16; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

    pub(crate) fn observe(&mut self, skew: Duration) {
        let is_within = |bound: &u16| skew <= Duration::from_secs(u64::from(*bound));
        if let Some(bucket) = Self::BOUNDS.iter().position(is_within) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(skew);
    }
}

/// Reasons that are told apart: the controller knows few, but clients with the right
/// to change a Job's status may write any.
const FINISHED_JOBS_MAX: usize = 64;

/// What stands for reasons beyond that.
const OTHER_REASON: &str = "Other";

impl Counts {
    /// The controller has changed the status of a Job.
    pub(crate) fn job_changed(&mut self, old: &Job, new: &Job) {
        let completion_mode = match new.spec.completion_mode {
            CompletionMode::Indexed => "Indexed",
            CompletionMode::NonIndexed => "NonIndexed",
        };
        let (old_status, new_status) = (&old.status, &new.status);
        for (succeeded, before, after) in [
            (true, old_status.succeeded, new_status.succeeded),
            (false, old_status.failed, new_status.failed),
        ] {
            let more = u64::from(after.saturating_sub(before));
            if more > 0 {
                let pods = FinishedPods {
                    completion_mode,
                    succeeded,
                };
                *self.pods_finished.entry(pods).or_default() += more;
            }
        }
        if let Some(end) = new.finished().filter(|_| old.finished().is_none()) {
            let succeeded = end.condition_type == JobConditionType::Complete;
            let reason = match succeeded {
                true => Cow::Borrowed(""),
                false => end.reason.clone(),
            };
            let mut jobs = FinishedJobs {
                completion_mode,
                succeeded,
                reason,
            };
            let is_full = self.jobs_finished.len() >= FINISHED_JOBS_MAX;
            if is_full && !self.jobs_finished.contains_key(&jobs) {
                jobs.reason = Cow::Borrowed(OTHER_REASON);
            }
            *self.jobs_finished.entry(jobs).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Skew;

    #[test]
    fn a_skew_stands_in_the_first_bucket_that_holds_it() {
        let mut skew = Skew::default();
        for millis in [0, 1_000, 1_001, 2_000, 600_000] {
            skew.observe(Duration::from_millis(millis));
        }
        assert_eq!(skew.buckets[..3], [2, 2, 0]);
        assert_eq!(skew.buckets.iter().sum::<u64>(), 4);
        assert_eq!(skew.count, 5);
        assert_eq!(skew.sum, Duration::from_millis(604_001));
    }
}
