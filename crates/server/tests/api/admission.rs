//! What LimitRanges, ResourceQuotas and PriorityClasses make of newcomers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wasmjob::Host;

use crate::matrix::Moved;
use crate::support::{Answer, Api, Client, PATIENCE, block_on};

const PODS: &str = "/api/v1/namespaces/default/pods";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const LIMITS: &str = "/api/v1/namespaces/default/limitranges";
const QUOTAS: &str = "/api/v1/namespaces/default/resourcequotas";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

const BUSY: &str = "(module (func (export \"_start\") (loop (br 0))))";
const QUICK: &str = "(module (func (export \"_start\")))";

fn api() -> Api {
    Api::start_with(
        Host::builder()
            .module("busy", wat::parse_str(BUSY).unwrap())
            .module("quick", wat::parse_str(QUICK).unwrap()),
    )
}

fn pod(name: &str, resources: &Value) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "restartPolicy": "Never", "containers": [
        { "name": "c", "image": "busy", "resources": resources }] } })
}

fn job(name: &str, image: &str, completions: u32, parallelism: u32) -> Value {
    json!({ "metadata": { "name": name }, "spec": {
        "completions": completions, "parallelism": parallelism, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "c", "image": image }] } } } })
}

async fn create(client: &mut Client, path: &str, object: &Value) -> Value {
    let answer = client.json("POST", path, object).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    answer.json()
}

#[track_caller]
fn forbidden(answer: &Answer, wanted: &str) {
    assert_eq!(answer.code, 403, "{}", answer.text());
    assert!(answer.is_status());
    assert_eq!(answer.json()["message"], wanted);
    assert_eq!(answer.json()["reason"], "Forbidden");
}

