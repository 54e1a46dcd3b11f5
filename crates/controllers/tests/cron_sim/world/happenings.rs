//! What may happen between two looks.

use std::sync::Arc;

use jiff::SignedDuration;
use wasmjob_api::{Cause, CronJobSpec, Job, JobCondition, JobConditionType, Uid};
use wasmjob_controllers::cron_job::{Awake, job_name};

use super::World;

const SCHEDULES: [&str; 12] = [
    "* * * * *",
    "*/5 * * * *",
    "30 2 * * *",
    "0 2,3 * * *",
    "*/20 1-3 * * *",
    "0 0 1 * *",
    "59 23 31 2 *",
    "@hourly",
    "@every 20s",
    "@every 90s",
    "@every 7h",
    "no schedule",
];

impl World {
    pub(super) fn happen(&mut self) -> &'static str {
        match self.rng.below(100) {
            0..45 => self.until_the_timer(),
            45..60 => {
                self.end_a_job();
                "a Job ends"
            }
            60..66 => {
                self.pass(3600);
                "time passes"
            }
            66..72 => {
                let down = self.rng.pick(&[5, 120, 4000, 200_000]);
                let down = SignedDuration::from_secs(self.rng.below(down) as i64);
                self.crash(down);
                "the host was down"
            }
            72..76 => {
                let back = self.rng.pick(&[2, 90, 7200, 400_000]);
                let back = SignedDuration::from_secs(self.rng.below(back) as i64);
                self.now = self.now.checked_sub(back).unwrap_or(self.now);
                "the clock goes back"
            }
            76..80 => {
                let forward = self.rng.pick(&[90, 7200, 400_000, 1_000_000_000]);
                self.pass(forward);
                self.awake = Awake {
                    since: self.now,
                    after: Cause::Asleep,
                };
                "the clock goes forward"
            }
            80..88 => {
                self.edit();
                "an edit"
            }
            88..91 => {
                self.suspend();
                "suspended or resumed"
            }
            91..94 => {
                self.delete_a_job();
                "somebody deletes a Job"
            }
            94..96 => {
                self.by_hand();
                "somebody makes a Job"
            }
            96..98 => {
                self.take_the_next_name();
                "somebody takes a name"
            }
            _ => {
                self.cron_job.status.active.clear();
                "somebody writes over the status"
            }
        }
    }

    fn until_the_timer(&mut self) -> &'static str {
        match self.timer {
            // A day at most: other things should happen too.
            Some(timer) if timer > self.now => {
                let day = SignedDuration::from_hours(24);
                let most = self.now.checked_add(day).unwrap_or(timer);
                let lag = SignedDuration::from_millis(self.rng.below(1500) as i64);
                self.now = timer.min(most).checked_add(lag).unwrap_or(timer);
                "the timer"
            }
            _ => {
                self.pass(600);
                "time passes without a timer"
            }
        }
    }

    fn pass(&mut self, seconds_max: u64) {
        let passed = SignedDuration::from_millis(self.rng.below(seconds_max * 1000) as i64);
        self.now = self.now.checked_add(passed).unwrap_or(self.now);
    }

    fn a_job(&mut self, wanted: impl Fn(&Job) -> bool) -> Option<Uid> {
        let jobs = self.jobs.values().filter(|job| wanted(job));
        let uids: Vec<Uid> = jobs.map(|job| job.uid).collect();
        (!uids.is_empty()).then(|| self.rng.pick(&uids))
    }

    fn end_a_job(&mut self) {
        let Some(uid) = self.a_job(|job| job.finished().is_none()) else {
            return;
        };
        let complete = self.rng.chance(70);
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&uid) else {
            return;
        };
        let job = Arc::make_mut(job);
        job.status.start_time = Some(job.created);
        job.status.completion_time = complete.then_some(now);
        job.status.conditions.push(JobCondition {
            condition_type: match complete {
                true => JobConditionType::Complete,
                false => JobConditionType::Failed,
            },
            status: true,
            reason: "".into(),
            message: "".into(),
            last_probe: now,
            last_transition: now,
        });
    }

    fn delete_a_job(&mut self) {
        let Some(uid) = self.a_job(|_| true) else {
            return;
        };
        let now = self.now;
        if self.rng.chance(50) {
            self.jobs.remove(&uid);
        } else if let Some(job) = self.jobs.get_mut(&uid) {
            Arc::make_mut(job).deletion = Some(now);
        }
    }

    fn by_hand(&mut self) {
        let uid = self.next_uid();
        let name = format!("by-hand-{}", self.looks);
        let object = serde_json::json!({
            "metadata": {"name": name, "namespace": "default"}, "spec": {"template": {}},
        });
        let object = serde_json::from_value(object).unwrap_or_default();
        self.jobs
            .insert(uid, Arc::new(Job::new(object, uid, self.now)));
    }

    fn take_the_next_name(&mut self) {
        if self.rng.chance(30) {
            self.foreign.clear();
        } else if let Some(timer) = self.timer {
            let name = job_name(&self.cron_job, timer);
            if !self.made.contains(name.as_str()) {
                self.foreign.insert(name);
            }
        }
    }

    fn suspend(&mut self) {
        let mut object = self.cron_job.spec.object.clone();
        object.suspend = Some(object.suspend != Some(true));
        self.cron_job.spec = Arc::new(CronJobSpec::parse(object, None));
        self.parse_spec();
    }

    /// Changes one thing of the spec or the annotations.
    pub(super) fn edit(&mut self) {
        let mut object = self.cron_job.spec.object.clone();
        let mut metadata = self.cron_job.metadata.as_ref().clone();
        let annotations = metadata.annotations.get_or_insert_default();
        let mut annotate = |key: &str, value: &str| {
            annotations.insert(format!("wasmjob.dev/{key}"), value.to_owned());
        };
        let rng = &mut self.rng;
        match rng.below(8) {
            0 | 1 => object.schedule = rng.pick(&SCHEDULES).to_owned(),
            2 => {
                let policy = rng.pick(&["Allow", "Forbid", "Replace"]);
                object.concurrency_policy = Some(policy.to_owned());
            }
            3 => {
                object.starting_deadline_seconds = rng.pick(&[None, Some(5), Some(100), Some(9000)])
            }
            4 => {
                object.time_zone = rng
                    .pick(&[None, Some("UTC"), Some("Asia/Tokyo")])
                    .map(Into::into)
            }
            5 => annotate("catch-up", rng.pick(&["latest", "none", "all"])),
            6 => annotate("dst", rng.pick(&["kubernetes", "once", "skip"])),
            _ => {
                annotate("jitter", rng.pick(&["0s", "10s", "20m"]));
                annotate("reboot", rng.pick(&["true", "false"]));
                annotate("catch-up-limit", rng.pick(&["1", "3", "50"]));
            }
        }
        self.cron_job.metadata = Arc::new(metadata);
        self.cron_job.spec = Arc::new(CronJobSpec::parse(object, None));
        self.parse_spec();
    }
}
