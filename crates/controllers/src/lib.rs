//! Controllers: from what is, to what should be done.
//!
//! A controller here is a function from objects and a time to a plan. It reads
//! no clock, no randomness, no disk and no environment, knows no async and no
//! store: the host hands it rows, applies the plan in one commit, and calls it
//! again when a row changed or when the plan's timer is due. A plan depends on
//! the state only, never on which event woke the host, so one call too many
//! does no harm.
//!
//! * [`job`]: which pods a Job should have, and what its status says.
//! * [`cron_job`]: which Jobs a CronJob should have, and what became of its slots.
//! * [`admission`]: whether an object may come in, and what it comes in as.
//! * [`ttl`]: when a finished Job goes.
//! * [`forecast`]: what would run, by the same controllers in virtual time.
//! * [`invariants`]: what must hold after every commit, for tests and asserts.

pub mod admission;
pub mod cron_job;
pub mod forecast;
pub mod invariants;
pub mod job;
pub mod ttl;
