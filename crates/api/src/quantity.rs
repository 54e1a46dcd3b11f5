//! Kubernetes quantities: `500m`, `256Mi`, `1.5`, `1e3`.
//!
//! A quantity is held exactly, as a whole number of nano-units, which is the
//! finest step that Kubernetes keeps: it rounds what is finer up.

use std::str::FromStr;

/// An amount of some resource. Ordered by size; the text form is not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Quantity {
    nano: i128,
}

/// Why a text is not a quantity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    /// It is not of the form `<number><suffix>`. The text is Kubernetes'.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Form,
    /// The suffix is none that exists. The text is Kubernetes'.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// It is larger than any quantity may be.
    #[error("it is too large")]
    TooLarge,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// `value` whole units.
    #[must_use]
    pub const fn from_units(value: i64) -> Self {
        Self {
            nano: value as i128 * NANO,
        }
    }

    /// Whole units, rounded up; saturates.
    #[must_use]
    pub fn units(self) -> i64 {
        saturate(ceil_div(self.nano, NANO))
    }

    /// Thousandths, rounded up; saturates.
    #[must_use]
    pub fn milli(self) -> i64 {
        saturate(ceil_div(self.nano, NANO / 1000))
    }

    /// Billionths.
    pub(crate) const fn nano(self) -> i128 {
        self.nano
    }

    /// The sum; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_add(other.nano),
        }
    }

    /// The difference, which may be less than nothing; saturates.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            nano: self.nano.saturating_sub(other.nano),
        }
    }

    /// How many times `part` fits in; any number of times if it is nothing.
    #[must_use]
    pub fn holds(self, part: Self) -> u32 {
        if part.nano <= 0 {
            return u32::MAX;
        }
        u32::try_from(self.nano.max(0) / part.nano).unwrap_or(u32::MAX)
    }

    /// `self / by`, for people to read.
    #[must_use]
    pub fn ratio(self, by: Self) -> f64 {
        self.nano as f64 / by.nano as f64
    }

    /// Whether `self / by` is more than `most`, exactly; `by` is more than nothing.
    #[must_use]
    pub fn exceeds_ratio(self, by: Self, most: Self) -> bool {
        let limit = by.nano.checked_mul(most.nano);
        let product = self.nano.checked_mul(NANO);
        match (product, limit) {
            (Some(product), Some(limit)) => product > limit,
            // Beyond what can be said exactly.
            _ => self.ratio(by) > most.nano as f64 / NANO as f64,
        }
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }
}

const fn ceil_div(value: i128, by: i128) -> i128 {
    let quotient = value / by;
    if value > 0 && value % by != 0 {
        quotient + 1
    } else {
        quotient
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, body) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = body
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(body.len());
        let (number, suffix) = body.split_at(number_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Form);
        }
        let nano = scale(whole, fraction, Scale::parse(suffix)?)?;
        // Kubernetes caps what it parses at 2^63-1 units, whichever the sign.
        let nano = nano.min(i128::from(i64::MAX) * NANO);
        Ok(Self {
            nano: if negative { -nano } else { nano },
        })
    }
}

/// What a suffix multiplies by.
#[derive(Clone, Copy)]
enum Scale {
    /// 2 to the power of this.
    Binary(u32),
    /// 10 to the power of this.
    Decimal(i32),
}

impl Scale {
    fn parse(suffix: &str) -> Result<Self, QuantityError> {
        Ok(match suffix {
            "" => Self::Decimal(0),
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            exponent => {
                let form = "0123456789eEinumkKMGTP+-.";
                if !exponent.chars().all(|c| form.contains(c)) {
                    return Err(QuantityError::Form);
                }
                let digits = exponent
                    .strip_prefix(['e', 'E'])
                    .ok_or(QuantityError::Suffix)?;
                Self::Decimal(digits.parse().map_err(|_| QuantityError::Suffix)?)
            }
        })
    }
}

/// `whole.fraction` times `scale`, in nano-units, rounded up.
fn scale(whole: &str, fraction: &str, scale: Scale) -> Result<i128, QuantityError> {
    // Above this many digits everything is over the cap, or rounds to one nano.
    const DIGITS_MAX: usize = 24;
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let (kept, rest) = fraction.split_at(fraction.len().min(DIGITS_MAX));
    let mut sticky = !rest.is_empty();
    let digits = format!("{whole}{kept}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(i128::from(sticky));
    }
    let mut exponent = 9 - i32::try_from(kept.len()).map_err(|_| QuantityError::TooLarge)?;
    let mut factor = 1_i128;
    match scale {
        Scale::Binary(bits) => factor <<= bits,
        Scale::Decimal(power) => {
            exponent = exponent.checked_add(power).ok_or(QuantityError::TooLarge)?;
        }
    }
    let magnitude = i64::from(exponent) + digits.len() as i64;
    if magnitude > 30 {
        return Ok(i128::MAX);
    }
    if magnitude < -30 {
        return Ok(1);
    }
    let significant = &digits[..digits.len().min(DIGITS_MAX + 6)];
    let cut = digits.len() - significant.len();
    sticky |= digits[significant.len()..].bytes().any(|b| b != b'0');
    exponent += i32::try_from(cut).map_err(|_| QuantityError::TooLarge)?;
    let mut value: i128 = significant.parse().map_err(|_| QuantityError::TooLarge)?;
    value = value.saturating_mul(factor);
    while exponent > 0 {
        value = value.saturating_mul(10);
        exponent -= 1;
    }
    while exponent < 0 {
        sticky |= value % 10 != 0;
        value /= 10;
        exponent += 1;
    }
    Ok(value.saturating_add(i128::from(sticky)))
}

#[cfg(test)]
mod tests {
    use super::{Quantity, QuantityError};

    #[test]
    fn quantities_are_read_exactly() {
        let check = |text: &str, milli: i64| {
            let quantity: Quantity = text.parse().unwrap();
            assert_eq!(quantity.milli(), milli, "{text}");
        };
        check("0", 0);
        check("1", 1000);
        check("500m", 500);
        check("0.1", 100);
        check(".5", 500);
        check("5.", 5000);
        check("1.5Gi", 1_610_612_736_000);
        check("1e3", 1_000_000);
        check("1E3", 1_000_000);
        check("12e-3", 12);
        check("1E", 1_000_000_000_000_000_000_i64.saturating_mul(1000));
        check("-1", -1000);
        check("+2k", 2_000_000);
        check("100u", 1);
        check("1n", 1);
        check("0.0000000000001", 1);
        check("256Mi", 268_435_456_000);
    }

    #[test]
    fn whole_units_are_rounded_up_and_saturate() {
        let units = |text: &str| text.parse::<Quantity>().unwrap().units();
        assert_eq!(units("1m"), 1);
        assert_eq!(units("1001m"), 2);
        assert_eq!(units("8Ei"), i64::MAX);
        assert_eq!(units("1e1000"), i64::MAX);
        assert_eq!(
            units("99999999999999999999999999999999999999999999"),
            i64::MAX
        );
        assert_eq!(units("1e-1000"), 1);
        assert_eq!(units("-1500m"), -1);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        let check = |text: &str, error| {
            assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
        };
        check("", QuantityError::Form);
        check(".", QuantityError::Form);
        check("1.2.3", QuantityError::Form);
        check("5 Gi", QuantityError::Form);
        check("Gi", QuantityError::Form);
        check("1MiB", QuantityError::Form);
        check("1mi", QuantityError::Suffix);
        check("1K", QuantityError::Suffix);
        check("1e", QuantityError::Suffix);
        check("1e99999999999", QuantityError::Suffix);
    }
}
