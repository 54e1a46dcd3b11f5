//! The next time of five fields as a list of wall times, each with one instant.
//!
//! A wall time that the clocks repeat stands for its first instant. One that they skip
//! stands for the first instant after the gap, or for none.

use crate::Zone;
use crate::civil::{Civil, DAY};
use crate::expression::Expression;
use crate::robfig::YEARS_MAX;

/// The first instant after `after` (seconds since 1970) that a wall time stands for.
pub(crate) fn next_after(
    expression: &Expression,
    after: i64,
    zone: &Zone,
    run_skipped: bool,
) -> Option<i64> {
    let wall = after.checked_add(zone.offset(after))?;
    let from = Civil::from_seconds(wall).year;
    if !expression.is_possible(from, YEARS_MAX + 1) {
        return None;
    }
    // Later walls never stand for earlier instants, and what the clocks show now
    // stands for now or earlier.
    let mut wall = wall;
    loop {
        wall = next_wall(expression, wall, from + YEARS_MAX)?;
        let (at, skipped) = instant(wall, zone);
        if at > after && (run_skipped || !skipped) {
            return Some(at);
        }
    }
}

/// The first whole minute after `after` that fits, in seconds of the wall clock.
pub(crate) fn next_wall(expression: &Expression, after: i64, year_max: i64) -> Option<i64> {
    let mut wall = after - after.rem_euclid(60) + 60;
    loop {
        let civil = Civil::from_seconds(wall);
        if civil.year > year_max {
            return None;
        }
        if !expression.has_date(civil) {
            wall = wall - wall.rem_euclid(DAY) + DAY;
        } else if !expression.has_hour(civil.hour) {
            wall = wall - wall.rem_euclid(3600) + 3600;
        } else if !expression.has_minute(civil.minute) {
            wall += 60;
        } else {
            return Some(wall);
        }
    }
}

/// The instant that `wall` stands for, and whether the clocks skip it.
fn instant(wall: i64, zone: &Zone) -> (i64, bool) {
    // No offset changes twice within two days of a wall time, and none is over 26 hours
    // from another: the least and the greatest instant it can be are a day off each way.
    let (before, after) = (zone.offset(wall - DAY), zone.offset(wall + DAY));
    let first = wall - before.max(after);
    let last = wall - before.min(after);
    let shows = |at: i64| at + zone.offset(at) == wall;
    if shows(first) {
        return (first, false);
    }
    if shows(last) {
        return (last, false);
    }
    // Skipped: the change lies between the two.
    match zone.change_after(first - 1) {
        Some(change) => (change, true),
        None => (last, true),
    }
}
