//! A Job, its pods' rows, scripted guests and a clock: what a host would hold.

mod end;
mod faults;
mod guests;
mod host;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Job, Pod, Uid};
use wasmjob_controllers::job::PodSet;

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
    /// How many live pods a quota allows, until all faults are over.
    quota: Option<u32>,
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
            // Every fourth life; the others are what they were.
            quota: (seed % 4 == 3).then_some((seed / 4 % 3) as u32),
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
