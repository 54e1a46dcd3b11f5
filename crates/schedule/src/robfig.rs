//! The next time of five fields, exactly as `robfig/cron` finds it.
//!
//! This follows `SpecSchedule.Next` step by step, quirks included, because what runs
//! around a change of the clocks must be what Kubernetes runs: a wall time that is
//! skipped does not run, one that is repeated runs twice, and where the clocks change
//! at midnight a day may be passed over. For answers without quirks see `wall`.

use crate::Zone;
use crate::civil::{Civil, DAY};
use crate::expression::Expression;

/// Years without a match after which there is none.
pub(crate) const YEARS_MAX: i64 = 5;

/// The first second after `after` (seconds since 1970) that fits.
///
/// Where the clocks go back over midnight the search may find a time before its begin
/// (in Newfoundland, until 2011), and Go would go round in circles. Here it begins again
/// a minute later.
pub(crate) fn next_after(expression: &Expression, after: i64, zone: &Zone) -> Option<i64> {
    let begins = (0..MINUTES_BACK_MAX).map(|minutes| after.saturating_add(1 + minutes * 60));
    for begin in begins {
        let next = Search::new(expression, begin, zone).run()?;
        if next > after {
            return Some(next);
        }
    }
    None
}

/// Clocks went back by a day where the date line moved, and by three hours elsewhere.
const MINUTES_BACK_MAX: i64 = 25 * 60;

struct Search<'a> {
    expression: &'a Expression,
    offsets: Offsets<'a>,
    /// The candidate, as an instant and as what the clocks show then.
    at: i64,
    wall: Civil,
    /// Whether a field was raised, so that the smaller ones begin at 0.
    added: bool,
}

impl<'a> Search<'a> {
    fn new(expression: &'a Expression, at: i64, zone: &'a Zone) -> Self {
        let mut offsets = Offsets::new(zone);
        Self {
            expression,
            at,
            wall: Civil::from_seconds(at + offsets.at(at)),
            offsets,
            added: false,
        }
    }

    fn run(mut self) -> Option<i64> {
        let year_max = self.wall.year + YEARS_MAX;
        // One year of slack: the search moves in the zone's time, this in whole years.
        if !self.expression.is_possible(self.wall.year, YEARS_MAX + 1) {
            return None;
        }
        while self.wall.year <= year_max {
            // Each returns false if it came round, and all must be looked at again.
            if self.month() && self.day() && self.hour() && self.minute_and_second() {
                return Some(self.at);
            }
        }
        None
    }

    fn month(&mut self) -> bool {
        while !self.expression.has_month(self.wall.month) {
            if !self.added {
                self.added = true;
                self.set_wall(Civil {
                    day: 1,
                    ..self.wall.midnight()
                });
            }
            self.set_wall(Civil {
                month: self.wall.month + 1,
                ..self.wall
            });
            if self.wall.month == 1 {
                return false;
            }
        }
        true
    }

    fn day(&mut self) -> bool {
        while !self.expression.has_day(self.wall) {
            if !self.added {
                self.added = true;
                self.set_wall(self.wall.midnight());
            }
            self.next_day();
            if self.wall.day == 1 {
                return false;
            }
        }
        true
    }

    fn next_day(&mut self) {
        let before = self.at;
        self.set_wall(Civil {
            day: self.wall.day + 1,
            ..self.wall
        });
        // The clocks may have changed at midnight.
        match self.wall.hour {
            0 => {}
            hour if hour > 12 => self.set(self.at + (24 - hour) * 3600),
            hour => self.set(self.at - hour * 3600),
        }
        if self.at <= before {
            // Where the date line moved, a day is missing; Go would stay here for ever.
            self.set(before + DAY);
        }
    }

    fn hour(&mut self) -> bool {
        while !self.expression.has_hour(self.wall.hour) {
            if !self.added {
                self.added = true;
                self.set_wall(Civil {
                    minute: 0,
                    second: 0,
                    ..self.wall
                });
            }
            self.set(self.at + 3600);
            if self.wall.hour == 0 {
                return false;
            }
        }
        true
    }

    /// Seconds have no field; they are 0.
    fn minute_and_second(&mut self) -> bool {
        while !self.expression.has_minute(self.wall.minute) {
            if !self.added {
                self.added = true;
                self.set(self.at - self.at.rem_euclid(60));
            }
            self.set(self.at + 60);
            if self.wall.minute == 0 {
                return false;
            }
        }
        while self.wall.second != 0 {
            self.added = true;
            self.set(self.at + 1);
            if self.wall.second == 0 {
                return false;
            }
        }
        true
    }

    fn set(&mut self, at: i64) {
        self.at = at;
        self.wall = Civil::from_seconds(at + self.offsets.at(at));
    }

    /// Goes to where the clocks show `wall`. Of a time that is skipped or repeated it
    /// takes the instant that Go's `time.Date` takes.
    fn set_wall(&mut self, wall: Civil) {
        let utc = wall.to_seconds();
        let offset = self.offsets.at(utc);
        let there = self.offsets.at(utc - offset);
        match offset {
            0 => self.set(utc),
            // What the clocks show then is known already.
            _ if offset == there => {
                self.at = utc - offset;
                self.wall = Civil::from_seconds(utc);
            }
            _ => self.set(utc - there),
        }
    }
}

/// The offsets of a zone. A search asks for one at each of its steps, which are mostly
/// seconds or minutes, and the offset changes twice a year.
struct Offsets<'a> {
    zone: &'a Zone,
    /// The offset from one instant up to another, at which it changes.
    known: (i64, i64, i64),
}

impl<'a> Offsets<'a> {
    fn new(zone: &'a Zone) -> Self {
        Self {
            zone,
            known: (i64::MIN, i64::MIN, 0),
        }
    }

    fn at(&mut self, at: i64) -> i64 {
        let (from, until, offset) = self.known;
        if (from..until).contains(&at) {
            return offset;
        }
        let offset = self.zone.offset(at);
        // What lies before is asked for once or twice: what comes is worth knowing.
        if at >= from {
            let until = self.zone.change_after(at).unwrap_or(i64::MAX);
            self.known = (at, until, offset);
        }
        offset
    }
}
