//! Rows of one function each.

use std::fmt::Debug;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1 as batch;
use serde::Deserialize;
use wasmjob_api::{Backoff, IndexSet, Job, JobSpec, Pod, Uid};
use wasmjob_controllers::job::{
    PodFailureAction, finish_time, first_pending_indexes, match_failure_policy,
    match_success_policy, pod_name_prefix, record, record_of_index, remaining,
};
use wasmjob_controllers::ttl::{self, Ttl};

use crate::notation::{at, conditions, now, pods};

fn same<T: PartialEq + Debug>(name: &str, got: &T, want: &T) -> Result<(), String> {
    match got == want {
        true => Ok(()),
        false => Err(format!("{name}: got {got:?}, want {want:?}")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "of")]
pub(crate) enum BackoffRow {
    #[serde(rename = "record")]
    Record {
        name: String,
        #[serde(default)]
        old: (u32, Option<f64>),
        succeeded: Vec<f64>,
        failed: Vec<f64>,
        want: (u32, Option<f64>),
    },
    #[serde(rename = "finish")]
    Finish {
        name: String,
        pod: String,
        want: f64,
    },
    #[serde(rename = "remaining")]
    Remaining {
        name: String,
        failures: u32,
        last: Option<f64>,
        want: f64,
    },
    #[serde(rename = "remaining of index")]
    OfIndex {
        name: String,
        pod: Option<String>,
        want: f64,
    },
}

pub(crate) fn backoff(row: &BackoffRow) -> Result<(), String> {
    let of = |(failures, last): (u32, Option<f64>)| Backoff {
        failures,
        last_failure: last.map(at),
    };
    let left = |backoff| remaining(backoff, now()).map_or(0.0, |left| left.as_secs_f64());
    match row {
        BackoffRow::Record {
            name,
            old,
            succeeded,
            failed,
            want,
        } => {
            let ended = |phase: &str, times: &[f64]| -> Vec<Pod> {
                let text = |at: &f64| format!("{phase} finished={at}");
                pods(&times.iter().map(text).collect::<Vec<_>>())
            };
            let (good, bad) = (ended("Succeeded", succeeded), ended("Failed", failed));
            let (good, bad): (Vec<_>, Vec<_>) = (good.iter().collect(), bad.iter().collect());
            same(name, &record(of(*old), &good, &bad), &of(*want))
        }
        BackoffRow::Finish { name, pod, want } => same(name, &finish_time(&one(pod)), &at(*want)),
        BackoffRow::Remaining {
            name,
            failures,
            last,
            want,
        } => same(name, &left(of((*failures, *last))), want),
        BackoffRow::OfIndex { name, pod, want } => {
            let backoff = pod
                .as_deref()
                .map_or(Backoff::default(), |pod| record_of_index(&one(pod)));
            same(name, &left(backoff), want)
        }
    }
}

fn one(text: &str) -> Pod {
    pods(&[text.to_owned()]).remove(0)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailurePolicyRow {
    name: String,
    rules: Vec<batch::PodFailurePolicyRule>,
    pod: String,
    action: Option<String>,
    message: Option<String>,
}

pub(crate) fn failure_policy(row: &FailurePolicyRow) -> Result<(), String> {
    let policy = batch::PodFailurePolicy {
        rules: row.rules.clone(),
    };
    let found = match_failure_policy(&policy, &one(&row.pod));
    let action = found.as_ref().map(|found| match found.action {
        PodFailureAction::FailJob => "FailJob",
        PodFailureAction::FailIndex => "FailIndex",
        PodFailureAction::Ignore => "Ignore",
        PodFailureAction::Count => "Count",
    });
    same(&row.name, &action, &row.action.as_deref())?;
    same(
        &row.name,
        &found.and_then(|found| found.message),
        &row.message,
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "of")]
pub(crate) enum IndexSetRow {
    #[serde(rename = "contains")]
    Contains {
        name: String,
        set: String,
        index: u32,
        want: bool,
    },
    #[serde(rename = "pending")]
    Pending {
        name: String,
        taken: Vec<String>,
        number: u32,
        completions: u32,
        want: Vec<u32>,
    },
    #[serde(rename = "lenient")]
    Lenient {
        name: String,
        text: String,
        completions: u32,
        want: String,
    },
    #[serde(rename = "strict")]
    Strict {
        name: String,
        text: String,
        completions: u32,
        want: Option<u64>,
        error: Option<String>,
    },
}

pub(crate) fn index_set(row: &IndexSetRow) -> Result<(), String> {
    match row {
        IndexSetRow::Contains {
            name,
            set,
            index,
            want,
        } => same(
            name,
            &IndexSet::parse_lenient(set, 100).contains(*index),
            want,
        ),
        IndexSetRow::Pending {
            name,
            taken,
            number,
            completions,
            want,
        } => {
            let taken: Vec<IndexSet> = taken
                .iter()
                .map(|text| IndexSet::parse_lenient(text, 100))
                .collect();
            let taken: Vec<&IndexSet> = taken.iter().collect();
            same(
                name,
                &first_pending_indexes(&taken, *number, *completions),
                want,
            )
        }
        IndexSetRow::Lenient {
            name,
            text,
            completions,
            want,
        } => same(
            name,
            &IndexSet::parse_lenient(text, *completions).to_string(),
            want,
        ),
        IndexSetRow::Strict {
            name,
            text,
            completions,
            want,
            error,
        } => {
            let parsed = IndexSet::parse(text, *completions);
            same(name, &parsed.as_ref().ok().map(IndexSet::len), want)?;
            same(name, &parsed.err().map(|error| error.to_string()), error)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameRow {
    name: String,
    job: String,
    index: Option<u32>,
    want: String,
}

pub(crate) fn name(row: &NameRow) -> Result<(), String> {
    same(&row.name, &pod_name_prefix(&row.job, row.index), &row.want)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuccessPolicyRow {
    name: String,
    rules: Vec<batch::SuccessPolicyRule>,
    succeeded: String,
    want: Option<usize>,
}

pub(crate) fn success_policy(row: &SuccessPolicyRow) -> Result<(), String> {
    let object = batch::JobSpec {
        completions: Some(10),
        completion_mode: Some("Indexed".to_owned()),
        success_policy: Some(batch::SuccessPolicy {
            rules: row.rules.clone(),
        }),
        ..batch::JobSpec::default()
    };
    let spec = JobSpec::parse(object, &"foobar".into(), Uid::from_random(0));
    let succeeded = IndexSet::parse_lenient(&row.succeeded, 100);
    same(
        &row.name,
        &match_success_policy(&spec.success_rules, &succeeded),
        &row.want,
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TtlRow {
    name: String,
    ttl: Option<i32>,
    finished: Option<(String, f64)>,
    #[serde(default)]
    deleting: bool,
    /// Seconds left; 0 or less is expired, nothing is keep.
    want: Option<f64>,
}

pub(crate) fn ttl(row: &TtlRow) -> Result<(), String> {
    let object = batch::Job {
        spec: Some(batch::JobSpec {
            ttl_seconds_after_finished: row.ttl,
            ..batch::JobSpec::default()
        }),
        ..batch::Job::default()
    };
    let mut job = Job::new(object, Uid::from_random(0), Timestamp::UNIX_EPOCH);
    job.deletion = row.deleting.then(now);
    if let Some((condition, seconds)) = &row.finished {
        job.status.conditions = conditions(std::slice::from_ref(condition));
        for condition in &mut job.status.conditions {
            condition.last_transition = at(*seconds);
        }
    }
    let want = match row.want {
        None => Ttl::Keep,
        Some(left) if left <= 0.0 => Ttl::Expired,
        Some(left) => Ttl::Until(now() + SignedDuration::from_secs_f64(left)),
    };
    same(&row.name, &ttl::plan(&job, now()), &want)
}