/// Waits until the object at `path` is so.
async fn until(client: &mut Client, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            last = client.get(path).await.json();
            if is_so(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(waited.is_ok(), "{path} never came to that: {last}");
    last
}

/// The messages of the Job's events with that reason.
fn messages(events: &Value, reason: &str) -> Vec<String> {
    let events = events["items"].as_array().into_iter().flatten();
    events
        .filter(|event| event["reason"] == reason)
        .map(|event| event["message"].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn told(client: &mut Client, name: &str, reason: &str) -> Vec<String> {
    let path = format!(
        "/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DJob%2CinvolvedObject.name%3D{name}"
    );
    let events = until(client, &path, |it| !messages(it, reason).is_empty()).await;
    messages(&events, reason)
}

async fn used(client: &mut Client, quota: &str) -> Value {
    client.get(&format!("{QUOTAS}/{quota}")).await.json()["status"]["used"].clone()
}

#[test]
fn a_limit_range_gives_and_refuses() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let range = json!({ "metadata": { "name": "l" }, "spec": { "limits": [{
            "type": "Container", "max": { "memory": "1Gi" }, "default": { "memory": "128Mi" },
            "defaultRequest": { "cpu": "50m" } }] } });
        let made = create(&mut client, LIMITS, &range).await;
        assert_eq!(
            made["spec"]["limits"][0]["defaultRequest"],
            json!({ "cpu": "50m", "memory": "128Mi" })
        );
        let given = create(&mut client, PODS, &pod("given", &json!({}))).await;
        assert_eq!(
            given["spec"]["containers"][0]["resources"],
            json!({ "limits": { "memory": "128Mi" },
                "requests": { "cpu": "50m", "memory": "128Mi" } })
        );
        assert_eq!(
            given["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
            "LimitRanger plugin set: cpu, memory request for container c; memory limit for container c"
        );
        let tried = format!("{PODS}?dryRun=All");
        let shown = create(&mut client, &tried, &pod("tried", &json!({}))).await;
        assert_eq!(
            shown["spec"]["containers"][0]["resources"]["limits"],
            json!({ "memory": "128Mi" })
        );
        assert_eq!(client.get(&format!("{PODS}/tried")).await.code, 404);
        let large = pod("large", &json!({ "limits": { "memory": "2Gi" } }));
        assert_eq!(client.json("POST", &tried, &large).await.code, 403);
        forbidden(
            &client.json("POST", PODS, &large).await,
            "pods \"large\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi",
        );
        // What it is given and what it says do not go together.
        let patch = json!({ "spec": { "limits": [{ "type": "Container",
            "default": { "memory": "128Mi" } }] } });
        let headers = [("content-type", "application/merge-patch+json")];
        let path = format!("{LIMITS}/l");
        let answer = client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        let asks = json!({ "requests": { "memory": "512Mi" } });
        let answer = client.json("POST", PODS, &pod("odd", &asks)).await;
        assert_eq!(answer.code, 422, "{}", answer.text());
        assert_eq!(
            answer.json()["message"],
            "Pod \"odd\" is invalid: spec.containers[0].resources.requests: Invalid value: \"512Mi\": must be less than or equal to memory limit of 128Mi"
        );
        // What nobody wrote is not there.
        let empty = json!({ "metadata": { "name": "empty" } });
        assert_eq!(create(&mut client, LIMITS, &empty).await.get("spec"), None);
        let bad = json!({ "metadata": { "name": "m" }, "spec": { "limits": [{
            "type": "Container", "min": { "cpu": "2" }, "max": { "cpu": "1" } }] } });
        let answer = client.json("POST", LIMITS, &bad).await;
        assert_eq!(answer.code, 422, "{}", answer.text());
        assert!(
            answer
                .text()
                .contains("min value 2 is greater than max value 1")
        );
    });
}

#[test]
fn pods_of_a_job_come_in_by_the_limits_or_the_job_says_why_not() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let range = json!({ "metadata": { "name": "l" }, "spec": { "limits": [{
            "type": "Pod", "max": { "memory": "1Gi" } }] } });
        create(&mut client, LIMITS, &range).await;
        create(&mut client, JOBS, &job("j", "quick", 1, 1)).await;
        assert_eq!(
            told(&mut client, "j", "FailedCreate").await[0],
            "Error creating: pods \"j-\" is forbidden: maximum memory usage per Pod is 1Gi.  No limit is specified"
        );
        // What decides changes, and it is tried again at once.
        let patch = json!({ "spec": { "limits": [
            { "type": "Pod", "max": { "memory": "1Gi" } },
            { "type": "Container", "default": { "memory": "64Mi" } }] } });
        let headers = [("content-type", "application/merge-patch+json")];
        client
            .send("PATCH", &format!("{LIMITS}/l"), &headers, patch.to_string())
            .await;
        until(&mut client, &format!("{JOBS}/j"), |job| {
            job["status"]["succeeded"] == 1
        })
        .await;
        let pods = client.get(PODS).await.json();
        let limits = &pods["items"][0]["spec"]["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({ "memory": "64Mi" }));
    });
}

#[test]
fn a_claim_is_held_against_limits_and_quotas() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
        let claim = |name: &str, storage: &str| {
            json!({ "metadata": { "name": name }, "spec": { "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": storage } } } })
        };
        let range = json!({ "metadata": { "name": "l" }, "spec": { "limits": [{
            "type": "PersistentVolumeClaim", "max": { "storage": "2Gi" } }] } });
        create(&mut client, LIMITS, &range).await;
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "requests.storage": "3Gi", "persistentvolumeclaims": "5" } } });
        create(&mut client, QUOTAS, &quota).await;
        forbidden(
            &client.json("POST", claims, &claim("a", "3Gi")).await,
            "persistentvolumeclaims \"a\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
        );
        create(&mut client, claims, &claim("a", "2Gi")).await;
        forbidden(
            &client.json("POST", claims, &claim("b", "2Gi")).await,
            "persistentvolumeclaims \"b\" is forbidden: exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=2Gi, limited: requests.storage=3Gi",
        );
        create(&mut client, claims, &claim("b", "1Gi")).await;
        assert_eq!(
            used(&mut client, "q").await,
            json!({ "persistentvolumeclaims": "2", "requests.storage": "3Gi" })
        );
        client.send("DELETE", &format!("{claims}/a"), &[], "").await;
        until(&mut client, &format!("{QUOTAS}/q"), |quota| {
            quota["status"]["used"]["requests.storage"] == "1Gi"
        })
        .await;
    });
}

