//! Files in pods that are made anew: tokens of service accounts, who they are and when
//! they end, and what a pod says of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wasmjob::{Clock, Host};

use crate::support::{Api, Client, PATIENCE, block_on};

const BUSYBOX: &[u8] = include_bytes!("../../../../wasm-examples/busybox/busybox.wasm");
const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A clock of which a test moves the whole, also what measures.
struct Shifted(Arc<AtomicI64>);

impl Clock for Shifted {
    fn wall(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Instant {
        let seconds = self.0.load(Ordering::Relaxed).unsigned_abs();
        Instant::now() + Duration::from_secs(seconds)
    }
}

/// A clock that goes on while what measures stands still.
struct Asleep(Arc<AtomicI64>);

impl Clock for Asleep {
    fn wall(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

fn pod(name: &str, script: &str, spec: &Value) -> Value {
    let mut pod = json!({ "metadata": { "name": name }, "spec": { "restartPolicy": "Never",
        "containers": [{ "name": "c", "image": "busybox", "command": ["sh", "-c", script] }] } });
    crate::support::merge(&mut pod["spec"], spec);
    pod
}

/// A volume with a token at `/t/token`.
fn with_token(name: &str, script: &str, source: &Value) -> Value {
    let mut pod = pod(
        name,
        script,
        &json!({ "volumes": [{ "name": "t", "projected": { "sources": [
            { "serviceAccountToken": source }] } }] }),
    );
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "t", "mountPath": "/t" }]);
    pod
}

async fn create(client: &mut Client, path: &str, object: &Value) -> Value {
    let answer = client.json("POST", path, object).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    answer.json()
}

