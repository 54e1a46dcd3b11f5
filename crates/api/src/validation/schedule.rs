//! Whether a schedule is one: the syntax of `robfig/cron`'s standard parser, which
//! Kubernetes uses. When the times are is not known here.

/// The fields in order: name, least and greatest value, names of values.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    ),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Checks `schedule`.
///
/// # Errors
///
/// The message of `robfig/cron`.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Err("empty spec string".to_owned());
    }
    let mut rest = schedule;
    if schedule.starts_with("TZ=") || schedule.starts_with("CRON_TZ=") {
        // The Go parser panics where no space follows, and Kubernetes tells so.
        let Some((zone, after)) = schedule.split_once(' ') else {
            return Err("provided bad location: no schedule follows the time zone".to_owned());
        };
        let zone = zone.split_once('=').map_or("", |(_, zone)| zone);
        let is_known = matches!(zone, "" | "UTC" | "Local") || super::time_zone::exists(zone);
        if !is_known {
            return Err(format!(
                "provided bad location {zone}: unknown time zone {zone}"
            ));
        }
        rest = after.trim();
    }
    if rest.starts_with('@') {
        return descriptor(rest);
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "expected exactly 5 fields, found {}: [{}]",
            fields.len(),
            fields.join(" ")
        ));
    }
    for (text, (min, max, names)) in fields.into_iter().zip(FIELDS) {
        for part in text.split(',').filter(|part| !part.is_empty()) {
            range(part, min, max, names)?;
        }
    }
    Ok(())
}

fn descriptor(text: &str) -> Result<(), String> {
    const KNOWN: [&str; 7] = [
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
    ];
    if KNOWN.contains(&text) {
        return Ok(());
    }
    match text.strip_prefix("@every ") {
        Some(duration) if is_duration(duration) => Ok(()),
        Some(duration) => Err(format!(
            "failed to parse duration {text}: time: invalid duration {duration:?}"
        )),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

/// Whether `text` is a duration of Go: `1h30m`, `1.5s`, `-2us`, `0`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (digits, after) = rest.split_at(number);
        let has_digit = digits.bytes().any(|b| b.is_ascii_digit());
        if !has_digit || digits.matches('.').count() > 1 {
            return false;
        }
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        if !units.contains(&&after[..unit_end]) {
            return false;
        }
        rest = &after[unit_end..];
        parts += 1;
    }
    parts > 0
}

fn range(text: &str, min: u32, max: u32, names: &[&str]) -> Result<(), String> {
    let slashes: Vec<&str> = text.split('/').collect();
    let bounds: Vec<&str> = slashes[0].split('-').collect();
    let value = |text: &str| number_or_name(text, min, names);
    let (start, mut end) = match bounds.as_slice() {
        ["*" | "?", ..] => (min, max),
        [one] => {
            let value = value(one)?;
            (value, value)
        }
        [start, end] => (value(start)?, value(end)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    match slashes.as_slice() {
        [_] => {}
        [_, step] => {
            let step = number(step)?;
            if bounds.len() == 1 {
                end = max;
            }
            if step == 0 {
                return Err(format!("step of range should be a positive number: {text}"));
            }
        }
        _ => return Err(format!("too many slashes: {text}")),
    }
    if start < min {
        return Err(format!(
            "beginning of range ({start}) below minimum ({min}): {text}"
        ));
    }
    if end > max {
        return Err(format!(
            "end of range ({end}) above maximum ({max}): {text}"
        ));
    }
    if start > end {
        return Err(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    Ok(())
}

fn number_or_name(text: &str, min: u32, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    match (min..).zip(names).find(|(_, name)| **name == lower) {
        Some((value, _)) => Ok(value),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let reason = match text.parse::<i64>() {
        Ok(value) if value < 0 => {
            return Err(format!("negative number ({value}) not allowed: {text}"));
        }
        Ok(value) => return Ok(u32::try_from(value).unwrap_or(u32::MAX)),
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            "value out of range"
        }
        Err(_) => "invalid syntax",
    };
    Err(format!(
        "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {reason}"
    ))
}
