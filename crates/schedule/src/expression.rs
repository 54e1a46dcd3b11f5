//! The five fields of a schedule.

use crate::ScheduleError;
use crate::civil::Civil;
use crate::error::echo;

/// The values that a field allows: bit n stands for n.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Field {
    bits: u64,
    /// Whether a `*` or `?` without a step is among its ranges.
    star: bool,
}

/// Five fields, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expression {
    minute: Field,
    hour: Field,
    day_of_month: Field,
    month: Field,
    day_of_week: Field,
}

/// What a field may hold.
struct Bounds {
    min: u64,
    max: u64,
    /// Names of the values, from the least on.
    names: &'static [&'static str],
}

const MINUTE: Bounds = bounds(0, 59, &[]);
const HOUR: Bounds = bounds(0, 23, &[]);
const DAY_OF_MONTH: Bounds = bounds(1, 31, &[]);
const MONTH: Bounds = bounds(
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const DAY_OF_WEEK: Bounds = bounds(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

const fn bounds(min: u64, max: u64, names: &'static [&'static str]) -> Bounds {
    Bounds { min, max, names }
}

impl Expression {
    /// Reads five fields, separated by white space.
    pub(crate) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minute, hour, day_of_month, month, day_of_week] = fields.as_slice() else {
            return Err(ScheduleError::Fields {
                count: fields.len(),
                fields: echo(&fields.join(" ")),
            });
        };
        Ok(Self {
            minute: field(minute, &MINUTE)?,
            hour: field(hour, &HOUR)?,
            day_of_month: field(day_of_month, &DAY_OF_MONTH)?,
            month: field(month, &MONTH)?,
            day_of_week: field(day_of_week, &DAY_OF_WEEK)?,
        })
    }

    pub(crate) fn has_minute(&self, minute: i64) -> bool {
        self.minute.has(minute)
    }

    pub(crate) fn has_hour(&self, hour: i64) -> bool {
        self.hour.has(hour)
    }

    pub(crate) fn has_month(&self, month: i64) -> bool {
        self.month.has(month)
    }

    /// Whether the day of the month and the day of the week fit. Two restricted fields
    /// are alternatives; if one holds a star, both must fit.
    pub(crate) fn has_day(&self, at: Civil) -> bool {
        let of_month = self.day_of_month.has(at.day);
        let of_week = self.day_of_week.has(at.weekday());
        match self.day_of_month.star || self.day_of_week.star {
            true => of_month && of_week,
            false => of_month || of_week,
        }
    }

    pub(crate) fn has_date(&self, at: Civil) -> bool {
        self.has_month(at.month) && self.has_day(at)
    }

    /// Whether it runs in every hour, and so is about intervals more than about times.
    pub(crate) fn is_hourly(&self) -> bool {
        (0..24).all(|hour| self.hour.has(hour))
    }

    /// Whether any day of the years from `from` on could fit, for `years` years.
    ///
    /// A list may be empty (`,`) and a date impossible (31 February). The search for
    /// a time would look at every hour of five years to find nothing.
    pub(crate) fn is_possible(&self, from: i64, years: i64) -> bool {
        if self.minute.bits == 0 || self.hour.bits == 0 || self.month.bits == 0 {
            return false;
        }
        let mut day = Civil::from_seconds(0);
        day.day = 1;
        (from..=from + years)
            .flat_map(|year| (1..=12).map(move |month| (year, month)))
            .filter(|(_, month)| self.has_month(*month))
            .any(|(year, month)| {
                (day.year, day.month) = (year, month);
                (1..=31).any(|number| {
                    let date = Civil { day: number, ..day };
                    let exists = Civil::from_seconds(date.to_seconds()).day == number;
                    exists && self.has_day(date)
                })
            })
    }
}

impl Field {
    fn has(self, value: i64) -> bool {
        self.bits >> value & 1 == 1
    }
}

/// A list of ranges. Empty ones do not count, as in Go's `strings.FieldsFunc`.
fn field(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let mut field = Field {
        bits: 0,
        star: false,
    };
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let range = range(part, bounds)?;
        field.bits |= range.bits;
        field.star |= range.star;
    }
    Ok(field)
}

/// `N`, `N-M`, `*` or `?`, with or without `/step`; `N/step` goes up to the maximum.
fn range(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let mut slashes = text.split('/');
    let (span, step) = (slashes.next().unwrap_or_default(), slashes.next());
    let mut hyphens = span.split('-');
    let (low, high) = (hyphens.next().unwrap_or_default(), hyphens.next());
    let mut star = matches!(low, "*" | "?");
    let (start, mut end) = match (star, high, hyphens.next()) {
        // What follows the hyphen of `*-` is not looked at, in Go neither.
        (true, ..) => (bounds.min, bounds.max),
        (false, None, _) => {
            let value = number_or_name(low, bounds)?;
            (value, value)
        }
        (false, Some(high), None) => (number_or_name(low, bounds)?, number_or_name(high, bounds)?),
        (false, Some(_), Some(_)) => {
            number_or_name(low, bounds)?;
            return Err(ScheduleError::Hyphens(echo(text)));
        }
    };
    let mut by = 1;
    if let Some(step) = step {
        if slashes.next().is_some() {
            return Err(ScheduleError::Slashes(echo(text)));
        }
        by = number(step)?;
        if high.is_none() {
            end = bounds.max;
        }
        star &= by <= 1;
    }
    check(text, bounds, start, end, by)?;
    let mut bits = 0;
    let mut value = start;
    while value <= end {
        bits |= 1 << value;
        value = value.saturating_add(by);
    }
    Ok(Field { bits, star })
}

fn check(text: &str, bounds: &Bounds, start: u64, end: u64, by: u64) -> Result<(), ScheduleError> {
    let (min, max) = (bounds.min, bounds.max);
    let range = || echo(text);
    if start < min {
        return Err(ScheduleError::BelowMinimum {
            start,
            min,
            range: range(),
        });
    }
    if end > max {
        return Err(ScheduleError::AboveMaximum {
            end,
            max,
            range: range(),
        });
    }
    if start > end {
        return Err(ScheduleError::Reversed {
            start,
            end,
            range: range(),
        });
    }
    match by {
        0 => Err(ScheduleError::Step(range())),
        _ => Ok(()),
    }
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u64, ScheduleError> {
    let mut named = (bounds.min..).zip(bounds.names);
    match named.find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, ScheduleError> {
    // Both `strconv.Atoi` and `parse` allow one sign and ASCII digits.
    if let Ok(number) = text.parse::<i64>() {
        return u64::try_from(number).map_err(|_| ScheduleError::Negative {
            number,
            text: echo(text),
        });
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    Err(ScheduleError::Number {
        text: echo(text),
        reason: match is_number {
            true => "value out of range",
            false => "invalid syntax",
        },
    })
}
