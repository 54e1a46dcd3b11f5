//! The first decimal digits: Machin's formula in fixed point.

use std::fmt::Write as _;

/// What one word of a number holds: nine decimal digits.
const BASE: u64 = 1_000_000_000;

/// Words behind those that are printed, for what division cuts off.
const GUARD_WORDS: usize = 2;

/// A number below [`BASE`]: its whole part, then the words of its fraction.
type Number = Vec<u32>;

/// The `count` first digits of pi, the last one rounded, as Perl's `bpi(count)`.
pub(crate) fn digits(count: usize) -> String {
    let words = count / 9 + 2 + GUARD_WORDS;
    // pi = 16 arctan(1/5) - 4 arctan(1/239)
    let mut pi = scaled_arctan(16, 5, words);
    subtract(&mut pi, &scaled_arctan(4, 239, words));
    let mut text = String::from("3");
    for word in &pi[1..] {
        let _ = write!(text, "{word:09}");
    }
    round(text.as_bytes(), count)
}

/// factor × arctan(1/x).
fn scaled_arctan(factor: u32, x: u32, words: usize) -> Number {
    let mut term = vec![0; words];
    term[0] = factor;
    divide(&mut term, x);
    let mut sum = term.clone();
    let mut odd = 1;
    while term.iter().any(|word| *word != 0) {
        divide(&mut term, x * x);
        odd += 2;
        let mut share = term.clone();
        divide(&mut share, odd);
        if odd % 4 == 3 {
            subtract(&mut sum, &share);
        } else {
            add(&mut sum, &share);
        }
    }
    sum
}

fn divide(number: &mut Number, divisor: u32) {
    let mut rest = 0;
    for word in number {
        let part = rest * BASE + u64::from(*word);
        *word = (part / u64::from(divisor)) as u32;
        rest = part % u64::from(divisor);
    }
}

fn add(number: &mut Number, other: &Number) {
    let mut carry = 0;
    for (word, other) in number.iter_mut().zip(other).rev() {
        let sum = u64::from(*word) + u64::from(*other) + carry;
        *word = (sum % BASE) as u32;
        carry = sum / BASE;
    }
}

fn subtract(number: &mut Number, other: &Number) {
    let mut borrow = 0;
    for (word, other) in number.iter_mut().zip(other).rev() {
        let difference = BASE + u64::from(*word) - u64::from(*other) - borrow;
        *word = (difference % BASE) as u32;
        borrow = u64::from(difference < BASE);
    }
}

/// The `count` first of `digits`, rounded, with the point behind the first.
fn round(digits: &[u8], count: usize) -> String {
    let mut kept = digits[..count].to_vec();
    if digits[count] >= b'5' {
        for digit in kept.iter_mut().rev() {
            if *digit == b'9' {
                *digit = b'0';
            } else {
                *digit += 1;
                break;
            }
        }
    }
    let mut text = String::from_utf8_lossy(&kept).into_owned();
    if count > 1 {
        text.insert(1, '.');
    }
    text
}
