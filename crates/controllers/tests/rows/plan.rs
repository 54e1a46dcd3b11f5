//! Rows of one plan: a Job and its pods, and what the plan makes of them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;
use wasmjob_api::{Backoff, IndexSet, Job, JobStatus, Pod, Uid};
use wasmjob_controllers::job::{Plan, PodSet, plan};

use crate::notation::{at, conditions, now, pods};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    name: String,
    spec: batch::JobSpec,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    restart: String,
    #[serde(default)]
    deleting: bool,
    #[serde(default)]
    pods: Vec<String>,
    want: Want,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Status {
    start: Option<f64>,
    active: u32,
    ready: Option<u32>,
    terminating: Option<u32>,
    succeeded: u32,
    failed: u32,
    completed: String,
    failed_indexes: Option<String>,
    conditions: Vec<String>,
    backoff: Option<(u32, f64)>,
}

/// What stands here is demanded; a number that is left out must be 0, a list empty.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Want {
    create: usize,
    indexes: Option<Vec<u32>>,
    /// By index: failures and ignored failures that the new pod carries.
    carries: Option<BTreeMap<u32, (u32, u32)>>,
    delete: usize,
    deleted: Option<Vec<String>>,
    release: Option<usize>,
    kept: Option<Vec<String>>,
    active: u32,
    ready: u32,
    terminating: u32,
    succeeded: u32,
    failed: u32,
    completed: String,
    failed_indexes: Option<String>,
    conditions: Vec<String>,
    events: Option<Vec<String>>,
    started: Option<bool>,
    look_again: Option<f64>,
    backoff: Option<(u32, Option<f64>)>,
    nothing: bool,
}

pub(crate) fn check(row: &Row) -> Result<(), String> {
    let rows = pods(&row.pods);
    let set: PodSet = rows.iter().cloned().map(Arc::new).collect();
    let mut job = job(row);
    let plan = plan(&job, &set, now());
    if row.want.nothing {
        return same("plan", &plan, &Plan::default())
            .map_err(|error| format!("{}: {error}", row.name));
    }
    if let Some(status) = plan.status.clone() {
        job.status = status;
    }
    compare(&row.want, &job.status, &plan, &rows).map_err(|error| format!("{}: {error}", row.name))
}

fn job(row: &Row) -> Job {
    let mut spec = row.spec.clone();
    let pod = spec.template.spec.get_or_insert_with(PodSpec::default);
    let restart = if row.restart.is_empty() {
        "Never"
    } else {
        &row.restart
    };
    pod.restart_policy = Some(restart.to_owned());
    let object = batch::Job {
        metadata: Default::default(),
        spec: Some(spec),
        status: None,
    };
    let mut job = Job::new(object, Uid::from_random(u128::MAX), at(-1e6));
    job.name = "foobar".into();
    job.deletion = row.deleting.then(now);
    let set = |text: &str| IndexSet::parse_lenient(text, u32::MAX);
    let status = &row.status;
    job.status = JobStatus {
        conditions: conditions(&status.conditions),
        start_time: status.start.map(at),
        active: status.active,
        ready: status.ready,
        terminating: status.terminating,
        succeeded: status.succeeded,
        failed: status.failed,
        completed_indexes: set(&status.completed),
        failed_indexes: status.failed_indexes.as_deref().map(set),
        backoff: status
            .backoff
            .map_or_else(Backoff::default, |(failures, last)| Backoff {
                failures,
                last_failure: Some(at(last)),
            }),
        completion_time: None,
    };
    job
}

fn compare(want: &Want, status: &JobStatus, plan: &Plan, rows: &[Pod]) -> Result<(), String> {
    let created: Vec<u32> = plan.create.iter().filter_map(|new| new.index).collect();
    same(
        "created",
        &plan.create.len(),
        &want.indexes.as_ref().map_or(want.create, Vec::len),
    )?;
    if let Some(indexes) = &want.indexes {
        same("created indexes", &created, indexes)?;
    }
    if let Some(carries) = &want.carries {
        let carried = plan.create.iter().filter_map(|new| {
            let ignored = new.index_ignored_failure_count.unwrap_or(0);
            Some((new.index?, (new.index_failure_count?, ignored)))
        });
        same("carried failures", &carried.collect(), carries)?;
    }
    compare_gone(want, plan, rows)?;
    let started = want.started.unwrap_or(true);
    same("started", &status.start_time.is_some(), &started)?;
    same("active", &status.active, &want.active)?;
    same("ready", &status.ready, &Some(want.ready))?;
    same("terminating", &status.terminating, &Some(want.terminating))?;
    same("succeeded", &status.succeeded, &want.succeeded)?;
    same("failed", &status.failed, &want.failed)?;
    same(
        "completed indexes",
        &status.completed_indexes.to_string(),
        &want.completed,
    )?;
    let failed = status.failed_indexes.as_ref().map(ToString::to_string);
    same("failed indexes", &failed, &want.failed_indexes)?;
    let said = |status: &[wasmjob_api::JobCondition]| -> Vec<String> {
        let one = |c: &wasmjob_api::JobCondition| {
            format!(
                "{}={} {} | {}",
                c.condition_type.as_str(),
                c.status,
                c.reason,
                c.message
            )
        };
        status.iter().map(one).collect()
    };
    same(
        "conditions",
        &said(&status.conditions),
        &said(&conditions(&want.conditions)),
    )?;
    if let Some(events) = &want.events {
        let reasons: Vec<String> = plan
            .events
            .iter()
            .map(|event| event.reason.to_string())
            .collect();
        same("events", &reasons, events)?;
    }
    if let Some(seconds) = want.look_again {
        same("look again", &plan.look_again, &Some(at(seconds)))?;
    }
    if let Some((failures, last)) = want.backoff {
        let backoff = Backoff {
            failures,
            last_failure: last.map(at),
        };
        same("backoff", &status.backoff, &backoff)?;
    }
    Ok(())
}

fn compare_gone(want: &Want, plan: &Plan, rows: &[Pod]) -> Result<(), String> {
    let deleted = want.deleted.as_ref().map_or(want.delete, Vec::len);
    same("deleted", &plan.delete.len(), &deleted)?;
    if let Some(deleted) = &want.deleted {
        let gone = rows.iter().filter(|pod| plan.delete.contains(&pod.uid));
        let mut gone: Vec<String> = gone.map(describe).collect();
        let mut wanted = deleted.clone();
        gone.sort();
        wanted.sort();
        same("deleted pods", &gone, &wanted)?;
    }
    if let Some(release) = want.release {
        same("released", &plan.release.len(), &release)?;
    }
    if let Some(kept) = &want.kept {
        let kept_rows = rows.iter().filter(|pod| {
            pod.tracked && pod.status.phase.is_terminal() && !plan.release.contains(&pod.uid)
        });
        let names: Vec<String> = kept_rows.map(|pod| pod.name.to_string()).collect();
        same("kept", &names, kept)?;
    }
    Ok(())
}

fn describe(pod: &Pod) -> String {
    let phase = pod.status.phase.as_str();
    match pod.index {
        Some(index) => format!("#{index} {phase}"),
        None => phase.to_owned(),
    }
}

fn same<T: PartialEq + Debug>(what: &str, got: &T, wanted: &T) -> Result<(), String> {
    match got == wanted {
        true => Ok(()),
        false => Err(format!("{what}: got {got:?}, want {wanted:?}")),
    }
}
