//! Rows as objects, compared with what a 1.36 API server (and a kubelet) showed.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
use wasmjob_api::{
    ContainerState, ContainerStatus, CronJob, Deletion, Disruption, Job, JobCondition,
    JobConditionType, JobReference, Phase, Pod, PodStatus, SlotVerdict, Terminated, Uid, Usage,
    defaults,
};

fn at(seconds: i64) -> Timestamp {
    // Half a second more, which Kubernetes does not show.
    Timestamp::new(1_795_219_200 + seconds, 500_000_000).unwrap()
}

fn row(spec: Json) -> Job {
    let mut object: batch::Job = serde_json::from_value(json!({
        "metadata": {"name": "indexed", "namespace": "default"},
        "spec": spec,
    }))
    .unwrap();
    let uid = Uid::from_random(7);
    defaults::job(&mut object);
    defaults::prepare_job(&mut object, uid);
    Job::new(object, uid, at(0))
}

fn indexed() -> Job {
    row(json!({
        "completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimitPerIndex": 0,
        "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "busybox", "command": ["/bin/true"]}],
        }},
    }))
}

fn pod(job: &Job, index: Option<u32>, status: PodStatus) -> Pod {
    Pod {
        metadata: None,
        uid: Uid::from_random(9),
        namespace: "default".into(),
        name: "indexed-1-92zz6".into(),
        template: Arc::clone(&job.spec.template),
        index,
        index_failure_count: index.map(|_| 0),
        index_ignored_failure_count: None,
        created: at(0),
        deletion: None,
        tracked: true,
        status,
    }
}

fn ended(exit_code: u8, reason: &'static str) -> ContainerStatus {
    ContainerStatus {
        state: ContainerState::Terminated(Box::new(Terminated {
            exit_code,
            reason: reason.into(),
            message: "".into(),
            started: at(1),
            finished: at(2),
            usage: Usage {
                cpu: Duration::from_millis(250),
                fuel: Some(42),
                memory_bytes_peak: 65536,
                written_bytes: 0,
            },
        })),
        image_id: Some("sha256:00".into()),
        ..ContainerStatus::default()
    }
}

fn failed() -> PodStatus {
    PodStatus {
        phase: Phase::Failed,
        scheduled: Some(at(0)),
        started: Some(at(1)),
        ready_transition: Some(at(2)),
        containers: vec![ended(1, "Error")],
        ..PodStatus::default()
    }
}

#[test]
fn a_failed_pod_of_an_indexed_job_shows_as_kubernetes_shows_it() {
    let job = indexed();
    let object = serde_json::to_value(pod(&job, Some(1), failed()).to_object("node-0", 328));
    let object = object.unwrap();
    let job_uid = "00000000-0000-4000-8000-000000000007";
    assert_eq!(
        object["metadata"],
        json!({
            "name": "indexed-1-92zz6", "generateName": "indexed-1-", "namespace": "default",
            "uid": "00000000-0000-4000-8000-000000000009", "resourceVersion": "328",
            "generation": 1, "creationTimestamp": "2026-11-21T00:00:00Z",
            "labels": {
                "batch.kubernetes.io/controller-uid": job_uid,
                "batch.kubernetes.io/job-completion-index": "1",
                "batch.kubernetes.io/job-name": "indexed",
                "controller-uid": job_uid, "job-name": "indexed",
            },
            "annotations": {
                "batch.kubernetes.io/job-completion-index": "1",
                "batch.kubernetes.io/job-index-failure-count": "0",
                "wasmjob.dev/usage": r#"{"c":{"cpuSeconds":0.25,"fuel":42,"memoryBytesPeak":65536}}"#,
            },
            "finalizers": ["batch.kubernetes.io/job-tracking"],
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": "indexed", "uid": job_uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        })
    );
    let field = "metadata.labels['batch.kubernetes.io/job-completion-index']";
    assert_eq!(
        object["spec"],
        json!({
            "containers": [{
                "name": "c", "image": "busybox", "command": ["/bin/true"],
                "env": [{"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {
                    "apiVersion": "v1", "fieldPath": field,
                }}}],
                "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File", "imagePullPolicy": "Always",
            }],
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst", "nodeName": "node-0", "securityContext": {},
            "hostname": "indexed-1", "schedulerName": "default-scheduler",
            "enableServiceLinks": true,
        })
    );
    let condition = |kind: &str, status: &str, second: &str, reason: Option<&str>| {
        let mut condition = json!({
            "type": kind, "status": status,
            "lastTransitionTime": format!("2026-11-21T00:00:0{second}Z"),
        });
        if let Some(reason) = reason {
            condition["reason"] = Json::from(reason);
        }
        condition
    };
    let id = "wasmjob://00000000-0000-4000-8000-000000000009/c/0";
    assert_eq!(
        object["status"],
        json!({
            "observedGeneration": 1, "phase": "Failed", "qosClass": "BestEffort",
            "startTime": "2026-11-21T00:00:01Z",
            "conditions": [
                condition("PodReadyToStartContainers", "False", "2", None),
                condition("Initialized", "True", "1", None),
                condition("Ready", "False", "2", Some("PodFailed")),
                condition("ContainersReady", "False", "2", Some("PodFailed")),
                condition("PodScheduled", "True", "0", None),
            ],
            "containerStatuses": [{
                "name": "c", "image": "busybox", "imageID": "sha256:00", "containerID": id,
                "ready": false, "started": false, "restartCount": 0, "lastState": {},
                "state": {"terminated": {
                    "exitCode": 1, "reason": "Error", "containerID": id,
                    "startedAt": "2026-11-21T00:00:01Z", "finishedAt": "2026-11-21T00:00:02Z",
                }},
            }],
        })
    );
}

