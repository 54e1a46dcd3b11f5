//! Tables as kubectl prints them, and the words in their cells.

use std::io::Write;

use console::measure_text_width;
use jiff::{SignedDuration, Timestamp};
use wasmjob::api::{Job, JobConditionType};

/// Spaces between columns.
const GAP: usize = 3;

/// Prints rows with aligned columns; the last one is not padded.
pub(crate) fn print(rows: &[Vec<String>], out: &mut impl Write) -> std::io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        rows.iter()
            .filter_map(|row| row.get(n))
            .map(|cell| measure_text_width(cell))
            .max()
    };
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let pad = width - measure_text_width(cell) + GAP;
            line.extend(std::iter::repeat_n(' ', pad));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A Job's status in one word, by kubectl's precedence.
pub(crate) fn status(job: &Job) -> &'static str {
    use JobConditionType::{Complete, Failed, FailureTarget, SuccessCriteriaMet, Suspended};
    let is = |condition| job.status.is_true(condition);
    match () {
        () if is(Complete) => "Complete",
        () if is(Failed) => "Failed",
        () if job.deletion.is_some() => "Terminating",
        () if is(Suspended) => "Suspended",
        () if is(FailureTarget) => "FailureTarget",
        () if is(SuccessCriteriaMet) => "SuccessCriteriaMet",
        () => "Running",
    }
}

/// `succeeded/wanted`, by kubectl's rules for work queues.
pub(crate) fn completions(job: &Job) -> String {
    let (done, spec) = (job.status.succeeded, &job.spec);
    match spec.completions {
        Some(wanted) => format!("{done}/{wanted}"),
        None if spec.parallelism > 1 => format!("{done}/1 of {}", spec.parallelism),
        None => format!("{done}/1"),
    }
}

/// When the Job ended, be it well or not.
pub(crate) fn ended(job: &Job) -> Option<Timestamp> {
    job.status
        .completion_time
        .or_else(|| Some(job.finished()?.last_transition))
}

/// How long it took, for people: `84ms`, `3.2s`, `2m5s`, `1h4m`.
pub(crate) fn took(job: &Job) -> String {
    let span = job
        .status
        .start_time
        .zip(ended(job))
        .map(|(from, to)| to.duration_since(from));
    span.map_or_else(String::new, human)
}

pub(crate) fn human(span: SignedDuration) -> String {
    let millis = span.as_millis().max(0);
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        60_000..3_600_000 => format!("{}m{}s", millis / 60_000, millis / 1000 % 60),
        _ => format!("{}h{}m", millis / 3_600_000, millis / 60_000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_text() {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut out = Vec::new();
        print(
            &[
                row(&["NAME", "AGE", "WHY"]),
                row(&["ä", "1s", ""]),
                row(&["longer", "", "x"]),
            ],
            &mut out,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME     AGE   WHY\nä        1s\nlonger         x\n"
        );
    }

    #[test]
    fn durations_are_for_people() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (3_250, "3.2s"),
            (125_000, "2m5s"),
            (3_840_000, "1h4m"),
        ];
        for (millis, text) in cases {
            assert_eq!(human(SignedDuration::from_millis(millis)), text);
        }
    }
}
