//! What a jump of the system's wall time means: for what is measured, nothing.
//!
//! Rows keep times as wall time, because they are shown and survive a restart.
//! When the clock is set, or the machine has slept, the times from which
//! something is measured move along, so that as much of it is left as before.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Cause, ContainerState, Job, Phase, Uid};
use wasmjob_controllers::cron_job::Awake;
use wasmjob_node::Clock as _;

use super::Core;
use super::turn::Turn;
use crate::clock_watch::ClockWatch;

/// How long nobody tries again to watch the clock where that failed.
const WATCH_AGAIN: Duration = Duration::from_secs(60);

impl Core {
    /// From now on somebody tells when the system's clock is set: CronJobs and tokens
    /// wait for wall time.
    pub(super) fn watch_clock(&mut self) {
        let now = self.clock.monotonic();
        let tried = self.clock_watch_tried;
        let is_early = tried.is_some_and(|at| now.saturating_duration_since(at) < WATCH_AGAIN);
        if self.clock_watch.is_none() && !is_early {
            self.clock_watch_tried = Some(now);
            let mailbox = Arc::clone(&self.mailbox);
            self.clock_watch = ClockWatch::start(move || mailbox.wake())
                .inspect_err(|error| {
                    tracing::warn!(%error, "a clock that is set is noticed late");
                })
                .ok();
        }
    }

    /// Follows the system's wall time.
    pub(super) fn follow_clock(&mut self, turn: &mut Turn) {
        let Some(jump) = self.clock.follow() else {
            return;
        };
        tracing::warn!(
            seconds = jump.as_secs_f64(),
            "the system's clock was set, or the machine slept"
        );
        if jump.is_positive() {
            self.awake = Awake {
                since: self.clock.wall(),
                after: Cause::Asleep,
            };
        }
        self.node.clock_set();
        let cron_jobs: Vec<Uid> = self.cron_jobs.keys().copied().collect();
        cron_jobs.into_iter().for_each(|uid| self.mark_cron(uid));
        let uids: Vec<Uid> = self.jobs.keys().copied().collect();
        for uid in uids {
            let Some(entry) = self.jobs.get_mut(&uid) else {
                continue;
            };
            // The back-off of one whose pods were refused, which no row keeps.
            if let Some(until) = &mut entry.refused.until {
                shift(until, jump);
            }
            if let Some(moved) = moved(&entry.job, jump) {
                self.set_job(turn, moved);
                self.move_pods(turn, uid, jump);
            }
            self.mark(uid);
        }
    }
}

impl Core {
    /// With `backoffLimitPerIndex` the back-off of an index is measured from the
    /// end of its last pod.
    fn move_pods(&mut self, turn: &mut Turn, uid: Uid, jump: SignedDuration) {
        let Some(entry) = self.jobs.get(&uid) else {
            return;
        };
        let is_measured = entry.job.spec.backoff_limit_per_index.is_some();
        if !is_measured || entry.job.finished().is_some() {
            return;
        }
        let ended = entry
            .pods
            .iter()
            .filter(|pod| pod.status.phase == Phase::Failed);
        let ended: Vec<Uid> = ended.map(|pod| pod.uid).collect();
        for pod in ended {
            self.change_pod(turn, uid, pod, |pod| {
                for container in &mut pod.status.containers {
                    if let ContainerState::Terminated(end) = &mut container.state {
                        shift(&mut end.started, jump);
                        shift(&mut end.finished, jump);
                    }
                }
            });
        }
    }
}

fn shift(time: &mut Timestamp, jump: SignedDuration) {
    *time = time.saturating_add(jump).unwrap_or(*time);
}

/// `job` with the times moved from which something of it is still measured.
fn moved(job: &Arc<Job>, jump: SignedDuration) -> Option<Job> {
    let mut status = job.status.clone();
    let shift = |time: &mut Timestamp| shift(time, jump);
    if job.finished().is_some() {
        // Its time to live.
        job.spec.ttl_after_finished?;
        let conditions = status.conditions.iter_mut();
        conditions.for_each(|condition| shift(&mut condition.last_transition));
        status.completion_time.iter_mut().for_each(shift);
        status.start_time.iter_mut().for_each(shift);
    } else {
        // Its deadline and its back-off.
        status.start_time.iter_mut().for_each(shift);
        status.backoff.last_failure.iter_mut().for_each(shift);
    }
    (status != job.status).then(|| Job {
        status,
        ..(**job).clone()
    })
}

#[cfg(test)]
mod tests {
    use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
    use wasmjob_api::{JobCondition, JobConditionType};

    use super::*;

    fn job(ttl: Option<i32>) -> Job {
        let object = batch::Job {
            spec: Some(batch::JobSpec {
                ttl_seconds_after_finished: ttl,
                ..batch::JobSpec::default()
            }),
            ..batch::Job::default()
        };
        Job::new(object, Uid::from_random(1), Timestamp::UNIX_EPOCH)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn what_runs_has_as_much_time_left_as_before() {
        let mut job = job(None);
        job.status.start_time = Some(at(100));
        job.status.backoff.last_failure = Some(at(110));
        let moved = moved(&Arc::new(job), SignedDuration::from_hours(-1)).unwrap();
        assert_eq!(moved.status.start_time, Some(at(-3500)));
        assert_eq!(moved.status.backoff.last_failure, Some(at(-3490)));
    }

    #[test]
    fn what_finished_moves_only_while_something_is_measured() {
        let finished = |ttl| {
            let mut job = job(ttl);
            job.status.start_time = Some(at(100));
            job.status.conditions = vec![JobCondition {
                condition_type: JobConditionType::Complete,
                status: true,
                reason: "R".into(),
                message: "".into(),
                last_probe: at(200),
                last_transition: at(200),
            }];
            moved(&Arc::new(job), SignedDuration::from_secs(50))
        };
        assert!(finished(None).is_none());
        let moved = finished(Some(30)).unwrap();
        assert_eq!(moved.status.conditions[0].last_transition, at(250));
        assert_eq!(moved.status.start_time, Some(at(150)));
    }
}