#[test]
fn a_running_pod_is_ready_and_one_that_is_being_deleted_says_so() {
    let job = indexed();
    let running = PodStatus {
        phase: Phase::Running,
        scheduled: Some(at(0)),
        started: Some(at(1)),
        ready: true,
        ready_transition: Some(at(2)),
        disruption: Some(Box::new(Disruption {
            reason: "TerminationByKubelet".into(),
            message: "node shut down".into(),
            at: at(3),
        })),
        containers: vec![ContainerStatus {
            state: ContainerState::Running { started: at(1) },
            ready: true,
            started: true,
            restarts: 2,
            last_terminated: ended(137, "OOMKilled")
                .state
                .terminated()
                .cloned()
                .map(Box::new),
            ..ContainerStatus::default()
        }],
        ..PodStatus::default()
    };
    let mut pod = pod(&job, Some(1), running);
    pod.deletion = Some(Deletion {
        at: at(30),
        grace: Duration::from_secs(30),
    });
    let object = serde_json::to_value(pod.to_object("node-0", 0)).unwrap();
    assert_eq!(
        object["metadata"]["deletionTimestamp"],
        "2026-11-21T00:00:30Z"
    );
    assert_eq!(object["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(object["metadata"].get("resourceVersion"), None);
    let conditions: Vec<String> = object["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            format!(
                "{}={}",
                c["type"].as_str().unwrap(),
                c["status"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        conditions,
        [
            "DisruptionTarget=True",
            "PodReadyToStartContainers=True",
            "Initialized=True",
            "Ready=True",
            "ContainersReady=True",
            "PodScheduled=True",
        ]
    );
    let container = &object["status"]["containerStatuses"][0];
    assert_eq!(container["started"], true);
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 137);
    let last = "wasmjob://00000000-0000-4000-8000-000000000009/c/1";
    assert_eq!(container["lastState"]["terminated"]["containerID"], last);
}

#[test]
fn a_pending_pod_that_nobody_has_looked_at_has_no_conditions() {
    let job = row(json!({"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}],
    }}}));
    let object = pod(&job, None, PodStatus::default()).to_object("node-0", 1);
    assert_eq!(object.metadata.generate_name.as_deref(), Some("indexed-"));
    assert_eq!(object.metadata.annotations, None);
    let spec = object.spec.unwrap();
    assert_eq!((spec.node_name, spec.hostname), (None, None));
    assert_eq!(
        serde_json::to_value(object.status).unwrap(),
        json!({"phase": "Pending", "qosClass": "BestEffort"})
    );
}

