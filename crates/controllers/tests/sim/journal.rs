//! The simulator's own account of what happened, against which the status is held.
//!
//! It is written from what guests did and what the host applied, and knows
//! nothing of how the controller counts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Job, Pod, Uid};

/// How a pod ended, by the hand of the simulator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// All containers exited with 0.
    Success,
    /// A container failed with that code.
    Code(u8),
    /// The host went down under it.
    Disrupted,
}

/// The account of one Job.
#[derive(Default)]
pub(crate) struct Journal {
    ends: BTreeMap<Uid, (End, Timestamp)>,
    deletions: BTreeMap<Uid, Timestamp>,
    released: BTreeSet<Uid>,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    succeeded_indexes: BTreeSet<u32>,
    last_success: Option<Timestamp>,
    failures: Vec<Timestamp>,
}

impl Journal {
    pub(crate) fn ended(&mut self, uid: Uid, end: End, at: Timestamp) {
        assert!(
            self.ends.insert(uid, (end, at)).is_none(),
            "a pod ends once"
        );
    }

    pub(crate) fn deletion_asked(&mut self, uid: Uid, at: Timestamp) {
        self.deletions.entry(uid).or_insert(at);
    }

    /// A pod lost its finalizer in a commit; it must be counted now or never.
    ///
    /// `dropped` is a pod that the plan deleted while the Job went on; `failing`
    /// says that this commit decides failure or follows such a decision.
    pub(crate) fn released(
        &mut self,
        job: &Job,
        pod: &Pod,
        dropped: bool,
        failing: bool,
    ) -> Result<(), String> {
        if !self.released.insert(pod.uid) {
            return Err(format!("pod {} was released twice", pod.name));
        }
        let in_range = pod.index.is_some() && pod.index < job.spec.completions;
        if job.spec.is_indexed() && !in_range {
            return Ok(());
        }
        match self.ends.get(&pod.uid).copied() {
            _ if dropped => {}
            Some((End::Success, at)) => {
                self.last_success = self.last_success.max(Some(at));
                self.succeeded += 1;
                self.succeeded_indexes.extend(pod.index);
            }
            Some((end, at)) => {
                self.failed += u32::from(!is_ignored(job, end));
                self.failures.push(at);
            }
            None => {
                let asked = self.deletions.get(&pod.uid).copied();
                if let Some(at) = asked.filter(|_| !job.spec.replace_only_failed) {
                    self.failures.push(at);
                    self.failed += 1;
                } else if failing {
                    self.failed += 1;
                }
            }
        }
        Ok(())
    }

    /// A replacement must have waited long enough (I18).
    pub(crate) fn created(&self, job: &Job, now: Timestamp) -> Result<(), String> {
        if job.spec.backoff_limit_per_index.is_some() {
            return Ok(());
        }
        let since: Vec<_> = self
            .failures
            .iter()
            .filter(|at| self.last_success.is_none_or(|success| **at > success))
            .collect();
        let Some(last) = since.iter().max() else {
            return Ok(());
        };
        check_delay(since.len() as u32, **last, now)
    }

    /// As [`Journal::created`], for a Job with `backoffLimitPerIndex`, where the
    /// host hands over the last failed pod of the index.
    pub(crate) fn replaced(
        &self,
        job: &Job,
        failures: u32,
        held: &Pod,
        now: Timestamp,
    ) -> Result<(), String> {
        let ended = self.ends.get(&held.uid).map(|(_, at)| *at);
        let asked = self.deletions.get(&held.uid).copied();
        let asked = asked.filter(|_| !job.spec.replace_only_failed);
        let Some(at) = ended.or(asked) else {
            return Err(format!("pod {} was replaced before it failed", held.name));
        };
        check_delay(failures, at, now)
    }

    /// The counters of a NonIndexed Job's status, and `failed` of any.
    pub(crate) fn check(&self, job: &Job) -> Result<(), String> {
        let status = &job.status;
        if status.failed != self.failed {
            return Err(format!(
                "{} failed, the journal says {}",
                status.failed, self.failed
            ));
        }
        if !job.spec.is_indexed() && status.succeeded != self.succeeded {
            let said = status.succeeded;
            return Err(format!(
                "{said} succeeded, the journal says {}",
                self.succeeded
            ));
        }
        let invented = status
            .completed_indexes
            .iter()
            .find(|index| !self.succeeded_indexes.contains(index));
        match invented {
            Some(index) => Err(format!("no pod of the completed index {index} succeeded")),
            None => Ok(()),
        }
    }
}

fn check_delay(failures: u32, last: Timestamp, now: Timestamp) -> Result<(), String> {
    let seconds = (10_i64 << failures.saturating_sub(1).min(10)).min(600);
    let waited = now.duration_since(last);
    match waited < SignedDuration::from_secs(seconds) {
        true => Err(format!(
            "after {failures} failures replaced in {waited}, not {seconds} s"
        )),
        false => Ok(()),
    }
}

/// What the Job's podFailurePolicy says of such an end; read from the object,
/// not through the controller.
fn is_ignored(job: &Job, end: End) -> bool {
    let Some(policy) = job.spec.pod_failure_policy() else {
        return false;
    };
    let first = policy
        .rules
        .iter()
        .find(|rule| match (&rule.on_exit_codes, end) {
            (Some(codes), End::Code(code)) => {
                codes.values.contains(&i32::from(code)) == (codes.operator == "In")
            }
            (Some(codes), End::Disrupted) => {
                codes.values.contains(&137) == (codes.operator == "In")
            }
            (Some(_), End::Success) => false,
            (None, end) => end == End::Disrupted,
        });
    first.is_some_and(|rule| rule.action == "Ignore")
}
