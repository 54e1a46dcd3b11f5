//! When a CronJob is due: Kubernetes' dialect of cron, and time zones.
//!
//! The dialect is that of the standard parser of `robfig/cron` v3, which Kubernetes
//! uses: five fields or a descriptor. No crate speaks it exactly (the best one agrees
//! on 87 % of the project's vectors), so it is read here. Everything is pure: there
//! is no clock, no disk and no environment; the zones are those of the IANA database
//! that is part of the binary.
//!
//! ```
//! use wasmjob_schedule::{DstPolicy, Schedule, Zone};
//!
//! let schedule = Schedule::parse("30 2 * * mon-fri")?;
//! let berlin = Zone::load("Europe/Berlin", &Zone::utc())?;
//! let from = "2026-11-20T12:00:00Z".parse()?;
//! let next = schedule.next_after(from, &berlin, DstPolicy::Kubernetes);
//! assert_eq!(next, Some("2026-11-23T02:30:00+01:00".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * [`Schedule`]: what stands in `spec.schedule`.
//! * [`Zone`]: what stands in `spec.timeZone`.
//! * [`DstPolicy`]: what happens to times that the clocks skip or repeat.
//! * [`DstSurprise`]: what a change of the clocks does to a schedule.
//! * [`GoDuration`]: how Kubernetes writes durations.

mod civil;
mod clock_change;
mod duration;
mod error;
mod expression;
mod robfig;
mod schedule;
mod wall;
mod zone;

pub use clock_change::{DstEffect, DstSurprise};
pub use duration::{DurationError, GoDuration};
pub use error::ScheduleError;
pub use schedule::{DstPolicy, Schedule, Trigger};
pub use zone::{UnknownZone, Zone};