#[test]
fn a_claim_that_nothing_holds_any_more_goes() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::builder().data_dir(dir.path()).build().unwrap();
    let uid = wasmjob::api::Uid::from_random(7);
    let value = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "c", "namespace": "default", "uid": uid.to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "deletionTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } } } });
    let object = |uid, resource: &str, namespace: &str, name: &str, value: &Value| {
        wasmjob::Write::Create(wasmjob::NewObject::Generic(wasmjob::GenericObject {
            uid,
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            json: serde_json::to_vec(value).unwrap().into(),
        }))
    };
    block_on(async {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "default", "creationTimestamp": "2026-01-01T00:00:00Z" } });
        let other = wasmjob::api::Uid::from_random(8);
        let namespace = object(other, "namespaces", "", "default", &namespace);
        host.write(namespace).await.unwrap();
        let claim = object(uid, "persistentvolumeclaims", "default", "c", &value);
        host.write(claim).await.unwrap();
    });
    drop(host);
    let api = Api::start_with(Host::builder().data_dir(dir.path()));
    block_on(async {
        let path = "/api/v1/namespaces/default/persistentvolumeclaims/c";
        let gone = |answer: &Value| answer["reason"] == "NotFound";
        until(&mut api.client(), path, gone).await;
    });
}

#[test]
fn a_quota_is_charged_and_freed() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        create(&mut client, PODS, &pod("first", &json!({}))).await;
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "2" } } });
        create(&mut client, QUOTAS, &quota).await;
        let shown = client.get(&format!("{QUOTAS}/q")).await.json();
        assert_eq!(
            shown["status"],
            json!({ "hard": { "pods": "2" }, "used": { "pods": "1" } })
        );
        create(&mut client, PODS, &pod("second", &json!({}))).await;
        assert_eq!(used(&mut client, "q").await, json!({ "pods": "2" }));
        forbidden(
            &client.json("POST", PODS, &pod("x", &json!({}))).await,
            "pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
        );
        let path = format!("{PODS}/first?gracePeriodSeconds=0");
        client.send("DELETE", &path, &[], "").await;
        until(&mut client, &format!("{QUOTAS}/q"), |quota| {
            quota["status"]["used"]["pods"] == "1"
        })
        .await;
        create(&mut client, PODS, &pod("x", &json!({}))).await;

        // What containers do not say cannot be counted.
        let quota = json!({ "metadata": { "name": "r" }, "spec": { "hard": {
            "requests.cpu": "1", "limits.memory": "1Gi", "pods": "10" } } });
        create(&mut client, QUOTAS, &quota).await;
        client.send("DELETE", &format!("{QUOTAS}/q"), &[], "").await;
        forbidden(
            &client.json("POST", PODS, &pod("y", &json!({}))).await,
            "pods \"y\" is forbidden: failed quota: r: must specify limits.memory for: c; requests.cpu for: c",
        );
        let asks = json!({ "limits": { "memory": "512Mi", "cpu": "250m" } });
        create(&mut client, PODS, &pod("y", &asks)).await;
        assert_eq!(
            used(&mut client, "r").await,
            json!({ "limits.memory": "512Mi", "pods": "3", "requests.cpu": "250m" })
        );
        // Nobody else says what is used.
        let lie = json!({ "status": { "used": { "pods": "0" } } });
        let headers = [("content-type", "application/merge-patch+json")];
        let path = format!("{QUOTAS}/r/status");
        let answer = client.send("PATCH", &path, &headers, lie.to_string()).await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        assert_eq!(used(&mut client, "r").await["pods"], "3");
    });
}

#[test]
fn the_last_place_is_given_once() {
    let api = api();
    block_on(async {
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "pods": "5", "configmaps": "4" } } });
        create(&mut api.client(), QUOTAS, &quota).await;
        let clients = (0..4).map(|number| {
            let mut client = api.client();
            tokio::spawn(async move {
                let mut made = [0, 0];
                for turn in 0..10 {
                    let name = format!("p{number}-{turn}");
                    let answer = client.json("POST", PODS, &pod(&name, &json!({}))).await;
                    made[0] += u32::from(answer.code == 201);
                    let map = json!({ "metadata": { "name": name } });
                    let maps = "/api/v1/namespaces/default/configmaps";
                    let answer = client.json("POST", maps, &map).await;
                    made[1] += u32::from(answer.code == 201);
                }
                made
            })
        });
        let mut made = [0, 0];
        for client in clients.collect::<Vec<_>>() {
            let own = client.await.unwrap();
            made = [made[0] + own[0], made[1] + own[1]];
        }
        // `kube-root-ca.crt` is one of the ConfigMaps.
        assert_eq!(made, [5, 3]);
        assert_eq!(
            used(&mut api.client(), "q").await,
            json!({ "configmaps": "4", "pods": "5" })
        );
    });
}

