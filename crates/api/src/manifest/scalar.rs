//! What a plain YAML scalar means: YAML 1.1 as `sigs.k8s.io/yaml` reads it.
//!
//! `yes` is a boolean and `014` is twelve, because they are for Kubernetes, and
//! a manifest must mean the same here and there.

use super::tree::Value;

/// Resolves the plain scalar `text`.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            return Value::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    number(text).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn number(text: &str) -> Option<Value> {
    // Longer than any number; keeps a huge text from being copied below.
    const NUMBER_BYTES_MAX: usize = 400;
    let first = text.bytes().next()?;
    let starts_like_a_number = first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.');
    if !starts_like_a_number || text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let plain = text.replace('_', "");
    whole(&plain)
        .map(Value::Int)
        .or_else(|| float(&plain).map(Value::Float))
}

fn whole(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let radix_of = |prefix| digits.strip_prefix(prefix);
    let (radix, digits) = if let Some(rest) = radix_of("0x").or_else(|| radix_of("0X")) {
        (16, rest)
    } else if let Some(rest) = radix_of("0b").or_else(|| radix_of("0B")) {
        (2, rest)
    } else if let Some(rest) = radix_of("0o").or_else(|| radix_of("0O")) {
        (8, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, &digits[1..])
    } else {
        (10, digits)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let has_digit = body.bytes().any(|b| b.is_ascii_digit());
    let is_float = body.bytes().enumerate().all(|(index, b)| match b {
        b'0'..=b'9' | b'.' => true,
        b'e' | b'E' => index > 0,
        b'+' | b'-' => index > 0 && matches!(body.as_bytes()[index - 1], b'e' | b'E'),
        _ => false,
    });
    if !has_digit || !is_float {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn plain_scalars_mean_what_they_mean_for_kubernetes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
        };
        check("yes", "Bool(true)");
        check("Off", "Bool(false)");
        check("y", "Bool(true)");
        check("~", "Null");
        check("", "Null");
        check("014", "Int(12)");
        check("0o14", "Int(12)");
        check("0x1F", "Int(31)");
        check("-0b11", "Int(-3)");
        check("1_000", "Int(1000)");
        check("-0", "Int(0)");
        check("09", "Float(9.0)");
        check("9223372036854775808", "Int(9223372036854775808)");
        check("1.5", "Float(1.5)");
        check("1e3", "Float(1000.0)");
        check("1e999", "Float(inf)");
        check(".inf", "Float(inf)");
        check("--1", "String(\"--1\")");
        check("12:30:45", "String(\"12:30:45\")");
        check("2026-11-21", "String(\"2026-11-21\")");
        check("1.2.3", "String(\"1.2.3\")");
        check("*/5", "String(\"*/5\")");
        check("-", "String(\"-\")");
        check(".", "String(\".\")");
        check("infinity", "String(\"infinity\")");
        check("ture", "String(\"ture\")");
    }
}
