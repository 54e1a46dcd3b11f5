//! Kubernetes' table tests of the CronJob controller, as rows of data.
//!
//! Each folder under `tests/cron_job` holds one topic; `tests/cron_job/README.md` has the
//! notation and the count. A file that nobody runs fails [`every_file_is_run`].

#![expect(
    clippy::unwrap_used,
    reason = "a row that cannot be read must fail its test"
)]

mod notation;
mod plan;
mod tables;

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

/// The folders and files, and what runs them.
const PLANS: [&str; 6] = [
    "already_exists/already_exists",
    "history/history",
    "sync/own",
    "sync/sync_cron_job",
    "update/update_cron_job",
    "utils/next_schedule_time",
];
const TABLES: [&str; 3] = [
    "ownership/ownership",
    "utils/job_from_template",
    "utils/most_recent",
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cron_job")
}

/// Runs `check` on every row of a file and reports all that fail.
fn check_rows<R: DeserializeOwned>(file: &str, check: impl Fn(&R) -> Result<(), String>) {
    let path = folder().join(file).with_extension("jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut failures = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        let row = serde_json::from_str(line).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Err(error) = check(&row) {
            failures.push(format!("{place}: {error}"));
        }
    }
    let rows = text.lines().count();
    assert!(
        rows > 0 && failures.is_empty(),
        "{} of {rows} rows:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn plans_agree_with_kubernetes() {
    for file in PLANS {
        check_rows(file, plan::check);
    }
}

#[test]
fn the_latest_slot_agrees_with_kubernetes() {
    check_rows("utils/most_recent", tables::most_recent);
}

#[test]
fn jobs_are_made_as_kubernetes_makes_them() {
    check_rows("utils/job_from_template", tables::job_from_template);
}

#[test]
fn jobs_belong_to_their_controller() {
    check_rows("ownership/ownership", tables::ownership);
}

#[test]
fn every_file_is_run() {
    let known = [&PLANS[..], &TABLES].concat();
    for topic in fs::read_dir(folder()).unwrap() {
        let topic = topic.unwrap().path();
        for file in fs::read_dir(&topic).into_iter().flatten() {
            let path = file.unwrap().path().with_extension("");
            let name = path.strip_prefix(folder()).unwrap().to_str().unwrap();
            assert!(known.contains(&name), "{name} is not run");
        }
    }
}