#[test]
fn a_job_runs_through_a_quota() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "pods": "2", "count/jobs.batch": "2" } } });
        create(&mut client, QUOTAS, &quota).await;
        create(&mut client, JOBS, &job("wide", "quick", 40, 20)).await;
        create(&mut client, JOBS, &job("other", "quick", 5, 5)).await;
        forbidden(
            &client
                .json("POST", JOBS, &job("third", "quick", 1, 1))
                .await,
            "jobs.batch \"third\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=2, limited: count/jobs.batch=2",
        );
        let begun = std::time::Instant::now();
        for (name, completions) in [("wide", 40), ("other", 5)] {
            let done = until(&mut client, &format!("{JOBS}/{name}"), |job| {
                job["status"]["succeeded"] == completions
            })
            .await;
            assert_eq!(done["status"]["failed"], Value::Null);
        }
        // By back-off alone, it would take many times that.
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
        let texts = told(&mut client, "wide", "FailedCreate").await;
        assert_eq!(
            texts[0],
            "Error creating: pods \"wide-\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
        );
        assert_eq!(
            used(&mut client, "q").await,
            json!({ "count/jobs.batch": "2", "pods": "0" })
        );
        client
            .send(
                "DELETE",
                &format!("{JOBS}/other?propagationPolicy=Background"),
                &[],
                "",
            )
            .await;
        until(&mut client, &format!("{QUOTAS}/q"), |quota| {
            quota["status"]["used"]["count/jobs.batch"] == "1"
        })
        .await;
    });
}

#[test]
fn many_jobs_take_turns_in_a_small_quota() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "1" } } });
        create(&mut client, QUOTAS, &quota).await;
        create(&mut client, PODS, &pod("holds", &json!({}))).await;
        let jobs = 150;
        for number in 0..jobs {
            create(
                &mut client,
                JOBS,
                &job(&format!("j{number}"), "quick", 2, 2),
            )
            .await;
        }
        let begun = std::time::Instant::now();
        let path = format!("{PODS}/holds?gracePeriodSeconds=0");
        client.send("DELETE", &path, &[], "").await;
        until(&mut client, JOBS, |list| {
            let list = list["items"].as_array().into_iter().flatten();
            list.filter(|job| job["status"]["succeeded"] == 2).count() == jobs
        })
        .await;
        // One after the other, each as soon as the one before has ended.
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
        // Who was woken in vain has not said so each time.
        let events = client
            .get("/api/v1/namespaces/default/events?limit=5000")
            .await
            .json();
        let counts = events["items"].as_array().into_iter().flatten();
        let refused = counts.filter(|event| event["reason"] == "FailedCreate");
        let refused: u64 = refused.filter_map(|event| event["count"].as_u64()).sum();
        assert!(refused < 10 * jobs as u64, "{refused}");
    });
}

#[test]
fn a_quota_that_grows_lets_a_job_go_on() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "0" } } });
        create(&mut client, QUOTAS, &quota).await;
        create(&mut client, JOBS, &job("j", "quick", 3, 3)).await;
        told(&mut client, "j", "FailedCreate").await;
        let headers = [("content-type", "application/merge-patch+json")];
        let patch = json!({ "spec": { "hard": { "pods": "1" } } });
        let path = format!("{QUOTAS}/q");
        client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        until(&mut client, &format!("{JOBS}/j"), |job| {
            job["status"]["succeeded"] == 3
        })
        .await;
    });
}

