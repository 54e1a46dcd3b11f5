//! Defaults: Kubernetes' own cases as data, and what a real API server made of
//! real objects.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use serde_json::{Value as Json, json};
use wasmjob_api::k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};
use wasmjob_api::validation::job_warnings;
use wasmjob_api::{Uid, defaults};

fn typed<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

// TestSetDefaultJob, 15 cases.
#[test]
fn job_specs_get_kubernetes_defaults() {
    let rows: Vec<Json> = serde_json::from_str(include_str!("validation/defaults.json")).unwrap();
    for row in rows {
        let mut job = Job {
            spec: Some(typed(row["given"].clone())),
            ..Job::default()
        };
        defaults::job(&mut job);
        let mut spec = job.spec.unwrap();
        spec.template = Default::default();
        let expected: JobSpec = typed(row["expected"].clone());
        assert_eq!(spec, expected, "{}", row["name"]);
    }
}

#[test]
fn labels_are_copied_from_the_template_only_to_a_job_without() {
    let labels = |own: Json| {
        let mut job: Job = typed(json!({
            "metadata": {"labels": own},
            "spec": {"template": {"metadata": {"labels": {"a": "b"}}}},
        }));
        defaults::job(&mut job);
        serde_json::to_value(job.metadata.labels).unwrap()
    };
    assert_eq!(labels(json!(null)), json!({"a": "b"}));
    assert_eq!(labels(json!({})), json!({"a": "b"}));
    assert_eq!(labels(json!({"own": "x"})), json!({"own": "x"}));
}

// TestSetDefaultCronJob, 2 cases.
#[test]
fn cron_jobs_get_kubernetes_defaults() {
    let defaulted = |spec: Json| {
        let mut cron_job = CronJob {
            spec: typed(spec),
            ..CronJob::default()
        };
        defaults::cron_job(&mut cron_job);
        let mut spec = serde_json::to_value(cron_job.spec).unwrap();
        spec.as_object_mut().unwrap().remove("jobTemplate");
        spec
    };
    assert_eq!(
        defaulted(json!({"schedule": ""})),
        json!({
            "schedule": "", "concurrencyPolicy": "Allow", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        })
    );
    let set = json!({
        "schedule": "", "concurrencyPolicy": "Forbid", "suspend": true,
        "successfulJobsHistoryLimit": 10, "failedJobsHistoryLimit": 5,
    });
    assert_eq!(defaulted(set.clone()), set);
}

