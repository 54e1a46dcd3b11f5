//! Dates: the civil calendar, in UTC, and strftime's formats.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment, in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Date {
    /// Seconds since 1970.
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

/// Its parts.
pub(crate) struct Parts {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: usize,
    /// 1 to 31.
    pub(crate) day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// 0 is Sunday.
    weekday: usize,
    /// 1 to 366.
    year_day: i64,
}

impl Date {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    /// A file's time.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        }
    }

    /// Reads `@SECONDS`, `YYYY-MM-DD` and `YYYY-MM-DD HH:MM[:SS]`, also with a T
    /// between and a Z behind.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(seconds) = text.strip_prefix('@') {
            return Some(Self {
                seconds: seconds.parse().ok()?,
                nanoseconds: 0,
            });
        }
        let text = text.trim_end_matches('Z').replace('T', " ");
        let (day, time) = text.split_once(' ').unwrap_or((&text, "0:0"));
        let [year, month, day] = numbers(day, '-')?[..] else {
            return None;
        };
        let time = numbers(time, ':')?;
        let (hour, minute, second) = match time[..] {
            [hour, minute] => (hour, minute, 0),
            [hour, minute, second] => (hour, minute, second),
            _ => return None,
        };
        let valid = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second);
        valid.then(|| Self {
            seconds: days_from_civil(year, month, day) * 86_400
                + hour * 3600
                + minute * 60
                + second,
            nanoseconds: 0,
        })
    }

    /// Its parts.
    pub(crate) fn parts(self) -> Parts {
        let days = self.seconds.div_euclid(86_400);
        let rest = self.seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Parts {
            year,
            month: month as usize,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7) as usize,
            year_day: days - days_from_civil(year, 1, 1) + 1,
        }
    }

    /// The date in strftime's `format`. What is not a format stays as it is.
    pub(crate) fn format(self, format: &str) -> String {
        let parts = self.parts();
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut directive = chars.next();
            // GNU's flag for "do not pad".
            let padded = directive != Some('-');
            if !padded {
                directive = chars.next();
            }
            match directive {
                Some(c) => {
                    let field = self.field(&parts, c);
                    text.push_str(if padded { &field } else { unpadded(&field) });
                }
                None => text.push('%'),
            }
        }
        text
    }

    fn field(self, parts: &Parts, directive: char) -> String {
        let Parts {
            year,
            month,
            day,
            hour,
            minute,
            second,
            weekday,
            year_day,
        } = *parts;
        let noon = (hour + 11) % 12 + 1;
        let mut text = String::new();
        let _ = match directive {
            'a' => write!(text, "{}", &WEEKDAYS[weekday][..3]),
            'A' => write!(text, "{}", WEEKDAYS[weekday]),
            'b' | 'h' => write!(text, "{}", &MONTHS[month - 1][..3]),
            'B' => write!(text, "{}", MONTHS[month - 1]),
            'c' => return self.format("%a %b %e %H:%M:%S %Y"),
            'C' => write!(text, "{:02}", year / 100),
            'd' => write!(text, "{day:02}"),
            'D' | 'x' => return self.format("%m/%d/%y"),
            'e' => write!(text, "{day:2}"),
            'F' => return self.format("%Y-%m-%d"),
            'H' => write!(text, "{hour:02}"),
            'I' => write!(text, "{noon:02}"),
            'j' => write!(text, "{year_day:03}"),
            'k' => write!(text, "{hour:2}"),
            'l' => write!(text, "{noon:2}"),
            'm' => write!(text, "{month:02}"),
            'M' => write!(text, "{minute:02}"),
            'n' => writeln!(text),
            'N' => write!(text, "{:09}", self.nanoseconds),
            'p' => write!(text, "{}", if hour < 12 { "AM" } else { "PM" }),
            'r' => return self.format("%I:%M:%S %p"),
            'R' => return self.format("%H:%M"),
            's' => write!(text, "{}", self.seconds),
            'S' => write!(text, "{second:02}"),
            't' => write!(text, "\t"),
            'T' | 'X' => return self.format("%H:%M:%S"),
            'u' => write!(text, "{}", (weekday + 6) % 7 + 1),
            'U' => write!(text, "{:02}", (year_day + 6 - weekday as i64) / 7),
            'w' => write!(text, "{weekday}"),
            'W' => write!(text, "{:02}", (year_day + 6 - (weekday as i64 + 6) % 7) / 7),
            'y' => write!(text, "{:02}", year.rem_euclid(100)),
            'Y' => write!(text, "{year}"),
            'z' => write!(text, "+0000"),
            'Z' => write!(text, "UTC"),
            '%' => write!(text, "%"),
            other => write!(text, "%{other}"),
        };
        text
    }
}

fn unpadded(field: &str) -> &str {
    let stripped = field.trim_start_matches([' ', '0']);
    if stripped.is_empty() { "0" } else { stripped }
}

fn numbers(text: &str, separator: char) -> Option<Vec<i64>> {
    text.split(separator)
        .map(|part| part.parse().ok())
        .collect()
}

/// Days since 1970 of a date; March is made the first month, so that the leap
/// day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