#[test]
fn pods_have_the_priority_of_their_class() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let class = |name: &str, value: i64, more: Value| {
            let mut class = json!({ "metadata": { "name": name }, "value": value });
            crate::support::merge(&mut class, &more);
            class
        };
        let made = create(&mut client, CLASSES, &class("high", 1000, json!({}))).await;
        assert_eq!(made["preemptionPolicy"], "PreemptLowerPriority");
        let with = |name: &str, class: &str| {
            let mut pod = pod(name, &json!({}));
            pod["spec"]["priorityClassName"] = class.into();
            pod
        };
        let made = create(&mut client, PODS, &with("a", "high")).await;
        assert_eq!(made["spec"]["priority"], 1000);
        assert_eq!(made["spec"]["preemptionPolicy"], "PreemptLowerPriority");
        let made = create(&mut client, PODS, &with("b", "system-cluster-critical")).await;
        assert_eq!(made["spec"]["priority"], 2_000_000_000);
        forbidden(
            &client.json("POST", PODS, &with("c", "none")).await,
            "pods \"c\" is forbidden: no PriorityClass with name none was found",
        );
        let answer = client
            .json("POST", CLASSES, &class("system-x", 1, json!({})))
            .await;
        assert_eq!(answer.code, 422, "{}", answer.text());
        let default = json!({ "globalDefault": true });
        create(&mut client, CLASSES, &class("usual", 7, default.clone())).await;
        forbidden(
            &client
                .json("POST", CLASSES, &class("more", 8, default))
                .await,
            "priorityclasses.scheduling.k8s.io \"more\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist",
        );
        // A change is held against it as well, and a try of one.
        let description = async |client: &mut Client| {
            let found = client.get(&format!("{CLASSES}/high")).await.json();
            found["description"].clone()
        };
        for (query, stays) in [("?dryRun=All", Value::Null), ("", json!("tried"))] {
            let path = format!("{CLASSES}/high{query}");
            let headers = [("content-type", "application/merge-patch+json")];
            let patch = r#"{"globalDefault":true}"#;
            forbidden(
                &client.send("PATCH", &path, &headers, patch).await,
                "priorityclasses.scheduling.k8s.io \"high\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist",
            );
            let patch = r#"{"description":"tried"}"#;
            let answer = client.send("PATCH", &path, &headers, patch).await;
            assert_eq!(answer.json()["description"], "tried", "{}", answer.text());
            assert_eq!(description(&mut client).await, stays, "{query}");
        }
        let made = create(&mut client, PODS, &pod("d", &json!({}))).await;
        assert_eq!(made["spec"]["priorityClassName"], "usual");
        assert_eq!(made["spec"]["priority"], 7);
        create(&mut client, JOBS, &{
            let mut job = job("j", "quick", 1, 1);
            job["spec"]["template"]["spec"]["priorityClassName"] = "later".into();
            job
        })
        .await;
        assert_eq!(
            told(&mut client, "j", "FailedCreate").await[0],
            "Error creating: pods \"j-\" is forbidden: no PriorityClass with name later was found"
        );
        create(&mut client, CLASSES, &class("later", 3, json!({}))).await;
        until(&mut client, &format!("{JOBS}/j"), |job| {
            job["status"]["succeeded"] == 1
        })
        .await;
    });
}

#[test]
fn the_slot_of_a_cron_job_waits_for_a_quota() {
    let shift = Arc::new(AtomicI64::new(0));
    let api = Api::start_with(
        Host::builder()
            .module("quick", wat::parse_str(QUICK).unwrap())
            .clock(Arc::new(Moved(Arc::clone(&shift)))),
    );
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "count/jobs.batch": "0" } } });
        create(&mut client, QUOTAS, &quota).await;
        let template = job("x", "quick", 1, 1)["spec"].clone();
        let cron_job = json!({ "metadata": { "name": "c" }, "spec": {
            "schedule": "0 * * * *", "jobTemplate": { "spec": template } } });
        let path = "/apis/batch/v1/namespaces/default/cronjobs";
        create(&mut client, path, &cron_job).await;
        shift.store(3600, Ordering::Relaxed);
        let events = "/api/v1/namespaces/default/events";
        let mut turns = 0;
        let refused = loop {
            // Something happens, so that the host looks at the clock.
            let map = json!({ "metadata": { "name": format!("m{turns}") } });
            create(&mut client, "/api/v1/namespaces/default/configmaps", &map).await;
            let told = messages(&client.get(events).await.json(), "FailedCreate");
            if let Some(text) = told.into_iter().next() {
                break text;
            }
            turns += 1;
            assert!(turns < 5000, "it was never refused");
        };
        assert_eq!(
            refused,
            "Error creating job: jobs.batch \"c-\" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"
        );
        let seen = client.get(&format!("{path}/c")).await.json();
        assert_eq!(seen["status"]["lastScheduleTime"], Value::Null);
        let headers = [("content-type", "application/merge-patch+json")];
        let patch = json!({ "spec": { "hard": { "count/jobs.batch": "1" } } });
        let quota = format!("{QUOTAS}/q");
        client
            .send("PATCH", &quota, &headers, patch.to_string())
            .await;
        shift.store(3620, Ordering::Relaxed);
        until(&mut client, JOBS, |jobs| {
            jobs["items"].as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
    });
}

