//! A quantity together with how it is written: what people read is what they wrote,
//! in Kubernetes' canonical form (`1024Mi` is `1Gi`, `0.5` is `500m`).

use std::fmt;
use std::str::FromStr;

use crate::{Quantity, QuantityError};

/// A quantity and its notation. Two amounts are compared by [`Amount::quantity`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// How much.
    pub quantity: Quantity,
    notation: Notation,
}

/// How a quantity was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Notation {
    /// `500m`, `12k`.
    #[default]
    Decimal,
    /// `12e3`.
    Exponent,
    /// `256Mi`.
    Binary,
}

impl Amount {
    /// `count` whole units.
    #[must_use]
    pub const fn of(count: i64) -> Self {
        Self {
            quantity: Quantity::from_units(count),
            notation: Notation::Decimal,
        }
    }

    /// The sum. Nothing and something is written as the something is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let notation = match self.quantity.is_zero() {
            true => other.notation,
            false => self.notation,
        };
        Self {
            quantity: self.quantity.plus(other.quantity),
            notation,
        }
    }

    /// The difference, which may be less than nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let notation = match self.quantity.is_zero() {
            true => other.notation,
            false => self.notation,
        };
        Self {
            quantity: self.quantity.minus(other.quantity),
            notation,
        }
    }

    /// The larger of the two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        match other.quantity > self.quantity {
            true => other,
            false => self,
        }
    }
}

impl FromStr for Amount {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let quantity = text.parse()?;
        // `5E` are exa-units, and `5E3` is an exponent.
        let exponent = text.find(['e', 'E']).map(|at| &text[at + 1..]);
        let notation = match exponent {
            _ if text.ends_with('i') => Notation::Binary,
            Some(digits) if !digits.is_empty() => Notation::Exponent,
            _ => Notation::Decimal,
        };
        Ok(Self { quantity, notation })
    }
}

/// `CanonicalizeBytes` of Kubernetes' Quantity.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let quantity = self.quantity;
        if quantity.is_zero() {
            return f.write_str("0");
        }
        let units = quantity.units();
        if self.notation == Notation::Binary && quantity.is_whole() && units.unsigned_abs() >= 1024
        {
            let (number, power) = reduce(units.into(), 1024, BINARY.len() - 1);
            return write!(f, "{number}{}", BINARY[power]);
        }
        let (number, power) = reduce(quantity.nano(), 1000, DECIMAL.len() - 1);
        if self.notation == Notation::Exponent {
            return match power as i32 * 3 - 9 {
                0 => write!(f, "{number}"),
                exponent => write!(f, "{number}e{exponent}"),
            };
        }
        write!(f, "{number}{}", DECIMAL[power])
    }
}

/// `number` without the factors `by` that it has, at most `most`, and how many they were.
fn reduce(mut number: i128, by: i128, most: usize) -> (i128, usize) {
    let mut power = 0;
    while number % by == 0 && power < most {
        number /= by;
        power += 1;
    }
    (number, power)
}

#[cfg(test)]
mod tests {
    use super::Amount;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_are_written_as_kubernetes_writes_them() {
        for (text, wanted) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512", "512"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("0.1Mi", "104857600m"),
            ("1000Mi", "1000Mi"),
            ("12000", "12k"),
            ("1200", "1200"),
            ("1e3", "1e3"),
            ("12E3", "12e3"),
            ("5E", "5E"),
            ("1e0", "1"),
            ("-2k", "-2k"),
            ("-2048Ki", "-2Mi"),
            ("100u", "100u"),
        ] {
            assert_eq!(amount(text).to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn sums_keep_the_notation_of_what_was_there() {
        let sum = |a: &str, b: &str| amount(a).plus(amount(b)).to_string();
        assert_eq!(sum("0", "256Mi"), "256Mi");
        assert_eq!(sum("512Mi", "512Mi"), "1Gi");
        assert_eq!(sum("100m", "900m"), "1");
        assert_eq!(amount("1Gi").minus(amount("1Gi")).to_string(), "0");
        assert_eq!(amount("1Gi").minus(amount("1Mi")).to_string(), "1023Mi");
        let most = amount("9223372036854775807");
        assert_eq!(
            most.plus(most).quantity.plus(most.quantity).units(),
            i64::MAX
        );
    }
}
