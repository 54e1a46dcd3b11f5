//! The CronJob controller: which Jobs a CronJob should have, and what its status says.
//!
//! [`plan`] follows `syncCronJob` and `cleanupFinishedJobs` of Kubernetes' second CronJob
//! controller. The latest slot that has passed runs, once; its name and `lastScheduleTime`
//! keep it from running again. What differs:
//!
//! * Job, `active` and `lastScheduleTime` are one commit. Nothing can be created and
//!   forgotten, so Forbid and "one Job per slot" hold across a crash.
//! * Kubernetes looks 100 ms after a slot, because it compares its clock with that of the
//!   API server. Here there is one clock, and the host looks when the slot begins.
//! * Every slot gets a verdict in the ledger of the status, and what concerns a slot is
//!   told once; Kubernetes repeats its events at every sync.
//! * `startingDeadlineSeconds` decides which slot may still run. It does not move the phase
//!   of `@every`, which in Kubernetes then never runs again after one miss. For the same
//!   reason a slot that is past its deadline gets the event `MissSchedule`.
//! * The latest slot is found exactly, by bisection; Kubernetes estimates it from the first
//!   two. The work does not grow with the time that has passed.
//! * A changed schedule makes up for nothing that lies before the change. In Kubernetes
//!   this depends on which event comes first.
//! * `@every` below a minute: the names of its Jobs end in minutes and seconds. In
//!   Kubernetes the second one within a minute fails, for its name is taken.
//! * A Job that the CronJob made and that a hand-written status forgot is adopted.
//!
//! The annotations `wasmjob.dev/…` are those of [`wasmjob_api::CronJobOptions`].

mod active;
mod history;
mod job;
mod plan;
mod slots;

pub use job::{job_name, new_job, next_job, owns};
pub use plan::{Awake, CATCH_UP_TOLERANCE, NewJob, Plan, Surroundings, plan};
pub use slots::{MANY_MISSED, Slots, jitter};