#[test]
fn jobs_that_can_never_come_in_are_in_nobodys_way() {
    let api = api();
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "pods": "1", "limits.memory": "1Gi" } } });
        create(&mut client, QUOTAS, &quota).await;
        let with = |name: &str, completions, memory: &str| {
            let mut job = job(name, "quick", completions, 1);
            let container = &mut job["spec"]["template"]["spec"]["containers"][0];
            container["resources"] = json!({ "limits": { "memory": memory } });
            job
        };
        for number in 0..70 {
            // One half says nothing of memory, the other half asks for too much.
            let name = format!("never{number}");
            let never = match number % 2 {
                0 => job(&name, "quick", 1, 1),
                _ => with(&name, 1, "2Gi"),
            };
            create(&mut client, JOBS, &never).await;
        }
        create(&mut client, JOBS, &with("long", 100_000, "64Mi")).await;
        let is_running = |job: &Value| job["status"]["active"] == 1;
        until(&mut client, &format!("{JOBS}/long"), is_running).await;
        create(&mut client, JOBS, &with("short", 1, "64Mi")).await;
        until(&mut client, &format!("{JOBS}/short"), |job| {
            job["status"]["succeeded"] == 1
        })
        .await;
        let long = client.get(&format!("{JOBS}/long")).await.json();
        assert_eq!(long["status"]["conditions"], Value::Null);
        let succeeded = long["status"]["succeeded"].as_u64().unwrap_or_default();
        // By its back-off alone it would have waited a second.
        assert!(succeeded < 2000, "{succeeded}");
        // What they wait for comes with another policy.
        let path = format!("{JOBS}/long?propagationPolicy=Background");
        client.send("DELETE", &path, &[], "").await;
        let range = json!({ "metadata": { "name": "l" }, "spec": { "limits": [{
            "type": "Container", "default": { "memory": "64Mi" } }] } });
        create(&mut client, LIMITS, &range).await;
        for number in (0..70).step_by(2) {
            until(&mut client, &format!("{JOBS}/never{number}"), |job| {
                job["status"]["succeeded"] == 1
            })
            .await;
        }
    });
}

/// A host that has room for so much memory, and a pod of that size.
fn small(memory: &str) -> Api {
    let bytes = memory.parse::<wasmjob::api::Quantity>().unwrap().units();
    Api::start_with(
        Host::builder()
            .module("busy", wat::parse_str(BUSY).unwrap())
            .module("quick", wat::parse_str(QUICK).unwrap())
            .memory(bytes.unsigned_abs()),
    )
}

fn of_class(name: &str, memory: &str, class: &str) -> Value {
    let mut pod = pod(name, &json!({ "limits": { "memory": memory } }));
    if !class.is_empty() {
        pod["spec"]["priorityClassName"] = class.into();
    }
    pod["spec"]["terminationGracePeriodSeconds"] = 0.into();
    pod
}

async fn phase(client: &mut Client, pod: &str, wanted: &str) -> Value {
    until(client, &format!("{PODS}/{pod}"), |pod| {
        pod["status"]["phase"] == wanted
    })
    .await
}

