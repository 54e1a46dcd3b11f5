//! A Job, its pods' rows, scripted guests and a clock: what a host would hold.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::JobConditionType::{FailureTarget, SuccessCriteriaMet};
use wasmjob_api::{
    ContainerState, ContainerStatus, Deletion, Disruption, Job, JobSpec, Phase, Pod, PodStatus,
    Terminated, Uid, Usage,
};
use wasmjob_controllers::invariants::{check_change, check_plan};
use wasmjob_controllers::job::{NewPod, Plan, PodSet, plan, pod_name_prefix};
use wasmjob_controllers::ttl::{self, Ttl};

use super::journal::{End, Journal};
use super::rng::Rng;
use super::scenario;

/// Longest virtual time from the end of all faults to the end of the Job. The
/// longest back-off is 10 min, and there are at most 7 pods to wait for.
const CALM_MAX: SignedDuration = SignedDuration::from_hours(3);

/// What happens at some time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Happening {
    Start(Uid),
    Ready(Uid),
    Exit(Uid),
    Kill(Uid),
    Fault,
    Calm,
}

pub(crate) struct World {
    rng: Rng,
    now: Timestamp,
    job: Job,
    rows: BTreeMap<Uid, Arc<Pod>>,
    set: PodSet,
    journal: Journal,
    queue: BinaryHeap<Reverse<(Timestamp, u64, Happening)>>,
    queued: u64,
    timer: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    faults_left: u64,
}

