//! Kubernetes' own validation cases as data: `tests/validation/*.json`, one row per
//! case, written anew from the facts. A row patches a base object (RFC 7386) and
//! lists every error, in full and in order.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use serde::Deserialize;
use serde_json::{Value as Json, json};
use wasmjob_api::field::{Error, ErrorList, aggregate};
use wasmjob_api::k8s_openapi::api::batch::v1::{CronJob, Job};
use wasmjob_api::validation::{
    validate_cron_job, validate_cron_job_update, validate_job, validate_job_status_update,
    validate_job_update,
};
use wasmjob_api::{Uid, defaults};

#[derive(Deserialize)]
struct Row {
    name: String,
    base: String,
    #[serde(default)]
    patch: Json,
    old: Option<Json>,
    #[serde(default)]
    new: Json,
    errors: Vec<String>,
}

fn container(name: &str) -> Json {
    json!({
        "name": name,
        "image": "image",
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePolicy": "File",
    })
}

/// The objects that Kubernetes' tables start from.
fn base(name: &str) -> Json {
    let generated = json!({
        "controller-uid": "1a2b3c",
        "job-name": "myjob",
        "batch.kubernetes.io/controller-uid": "1a2b3c",
        "batch.kubernetes.io/job-name": "myjob",
    });
    let legacy = json!({"controller-uid": "1a2b3c", "job-name": "myjob"});
    let manual = json!({"a": "b"});
    let (labels, manual_selector, policy) = match name {
        "generated" => (generated, false, "OnFailure"),
        "never" => (generated, false, "Never"),
        "manual" => (manual, true, "OnFailure"),
        "legacy" => (legacy, false, "OnFailure"),
        "cron" => return cron_job(),
        other => panic!("no base {other}"),
    };
    let mut job = json!({
        "metadata": {
            "name": "myjob", "namespace": "default", "uid": "1a2b3c", "resourceVersion": "1",
        },
        "spec": {
            "selector": {"matchLabels": labels},
            "manualSelector": manual_selector,
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(policy)},
        },
    });
    if !manual_selector {
        job["spec"]["template"]["spec"]["initContainers"] = json!([container("def")]);
    }
    job
}

fn pod_spec(restart_policy: &str) -> Json {
    json!({
        "restartPolicy": restart_policy,
        "dnsPolicy": "ClusterFirst",
        "containers": [container("abc")],
    })
}

fn cron_job() -> Json {
    json!({
        "metadata": {
            "name": "mycronjob", "namespace": "default", "uid": "1a2b3c", "resourceVersion": "1",
        },
        "spec": {
            "schedule": "5 * * * *",
            "concurrencyPolicy": "Allow",
            "jobTemplate": {"spec": {"template": {"spec": pod_spec("OnFailure")}}},
        },
    })
}

fn patched(mut target: Json, patch: &Json) -> Json {
    merge(&mut target, patch);
    target
}

fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        if !patch.is_null() {
            *target = patch.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Json::Object(object) = target else { return };
    for (key, value) in patch {
        match value {
            Json::Null => drop(object.remove(key)),
            Json::Object(_) => merge(object.entry(key.clone()).or_insert(Json::Null), value),
            _ => drop(object.insert(key.clone(), value.clone())),
        }
    }
}

fn typed<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

/// The errors as text; what is immutable is shown without its value, which is long.
fn texts(errors: &ErrorList) -> Vec<String> {
    let text = |error: &Error| match error.detail.as_str() {
        "field is immutable" | "can only be modified in tandem with spec.parallelism" => {
            format!("{}: {}", error.field, error.detail)
        }
        _ => error.to_string(),
    };
    errors.iter().map(text).collect()
}

fn check(rows: &str, validate: impl Fn(&Row) -> ErrorList) {
    let rows: Vec<Row> = serde_json::from_str(rows).unwrap();
    let mut wrong = Vec::new();
    for row in &rows {
        let found = texts(&validate(row));
        if found != row.errors {
            let (found, expected) = (found.join("\n  "), row.errors.join("\n  "));
            wrong.push(format!(
                "{}\n found:\n  {found}\n expected:\n  {expected}",
                row.name
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

fn old_and_new(row: &Row) -> (Job, Job) {
    let old = patched(base(&row.base), row.old.as_ref().unwrap());
    let new = patched(old.clone(), &row.new);
    (typed(old), typed(new))
}

#[test]
fn jobs_are_validated_as_kubernetes_does() {
    check(include_str!("validation/job_create.json"), |row| {
        validate_job(&typed(patched(base(&row.base), &row.patch)))
    });
}

#[test]
fn job_updates_are_validated_as_kubernetes_does() {
    check(include_str!("validation/job_update.json"), |row| {
        let (old, new) = old_and_new(row);
        validate_job_update(&new, &old)
    });
}

#[test]
fn job_status_updates_are_validated_as_kubernetes_does() {
    check(include_str!("validation/job_status_update.json"), |row| {
        let (old, new) = old_and_new(row);
        validate_job_status_update(&new, &old)
    });
}

#[test]
fn cron_jobs_are_validated_as_kubernetes_does() {
    check(include_str!("validation/cron_job.json"), |row| {
        match &row.old {
            None => validate_cron_job(&typed(patched(base(&row.base), &row.patch))),
            Some(old) => {
                let old: CronJob = typed(patched(base(&row.base), old));
                let new: CronJob = typed(patched(base(&row.base), &row.patch));
                validate_cron_job_update(&new, &old)
            }
        }
    });
}

/// The answer of a 1.36 API server to a Job with three faults.
#[test]
fn all_errors_together_read_as_the_api_server_writes_them() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors/kubernetes-1.36/create-invalid.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let status: Json = serde_json::from_str(&text).unwrap();
    let mut job: Job = typed(json!({
        "metadata": {"name": "bad", "namespace": "default"},
        "spec": {"parallelism": -1, "template": {"spec": {"containers": []}}},
    }));
    defaults::job(&mut job);
    defaults::prepare_job(&mut job, Uid::from_random(0));
    let errors = validate_job(&job);
    let message = format!("Job.batch \"bad\" is invalid: {}", aggregate(&errors));
    assert_eq!(status["message"], message);
    let causes: Vec<Json> = errors
        .iter()
        .map(|e| json!({"reason": e.reason(), "message": e.body(), "field": e.field}))
        .collect();
    assert_eq!(status["details"]["causes"], Json::from(causes));
}