#[test]
fn a_more_important_pod_makes_others_end() {
    let api = small("256Mi");
    block_on(async {
        let mut client = api.client();
        let classes = [
            ("high", 100, "PreemptLowerPriority"),
            ("higher", 200, "PreemptLowerPriority"),
            ("meek", 1000, "Never"),
        ];
        for (name, value, policy) in classes {
            let class = json!({ "metadata": { "name": name }, "value": value,
                "preemptionPolicy": policy });
            create(&mut client, CLASSES, &class).await;
        }
        for name in ["old", "young"] {
            create(&mut client, PODS, &of_class(name, "128Mi", "")).await;
            phase(&mut client, name, "Running").await;
        }
        create(&mut client, PODS, &of_class("meek", "128Mi", "meek")).await;
        until(&mut client, &format!("{PODS}/meek"), |pod| {
            pod["status"]["conditions"][0]["message"]
                == "0/1 nodes are available: 1 Insufficient memory."
        })
        .await;
        let high = create(&mut client, PODS, &of_class("high", "128Mi", "high")).await;
        // What it made end is given to the first of the queue, which is not the one that
        // asked for it: that one asks again.
        phase(&mut client, "meek", "Running").await;
        phase(&mut client, "high", "Running").await;
        for name in ["young", "old"] {
            let gone = phase(&mut client, name, "Failed").await;
            let status = &gone["status"];
            assert_eq!(status["reason"], "Preempted");
            let uid = high["metadata"]["uid"].as_str().unwrap();
            let text = format!("Preempted by pod {uid} on node ");
            assert!(status["message"].as_str().unwrap().starts_with(&text));
            let conditions = status["conditions"].as_array().unwrap();
            let target = conditions
                .iter()
                .find(|it| it["type"] == "DisruptionTarget");
            let target = target.unwrap();
            assert_eq!(target["reason"], "PreemptionByScheduler");
            assert_eq!(
                target["message"],
                "default-scheduler: preempting to accommodate a higher priority pod"
            );
        }
        let events = client.get("/api/v1/namespaces/default/events").await.json();
        assert_eq!(messages(&events, "Preempted").len(), 2);
        // Nobody of the same or a higher priority ends.
        create(&mut client, PODS, &of_class("again", "128Mi", "high")).await;
        until(&mut client, &format!("{PODS}/again"), |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
        .await;
        for name in ["meek", "high"] {
            phase(&mut client, name, "Running").await;
        }
        // Of those that wait, the most important is the next.
        create(&mut client, PODS, &of_class("higher", "128Mi", "higher")).await;
        phase(&mut client, "high", "Failed").await;
        phase(&mut client, "higher", "Running").await;
    });
}

#[test]
fn a_job_replaces_pods_that_made_room() {
    let api = small("256Mi");
    block_on(async {
        let mut client = api.client();
        let class = json!({ "metadata": { "name": "high" }, "value": 100 });
        create(&mut client, CLASSES, &class).await;
        let mut job = job("j", "busy", 1, 1);
        job["spec"]["backoffLimit"] = 0.into();
        job["spec"]["podFailurePolicy"] = json!({ "rules": [{ "action": "Ignore",
            "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }] });
        let spec = &mut job["spec"]["template"]["spec"];
        spec["containers"][0]["resources"] = json!({ "limits": { "memory": "256Mi" } });
        spec["terminationGracePeriodSeconds"] = 0.into();
        create(&mut client, JOBS, &job).await;
        until(&mut client, &format!("{JOBS}/j"), |job| {
            job["status"]["ready"] == 1
        })
        .await;
        create(&mut client, PODS, &of_class("high", "256Mi", "high")).await;
        phase(&mut client, "high", "Running").await;
        let path = format!("{PODS}/high?gracePeriodSeconds=0");
        client.send("DELETE", &path, &[], "").await;
        let pods = format!("{PODS}?labelSelector=job-name%3Dj");
        until(&mut client, &pods, |pods| {
            let pods = pods["items"].as_array().into_iter().flatten();
            let phases: Vec<_> = pods.map(|pod| pod["status"]["phase"].clone()).collect();
            phases.contains(&"Failed".into()) && phases.contains(&"Pending".into())
                || phases.contains(&"Running".into())
        })
        .await;
        let job = client.get(&format!("{JOBS}/j")).await.json();
        assert_eq!(job["status"]["conditions"], Value::Null);
    });
}

#[test]
fn what_is_used_is_counted_anew_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let builder = Host::builder().module("busy", wat::parse_str(BUSY).unwrap());
        Api::start_with(builder.data_dir(dir.path()))
    };
    let class = json!({ "metadata": { "name": "high" }, "value": 100 });
    let api = start();
    block_on(async {
        let mut client = api.client();
        let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": {
            "pods": "3", "count/pods": "3", "configmaps": "3", "count/jobs.batch": "3" } } });
        create(&mut client, QUOTAS, &quota).await;
        create(&mut client, CLASSES, &class).await;
        for name in ["a", "b"] {
            create(&mut client, PODS, &pod(name, &json!({}))).await;
            phase(&mut client, name, "Running").await;
        }
        let mut waits = job("j", "busy", 1, 1);
        waits["spec"]["suspend"] = true.into();
        create(&mut client, JOBS, &waits).await;
        assert_eq!(
            used(&mut client, "q").await,
            json!({ "configmaps": "1", "count/jobs.batch": "1", "count/pods": "2", "pods": "2" })
        );
    });
    drop(api);
    let api = start();
    block_on(async {
        let mut client = api.client();
        // The node was restarted: they have ended, and are there still.
        assert_eq!(
            used(&mut client, "q").await,
            json!({ "configmaps": "1", "count/jobs.batch": "1", "count/pods": "2", "pods": "0" })
        );
        let mut high = pod("c", &json!({}));
        high["spec"]["priorityClassName"] = "high".into();
        let made = create(&mut client, PODS, &high).await;
        assert_eq!(made["spec"]["priority"], 100);
        forbidden(
            &client.json("POST", PODS, &pod("d", &json!({}))).await,
            "pods \"d\" is forbidden: exceeded quota: q, requested: count/pods=1, used: count/pods=3, limited: count/pods=3",
        );
    });
}

