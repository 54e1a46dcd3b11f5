//! What a change of the clocks does to a schedule.
//!
//! It is found out by holding what the policy runs against what the schedule says: the
//! wall times of the day are listed, and those that did not run, or ran twice, are told.
//! So the quirks of `robfig/cron` are told as well, and there is no second opinion here
//! on what should run.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::civil::{Civil, DAY};
use crate::expression::Expression;
use crate::schedule::When;
use crate::wall::next_wall;
use crate::{DstPolicy, Schedule, Zone};

/// Wall times that did not run, or ran twice, on a day on which the clocks changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DstSurprise {
    /// When the clocks change.
    pub change: Timestamp,
    /// The offset from UTC until then.
    pub before: Offset,
    /// The offset from UTC from then on.
    pub after: Offset,
    /// The first of the wall times.
    pub wall: DateTime,
    /// The last of them; the same if there is one only.
    pub wall_last: DateTime,
    /// How many there are.
    pub count: usize,
    /// What becomes of them.
    pub effect: DstEffect,
}

/// What becomes of wall times that the clocks skip or repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DstEffect {
    /// They do not run; if the policy says so, one run at this instant stands for them all.
    Skipped {
        /// The run in their place.
        instead: Option<Timestamp>,
    },
    /// They run twice. These are the two runs of the first of them.
    Twice {
        /// When the clock shows the time first.
        first: Timestamp,
        /// When it shows it again.
        second: Timestamp,
    },
}

/// Changes of the clocks that are looked at; a zone has two a year, four in Morocco.
const CHANGES_MAX: usize = 1000;

impl Schedule {
    /// What surprises the changes of the clocks from `from` until before `until` hold.
    ///
    /// A schedule that runs in every hour, and `@every`, are about intervals and have none.
    #[must_use]
    pub fn dst_surprises(
        &self,
        from: Timestamp,
        until: Timestamp,
        zone: &Zone,
        dst: DstPolicy,
    ) -> Vec<DstSurprise> {
        let zone = self.zone().unwrap_or(zone);
        let When::Fields(fields) = &self.when else {
            return Vec::new();
        };
        if fields.is_hourly() {
            return Vec::new();
        }
        let before = from.as_second().saturating_sub(1);
        let changes = std::iter::successors(zone.change_after(before), |change| {
            zone.change_after(*change).filter(|next| next > change)
        });
        changes
            .take_while(|change| *change < until.as_second())
            .take(CHANGES_MAX)
            .filter_map(|change| Day::new(change, zone))
            .flat_map(|day| day.surprises(self, fields, dst))
            .collect()
    }
}

/// The day, or days, of a change of the clocks.
struct Day<'a> {
    zone: &'a Zone,
    change: i64,
    before: i64,
    after: i64,
}

impl<'a> Day<'a> {
    /// None, if only the name of the zone's time changes.
    fn new(change: i64, zone: &'a Zone) -> Option<Self> {
        let (before, after) = (zone.offset(change - 1), zone.offset(change));
        (before != after).then_some(Self {
            zone,
            change,
            before,
            after,
        })
    }

    fn surprises(
        &self,
        schedule: &Schedule,
        fields: &Expression,
        dst: DstPolicy,
    ) -> Vec<DstSurprise> {
        let walls = self.walls(fields);
        let (Some(first), Some(last)) = (walls.first(), walls.last()) else {
            return Vec::new();
        };
        let from = first - self.before.max(self.after);
        let until = last - self.before.min(self.after);
        let runs = self.runs(schedule, dst, from, until.max(self.change));
        let times = |wall: i64| self.instants(wall).filter(|at| runs.contains(at)).count();
        let skipped: Vec<_> = walls.iter().copied().filter(|w| times(*w) == 0).collect();
        let twice: Vec<_> = walls.iter().copied().filter(|w| times(*w) == 2).collect();
        // A run at a time that the schedule does not name stands for those it names.
        let shown = |at: &i64| at + self.zone.offset(*at);
        let range = self.wall_range();
        let stands_in = |at: &&i64| range.contains(&shown(at)) && !walls.contains(&shown(at));
        let instead = runs.iter().find(stands_in);
        let instead = instead.and_then(|at| Timestamp::from_second(*at).ok());
        let skipped = self.surprise(&skipped, |_| Some(DstEffect::Skipped { instead }));
        let twice = self.surprise(&twice, |wall| {
            let mut instants = self.instants(wall).map(Timestamp::from_second);
            Some(DstEffect::Twice {
                first: instants.next()?.ok()?,
                second: instants.next()?.ok()?,
            })
        });
        skipped.into_iter().chain(twice).collect()
    }

    /// From the first midnight to the last of the change.
    fn wall_range(&self) -> Range<i64> {
        let midnight = |wall: i64| wall - wall.rem_euclid(DAY);
        let (one, other) = (self.change - 1 + self.before, self.change + self.after);
        midnight(one.min(other))..midnight(one.max(other)) + DAY
    }

    /// The wall times of the schedule.
    fn walls(&self, fields: &Expression) -> Vec<i64> {
        let Range { start, end } = self.wall_range();
        let year_max = Civil::from_seconds(end).year;
        let next = |after| next_wall(fields, after, year_max).filter(|wall| *wall < end);
        std::iter::successors(next(start - 1), |wall| next(*wall)).collect()
    }