/// Waits until the pod has written so many lines.
async fn lines(client: &mut Client, pod: &str, wanted: usize) -> Vec<String> {
    let path = format!("{PODS}/{pod}/log");
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = client.get(&path).await;
            let text = answer.text();
            let whole = text.lines().count() >= wanted && text.ends_with('\n');
            if answer.code == 200 && whole {
                return text.lines().map(str::to_owned).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap()
}

/// Waits until the answer is so.
async fn until(client: &mut Client, path: &str, is_so: impl Fn(&str) -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let text = client.get(path).await.text();
            if is_so(&text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{path} never came to that");
}

async fn review(client: &mut Client, token: &str, audiences: &[&str]) -> Value {
    let review = json!({ "spec": { "token": token, "audiences": audiences } });
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    client.json("POST", path, &review).await.json()["status"].clone()
}

#[test]
fn a_token_is_its_pods_and_ends_with_it() {
    let api = Api::start_with(Host::builder().module("busybox", BUSYBOX));
    block_on(async {
        let mut client = api.client();
        let script = "cat /t/token; echo; while true; do sleep 1; done";
        let made = create(
            &mut client,
            PODS,
            &with_token("p", script, &json!({ "path": "token" })),
        )
        .await;
        let source = &made["spec"]["volumes"][0]["projected"]["sources"][0];
        assert_eq!(
            source["serviceAccountToken"],
            json!({ "expirationSeconds": 3600, "path": "token" })
        );
        let token = lines(&mut client, "p", 1).await.remove(0);
        let status = review(&mut client, &token, &[]).await;
        assert_eq!(status["authenticated"], true, "{status}");
        let user = &status["user"];
        assert_eq!(user["username"], "system:serviceaccount:default:default");
        let extra = &user["extra"];
        assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
        assert_eq!(
            extra["authentication.kubernetes.io/pod-uid"],
            json!([made["metadata"]["uid"]])
        );
        // One for somebody else is not for the API.
        let other = with_token(
            "q",
            script,
            &json!({ "path": "token", "audience": "vault" }),
        );
        create(&mut client, PODS, &other).await;
        let others = lines(&mut client, "q", 1).await.remove(0);
        assert_ne!(
            review(&mut client, &others, &[]).await["authenticated"],
            true
        );
        let status = review(&mut client, &others, &["vault"]).await;
        assert_eq!(status["audiences"], json!(["vault"]));
        client
            .send("DELETE", &format!("{PODS}/p?gracePeriodSeconds=0"), &[], "")
            .await;
        let waited = tokio::time::timeout(PATIENCE, async {
            while client.get(&format!("{PODS}/p")).await.code != 404 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap();
        assert_ne!(
            review(&mut client, &token, &[]).await["authenticated"],
            true
        );
    });
}

#[test]
fn a_token_is_mounted_for_who_asks_for_it() {
    let api = Api::start_with(Host::builder().module("busybox", BUSYBOX));
    block_on(async {
        let mut client = api.client();
        let own = "cd /var/run/secrets/kubernetes.io/serviceaccount; cat namespace; echo; \
                   head -n 1 ca.crt; test -s token && echo has";
        let asks = json!({ "automountServiceAccountToken": true });
        create(&mut client, PODS, &pod("asks", own, &asks)).await;
        assert_eq!(
            lines(&mut client, "asks", 3).await,
            ["default", "-----BEGIN CERTIFICATE-----", "has"]
        );
        let made = create(&mut client, PODS, &pod("silent", "true", &json!({}))).await;
        assert_eq!(made["spec"]["volumes"], Value::Null);
        // A Job waits for the account of its pods.
        let jobs = "/apis/batch/v1/namespaces/default/jobs";
        let job = json!({ "metadata": { "name": "j" }, "spec": { "template": {
            "spec": pod("x", "true", &json!({ "serviceAccountName": "later" }))["spec"] } } });
        create(&mut client, jobs, &job).await;
        let why = "Error creating: pods \\\"j-\\\" is forbidden: error looking up service account default/later: serviceaccount \\\"later\\\" not found";
        let told = "/api/v1/namespaces/default/events";
        until(&mut client, told, |text| text.contains(why)).await;
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        create(
            &mut client,
            accounts,
            &json!({ "metadata": { "name": "later" } }),
        )
        .await;
        until(&mut client, &format!("{jobs}/j"), |text| {
            text.contains("Complete")
        })
        .await;
        // An account that is not there gives nothing, and refuses.
        let missing = json!({ "serviceAccountName": "none" });
        let answer = client.json("POST", PODS, &pod("m", own, &missing)).await;
        assert_eq!(answer.code, 403);
    });
}

#[test]
fn a_token_is_made_anew_in_time() {
    let shift = Arc::new(AtomicI64::new(0));
    let api = Api::start_with(
        Host::builder()
            .module("busybox", BUSYBOX)
            .clock(Arc::new(Shifted(Arc::clone(&shift)))),
    );
    block_on(async {
        let mut client = api.client();
        let script = "a=$(cat /t/token); echo $a; while true; do b=$(cat /t/token); \
                      if [ \"$a\" != \"$b\" ]; then echo $b; a=$b; fi; done";
        let source = json!({ "path": "token", "expirationSeconds": 600 });
        create(&mut client, PODS, &with_token("p", script, &source)).await;
        let first = lines(&mut client, "p", 1).await.remove(0);
        // Four fifths of its time are over.
        shift.store(481, Ordering::Relaxed);
        create(&mut client, MAPS, &json!({ "metadata": { "name": "m" } })).await;
        let both = lines(&mut client, "p", 2).await;
        assert_ne!(both[0], both[1]);
        shift.store(601, Ordering::Relaxed);
        create(&mut client, MAPS, &json!({ "metadata": { "name": "n" } })).await;
        assert_ne!(
            review(&mut client, &first, &[]).await["authenticated"],
            true
        );
        assert_eq!(
            review(&mut client, &both[1], &[]).await["authenticated"],
            true
        );
    });
}

#[test]
fn a_machine_that_slept_makes_tokens_anew_when_it_wakes() {
    let shift = Arc::new(AtomicI64::new(0));
    let api = Api::start_with(
        Host::builder()
            .module("busybox", BUSYBOX)
            .clock(Arc::new(Asleep(Arc::clone(&shift)))),
    );
    block_on(async {
        let mut client = api.client();
        let script = "a=$(cat /t/token); echo $a; while true; do b=$(cat /t/token); \
                      if [ \"$a\" != \"$b\" ]; then echo $b; a=$b; fi; done";
        let source = json!({ "path": "token", "expirationSeconds": 600 });
        create(&mut client, PODS, &with_token("p", script, &source)).await;
        lines(&mut client, "p", 1).await;
        shift.store(7200, Ordering::Relaxed);
        create(&mut client, MAPS, &json!({ "metadata": { "name": "m" } })).await;
        let both = lines(&mut client, "p", 2).await;
        assert_eq!(
            review(&mut client, &both[1], &[]).await["authenticated"],
            true
        );
    });
}

#[test]
fn files_of_labels_follow_the_pod() {
    let api = Api::start_with(Host::builder().module("busybox", BUSYBOX));
    block_on(async {
        let mut client = api.client();
        let script = "a=$(cat /l/all /l/one); echo \"$a\"; while true; do b=$(cat /l/all /l/one); \
                      if [ \"$a\" != \"$b\" ]; then echo; echo \"$b\"; exit 0; fi; done";
        let items = json!([
            { "path": "all", "fieldRef": { "fieldPath": "metadata.labels" } },
            { "path": "one", "fieldRef": { "fieldPath": "metadata.labels['mood']" } }]);
        let mut object = pod(
            "p",
            script,
            &json!({ "volumes": [{ "name": "l", "downwardAPI": { "items": items } }] }),
        );
        object["metadata"]["labels"] = json!({ "mood": "low" });
        object["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "l", "mountPath": "/l" }]);
        create(&mut client, PODS, &object).await;
        lines(&mut client, "p", 1).await;
        let patch = json!({ "metadata": { "labels": { "mood": "high" } } });
        let headers = [("content-type", "application/merge-patch+json")];
        let path = format!("{PODS}/p");
        let answer = client
            .send("PATCH", &path, &headers, patch.to_string())
            .await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        let all = lines(&mut client, "p", 3).await;
        assert_eq!(all, ["mood=\"low\"low", "", "mood=\"high\"high"]);
    });
}

#[test]
fn pull_secrets_are_those_of_the_account() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        let account = json!({ "metadata": { "name": "puller" },
            "imagePullSecrets": [{ "name": "registry" }] });
        create(&mut client, accounts, &account).await;
        let spec = json!({ "serviceAccountName": "puller" });
        let made = create(&mut client, PODS, &pod("p", "true", &spec)).await;
        assert_eq!(
            made["spec"]["imagePullSecrets"],
            json!([{ "name": "registry" }])
        );
        let spec = json!({ "serviceAccountName": "puller",
            "imagePullSecrets": [{ "name": "own" }] });
        let made = create(&mut client, PODS, &pod("q", "true", &spec)).await;
        assert_eq!(made["spec"]["imagePullSecrets"], json!([{ "name": "own" }]));
        // A Job's pods come by theirs in the same way.
        let job = json!({ "metadata": { "name": "j" }, "spec": { "template": {
            "spec": pod("x", "true", &json!({ "serviceAccountName": "puller" }))["spec"] } } });
        create(&mut client, "/apis/batch/v1/namespaces/default/jobs", &job).await;
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let path = format!("{PODS}?labelSelector=job-name%3Dj");
                let pods = client.get(&path).await.json();
                if pods["items"][0].is_object() {
                    return pods["items"][0]["spec"]["imagePullSecrets"].clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert_eq!(waited.await.unwrap(), json!([{ "name": "registry" }]));
    });
}

#[test]
fn a_token_goes_on_while_its_pod_ends() {
    let shift = Arc::new(AtomicI64::new(0));
    let host = Host::builder()
        .module("busybox", BUSYBOX)
        .clock(Arc::new(Shifted(Arc::clone(&shift))));
    let api = Api::start_with(host);
    block_on(async {
        let mut client = api.client();
        let mut pod = with_token("p", "cat /t/token; echo", &json!({ "path": "token" }));
        // It is there as long as somebody has to clean up after it.
        pod["metadata"]["finalizers"] = json!(["example.com/cleans-up"]);
        create(&mut client, PODS, &pod).await;
        let token = lines(&mut client, "p", 1).await.remove(0);
        let path = format!("{PODS}/p?gracePeriodSeconds=5");
        client.send("DELETE", &path, &[], "").await;
        let is_going = |text: &str| text.contains("deletionTimestamp");
        until(&mut client, &format!("{PODS}/p"), is_going).await;
        assert_eq!(
            review(&mut client, &token, &[]).await["authenticated"],
            true
        );
        shift.store(80, Ordering::Relaxed);
        assert_ne!(
            review(&mut client, &token, &[]).await["authenticated"],
            true
        );
        assert_eq!(client.get(&format!("{PODS}/p")).await.code, 200);
    });
}