#[test]
fn a_quota_keeps_what_belongs_into_a_namespace_out_for_as_long_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let start = || Api::start_with(Host::builder().data_dir(dir.path()));
    let (maps, leases) = (
        "/api/v1/namespaces/default/configmaps",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    );
    let authority = format!("{maps}/kube-root-ca.crt");
    let none = |hard: Value| json!({ "metadata": { "name": "q" }, "spec": { "hard": hard } });
    let api = start();
    block_on(async {
        let mut client = api.client();
        create(&mut client, QUOTAS, &none(json!({ "configmaps": "0" }))).await;
        client.send("DELETE", &authority, &[], "").await;
        let name = client.get(leases).await.json()["items"][0]["metadata"]["name"].clone();
        let quotas = "/api/v1/namespaces/kube-node-lease/resourcequotas";
        let counted = json!({ "count/leases.coordination.k8s.io": "0" });
        create(&mut client, quotas, &none(counted)).await;
        let lease = format!("{leases}/{}", name.as_str().unwrap());
        assert_eq!(client.send("DELETE", &lease, &[], "").await.code, 200);
    });
    drop(api);
    // None of that keeps the server from starting.
    let api = start();
    block_on(async {
        let mut client = api.client();
        assert_eq!(client.get(&authority).await.code, 404);
        let headers = [("content-type", "application/merge-patch+json")];
        let patch = json!({ "spec": { "hard": { "configmaps": "1" } } });
        let path = format!("{QUOTAS}/q");
        client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        let is_there = |answer: &Value| answer["data"]["ca.crt"].is_string();
        until(&mut client, &authority, is_there).await;
        // The last place is somebody else's, until that one goes.
        let patch = json!({ "spec": { "hard": { "configmaps": "2" } } });
        client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        create(&mut client, maps, &json!({ "metadata": { "name": "m" } })).await;
        let patch = json!({ "spec": { "hard": { "configmaps": "1" } } });
        client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        client.send("DELETE", &authority, &[], "").await;
        assert_eq!(client.get(&authority).await.code, 404);
        client.send("DELETE", &format!("{maps}/m"), &[], "").await;
        until(&mut client, &authority, is_there).await;
    });
}
