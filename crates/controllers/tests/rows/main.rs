//! Kubernetes' table tests of the Job controller, as rows of data.
//!
//! Each folder under `tests/job` holds one topic, each file the rows of one
//! upstream test function, one JSON object per line; `tests/job/README.md` has
//! the notation and the count. Every row is run by what its topic names here,
//! and a file that nobody runs fails [`every_file_is_run`].

#![expect(
    clippy::unwrap_used,
    reason = "a row that cannot be read must fail its test"
)]

mod file;
mod notation;
mod plan;
mod tables;

use file::{check_rows, files};

/// The folders whose rows are a Job, its pods and one plan.
const PLAN_TOPICS: [&str; 10] = [
    "backoff_limit",
    "conditions",
    "counting",
    "deadline",
    "failure_policy_sync",
    "indexes",
    "managed_by",
    "per_index",
    "success_policy_sync",
    "sync",
];

/// The folders whose rows go to one function.
const TABLE_TOPICS: [&str; 5] = [
    "backoff",
    "failure_policy",
    "index_set",
    "names",
    "success_policy",
];

#[test]
fn plans_agree_with_kubernetes() {
    for topic in PLAN_TOPICS {
        check_rows(topic, plan::check);
    }
}

#[test]
fn backoffs_agree_with_kubernetes() {
    check_rows("backoff", tables::backoff);
}

#[test]
fn failure_policies_agree_with_kubernetes() {
    check_rows("failure_policy", tables::failure_policy);
}

#[test]
fn index_sets_agree_with_kubernetes() {
    check_rows("index_set", tables::index_set);
}

#[test]
fn names_agree_with_kubernetes() {
    check_rows("names", tables::name);
}

#[test]
fn success_policies_agree_with_kubernetes() {
    check_rows("success_policy", tables::success_policy);
}

#[test]
fn times_to_live_agree_with_kubernetes() {
    check_rows("ttl", tables::ttl);
}

#[test]
fn every_file_is_run() {
    let known: Vec<&str> = [&PLAN_TOPICS[..], &TABLE_TOPICS, &["ttl"]].concat();
    for (path, _) in files("") {
        let topic = path.parent().and_then(|topic| topic.file_name()?.to_str());
        assert!(
            topic.is_some_and(|topic| known.contains(&topic)),
            "{path:?} is not run"
        );
    }
}
