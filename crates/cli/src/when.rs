//! Times, as people read them.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use wasmjob::api::schedule::Zone;

/// What time it is, to the second.
#[expect(
    clippy::disallowed_methods,
    reason = "commands that look ahead begin now unless --from is given"
)]
pub(crate) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// `Sat 2026-11-21 02:30 +01:00`; UTC in place of its offset.
pub(crate) fn in_zone(at: Timestamp, zone: &Zone) -> String {
    let shown = zone.civil(at);
    format!("{} {} {}", date(shown), time(shown), offset(at, zone))
}

/// `Sat 2026-11-21`.
pub(crate) fn date(at: DateTime) -> String {
    at.strftime("%a %Y-%m-%d").to_string()
}

/// `02:30`, or `02:30:15` where there are seconds.
pub(crate) fn time(at: DateTime) -> String {
    match at.second() {
        0 => at.strftime("%H:%M").to_string(),
        _ => at.strftime("%H:%M:%S").to_string(),
    }
}

/// `+01:00`, or `UTC`.
pub(crate) fn offset(at: Timestamp, zone: &Zone) -> String {
    let text = zone.rfc3339(at);
    match text.strip_suffix('Z') {
        Some(_) => "UTC".to_owned(),
        None => text
            .get(text.len().saturating_sub(6)..)
            .unwrap_or_default()
            .to_owned(),
    }
}

/// A span in its two greatest units: `3d4h`, `3h20m`, `1m30s`, `45s`.
pub(crate) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let of = |n: usize| {
        let rest = match n.checked_sub(1) {
            Some(above) => seconds % units[above].1,
            None => seconds,
        };
        rest / units[n].1
    };
    let Some(first) = (0..units.len()).find(|n| of(*n) > 0) else {
        let milliseconds = span.as_millis().max(0);
        return if milliseconds == 0 {
            "0s".to_owned()
        } else {
            format!("{milliseconds}ms")
        };
    };
    let parts = (first..units.len()).take(2).filter(|n| of(*n) > 0);
    parts.map(|n| format!("{}{}", of(n), units[n].0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_greatest_units() {
        let cases = [
            (0, "0s"),
            (45, "45s"),
            (60, "1m"),
            (12_000, "3h20m"),
            (3605, "1h"),
            (273_600, "3d4h"),
            (31_536_000, "365d"),
            (i64::MAX, "106751991167300d15h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
        assert_eq!(span(SignedDuration::from_millis(250)), "250ms");
    }

    #[test]
    fn times_show_their_offset() {
        let berlin = Zone::load("Europe/Berlin", &Zone::utc()).unwrap();
        let at = "2026-11-21T01:30:00Z".parse().unwrap();
        assert_eq!(in_zone(at, &berlin), "Sat 2026-11-21 02:30 +01:00");
        assert_eq!(in_zone(at, &Zone::utc()), "Sat 2026-11-21 01:30 UTC");
        for extreme in [Timestamp::MIN, Timestamp::MAX] {
            assert!(in_zone(extreme, &berlin).len() > 20);
        }
    }
}