#[test]
fn a_failed_job_shows_as_kubernetes_shows_it() {
    let mut job = indexed();
    let condition = |condition_type| JobCondition {
        condition_type,
        status: true,
        reason: "FailedIndexes".into(),
        message: "Job has failed indexes".into(),
        last_probe: at(2),
        last_transition: at(2),
    };
    job.resource_version = 336;
    job.status.conditions = vec![
        condition(JobConditionType::FailureTarget),
        condition(JobConditionType::Failed),
    ];
    job.status.start_time = Some(at(1));
    (job.status.succeeded, job.status.failed) = (2, 2);
    (job.status.ready, job.status.terminating) = (Some(0), Some(0));
    job.status.completed_indexes = [0, 2].into_iter().collect();
    job.status.failed_indexes = Some([1, 3].into_iter().collect());
    let object = serde_json::to_value(job.to_object()).unwrap();
    assert_eq!(object["metadata"]["resourceVersion"], "336");
    assert_eq!(object["metadata"]["generation"], 1);
    assert_eq!(
        object["metadata"]["creationTimestamp"],
        "2026-11-21T00:00:00Z"
    );
    assert_eq!(object["metadata"]["labels"]["job-name"], "indexed");
    assert_eq!(
        object["spec"]["podReplacementPolicy"],
        "TerminatingOrFailed"
    );
    assert_eq!(object["spec"]["backoffLimit"], 2_147_483_647);
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "FailedIndexes",
            "message": "Job has failed indexes",
            "lastProbeTime": "2026-11-21T00:00:02Z", "lastTransitionTime": "2026-11-21T00:00:02Z",
        })
    };
    assert_eq!(
        object["status"],
        json!({
            "conditions": [condition("FailureTarget"), condition("Failed")],
            "startTime": "2026-11-21T00:00:01Z", "succeeded": 2, "failed": 2, "terminating": 0,
            "completedIndexes": "0,2", "failedIndexes": "1,3", "uncountedTerminatedPods": {},
            "ready": 0,
        })
    );
}

#[test]
fn a_job_before_its_first_sync_has_an_empty_status() {
    let object = serde_json::to_value(indexed().to_object()).unwrap();
    assert_eq!(object["status"], json!({}));
}

#[test]
fn a_cron_job_shows_its_status_and_its_slots() {
    let mut object: batch::CronJob = serde_json::from_value(json!({
        "metadata": {"name": "nightly", "namespace": "default", "annotations": {"a": "b"}},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}],
        }}}}},
    }))
    .unwrap();
    defaults::cron_job(&mut object);
    let mut row = CronJob::new(object, Uid::from_random(7), at(0));
    let fresh = serde_json::to_value(row.to_object()).unwrap();
    assert_eq!(fresh["status"], json!({}));
    assert_eq!(fresh["metadata"]["annotations"], json!({"a": "b"}));
    assert_eq!(fresh["spec"]["concurrencyPolicy"], json!("Allow"));

    row.resource_version = 12;
    row.deletion = Some(at(9));
    row.status.active.push(JobReference {
        uid: Uid::from_random(8),
        name: "nightly-29920320".into(),
    });
    row.status.last_schedule_time = Some(at(3));
    row.status.last_successful_time = Some(at(4));
    let ran = SlotVerdict::Ran { late_seconds: 0 };
    let slot = Timestamp::from_second(at(3).as_second()).unwrap();
    row.status.ledger.settle(slot, ran);
    let object = serde_json::to_value(row.to_object()).unwrap();
    assert_eq!(
        object["metadata"],
        json!({
            "name": "nightly", "namespace": "default",
            "uid": "00000000-0000-4000-8000-000000000007", "resourceVersion": "12",
            "generation": 1, "creationTimestamp": "2026-11-21T00:00:00Z",
            "deletionTimestamp": "2026-11-21T00:00:09Z", "deletionGracePeriodSeconds": 0,
            "annotations": {
                "a": "b",
                "wasmjob.dev/slots": r#"{"slots":[{"slot":"2026-11-21T00:00:03Z","verdict":"Ran"}]}"#,
            },
        })
    );
    assert_eq!(
        object["status"],
        json!({
            "active": [{
                "apiVersion": "batch/v1", "kind": "Job", "namespace": "default",
                "name": "nightly-29920320", "uid": "00000000-0000-4000-8000-000000000008",
            }],
            "lastScheduleTime": "2026-11-21T00:00:03Z",
            "lastSuccessfulTime": "2026-11-21T00:00:04Z",
        })
    );
}
