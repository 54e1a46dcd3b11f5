//! The text form of index sets in policies and status: `1,3-5,7`
//! (`validateIndexesFormat`). Works on the text, so a set of 2³¹ indexes costs nothing.

/// The number of indexes in `text`, all of them below `completions`; or Kubernetes'
/// message. Intervals must increase.
pub(super) fn count(text: &str, completions: i32) -> Result<i32, String> {
    let mut total = 0;
    let mut last: Option<i32> = None;
    if text.is_empty() {
        return Ok(total);
    }
    for part in text.split(',') {
        let (first, end) = interval(part, completions)?;
        if let Some(previous) = last.filter(|previous| *previous >= first) {
            return Err(disorder(previous, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

/// The first index that `completed` and `failed` share. Malformed intervals are
/// skipped: their own check tells.
pub(super) fn overlap(completed: &str, failed: &str, completions: i32) -> Option<i32> {
    let intervals = |text: &str| -> Vec<(i32, i32)> {
        text.split(',')
            .filter_map(|part| interval(part, completions).ok())
            .collect()
    };
    let (completed, failed) = (intervals(completed), intervals(failed));
    let (mut c, mut f) = (0, 0);
    while let (Some(&(c_first, c_end)), Some(&(f_first, f_end))) = (completed.get(c), failed.get(f))
    {
        if c_first <= f_end && f_first <= c_end {
            return Some(c_first.max(f_first));
        }
        if c_first <= f_first {
            c += 1;
        } else {
            f += 1;
        }
    }
    None
}

fn interval(text: &str, completions: i32) -> Result<(i32, i32), String> {
    let parts: Vec<&str> = text.splitn(4, '-').collect();
    let (first, end) = match parts.as_slice() {
        [one] => (*one, None),
        [first, end] => (*first, Some(*end)),
        _ => {
            return Err(format!(
                "the fragment {text:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
    };
    let first = index(first, completions)?;
    let Some(end) = end else {
        return Ok((first, first));
    };
    let end = index(end, completions)?;
    if first >= end {
        Err(disorder(first, end))
    } else {
        Ok((first, end))
    }
}

fn index(text: &str, completions: i32) -> Result<i32, String> {
    let value: i64 = text
        .parse()
        .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
    match i32::try_from(value) {
        Ok(index) if index < completions => Ok(index),
        _ => Err(format!("too large index: {text:?}")),
    }
}

fn disorder(previous: i32, current: i32) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

#[cfg(test)]
mod tests {
    use super::{count, overlap};

    // TestValidateIndexesString, 13 cases.
    #[test]
    fn index_strings() {
        let valid = |text, completions, expected| {
            assert_eq!(count(text, completions), Ok(expected), "{text:?}");
        };
        let invalid = |text, completions, expected: &str| {
            assert_eq!(
                count(text, completions),
                Err(expected.to_owned()),
                "{text:?}"
            );
        };
        valid("", 6, 0);
        valid("1", 6, 1);
        valid("1-3", 6, 3);
        valid("0,1-3,5,7-10", 12, 9);
        invalid(
            "0,1-3, 5",
            6,
            "cannot convert string to integer for index: \" 5\"",
        );
        invalid("5", 5, "too large index: \"5\"");
        invalid(
            "0,1-3,2-4",
            6,
            "non-increasing order, previous: 3, current: 2",
        );
        invalid("1,3,2", 6, "non-increasing order, previous: 3, current: 2");
        invalid("3-2", 6, "non-increasing order, previous: 3, current: 2");
        invalid(
            "-1,0",
            6,
            "cannot convert string to integer for index: \"\"",
        );
        invalid(
            "0,1-",
            6,
            "cannot convert string to integer for index: \"\"",
        );
        let message = "the fragment \"1--3\" violates the requirement that an index interval can have at most two parts separated by '-'";
        invalid("1--3", 6, message);
        invalid(
            "1,,3",
            6,
            "cannot convert string to integer for index: \"\"",
        );
    }

    // TestValidateFailedIndexesNotOverlapCompleted, 9 cases.
    #[test]
    fn overlaps_of_completed_and_failed() {
        let check = |completed, failed, expected| {
            assert_eq!(
                overlap(completed, failed, 100),
                expected,
                "{completed} {failed}"
            );
        };
        check("", "", None);
        check("", "1,3-5", None);
        check("1,3-5", "", None);
        check("0,2-4,6-8,12-19", "1,9-10", None);
        check("0,2-4,6-8,12-19", "1,8,9-10", Some(8));
        check("0,2-4,x,8", "1,8,9-10", Some(8));
        check("0,2-4,6-8,12-19", "1,y,8,9-10", Some(8));
        check("x,0,2-4,6-8", "y,1,8,9-10", Some(8));
        check("0,2-4,6-8,x", "1,9-10,y", None);
    }

    #[test]
    fn a_huge_interval_costs_nothing() {
        assert_eq!(count("0-2147483646", i32::MAX), Ok(i32::MAX));
        assert_eq!(
            count("0-2147483647", i32::MAX),
            Err("too large index: \"2147483647\"".to_owned())
        );
    }
}
