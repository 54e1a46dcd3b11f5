//! A Job, described.

use serde_json::Value;
use wasmjob_machinery::table::human_duration;

use super::containers::template;
use super::parts::{
    annotations, controller, head, labels, moment, or_unset, plain, selector, time,
};
use crate::client::tabs::Tabbed;

/// Characters of completed indexes after which the rest is left out.
const INDEXES_CHARS: usize = 50;

pub(super) fn describe(job: &Value, out: &mut Tabbed) {
    let (spec, status) = (&job["spec"], &job["status"]);
    head(job, out);
    out.field("Selector", selector(&spec["selector"]));
    labels("Labels", &job["metadata"]["labels"], out);
    annotations("Annotations", &job["metadata"]["annotations"], out);
    controller(job, out);
    let field = |name: &str, value: &Value, out: &mut Tabbed| {
        if !value.is_null() {
            out.field(name, plain(value));
        }
    };
    field("Parallelism", &spec["parallelism"], out);
    out.field("Completions", or_unset(&spec["completions"]));
    field("Completion Mode", &spec["completionMode"], out);
    field("Suspend", &spec["suspend"], out);
    field("Backoff Limit", &spec["backoffLimit"], out);
    field(
        "TTL Seconds After Finished",
        &spec["ttlSecondsAfterFinished"],
        out,
    );
    times(status, out);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64() {
        out.field("Active Deadline Seconds", format_args!("{seconds}s"));
    }
    out.field("Pods Statuses", pods(status));
    if spec["completionMode"] == "Indexed" {
        out.field(
            "Completed Indexes",
            indexes(&plain(&status["completedIndexes"])),
        );
    }
    template(&spec["template"], out);
}

fn times(status: &Value, out: &mut Tabbed) {
    let (start, end) = (&status["startTime"], &status["completionTime"]);
    if !start.is_null() {
        out.field("Start Time", time(start));
    }
    if !end.is_null() {
        out.field("Completed At", time(end));
    }
    if let Some((start, end)) = moment(start).zip(moment(end)) {
        out.field("Duration", human_duration(end.duration_since(start)));
    }
}

fn pods(status: &Value) -> String {
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let ready = status["ready"].as_i64();
    let ready = ready.map_or_else(String::new, |ready| format!(" ({ready} Ready)"));
    format!(
        "{} Active{ready} / {} Succeeded / {} Failed",
        number("active"),
        number("succeeded"),
        number("failed")
    )
}

/// The indexes up to the first comma behind the limit.
fn indexes(all: &str) -> String {
    match all.get(INDEXES_CHARS..).and_then(|rest| rest.find(',')) {
        _ if all.is_empty() => "<none>".to_owned(),
        Some(comma) => format!("{}...", &all[..=INDEXES_CHARS + comma]),
        None => all.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::indexes;

    #[test]
    fn long_lists_of_indexes_are_cut_at_a_comma() {
        assert_eq!(indexes(""), "<none>");
        assert_eq!(indexes("0-9"), "0-9");
        let long = "10,".repeat(20) + "11";
        assert_eq!(indexes(&long), "10,".repeat(17) + "...");
    }
}
