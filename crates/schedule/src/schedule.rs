//! What stands in `spec.schedule`.

use jiff::{SignedDuration, Timestamp};

use crate::error::echo;
use crate::expression::Expression;
use crate::{GoDuration, ScheduleError, Zone, robfig, wall};

/// A schedule in Kubernetes' dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    pub(crate) when: When,
    zone: Option<Zone>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    Fields(Expression),
    /// `@every`, in whole seconds, at least one.
    Every(i64),
}

/// What starts runs: a schedule, or the start of the host.
///
/// Kubernetes knows no `@reboot` and refuses it; [`Schedule::parse`] does so too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// The times of a schedule.
    Schedule(Schedule),
    /// `@reboot`: each start of the host.
    Reboot,
}

/// What happens to wall times that the clocks skip or repeat.
///
/// The two policies beside Kubernetes' own concern schedules that name hours. One that
/// runs in every hour (`*/10 * * * *`) is about an interval, which a change of the
/// clocks does not touch, and so is `@every`: they run as with
/// [`Kubernetes`](Self::Kubernetes).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DstPolicy {
    /// As Kubernetes does: what is skipped does not run, what is repeated runs twice.
    #[default]
    Kubernetes,
    /// Every wall time runs once: what is skipped runs at the first instant after the
    /// gap (once, even if the gap swallowed several), what is repeated runs the first time.
    Once,
    /// No wall time runs twice: what is skipped does not run, what is repeated runs the
    /// first time.
    Skip,
}

/// Times that are looked at one by one before a bisection. It takes about 30 steps.
const WALK_MAX: usize = 8;

impl Schedule {
    /// Reads five fields or a descriptor, after `TZ=` or `CRON_TZ=` and a zone or not.
    ///
    /// # Errors
    ///
    /// If `robfig/cron`'s standard parser refuses the text, in its words. A schedule
    /// that never comes (31 February) is none of its business: it has no next time.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let (zone, rest) = split_zone(text)?;
        let when = match rest.starts_with('@') {
            true => descriptor(rest)?,
            false => When::Fields(Expression::parse(rest)?),
        };
        Ok(Self { when, zone })
    }

    /// The zone that `TZ=` names; `None` if the schedule follows the caller's.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// The interval of `@every`; such times are counted from the run before.
    #[must_use]
    pub fn interval(&self) -> Option<SignedDuration> {
        match self.when {
            When::Every(seconds) => Some(SignedDuration::from_secs(seconds)),
            When::Fields(_) => None,
        }
    }

    /// The first time after `after`, in the schedule's own zone or else in `zone`.
    ///
    /// It is a whole second. `None` says that none comes within five years, as for
    /// 31 February, which is found out within a fraction of a millisecond.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &Zone, dst: DstPolicy) -> Option<Timestamp> {
        let zone = self.zone.as_ref().unwrap_or(zone);
        // Down, also before 1970.
        let second = after.as_second() - i64::from(after.subsec_nanosecond() < 0);
        let next = match &self.when {
            When::Every(seconds) => second.checked_add(*seconds),
            When::Fields(fields) => match dst {
                _ if fields.is_hourly() => robfig::next_after(fields, second, zone),
                DstPolicy::Kubernetes => robfig::next_after(fields, second, zone),
                DstPolicy::Once => wall::next_after(fields, second, zone, true),
                DstPolicy::Skip => wall::next_after(fields, second, zone, false),
            },
        };
        Timestamp::from_second(next?).ok()
    }

    /// The last time after `after` that is not after `until`.
    ///
    /// The work grows with the logarithm of the span, whatever the schedule: a clock
    /// that was 30 years wrong costs no more than a minute. The times of `@every` are
    /// counted from `after`.
    #[must_use]
    pub fn last_between(
        &self,
        after: Timestamp,
        until: Timestamp,
        zone: &Zone,
        dst: DstPolicy,
    ) -> Option<Timestamp> {
        let next = |after| self.next_after(after, zone, dst).filter(|at| *at <= until);
        let mut last = next(after)?;
        if let When::Every(seconds) = self.when {
            let more = (until.as_second() - last.as_second()) / seconds;
            return Timestamp::from_second(last.as_second() + more * seconds).ok();
        }
        // Usually there is one at most, and where times are rare a walk is the shorter way.
        for _ in 0..WALK_MAX {
            match next(last) {
                Some(later) => last = later,
                None => return Some(last),
            }
        }
        // From `none` on there is nothing more until `until`.
        let mut none = until;
        while last < none {
            let middle = middle(last, none);
            match next(middle) {
                Some(later) => last = later,
                None if middle == last => break,
                None => none = middle,
            }
        }
        Some(last)
    }
}

impl Trigger {
    /// Reads a schedule, or `@reboot`.
    ///
    /// # Errors
    ///
    /// Those of [`Schedule::parse`].
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        match text {
            "@reboot" => Ok(Self::Reboot),
            _ => Schedule::parse(text).map(Self::Schedule),
        }
    }
}

/// The instant in the middle, cut to a second.
fn middle(early: Timestamp, late: Timestamp) -> Timestamp {
    let half = (late.as_second() - early.as_second()) / 2;
    Timestamp::from_second(early.as_second() + half).unwrap_or(early)
}

/// The zone that is named first, if one is, and the rest. `Local` is the caller's.
fn split_zone(text: &str) -> Result<(Option<Zone>, &str), ScheduleError> {
    if !(text.starts_with("TZ=") || text.starts_with("CRON_TZ=")) {
        return Ok((None, text));
    }
    let (assignment, rest) = text.split_once(' ').ok_or(ScheduleError::OnlyZone)?;
    let name = assignment.split_once('=').map_or("", |(_, name)| name);
    if name == "Local" {
        return Ok((None, rest.trim()));
    }
    let zone = Zone::load(name, &Zone::utc()).map_err(|cause| ScheduleError::Zone {
        name: echo(name),
        cause,
    })?;
    Ok((Some(zone), rest.trim()))
}

fn descriptor(text: &str) -> Result<When, ScheduleError> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return every(text),
    };
    Expression::parse(fields).map(When::Fields)
}

fn every(text: &str) -> Result<When, ScheduleError> {
    let duration = text
        .strip_prefix("@every ")
        .ok_or_else(|| ScheduleError::Descriptor(echo(text)))?;
    let duration = GoDuration::parse(duration).map_err(|cause| ScheduleError::Every {
        descriptor: echo(text),
        cause,
    })?;
    let seconds = duration.as_nanoseconds() / 1_000_000_000;
    Ok(When::Every(seconds.max(1)))
}