    /// When it runs.
    fn runs(&self, schedule: &Schedule, dst: DstPolicy, from: i64, until: i64) -> Vec<i64> {
        let next = |after: i64| {
            let after = Timestamp::from_second(after).ok()?;
            let next = schedule.next_after(after, self.zone, dst)?.as_second();
            (next <= until).then_some(next)
        };
        std::iter::successors(next(from - 1), |at| next(*at)).collect()
    }

    /// When the clocks show `wall`, around the change.
    fn instants(&self, wall: i64) -> impl Iterator<Item = i64> + use<'_> {
        let candidates = [
            wall - self.before.max(self.after),
            wall - self.before.min(self.after),
        ];
        candidates
            .into_iter()
            .filter(move |at| at + self.zone.offset(*at) == wall)
    }

    fn surprise(
        &self,
        walls: &[i64],
        effect: impl Fn(i64) -> Option<DstEffect>,
    ) -> Option<DstSurprise> {
        let offset = |seconds| Offset::from_seconds(i32::try_from(seconds).ok()?).ok();
        let shown = |wall| Some(Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?));
        let (first, last) = (*walls.first()?, *walls.last()?);
        Some(DstSurprise {
            change: Timestamp::from_second(self.change).ok()?,
            before: offset(self.before)?,
            after: offset(self.after)?,
            wall: shown(first)?,
            wall_last: shown(last)?,
            count: walls.len(),
            effect: effect(first)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DstEffect, DstSurprise};
    use crate::{DstPolicy, Schedule, Zone};

    fn surprises(schedule: &str, zone: &str, year: &str, dst: DstPolicy) -> Vec<DstSurprise> {
        let zone = Zone::load(zone, &Zone::utc()).unwrap();
        let at = |text: &str| format!("{year}-{text}T00:00:00Z").parse().unwrap();
        let schedule = Schedule::parse(schedule).unwrap();
        schedule.dst_surprises(at("01-01"), at("12-31"), &zone, dst)
    }

    fn told(schedule: &str, zone: &str, year: &str, dst: DstPolicy) -> Vec<String> {
        let one = |surprise: &DstSurprise| {
            let effect = match surprise.effect {
                DstEffect::Skipped { instead: None } => "skipped".to_owned(),
                DstEffect::Skipped { instead: Some(at) } => format!("skipped, but {at}"),
                DstEffect::Twice { first, second } => format!("twice: {first} {second}"),
            };
            let DstSurprise { wall, count, .. } = surprise;
            format!("{wall} {count} {effect}")
        };
        surprises(schedule, zone, year, dst)
            .iter()
            .map(one)
            .collect()
    }

    #[test]
    fn a_skipped_time_does_not_run_and_a_repeated_one_runs_twice() {
        let told = told("30 2 * * *", "Europe/Berlin", "2027", DstPolicy::Kubernetes);
        assert_eq!(
            told,
            [
                "2027-03-28T02:30:00 1 skipped",
                "2027-10-31T02:30:00 1 twice: 2027-10-31T00:30:00Z 2027-10-31T01:30:00Z"
            ]
        );
    }

    #[test]
    fn a_policy_leaves_no_surprise_or_says_what_stands_in() {
        let berlin = |dst| told("0,30 2 * * *", "Europe/Berlin", "2027", dst);
        assert_eq!(
            berlin(DstPolicy::Once),
            ["2027-03-28T02:00:00 2 skipped, but 2027-03-28T01:00:00Z"]
        );
        assert_eq!(berlin(DstPolicy::Skip), ["2027-03-28T02:00:00 2 skipped"]);
    }

    #[test]
    fn intervals_and_other_hours_are_left_alone() {
        for schedule in [
            "*/10 * * * *",
            "@hourly",
            "@every 90s",
            "0 12 * * *",
            "30 2 4 7 *",
        ] {
            let found = surprises(schedule, "Europe/Berlin", "2027", DstPolicy::Kubernetes);
            assert!(found.is_empty(), "{schedule}: {found:?}");
        }
        assert!(surprises("30 2 * * *", "UTC", "2027", DstPolicy::Kubernetes).is_empty());
    }

    #[test]
    fn a_day_that_the_date_line_took_is_told() {
        // Samoa had no 30 December 2011.
        let told = told("0 9 * * *", "Pacific/Apia", "2011", DstPolicy::Kubernetes);
        assert!(
            told.contains(&"2011-12-30T09:00:00 1 skipped".to_owned()),
            "{told:?}"
        );
    }

    #[test]
    fn every_zone_is_looked_through_to_the_end_of_time() {
        let schedule = Schedule::parse("*/7 1,2 * * *").unwrap();
        for zone in [
            "Africa/Casablanca",
            "America/Havana",
            "Australia/Lord_Howe",
            "Asia/Gaza",
        ] {
            let zone = Zone::load(zone, &Zone::utc()).unwrap();
            let (from, until) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
            let found = schedule.dst_surprises(from, until, &zone, DstPolicy::Kubernetes);
            assert!(found.iter().all(|surprise| surprise.count > 0));
        }
    }
}
