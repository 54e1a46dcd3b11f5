//! Durations as Go writes them: `1h30m`, `1.5s`, `-2us`.

use std::time::Duration;

use crate::error::{echo, quote};

/// A duration of Go (`time.Duration`): a signed number of nanoseconds in 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct GoDuration {
    nanoseconds: i64,
}

/// Why a text is no duration, in the words of Go's `time.ParseDuration`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DurationError {
    /// It has not the form of one, or does not fit into 64 bits.
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {}", quote(.0))]
    MissingUnit(String),
    /// A unit that is none.
    #[error("time: unknown unit {} in duration {}", quote(unit), quote(text))]
    UnknownUnit {
        /// What stands for a unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// Reads `text`, which is a sign, if any, and numbers with units, or `0`.
    ///
    /// # Errors
    ///
    /// If Go would refuse it, also because it is longer than 292 years.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(echo(text));
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self { nanoseconds: 0 });
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (whole, fraction, after) = number(rest).ok_or_else(invalid)?;
            let unit_end = after
                .find(|c: char| c == '.' || c.is_ascii_digit())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let nanoseconds = nanoseconds_of(unit, text)?;
            total = whole
                .checked_mul(nanoseconds)
                .and_then(|part| part.checked_add(part_of(fraction, nanoseconds)))
                .and_then(|part| part.checked_add(total))
                .filter(|total| *total <= 1 << 63)
                .ok_or_else(invalid)?;
            rest = after;
        }
        let nanoseconds = match negative {
            true => 0_i64.checked_sub_unsigned(total),
            false => i64::try_from(total).ok(),
        };
        nanoseconds
            .map(|nanoseconds| Self { nanoseconds })
            .ok_or_else(invalid)
    }

    /// Nanoseconds.
    #[must_use]
    pub const fn as_nanoseconds(self) -> i64 {
        self.nanoseconds
    }

    /// The same as a length; `None` if it is negative.
    #[must_use]
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.nanoseconds)
            .ok()
            .map(Duration::from_nanos)
    }
}

/// The whole number at the begin of `text`, the digits after its point, and the rest.
fn number(text: &str) -> Option<(u64, &str, &str)> {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (whole, after) = text.split_at(digits(text));
    let (fraction, after) = match after.strip_prefix('.') {
        Some(after) => after.split_at(digits(after)),
        None => ("", after),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = match whole {
        "" => 0,
        _ => whole.parse().ok()?,
    };
    Some((whole, fraction, after))
}

fn nanoseconds_of(unit: &str, text: &str) -> Result<u64, DurationError> {
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    match known {
        Some((_, nanoseconds)) => Ok(*nanoseconds),
        None if unit.is_empty() => Err(DurationError::MissingUnit(echo(text))),
        None => Err(DurationError::UnknownUnit {
            unit: echo(unit),
            text: echo(text),
        }),
    }
}

/// The digits after a point as a part of `unit`; what is below a nanosecond is cut off.
fn part_of(digits: &str, unit: u64) -> u64 {
    let (mut part, mut scale) = (0_u64, 1_u64);
    // 13 digits are more than an hour has nanoseconds; their products stay below 2^86.
    for digit in digits.bytes().take(13) {
        part = part * 10 + u64::from(digit - b'0');
        scale *= 10;
    }
    let part = u128::from(part) * u128::from(unit) / u128::from(scale);
    u64::try_from(part).unwrap_or(unit)
}

#[cfg(test)]
mod tests {
    use super::GoDuration;

    fn check(text: &str, expected: Result<i64, &str>) {
        let got = GoDuration::parse(text)
            .map(GoDuration::as_nanoseconds)
            .map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{text:?}");
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        check("0", Ok(0));
        check("1h30m10s", Ok(5_410_000_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check("-2us", Ok(-2_000));
        check("+.5s", Ok(500_000_000));
        check("1.s", Ok(1_000_000_000));
        check("3000000h", Err("time: invalid duration \"3000000h\""));
        check("-9223372036854775808ns", Ok(i64::MIN));
        check(
            "9223372036854775808ns",
            Err("time: invalid duration \"9223372036854775808ns\""),
        );
        check("0.99999999999999999999s", Ok(999_999_999));
    }

    #[test]
    fn what_is_no_duration_is_refused_in_gos_words() {
        check("", Err("time: invalid duration \"\""));
        check("-", Err("time: invalid duration \"-\""));
        check("abc", Err("time: invalid duration \"abc\""));
        check("5", Err("time: missing unit in duration \"5\""));
        check("5 m", Err("time: unknown unit \" m\" in duration \"5 m\""));
        check("5d", Err("time: unknown unit \"d\" in duration \"5d\""));
        check(".s", Err("time: invalid duration \".s\""));
        check(
            "99999999999999999999s",
            Err("time: invalid duration \"99999999999999999999s\""),
        );
    }
}
