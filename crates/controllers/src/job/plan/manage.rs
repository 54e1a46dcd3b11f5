//! Bringing the number of pods to what it should be (`manageJob` of Kubernetes).

use jiff::SignedDuration;
use wasmjob_api::Pod;

use super::super::pending::first_pending_indexes;
use super::super::removal::pods_for_removal;
use super::super::{backoff, counting};
use super::ending::Ending;
use super::{Look, NewPod, PODS_PER_PLAN_MAX};

impl Look<'_> {
    /// Brings the number of pods to what it should be; says if that completes the Job.
    pub(super) fn manage(&mut self) -> Option<Ending> {
        let deleted = self.job.deletion.is_some();
        if deleted {
            self.count_active(None);
        } else {
            self.manage_pods();
        }
        let enough = match self.job.spec.completions {
            None => self.tally.succeeded > 0,
            Some(completions) => self.tally.succeeded >= u64::from(completions),
        };
        if enough && self.active == 0 {
            return Some(Ending::success(
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ));
        }
        if !deleted {
            self.note_suspension();
        }
        None
    }

    fn manage_pods(&mut self) {
        let spec = &self.job.spec;
        if spec.suspend {
            return self.delete_active(usize::MAX, usize::MAX);
        }
        let wanted = match spec.completions {
            // A work queue makes no more pods once one has succeeded.
            None if self.tally.succeeded > 0 => self.active,
            None => spec.parallelism,
            Some(completions) => {
                let missing = u64::from(completions).saturating_sub(self.tally.succeeded);
                spec.parallelism
                    .min(u32::try_from(missing).unwrap_or(u32::MAX))
            }
        };
        let surplus = self.active.saturating_sub(wanted);
        if surplus > 0
            || self
                .index_range()
                .is_some_and(|n| self.pods.has_misplaced(n))
        {
            // Either deletions or creations in one plan; deletions come first.
            self.look_again_in(SignedDuration::ZERO);
            return self.delete_active(surplus as usize, PODS_PER_PLAN_MAX as usize);
        }
        let occupied = match spec.replace_only_failed {
            true => self.active.saturating_add(self.terminating),
            false => self.active,
        };
        let missing = wanted.saturating_sub(occupied);
        if missing > 0 {
            self.create(missing);
        }
    }

    /// The completions of an Indexed Job.
    fn index_range(&self) -> Option<u32> {
        self.job
            .spec
            .completions
            .filter(|_| self.job.spec.is_indexed())
    }

    fn create(&mut self, missing: u32) {
        if self.job.spec.backoff_limit_per_index.is_none()
            && let Some(left) = backoff::remaining(self.status.backoff, self.now)
        {
            return self.look_again_in(left);
        }
        let number = missing.min(PODS_PER_PLAN_MAX);
        let before = self.plan.create.len();
        match self.index_range() {
            None => {
                let number = number.min(self.room);
                self.plan.create.resize(number as usize, NewPod::default());
            }
            Some(completions) => self.create_indexed(number, completions),
        }
        let created = self.plan.create.len() - before;
        let created = u32::try_from(created).unwrap_or(u32::MAX);
        self.active += created;
        if self.index_range().is_none() {
            self.plan.refused = number.saturating_sub(created);
        }
        if created > 0 && number < missing && self.plan.refused == 0 {
            self.look_again_in(SignedDuration::ZERO);
        }
    }

    /// An index that waits for the end of its back-off keeps its place among
    /// the `number` lowest, as in Kubernetes.
    fn create_indexed(&mut self, number: u32, completions: u32) {
        for index in self.pending_indexes(number, completions) {
            let held = self.held.get(&index).copied();
            let left =
                held.and_then(|pod| backoff::remaining(backoff::record_of_index(pod), self.now));
            if let Some(left) = left {
                self.look_again_in(left);
                continue;
            }
            if self.plan.create.len() >= self.room as usize {
                self.plan.refused += 1;
                continue;
            }
            let mut new = NewPod {
                index: Some(index),
                ..NewPod::default()
            };
            if self.job.spec.backoff_limit_per_index.is_some() {
                let (failures, ignored) = counting::next_failure_counts(self.job, held);
                new.index_failure_count = Some(failures);
                new.index_ignored_failure_count = Some(ignored).filter(|ignored| *ignored > 0);
                // Its replacement carries the count on, so it may be counted and go.
                self.held.remove(&index);
            }
            self.plan.create.push(new);
        }
    }

    /// The lowest indexes that neither ended nor have a pod.
    fn pending_indexes(&self, number: u32, completions: u32) -> Vec<u32> {
        let mut taken = vec![self.pods.active_indexes(), &self.status.completed_indexes];
        taken.extend(&self.status.failed_indexes);
        if self.job.spec.replace_only_failed {
            taken.push(self.pods.terminating_indexes());
        }
        first_pending_indexes(&taken, number, completions)
    }

    /// Deletes at least that many active pods, and lets them go first, so that
    /// they are not counted as failed.
    fn delete_active(&mut self, at_least: usize, at_most: usize) {
        let pods = pods_for_removal(self.pods.active_pods(), self.index_range(), at_least);
        for pod in pods.into_iter().take(at_most) {
            if pod.tracked {
                self.plan.release.push(pod.uid);
            }
            self.delete(pod);
        }
    }

    pub(super) fn delete_all_active(&mut self) {
        let pods = self.pods;
        for pod in pods.active_pods() {
            self.delete(pod);
        }
    }

    fn delete(&mut self, pod: &Pod) {
        self.plan.delete.push(pod.uid);
        self.active -= 1;
        self.ready -= u32::from(pod.status.ready);
        self.terminating += 1;
    }
}
