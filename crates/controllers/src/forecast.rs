//! What would run: the controllers of this room in virtual time.
//!
//! [`forecast`] drives [`cron_job::plan`](crate::cron_job::plan) and
//! [`job::plan`](crate::job::plan) as a host would, with a clock that jumps to the next
//! thing due and guests that take a stated time and succeed. What it tells of Forbid,
//! Replace, late starts and clock changes are the controllers' own decisions.
//!
//! It assumes a host that is never down, has room for every pod, and is exactly on time.
//! A Job that ends at the moment of a slot has ended. Of CronJobs with
//! `wasmjob.dev/jitter` the shares are examples: the true ones follow from UIDs that the
//! host gives. No run of `wasmjob.dev/reboot` is foreseen.
//!
//! Two things keep the work in proportion to what happens, and a test holds each against
//! the drive without it:
//!
//! * The Jobs of a CronJob are the same but for their names, and time only moves them. One
//!   is driven through the Job controller; the others take the same course.
//! * A Job's end makes the CronJob controller look only if a slot waits for it. Else the
//!   look at the next slot sees it as well.

mod course;
mod load;
mod outcome;
mod totals;
mod world;

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::CronJob;
use wasmjob_api::schedule::{DstSurprise, Zone};

pub use load::{BusyMinute, CRON_JOBS_NAMED, Days, Load, MINUTES_MAX, Peak};
pub use outcome::{Fate, Outcome};
pub use totals::{Idle, Totals};

use self::course::Drive;
use self::load::Sweep;
use self::world::World;

/// The longest time that is looked at: ten years and their leap days.
pub const SPAN_MAX: Duration = Duration::from_secs(3660 * 24 * 60 * 60);

/// Steps (looks, Jobs, pods) after which a forecast gives up; a year of 1,000 ordinary
/// CronJobs takes about ten million. It bounds the time to a few minutes.
pub const STEPS_MAX: u64 = 100_000_000;

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The begin; slots at this moment count. `@every` counts from here.
    pub from: Timestamp,
    /// The end; slots at this moment do not count.
    pub until: Timestamp,
    /// The zone of CronJobs that name none, and of days and hours in the result.
    pub zone: Zone,
}

/// A CronJob, and how long its pods take.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The CronJob, without status: as if it had been created just before the begin.
    pub cron_job: CronJob,
    /// How long each of its pods takes.
    pub duration: Duration,
}

/// What would run.
#[derive(Clone, PartialEq, Debug)]
pub struct Forecast {
    /// For each CronJob, in the order of the subjects.
    pub cron_jobs: Vec<CronJobForecast>,
    /// Minutes, hours and days.
    pub load: Load,
}

/// What would become of a CronJob.
#[derive(Clone, PartialEq, Debug)]
pub struct CronJobForecast {
    /// Sums over its slots.
    pub totals: Totals,
    /// Why it never ran, if it did not.
    pub idle: Option<Idle>,
    /// How long one of its Jobs takes if it is let alone; `None` if longer than the whole
    /// forecast, or for ever.
    pub job_takes: Option<SignedDuration>,
    /// What the changes of the clocks do to it.
    pub surprises: Vec<DstSurprise>,
}

/// Why there is no forecast.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ForecastError {
    /// The end is not after the begin, or too long after it.
    #[error("a forecast is for more than nothing and for at most {} days", SPAN_MAX.as_secs() / 86_400)]
    Span,
    /// Too much happens.
    #[error("more than {STEPS_MAX} steps happen before {0}; ask for a shorter time")]
    TooMuch(Timestamp),
}

/// Foresees what `subjects` do.
///
/// `tell` is told what became of every slot, as far as it is known at the end: day after
/// day as Jobs end, and within a day (of 24 hours from the begin) by slot. The forecast
/// itself keeps sums only, so that a year fits into memory.
///
/// # Errors
///
/// If the time is too long, or more happens than can be looked at.
pub fn forecast(
    subjects: &[Subject],
    settings: &Settings,
    tell: &mut dyn FnMut(&Outcome),
) -> Result<Forecast, ForecastError> {
    run(subjects, settings, Drive::Once, tell)
}

/// What is left of [`STEPS_MAX`].
struct Budget(u64);

/// The budget is used up.
struct Exhausted;

impl Budget {
    fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.0 = self.0.checked_sub(steps).ok_or(Exhausted)?;
        Ok(())
    }
}

fn run(
    subjects: &[Subject],
    settings: &Settings,
    drive: Drive,
    tell: &mut dyn FnMut(&Outcome),
) -> Result<Forecast, ForecastError> {
    let Settings { from, until, zone } = settings;
    let span = until.duration_since(*from);
    if !span.is_positive() || span.unsigned_abs() > SPAN_MAX {
        return Err(ForecastError::Span);
    }
    let mut budget = Budget(STEPS_MAX);
    let mut sweep = Sweep::new(settings);
    let mut worlds = Vec::with_capacity(subjects.len());
    for (index, subject) in subjects.iter().enumerate() {
        let world = World::new(index, subject, settings, drive, &mut budget);
        worlds.push(world.map_err(|Exhausted| ForecastError::TooMuch(*until))?);
    }
    let mut outcomes = Vec::new();
    let mut now = *from;
    while now < *until {
        now = day_after(now, *until);
        for world in &mut worlds {
            let advanced = world.advance(now, &mut sweep, &mut outcomes, &mut budget);
            advanced.map_err(|Exhausted| ForecastError::TooMuch(now))?;
        }
        if now == *until {
            worlds.iter_mut().for_each(|world| world.end(&mut outcomes));
        }
        sweep.pass();
        outcomes.sort_unstable_by_key(|outcome| (outcome.slot, outcome.cron_job));
        outcomes.iter().for_each(&mut *tell);
        outcomes.clear();
    }
    let cron_jobs = worlds.into_iter().map(|world| world.conclude(zone));
    Ok(Forecast {
        cron_jobs: cron_jobs.collect(),
        load: sweep.load(),
    })
}

/// A day later, at a whole minute, so that no minute belongs to two days; at most `until`.
fn day_after(now: Timestamp, until: Timestamp) -> Timestamp {
    let next = now.as_second().saturating_add(24 * 60 * 60);
    let next = Timestamp::from_second(next - next.rem_euclid(60));
    next.map_or(until, |next| next.min(until))
}