/// Runs one seed to its end, and says how the Job ended: by the reason of its
/// last condition, or `none` if it was deleted or is somebody else's.
///
/// # Errors
///
/// Says which invariant was broken, and when.
pub(crate) fn run(seed: u64) -> Result<String, String> {
    let mut world = World::new(seed);
    match world.live() {
        Err(error) => Err(format!("seed {seed} at {}: {error}", world.now)),
        Ok(()) => Ok(world
            .job
            .finished()
            .map_or_else(|| "none".to_owned(), |end| end.reason.to_string())),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let now = Timestamp::UNIX_EPOCH;
        let uid = Uid::from_random(u128::from(rng.next()));
        let job = Job::new(scenario::job(&mut rng), uid, now);
        let faults_left = if rng.chance(70) { rng.below(12) } else { 0 };
        Self {
            rng,
            now,
            job,
            rows: BTreeMap::new(),
            set: PodSet::new(),
            journal: Journal::default(),
            queue: BinaryHeap::new(),
            queued: 0,
            timer: None,
            calm_since: None,
            faults_left,
        }
    }

    fn live(&mut self) -> Result<(), String> {
        self.next_fault();
        self.replan()?;
        while self.calm_since.is_none() || !self.is_over() {
            self.step()?;
            if let Some(calm) = self.calm_since
                && self.now.duration_since(calm) > CALM_MAX
            {
                return Err(format!(
                    "stuck since the faults stopped: {:?}",
                    self.job.status
                ));
            }
        }
        self.clear_away()
    }

    fn is_over(&self) -> bool {
        let nothing_left = self.job.deletion.is_some() && self.rows.is_empty();
        nothing_left || self.job.finished().is_some() || self.job.spec.managed_elsewhere
    }

    /// Goes to the next event or timer, and plans unless more is to come first.
    fn step(&mut self) -> Result<(), String> {
        let event = self.queue.peek().map(|Reverse((at, _, _))| *at);
        let next = match (event, self.timer) {
            (Some(event), Some(timer)) if timer < event => None,
            (Some(_), _) => self.queue.pop(),
            (None, Some(_)) => None,
            (None, None) => return Err(format!("nothing will ever happen: {:?}", self.job.status)),
        };
        match next {
            Some(Reverse((at, _, happening))) => {
                self.now = self.now.max(at);
                self.happen(happening)?;
                self.collect();
                // Several events may become one plan.
                let more = self
                    .queue
                    .peek()
                    .is_some_and(|Reverse((at, _, _))| *at == self.now);
                if more && self.rng.chance(50) || self.rng.chance(10) && self.calm_since.is_none() {
                    self.timer = Some(self.timer.unwrap_or(self.now).min(self.now));
                    return Ok(());
                }
            }
            None => self.now = self.now.max(self.timer.unwrap_or(self.now)),
        }
        self.replan()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Start(uid) => self.start(uid),
            Happening::Ready(uid) => self.edit_live(uid, |pod, now| {
                pod.status.ready = true;
                pod.status.ready_transition = Some(now);
            }),
            Happening::Exit(uid) => self.exit(uid),
            Happening::Kill(uid) => {
                let end = if self.rng.chance(15) {
                    End::Success
                } else {
                    End::Code(137)
                };
                self.end(uid, end);
            }
            Happening::Fault => return self.fault(),
            Happening::Calm => return self.calm(),
        }
        Ok(())
    }

    // --- Guests -----------------------------------------------------------

    fn start(&mut self, uid: Uid) {
        self.edit_live(uid, |pod, now| {
            pod.status.phase = Phase::Running;
            pod.status.scheduled = Some(now);
            pod.status.started = Some(now);
            pod.status.containers = vec![ContainerStatus {
                state: ContainerState::Running { started: now },
                ..ContainerStatus::default()
            }];
        });
        let (ready, exit) = (self.rng.below(3), 3 + self.rng.below(90));
        self.queue_in(ready, Happening::Ready(uid));
        self.queue_in(exit, Happening::Exit(uid));
    }

    fn exit(&mut self, uid: Uid) {
        let fine = self.calm_since.is_some() || self.rng.chance(55);
        let code = self.rng.pick(&scenario::CODES);
        let end = if fine { End::Success } else { End::Code(code) };
        // The deadline of the pod itself ends it for good.
        let in_place = self.job.spec.restart_on_failure && !self.rng.chance(5);
        let deleted = self.rows.get(&uid).is_none_or(|pod| pod.deletion.is_some());
        if end == End::Success || !in_place || deleted {
            return self.end(uid, end);
        }
        self.edit_live(uid, |pod, now| {
            let container = &mut pod.status.containers[0];
            container.restarts += 1;
            container.last_terminated = Some(Box::new(terminated(code, now)));
        });
        let again = 1 + self.rng.below(40);
        self.queue_in(again, Happening::Exit(uid));
    }

    /// Ends a pod, unless it has ended.
    fn end(&mut self, uid: Uid, end: End) {
        let Some(pod) = self
            .rows
            .get(&uid)
            .filter(|pod| !pod.status.phase.is_terminal())
        else {
            return;
        };
        let mut pod = Pod::clone(pod);
        let code = match end {
            End::Success => 0,
            End::Code(code) => code,
            End::Disrupted => 137,
        };
        pod.status = PodStatus {
            phase: if end == End::Success {
                Phase::Succeeded
            } else {
                Phase::Failed
            },
            ready: false,
            ready_transition: Some(self.now),
            containers: vec![ContainerStatus {
                state: ContainerState::Terminated(Box::new(terminated(code, self.now))),
                ..ContainerStatus::default()
            }],
            disruption: (end == End::Disrupted).then(|| {
                Box::new(Disruption {
                    reason: Cow::Borrowed("TerminationByKubelet"),
                    message: Cow::Borrowed("the host was restarted"),
                    at: self.now,
                })
            }),
            ..pod.status
        };
        self.journal.ended(uid, end, self.now);
        self.put(pod);
    }

    // --- Faults and edits -------------------------------------------------

    fn next_fault(&mut self) {
        let pause = 1 + self.rng.below(60);
        if self.faults_left > 0 && self.job.finished().is_none() {
            self.faults_left -= 1;
            self.queue_in(pause, Happening::Fault);
        } else {
            self.queue_in(pause, Happening::Calm);
        }
    }

    fn fault(&mut self) -> Result<(), String> {
        if self.job.finished().is_none() {
            match self.rng.below(100) {
                0..45 => self.edit(scenario::edit)?,
                45..75 => self.delete_any_pod(),
                75..92 => self.restart_host()?,
                92..97 => self.delete_job(),
                _ => {}
            }
        }
        self.next_fault();
        Ok(())
    }

    fn calm(&mut self) -> Result<(), String> {
        self.calm_since = Some(self.now);
        if self.job.finished().is_some() {
            return Ok(());
        }
        self.edit(|spec, _| scenario::calm(spec))
    }

    fn edit(
        &mut self,
        change: impl FnOnce(&mut k8s_openapi::api::batch::v1::JobSpec, &mut Rng),
    ) -> Result<(), String> {
        let before = self.job.clone();
        let mut object = self.job.spec.object.clone();
        change(&mut object, &mut self.rng);
        let spec = JobSpec::parse(object, &self.job.name, self.job.uid);
        self.job.spec = Arc::new(spec);
        self.job.generation += 1;
        check_change(&before, &self.job).map_err(|violation| format!("after an edit: {violation}"))
    }

    fn delete_any_pod(&mut self) {
        let number = self.rows.len() as u64;
        if number > 0 {
            let at = self.rng.below(number) as usize;
            let uid = self.rows.keys().nth(at).copied();
            uid.into_iter().for_each(|uid| self.delete_pod(uid));
        }
    }

    fn delete_pod(&mut self, uid: Uid) {
        let Some(pod) = self.rows.get(&uid).filter(|pod| pod.deletion.is_none()) else {
            return;
        };
        let mut pod = Pod::clone(pod);
        let grace = self.rng.below(31);
        pod.deletion = Some(Deletion {
            at: self.now + SignedDuration::from_secs(grace as i64),
            grace: Duration::from_secs(grace),
        });
        if !pod.status.phase.is_terminal() {
            self.journal.deletion_asked(uid, self.now);
            let kill = self.rng.below(grace + 1);
            self.queue_in(kill, Happening::Kill(uid));
        }
        self.put(pod);
    }

    /// Running pods end as disrupted, and all that was derived is made anew.
    fn restart_host(&mut self) -> Result<(), String> {
        let running = self
            .rows
            .values()
            .filter(|pod| pod.status.phase == Phase::Running);
        let running: Vec<Uid> = running.map(|pod| pod.uid).collect();
        for uid in running {
            self.end(uid, End::Disrupted);
        }
        let kept = format!("{:?}", self.set);
        self.set = self.rows.values().cloned().collect();
        match format!("{:?}", self.set) == kept {
            true => Ok(()),
            false => Err("a rebuilt pod set differs from the one that was kept".to_owned()),
        }
    }

    fn delete_job(&mut self) {
        self.job.deletion = Some(self.now);
        let pods: Vec<Uid> = self.rows.keys().copied().collect();
        pods.into_iter().for_each(|uid| self.delete_pod(uid));
    }

    // --- The host's side of a plan ----------------------------------------

    /// Plans and applies until nothing is left to do now.
    fn replan(&mut self) -> Result<(), String> {
        for _ in 0..50 {
            let plan = plan(&self.job, &self.set, self.now);
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
        let plan = plan(&self.job, &self.set, self.now);
        let rest = Plan {
            look_again: plan.look_again,
            ..Plan::default()
        };
        match plan == rest {
            true => Ok(()),
            false => Err(format!("a second plan at the same time: {plan:?}")),
        }
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
            .max_by_key(|pod| wasmjob_controllers::job::finish_time(pod));
        let held = held.ok_or_else(|| format!("nobody had {failures} failures of {new:?}"))?;
        self.journal.replaced(&self.job, failures, held, self.now)
    }

    fn create(&mut self, new: &NewPod) {
        let uid = Uid::from_random(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next()));
        let suffix = self.rng.next() % 100_000;
        let name = format!("{}{suffix:05}", pod_name_prefix(&self.job.name, new.index));
        self.put(Pod {
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
    fn collect(&mut self) {
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

    // --- The end ----------------------------------------------------------

    /// The Job's time to live, its deletion, and that nothing is left (I20, I23).
    fn clear_away(&mut self) -> Result<(), String> {
        self.check_ttl()?;
        self.delete_job();
        self.replan()?;
        while !self.rows.is_empty() {
            let Some(Reverse((at, _, happening))) = self.queue.pop() else {
                return Err(self.leftover());
            };
            self.now = self.now.max(at);
            if matches!(happening, Happening::Kill(_)) {
                self.happen(happening)?;
                self.collect();
                self.replan()?;
            }
        }
        Ok(())
    }

    fn leftover(&self) -> String {
        format!("pods outlive their Job: {:?}", self.rows.values().next())
    }

    fn check_ttl(&self) -> Result<(), String> {
        let expected = match (self.job.finished(), self.job.spec.ttl_after_finished) {
            (Some(finished), Some(ttl)) if self.job.deletion.is_none() => {
                let ttl = SignedDuration::try_from(ttl).map_err(|error| error.to_string())?;
                Some(finished.last_transition + ttl)
            }
            _ => None,
        };
        let Some(expiry) = expected else {
            let kept = ttl::plan(&self.job, self.now) == Ttl::Keep;
            return kept
                .then_some(())
                .ok_or_else(|| "a Job without end expires".to_owned());
        };
        let early = expiry - SignedDuration::from_nanos(1);
        let exact = ttl::plan(&self.job, early) == Ttl::Until(expiry)
            && ttl::plan(&self.job, expiry) == Ttl::Expired;
        exact
            .then_some(())
            .ok_or_else(|| format!("the Job does not expire at {expiry}"))
    }

    // --- Rows and queue ---------------------------------------------------

    fn edit_live(&mut self, uid: Uid, edit: impl FnOnce(&mut Pod, Timestamp)) {
        let live = self
            .rows
            .get(&uid)
            .filter(|pod| !pod.status.phase.is_terminal());
        if let Some(pod) = live {
            let mut pod = Pod::clone(pod);
            edit(&mut pod, self.now);
            self.put(pod);
        }
    }

    fn put(&mut self, pod: Pod) {
        let pod = Arc::new(pod);
        self.set.update(Arc::clone(&pod));
        self.rows.insert(pod.uid, pod);
    }

    fn queue_in(&mut self, seconds: u64, happening: Happening) {
        let at = self.now + SignedDuration::from_secs(seconds as i64);
        self.queued += 1;
        self.queue.push(Reverse((at, self.queued, happening)));
    }
}

fn terminated(exit_code: u8, at: Timestamp) -> Terminated {
    Terminated {
        exit_code,
        reason: Cow::Borrowed(if exit_code == 0 { "Completed" } else { "Error" }),
        message: Arc::from(""),
        started: at,
        finished: at,
        usage: Usage::default(),
    }
}
