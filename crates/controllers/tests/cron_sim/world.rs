//! A CronJob, its Jobs and a clock that may be wrong: what a host would hold.

mod happenings;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::schedule::Zone;
use wasmjob_api::{Cause, CronJob, CronJobSpec, Job, JobReference, Uid, defaults};
use wasmjob_controllers::cron_job::{Awake, Plan, Surroundings, new_job, plan};

use super::rng::Rng;

/// Happenings of one life.
const STEPS: u64 = 120;

pub(crate) struct World {
    rng: Rng,
    now: Timestamp,
    awake: Awake,
    started: Timestamp,
    cron_job: CronJob,
    jobs: BTreeMap<Uid, Arc<Job>>,
    /// Names that Jobs of somebody else have.
    foreign: BTreeSet<String>,
    /// Every name that the CronJob ever gave to a Job.
    made: BTreeSet<Arc<str>>,
    timer: Option<Timestamp>,
    uids: u128,
    looks: u64,
    zone: Zone,
}

/// Runs one seed to its end, and says how many Jobs it made.
///
/// # Errors
///
/// Says which invariant was broken, and when.
pub(crate) fn run(seed: u64) -> Result<usize, String> {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        let happening = world.happen();
        let looked = world.look();
        looked.map_err(|error| {
            let status = &world.cron_job.status;
            format!(
                "seed {seed}, step {step} at {}, {happening}: {error}\n{:?}\n{status:?}",
                world.now, world.cron_job.spec.object
            )
        })?;
    }
    Ok(world.made.len())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Around a change of the clocks now and then.
        let start = rng.pick(&[
            "2027-03-27T20:00:00Z",
            "2027-10-30T20:00:00Z",
            "2026-12-31T00:00:00Z",
        ]);
        let start: Timestamp = start.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let object = serde_json::json!({
            "metadata": {"name": "cron", "namespace": "default"},
            "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {}}}},
        });
        let mut object = serde_json::from_value(object).unwrap_or_default();
        defaults::cron_job(&mut object);
        let mut world = Self {
            now: start,
            awake: Awake {
                since: start,
                after: Cause::Down,
            },
            started: start,
            cron_job: CronJob::new(object, Uid::from_random(rng.next().into()), start),
            jobs: BTreeMap::new(),
            foreign: BTreeSet::new(),
            made: BTreeSet::new(),
            timer: None,
            uids: u128::from(rng.next()) << 32,
            looks: 0,
            zone: Zone::load("Europe/Berlin", &Zone::utc()).unwrap_or_else(|_| Zone::utc()),
            rng,
        };
        for _ in 0..8 {
            world.edit();
        }
        world
    }

    /// Plans, commits, and plans again, which must change nothing more.
    fn look(&mut self) -> Result<(), String> {
        self.looks += 1;
        let plan = self.plan();
        self.check(&plan)?;
        if self.rng.chance(3) {
            // The host dies between plan and commit: there was no plan.
            let down = self.rng.below(90) as i64;
            self.crash(SignedDuration::from_secs(down));
            return self.look();
        }
        self.commit(plan);
        let again = self.plan();
        if again.status.is_some() || !again.create.is_empty() || !again.events.is_empty() {
            return Err(format!("a second look changes something: {again:?}"));
        }
        if again.look_again != self.timer {
            return Err(format!("{:?}, then {:?}", self.timer, again.look_again));
        }
        self.check_explained()
    }

    fn plan(&self) -> Plan {
        let jobs: Vec<Arc<Job>> = self.jobs.values().cloned().collect();
        let surroundings = Surroundings {
            now: self.now,
            awake: self.awake,
            started: self.started,
            zone: &self.zone,
            terminating: false,
            is_taken: &|name| self.foreign.contains(name),
        };
        plan(&self.cron_job, &jobs, &surroundings)
    }

    fn commit(&mut self, plan: Plan) {
        if let Some(status) = plan.status {
            self.cron_job.status = status;
        }
        for uid in plan.delete {
            self.jobs.remove(&uid);
        }
        for new in plan.create {
            let uid = self.next_uid();
            let object = new_job(&self.cron_job, &new, &self.zone);
            let job = Job::new(object, uid, self.now);
            self.jobs.insert(uid, Arc::new(job));
            self.made.insert(Arc::clone(&new.name));
            let name = new.name;
            self.cron_job.status.active.push(JobReference { uid, name });
        }
        self.timer = plan.look_again;
    }

    fn next_uid(&mut self) -> Uid {
        self.uids += 1;
        Uid::from_random(self.uids)
    }

    fn crash(&mut self, down: SignedDuration) {
        self.now = self.now.checked_add(down).unwrap_or(self.now);
        self.started = self.now;
        self.awake = Awake {
            since: self.now,
            after: Cause::Down,
        };
    }

    fn parse_spec(&mut self) {
        self.cron_job.generation += 1;
        self.cron_job.spec = Arc::new(CronJobSpec::parse(
            self.cron_job.spec.object.clone(),
            self.cron_job.metadata.annotations.as_ref(),
        ));
    }
}
