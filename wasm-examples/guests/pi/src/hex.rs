//! Hexadecimal digits at any place: the formula of Bailey, Borwein and Plouffe.

use std::fmt::Write as _;

/// `count` digits behind the point, from digit `start` on.
pub(crate) fn digits(start: usize, count: usize) -> String {
    let mut text = String::new();
    // A double gives eight digits with certainty for the places we allow.
    for place in (start..start + count).step_by(8) {
        let mut fraction = fraction_from(place);
        for _ in place..(place + 8).min(start + count) {
            fraction *= 16.0;
            let digit = fraction as u32;
            fraction -= f64::from(digit);
            let _ = write!(text, "{digit:X}");
        }
    }
    text
}

/// The fractional part of 16^place × pi.
fn fraction_from(place: usize) -> f64 {
    let sum = 4.0 * series(1, place) - 2.0 * series(4, place) - series(5, place) - series(6, place);
    sum - sum.floor()
}

/// The fractional part of the sum over k of 16^(place-k) / (8k + j).
fn series(j: u64, place: usize) -> f64 {
    let mut sum = 0.0;
    for k in 0..=place as u64 {
        let divisor = 8 * k + j;
        sum += power_mod(16, place as u64 - k, divisor) as f64 / divisor as f64;
        sum -= f64::floor(sum);
    }
    let mut factor = 1.0 / 16.0;
    for k in place as u64 + 1..=place as u64 + 16 {
        sum += factor / (8 * k + j) as f64;
        factor /= 16.0;
    }
    sum
}

fn power_mod(mut base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let mut result = 1 % modulus;
    base %= modulus;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * base % modulus;
        }
        base = base * base % modulus;
        exponent >>= 1;
    }
    result
}
