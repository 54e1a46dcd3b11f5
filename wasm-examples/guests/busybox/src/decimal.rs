//! Decimal numbers as scripts write them: nine digits behind the point, exact.
//! Doubles would bring their printing and reading along, a tenth of the module.

/// A number in units of a thousand-millionth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

const PLACES: u32 = 9;
const ONE: i128 = 10_i128.pow(PLACES);

/// Far from where products could overflow.
const MAX: i128 = i128::MAX / ONE / ONE;

impl Decimal {
    /// Reads `[-+]DIGITS[.DIGITS]`; what is behind the ninth place is dropped.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, rest) = Self::parse_start(text)?;
        rest.is_empty().then_some(number)
    }

    /// Reads the number at the beginning of a text; returns what is behind it.
    pub(crate) fn parse_start(text: &str) -> Option<(Self, &str)> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut units = 0_i128;
        let mut places: Option<u32> = None;
        let mut any = false;
        let mut end = 0;
        for byte in digits.bytes() {
            match (byte, places) {
                (b'0'..=b'9', None) => {
                    units = (units * 10 + i128::from(byte - b'0') * ONE).min(MAX)
                }
                (b'0'..=b'9', Some(place)) => {
                    if place < PLACES {
                        units += i128::from(byte - b'0') * 10_i128.pow(PLACES - 1 - place);
                    }
                    places = Some(place.saturating_add(1));
                }
                (b'.', None) => places = Some(0),
                _ => break,
            }
            any |= byte != b'.';
            end += 1;
        }
        any.then(|| (Self(if negative { -units } else { units }), &digits[end..]))
    }

    /// A whole number.
    pub(crate) fn whole(number: i64) -> Self {
        Self(i128::from(number) * ONE)
    }

    /// The number that is `count` times this one.
    pub(crate) fn times(self, count: i64) -> Self {
        Self((self.0 * i128::from(count)).clamp(-MAX, MAX))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// In whole thousandths, 0 if it is negative.
    pub(crate) fn thousandths(self) -> u64 {
        u64::try_from(self.0 / (ONE / 1000)).unwrap_or(0)
    }

    /// -1, 0 or 1.
    pub(crate) fn sign(self) -> i128 {
        self.0.signum()
    }

    /// With so many places; a half is rounded to the even neighbour.
    pub(crate) fn format(self, places: usize) -> String {
        let kept = places.min(PLACES as usize);
        let divisor = 10_i128.pow(PLACES - kept as u32);
        let (mut units, rest) = (self.0.abs() / divisor, self.0.abs() % divisor);
        if rest * 2 > divisor || rest * 2 == divisor && units % 2 == 1 {
            units += 1;
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let digits = format!("{units:0>width$}", width = kept + 1);
        let (whole, fraction) = digits.split_at(digits.len() - kept);
        match places {
            0 => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{fraction:0<places$}"),
        }
    }
}