#[test]
fn a_pod_gets_what_a_template_does_not() {
    let mut pod = typed(json!({"spec": {"containers": [{
        "name": "c", "image": "busybox",
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        "livenessProbe": {"exec": {"command": ["x"]}},
        "ports": [{"containerPort": 80}],
        "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }], "volumes": [{"name": "v"}], "serviceAccountName": "s"}}));
    defaults::pod(&mut pod);
    assert_eq!(
        serde_json::to_value(pod.spec).unwrap(),
        json!({
            "containers": [{
                "name": "c", "image": "busybox", "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "resources": {
                    "limits": {"cpu": "1", "memory": "1Gi"},
                    "requests": {"cpu": "500m", "memory": "1Gi"},
                },
                "livenessProbe": {
                    "exec": {"command": ["x"]}, "timeoutSeconds": 1, "periodSeconds": 10,
                    "successThreshold": 1, "failureThreshold": 3,
                },
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "N", "valueFrom":
                    {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "serviceAccountName": "s", "serviceAccount": "s",
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler",
            "securityContext": {}, "enableServiceLinks": true,
        })
    );
}

#[test]
fn creation_gives_selector_and_labels_and_keeps_what_the_user_has_set() {
    let mut job: Job = typed(json!({
        "metadata": {"name": "j", "namespace": "default"},
        "spec": {"template": {"metadata": {"labels": {"job-name": "other"}}}},
        "status": {"succeeded": 5},
    }));
    defaults::job(&mut job);
    defaults::prepare_job(&mut job, Uid::from_random(0));
    let uid = "00000000-0000-4000-8000-000000000000";
    let spec = job.spec.unwrap();
    assert_eq!(
        serde_json::to_value(spec.selector).unwrap(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    );
    assert_eq!(
        serde_json::to_value(spec.template.metadata.unwrap().labels).unwrap(),
        json!({
            "controller-uid": uid, "batch.kubernetes.io/controller-uid": uid,
            "job-name": "other", "batch.kubernetes.io/job-name": "j",
        })
    );
    assert_eq!((job.metadata.generation, job.status), (Some(1), None));
}

#[test]
fn a_manual_selector_is_left_alone() {
    let mut job: Job = typed(json!({
        "metadata": {"name": "j"},
        "spec": {
            "manualSelector": true,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}},
        },
    }));
    let expected = job.spec.as_ref().unwrap().selector.clone();
    defaults::prepare_job(&mut job, Uid::from_random(0));
    let spec = job.spec.unwrap();
    assert_eq!(spec.selector, expected);
    assert_eq!(spec.template.metadata.unwrap().labels.unwrap().len(), 1);
}

/// What the API server stored must be what our defaults and creation make of the
/// same object with every defaulted field taken out.
#[test]
fn jobs_of_a_real_api_server_come_out_the_same() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/vectors/kubernetes-1.36/apis_batch_v1_namespaces_default_jobs.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: there is no {}", path.display());
        return;
    };
    let list: Json = serde_json::from_str(&text).unwrap();
    for item in list["items"].as_array().unwrap() {
        let mut given = item.clone();
        let spec = given["spec"].as_object_mut().unwrap();
        for field in [
            "selector",
            "manualSelector",
            "completionMode",
            "podReplacementPolicy",
        ] {
            if spec.get(field) != Some(&json!("Indexed")) {
                spec.remove(field);
            }
        }
        let pod = spec["template"]["spec"].as_object_mut().unwrap();
        for field in [
            "terminationGracePeriodSeconds",
            "dnsPolicy",
            "securityContext",
            "schedulerName",
        ] {
            assert!(pod.remove(field).is_some());
        }
        let container = pod["containers"][0].as_object_mut().unwrap();
        for field in [
            "terminationMessagePath",
            "terminationMessagePolicy",
            "imagePullPolicy",
            "resources",
        ] {
            assert!(container.remove(field).is_some());
        }
        let mut job: Job = typed(given);
        defaults::job(&mut job);
        let expected: Job = typed(item.clone());
        let mut expected_spec = expected.spec.unwrap();
        let mut spec = job.spec.unwrap();
        expected_spec.selector = None;
        spec.selector = None;
        assert_eq!(spec, expected_spec);
    }
}

// TestWarningsForJobSpec, 7 cases, and the names of TestJobStrategy_WarningsOnCreate, 3.
#[test]
fn jobs_that_may_surprise_are_warned_about() {
    let check = |name: &str, spec: Json, expected: &[&str]| {
        let job: Job = typed(json!({"metadata": {"name": name}, "spec": spec}));
        let found: Vec<String> = job_warnings(&job)
            .into_iter()
            .map(|(path, text)| format!("{path}: {text}"))
            .collect();
        assert_eq!(found, expected, "{name}");
    };
    let spec = |mode: &str, completions: i32, parallelism: i32| json!({"completionMode": mode, "completions": completions, "parallelism": parallelism});
    let high = "spec: In Indexed Jobs with a number of completions higher than 100000 and a parallelism higher than 10000, Kubernetes might not be able to track completions correctly";
    check("a", spec("NonIndexed", 1, 1), &[]);
    check("a", spec("NonIndexed", 1_000_000, 100_000), &[]);
    check("a", json!({"template": {"spec": {"nodeName": "!"}}}), &[]);
    check("a", spec("Indexed", 1, 1), &[]);
    check("a", spec("Indexed", 1_000_000, 1000), &[]);
    check("a", spec("Indexed", 100_000, 10_000), &[]);
    check("a", spec("Indexed", 100_001, 10_001), &[high]);
    let dns = "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')]";
    check("a.b", spec("Indexed", 1, 1), &[dns]);
}
