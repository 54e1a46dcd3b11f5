//! What a host does with a plan: it applies it in one commit, and checks it.

use std::sync::Arc;

use wasmjob_api::JobConditionType::{FailureTarget, SuccessCriteriaMet};
use wasmjob_api::{Pod, PodStatus, Uid};
use wasmjob_controllers::invariants::check_plan;
use wasmjob_controllers::job::{NewPod, Plan, finish_time, plan_within, pod_name_prefix};

use super::{Happening, World};

impl World {
    /// Plans and applies until nothing is left to do now.
    pub(super) fn replan(&mut self) -> Result<(), String> {
        for _ in 0..50 {
            let plan = plan_within(&self.job, &self.set, self.now, self.room());
            self.timer = plan.look_again;
            self.apply(&plan)?;
            if plan.look_again.is_none_or(|at| at > self.now) {
                return self.check_rest();
            }
        }
        Err("the plan asks to look again for ever".to_owned())
    }

    /// A plan too many must do nothing.
    fn check_rest(&mut self) -> Result<(), String> {
        let plan = plan_within(&self.job, &self.set, self.now, self.room());
        let rest = Plan {
            look_again: plan.look_again,
            refused: plan.refused,
            ..Plan::default()
        };
        match plan == rest {
            true => Ok(()),
            false => Err(format!("a second plan at the same time: {plan:?}")),
        }
    }

    /// How many pods the quota has room for.
    fn room(&self) -> u32 {
        let live = self.rows.values();
        let live = live.filter(|pod| !pod.status.phase.is_terminal()).count();
        let live = u32::try_from(live).unwrap_or(u32::MAX);
        self.quota
            .map_or(u32::MAX, |quota| quota.saturating_sub(live))
    }

    fn apply(&mut self, plan: &Plan) -> Result<(), String> {
        let before = self.job.clone();
        if let Some(status) = &plan.status {
            self.job.status = status.clone();
        }
        let status = &self.job.status;
        let failing = status.is_true(FailureTarget);
        let decided = failing || status.is_true(SuccessCriteriaMet);
        for uid in &plan.release {
            let mut pod = Pod::clone(self.rows.get(uid).ok_or("an unknown pod was released")?);
            let dropped = !decided && plan.delete.contains(uid);
            self.journal.released(&self.job, &pod, dropped, failing)?;
            pod.tracked = false;
            self.put(pod);
        }
        for uid in &plan.delete {
            self.delete_pod(*uid);
        }
        for new in &plan.create {
            self.check_backoff(plan, new)?;
            self.create(new);
        }
        check_plan(&before, plan, &self.job, &self.set, self.now)
            .map_err(|violation| format!("{violation}\nafter {plan:?}"))?;
        if !self.job.spec.managed_elsewhere {
            self.journal.check(&self.job)?;
        }
        self.collect();
        Ok(())
    }

    fn check_backoff(&self, plan: &Plan, new: &NewPod) -> Result<(), String> {
        self.journal.created(&self.job, self.now)?;
        let ignored = new.index_ignored_failure_count.unwrap_or(0);
        let failures = new.index_failure_count.unwrap_or(0) + ignored;
        if failures == 0 {
            return Ok(());
        }
        // The pod whose failures the new one carries on is released with its creation.
        let held = plan.release.iter().filter_map(|uid| self.rows.get(uid));
        let carried = |pod: &Pod| {
            let ignored = pod.index_ignored_failure_count.unwrap_or(0);
            pod.index_failure_count.unwrap_or(0) + ignored + 1
        };
        let held = held
            .filter(|pod| pod.index == new.index && carried(pod) == failures)
            .max_by_key(|pod| finish_time(pod));
        let held = held.ok_or_else(|| format!("nobody had {failures} failures of {new:?}"))?;
        self.journal.replaced(&self.job, failures, held, self.now)
    }

    fn create(&mut self, new: &NewPod) {
        let uid = Uid::from_random(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()));
        let suffix = self.rng.next() % 100_000;
        let name = format!("{}{suffix:05}", pod_name_prefix(&self.job.name, new.index));
        self.put(Pod {
            metadata: None,
            uid,
            namespace: Arc::clone(&self.job.namespace),
            name: name.into(),
            template: Arc::clone(&self.job.spec.template),
            index: new.index,
            index_failure_count: new.index_failure_count,
            index_ignored_failure_count: new.index_ignored_failure_count,
            created: self.now,
            deletion: None,
            tracked: true,
            status: PodStatus::default(),
        });
        let start = self.rng.below(4);
        self.queue_in(start, Happening::Start(uid));
    }

    /// Rows of deleted pods go once they ended and are counted.
    pub(super) fn collect(&mut self) {
        let gone = |pod: &Arc<Pod>| {
            pod.deletion.is_some() && pod.status.phase.is_terminal() && !pod.tracked
        };
        let gone: Vec<Uid> = self
            .rows
            .values()
            .filter(|pod| gone(pod))
            .map(|pod| pod.uid)
            .collect();
        for uid in gone {
            self.rows.remove(&uid);
            self.set.remove(uid);
        }
    }
}
