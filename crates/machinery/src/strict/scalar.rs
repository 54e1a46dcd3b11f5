//! Times and quantities in JSON, checked as Go checks them.

use jiff::Timestamp;

/// A time of RFC 3339 in UTC, with six digits or none; the error is Go's.
pub(super) fn time(text: &str, micros: bool) -> Result<String, String> {
    let (go, shape) = if micros {
        ("2006-01-02T15:04:05.000000Z07:00", "%Y-%m-%dT%H:%M:%S.%6fZ")
    } else {
        ("2006-01-02T15:04:05Z07:00", "%Y-%m-%dT%H:%M:%SZ")
    };
    let time = Some(text).filter(|text| is_rfc3339(text));
    match time.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => Ok(time.strftime(shape).to_string()),
        None => Err(format!(
            "parsing time {text:?} as {go:?}: cannot parse {text:?} as \"2006\""
        )),
    }
}

/// Whether the text has the shape `2006-01-02T15:04:05[.000](Z|±07:00)`. The parser of
/// times takes more than that.
fn is_rfc3339(text: &str) -> bool {
    let Some((head, rest)) = text.as_bytes().split_at_checked(19) else {
        return false;
    };
    let shape = b"0000-00-00T00:00:00";
    let fits = |bytes: &[u8], shape: &[u8]| {
        bytes.len() == shape.len()
            && bytes.iter().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    let digits = match rest.strip_prefix(b".") {
        Some(rest) => 1 + rest.iter().take_while(|b| b.is_ascii_digit()).count(),
        None => 0,
    };
    let zone = &rest[digits..];
    fits(head, shape) && digits != 1 && (zone == b"Z" || fits(zone, b"+00:00"))
}

/// Why a text is no quantity; the words are Kubernetes' own.
pub(super) fn quantity(text: &str) -> Result<(), &'static str> {
    const FORMAT: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    const SUFFIX: &str = "unable to parse quantity's suffix";
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let has_digit = number.bytes().any(|b| b.is_ascii_digit());
    if !has_digit || number.matches('.').count() > 1 {
        return Err(FORMAT);
    }
    if let Some(exponent) = suffix.strip_prefix(['e', 'E'])
        && !exponent.is_empty()
    {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        return if is_number { Ok(()) } else { Err(FORMAT) };
    }
    match suffix {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti"
        | "Pi" | "Ei" => Ok(()),
        _ if suffix.bytes().all(|b| b"einumkKMGTPE".contains(&b)) => Err(SUFFIX),
        _ => Err(FORMAT),
    }
}

#[cfg(test)]
mod tests {
    use super::{quantity, time};

    #[test]
    fn times_are_those_of_rfc_3339() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(time(text, false).ok().as_deref(), expected, "{text}");
        };
        check("2026-11-21T10:00:00Z", Some("2026-11-21T10:00:00Z"));
        check("2026-11-21T10:00:00.5+02:00", Some("2026-11-21T08:00:00Z"));
        check("2026-11-21 10:00:00Z", None);
        check("2026-11-21T10:00:00", None);
        check("2026-11-21T10:00:00.Z", None);
        check("2026-13-21T10:00:00Z", None);
        check("", None);
        check("2026-11-21T10:00:0ü", None);
        assert_eq!(
            time("2026-11-21T10:00:00.25Z", true).unwrap(),
            "2026-11-21T10:00:00.250000Z"
        );
    }

    #[test]
    fn quantities_have_a_number_and_a_known_suffix() {
        for good in [
            "1", "+1.5", ".5", "5.", "-3m", "1e3", "1E-3", "2E", "3Ki", "0",
        ] {
            assert_eq!(quantity(good), Ok(()), "{good}");
        }
        for bad in ["", "x", "1.2.3", "1 Gi", "1Kü", "1e+", ".", "--1", "1ex"] {
            assert!(
                quantity(bad).unwrap_err().starts_with("quantities"),
                "{bad}"
            );
        }
        assert!(quantity("1ki").unwrap_err().starts_with("unable"));
    }
}
