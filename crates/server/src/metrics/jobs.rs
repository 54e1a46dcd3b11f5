//! Jobs, as kube-state-metrics tells of them.

use std::sync::Arc;

use jiff::Timestamp;
use wasmjob::api::{Job, JobConditionType};

use super::text::{Kind, Number, Text, labels};
use crate::api::Api;
use crate::cache::Scope;

/// Reasons of a failed Job that kube-state-metrics tells apart.
const REASONS: [&str; 3] = ["BackoffLimitExceeded", "DeadlineExceeded", "Evicted"];

/// A Job and the labels that all its samples have.
struct Row {
    labels: String,
    job: Arc<Job>,
}

pub(super) fn write(text: &mut Text, api: &Api) {
    let listed = api.cache.list("jobs.batch", &Scope::default());
    let jobs = listed.entries.iter().filter_map(|it| it.object.as_job());
    write_rows(text, jobs);
}

fn write_rows<'a>(text: &mut Text, jobs: impl Iterator<Item = &'a Arc<Job>>) {
    let rows = jobs.map(|job| Row {
        labels: labels(&[("namespace", &job.namespace), ("job_name", &job.name)]),
        job: Arc::clone(job),
    });
    let rows: Vec<Row> = rows.collect();
    let mut gauge = |name, help, value: &dyn Fn(&Job) -> Option<Number>| {
        let mut family = text.family(name, Kind::Gauge, help);
        for row in &rows {
            if let Some(value) = value(&row.job) {
                family.sample(&row.labels, &[], value);
            }
        }
    };
    gauge("kube_job_info", "Information about job.", &|_| {
        Some(true.into())
    });
    gauge("kube_job_created", "Unix creation timestamp", &|job| {
        seconds(Some(job.created))
    });
    gauge(
        "kube_job_spec_parallelism",
        "The maximum desired number of pods the job should run at any given time.",
        &|job| Some(job.spec.parallelism.into()),
    );
    gauge(
        "kube_job_spec_completions",
        "The desired number of successfully finished pods the job should be run with.",
        &|job| job.spec.completions.map(Into::into),
    );
    gauge(
        "kube_job_spec_active_deadline_seconds",
        "The duration in seconds relative to the startTime that the job may be active before the system tries to terminate it.",
        &|job| {
            let deadline = job.spec.active_deadline;
            deadline.map(|deadline| deadline.as_secs().into())
        },
    );
    gauge(
        "kube_job_status_active",
        "The number of actively running pods.",
        &|job| Some(job.status.active.into()),
    );
    gauge(
        "kube_job_status_ready",
        "The number of ready pods that belong to this Job.",
        &|job| Some(job.status.ready.unwrap_or(0).into()),
    );
    gauge(
        "kube_job_status_succeeded",
        "The number of pods which reached Phase Succeeded.",
        &|job| Some(job.status.succeeded.into()),
    );
    gauge(
        "kube_job_status_start_time",
        "StartTime represents time when the job was acknowledged by the Job Manager.",
        &|job| seconds(job.status.start_time),
    );
    gauge(
        "kube_job_status_completion_time",
        "CompletionTime represents time when the job was completed.",
        &|job| seconds(job.status.completion_time),
    );
    gauge(
        "kube_job_status_suspended",
        "The number of pods which reached Phase Suspended.",
        &|job| {
            let condition = job.status.condition(JobConditionType::Suspended);
            condition.map(|condition| condition.status.into())
        },
    );
    failed_pods(text, &rows);
    let ends = [
        (
            "kube_job_complete",
            "The job has completed its execution.",
            JobConditionType::Complete,
        ),
        (
            "kube_job_failed",
            "The job has failed its execution.",
            JobConditionType::Failed,
        ),
    ];
    for (name, help, which) in ends {
        let mut family = text.family(name, Kind::Gauge, help);
        for row in &rows {
            let Some(condition) = row.job.status.condition(which) else {
                continue;
            };
            for (word, is_so) in [
                ("true", condition.status),
                ("false", !condition.status),
                ("unknown", false),
            ] {
                family.sample(&row.labels, &[("condition", word)], is_so);
            }
        }
    }
    owners(text, &rows);
}

fn failed_pods(text: &mut Text, rows: &[Row]) {
    let mut family = text.family(
        "kube_job_status_failed",
        Kind::Gauge,
        "The number of pods which reached Phase Failed and the reason for failure.",
    );
    for row in rows {
        let status = &row.job.status;
        if status.failed == 0 {
            family.sample(&row.labels, &[], 0_u32);
            continue;
        }
        let mut is_known = false;
        if let Some(condition) = status.condition(JobConditionType::Failed) {
            for reason in REASONS {
                let is_it = condition.reason == reason;
                is_known |= is_it;
                family.sample(&row.labels, &[("reason", reason)], is_it);
            }
        }
        if !is_known {
            family.sample(&row.labels, &[("reason", "")], status.failed);
        }
    }
}

fn owners(text: &mut Text, rows: &[Row]) {
    let mut family = text.family(
        "kube_job_owner",
        Kind::Gauge,
        "Information about the Job's owner.",
    );
    for row in rows {
        let owners = row.job.metadata.owner_references.as_deref();
        let owners = owners.unwrap_or_default();
        for owner in owners {
            let is_controller = match owner.controller {
                Some(true) => "true",
                _ => "false",
            };
            let labels = [
                ("owner_kind", owner.kind.as_str()),
                ("owner_name", owner.name.as_str()),
                ("owner_is_controller", is_controller),
            ];
            family.sample(&row.labels, &labels, true);
        }
        if owners.is_empty() {
            let labels = [
                ("owner_kind", ""),
                ("owner_name", ""),
                ("owner_is_controller", ""),
            ];
            family.sample(&row.labels, &labels, true);
        }
    }
}

/// A time as Prometheus writes it.
pub(super) fn seconds(at: Option<Timestamp>) -> Option<Number> {
    at.map(|at| at.as_second().into())
}
