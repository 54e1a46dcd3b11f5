//! Owners and what they own: what goes with whom, and what stays.

use serde_json::{Value, json};

use crate::support::{Api, Client, PATIENCE, block_on};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";

fn owner(of: &Value, kind: &str, version: &str) -> Value {
    json!({ "apiVersion": version, "kind": kind, "name": of["metadata"]["name"],
        "uid": of["metadata"]["uid"] })
}

async fn map(client: &mut Client, name: &str, owners: &[Value], finalizers: &[&str]) -> Value {
    let object = json!({ "metadata": { "name": name, "ownerReferences": owners,
        "finalizers": finalizers } });
    let answer = client.json("POST", MAPS, &object).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    answer.json()
}

async fn delete(client: &mut Client, path: &str, policy: &str) {
    let path = format!("{path}?propagationPolicy={policy}");
    let answer = client.send("DELETE", &path, &[], "").await;
    assert_eq!(answer.code, 200, "{}", answer.text());
}

async fn find(client: &mut Client, path: &str) -> Option<Value> {
    let answer = client.get(path).await;
    (answer.code == 200).then(|| answer.json())
}

/// Waits until it is so.
async fn until(client: &mut Client, path: &str, is_so: impl Fn(Option<&Value>) -> bool) {
    let waited = async {
        loop {
            let found = find(client, path).await;
            if is_so(found.as_ref()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "{path} never came to that");
}

async fn until_gone(client: &mut Client, path: &str) {
    until(client, path, |found| found.is_none()).await;
}

#[test]
fn an_owner_in_the_foreground_goes_after_what_it_owns() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let first = map(&mut client, "first", &[], &[]).await;
        let other = map(&mut client, "other", &[], &[]).await;
        let owners = [owner(&first, "ConfigMap", "v1")];
        let both = [owners[0].clone(), owner(&other, "ConfigMap", "v1")];
        map(&mut client, "held", &owners, &["example.com/hold"]).await;
        map(&mut client, "free", &owners, &[]).await;
        map(&mut client, "shared", &both, &[]).await;
        delete(&mut client, &format!("{MAPS}/first"), "Foreground").await;
        until_gone(&mut client, &format!("{MAPS}/free")).await;
        // A finalizer holds its object, and that the owner.
        until(&mut client, &format!("{MAPS}/held"), |found| {
            found.is_some_and(|it| it["metadata"]["deletionTimestamp"].is_string())
        })
        .await;
        let waits = find(&mut client, &format!("{MAPS}/first")).await.unwrap();
        assert_eq!(
            waits["metadata"]["finalizers"],
            json!(["foregroundDeletion"])
        );
        let patch = json!({ "metadata": { "finalizers": null } });
        let headers = [("content-type", "application/merge-patch+json")];
        client
            .send(
                "PATCH",
                &format!("{MAPS}/held"),
                &headers,
                patch.to_string(),
            )
            .await;
        until_gone(&mut client, &format!("{MAPS}/held")).await;
        until_gone(&mut client, &format!("{MAPS}/first")).await;
        // What somebody else owns as well stays, and is that one's alone.
        let shared = find(&mut client, &format!("{MAPS}/shared")).await.unwrap();
        assert_eq!(shared["metadata"]["ownerReferences"], json!([both[1]]));
    });
}

#[test]
fn orphans_stay() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let job = json!({ "metadata": { "name": "j" }, "spec": { "suspend": true, "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "c", "image": "none" }] } } } });
        let job = client.json("POST", JOBS, &job).await.json();
        let first = map(&mut client, "first", &[], &[]).await;
        map(
            &mut client,
            "of-job",
            &[owner(&job, "Job", "batch/v1")],
            &[],
        )
        .await;
        map(
            &mut client,
            "of-map",
            &[owner(&first, "ConfigMap", "v1")],
            &[],
        )
        .await;
        delete(&mut client, &format!("{JOBS}/j"), "Orphan").await;
        delete(&mut client, &format!("{MAPS}/first"), "Orphan").await;
        until_gone(&mut client, &format!("{JOBS}/j")).await;
        for name in ["of-job", "of-map"] {
            let left = find(&mut client, &format!("{MAPS}/{name}")).await.unwrap();
            assert_eq!(left["metadata"]["ownerReferences"], Value::Null, "{name}");
        }
        // Whatever is looked at afterwards, they are still there.
        let last = map(&mut client, "last", &[], &[]).await;
        map(
            &mut client,
            "of-last",
            &[owner(&last, "ConfigMap", "v1")],
            &[],
        )
        .await;
        delete(&mut client, &format!("{MAPS}/last"), "Background").await;
        until_gone(&mut client, &format!("{MAPS}/of-last")).await;
        assert!(find(&mut client, &format!("{MAPS}/of-job")).await.is_some());
        assert!(find(&mut client, &format!("{MAPS}/of-map")).await.is_some());
    });
}

#[test]
fn what_comes_after_its_owner_has_gone_goes_as_well() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let first = map(&mut client, "first", &[], &[]).await;
        delete(&mut client, &format!("{MAPS}/first"), "Background").await;
        map(
            &mut client,
            "late",
            &[owner(&first, "ConfigMap", "v1")],
            &[],
        )
        .await;
        until_gone(&mut client, &format!("{MAPS}/late")).await;
    });
}

#[test]
fn a_cron_job_has_no_jobs_of_other_namespaces() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        for name in ["theirs", "mine"] {
            let object = json!({ "metadata": { "name": name } });
            client.json("POST", "/api/v1/namespaces", &object).await;
        }
        let template = json!({ "spec": { "template": { "spec": { "restartPolicy": "Never",
            "containers": [{ "name": "c", "image": "none" }] } } } });
        let cron_job = json!({ "metadata": { "name": "c" },
            "spec": { "schedule": "0 0 1 1 *", "jobTemplate": template } });
        let path = "/apis/batch/v1/namespaces/theirs/cronjobs";
        let cron_job = client.json("POST", path, &cron_job).await.json();
        let mut owner = owner(&cron_job, "CronJob", "batch/v1");
        owner["controller"] = true.into();
        for (namespace, name) in [("mine", "c-1"), ("theirs", "c-2")] {
            let mut job = template.clone();
            job["metadata"] = json!({ "name": name, "ownerReferences": [owner] });
            let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
            let answer = client.json("POST", &path, &job).await;
            assert_eq!(answer.code, 201, "{}", answer.text());
        }
        delete(&mut client, &format!("{path}/c"), "Background").await;
        until_gone(&mut client, "/apis/batch/v1/namespaces/theirs/jobs/c-2").await;
        let path = "/apis/batch/v1/namespaces/mine/jobs/c-1";
        let stays = find(&mut client, path).await.unwrap();
        assert_eq!(stays["metadata"]["deletionTimestamp"], Value::Null);
    });
}

const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

async fn claim(client: &mut Client, name: &str, more: &Value) -> Value {
    let mut object = json!({ "metadata": { "name": name }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    crate::support::merge(&mut object, more);
    let answer = client.json("POST", CLAIMS, &object).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    answer.json()
}

fn phase(found: Option<&Value>) -> &str {
    found.map_or("", |it| it["status"]["phase"].as_str().unwrap_or_default())
}

#[test]
fn a_claim_is_bound_and_its_volume_goes_with_it() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let data = format!("{CLAIMS}/data");
        claim(
            &mut client,
            "data",
            &json!({ "spec": { "storageClassName": "nfs-csi" } }),
        )
        .await;
        until(&mut client, &data, |found| phase(found) == "Bound").await;
        let bound = find(&mut client, &data).await.unwrap();
        assert_eq!(bound["status"]["capacity"]["storage"], "1Gi");
        let name = bound["spec"]["volumeName"].as_str().unwrap();
        let volume = format!("/api/v1/persistentvolumes/{name}");
        let made = find(&mut client, &volume).await.unwrap();
        assert_eq!(made["spec"]["claimRef"]["uid"], bound["metadata"]["uid"]);
        assert_eq!(
            (phase(Some(&made)), &made["spec"]["storageClassName"]),
            ("Bound", &json!("nfs-csi"))
        );
        // While a pod that has not ended uses it, it stays.
        let pod = json!({ "metadata": { "name": "user" }, "spec": {
            "containers": [{ "name": "c", "image": "none", "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
            "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }] } });
        let pods = "/api/v1/namespaces/default/pods";
        assert_eq!(client.json("POST", pods, &pod).await.code, 201);
        delete(&mut client, &data, "Background").await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let kept = find(&mut client, &data).await.unwrap();
        assert!(kept["metadata"]["deletionTimestamp"].is_string());
        client
            .send(
                "DELETE",
                &format!("{pods}/user?gracePeriodSeconds=0"),
                &[],
                "",
            )
            .await;
        until_gone(&mut client, &data).await;
        until_gone(&mut client, &volume).await;
    });
}

#[test]
fn a_pod_is_bound_once_its_claims_are_there() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let volume =
            |name: &str| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
        let pod = json!({ "metadata": { "name": "user" }, "spec": {
            "containers": [{ "name": "c", "image": "none" }],
            "volumes": [volume("data"), volume("more")] } });
        let pods = "/api/v1/namespaces/default/pods";
        assert_eq!(client.json("POST", pods, &pod).await.code, 201);
        let user = format!("{pods}/user");
        let lacks = |name: &'static str| {
            let text =
                format!("0/1 nodes are available: persistentvolumeclaim {name:?} not found.");
            move |found: Option<&Value>| {
                let bound = found.map(|it| &it["status"]["conditions"][0]);
                bound.is_some_and(|it| it["reason"] == "Unschedulable" && it["message"] == text)
            }
        };
        until(&mut client, &user, lacks("data")).await;
        claim(&mut client, "data", &json!({})).await;
        until(&mut client, &user, lacks("more")).await;
        let waits = find(&mut client, &user).await.unwrap();
        assert_eq!(waits["spec"].get("nodeName"), None);
        claim(&mut client, "more", &json!({})).await;
        until(&mut client, &user, |found| {
            found.is_some_and(|it| it["spec"]["nodeName"].is_string())
        })
        .await;
        // One that waits for a claim to be another does not keep it.
        let data = format!("{CLAIMS}/data");
        delete(&mut client, &data, "Background").await;
        let pod = json!({ "metadata": { "name": "next" }, "spec": {
            "containers": [{ "name": "c", "image": "none" }], "volumes": [volume("data")] } });
        assert_eq!(client.json("POST", pods, &pod).await.code, 201);
        let next = format!("{pods}/next");
        let says = |text: &'static str| {
            move |found: Option<&Value>| {
                let bound = found.map(|it| &it["status"]["conditions"][0]);
                bound.is_some_and(|it| it["message"].as_str().is_some_and(|it| it.contains(text)))
            }
        };
        until(&mut client, &next, says("\"data\" is being deleted")).await;
        let at_once = format!("{user}?gracePeriodSeconds=0");
        client.send("DELETE", &at_once, &[], "").await;
        until_gone(&mut client, &data).await;
        until(&mut client, &next, lacks("data")).await;
        // A claim for which nobody makes a volume is as good as none.
        let classless = json!({ "spec": { "storageClassName": "" } });
        claim(&mut client, "data", &classless).await;
        until(&mut client, &next, says("unbound immediate")).await;
        delete(&mut client, &data, "Background").await;
        until(&mut client, &next, lacks("data")).await;
        claim(&mut client, "data", &json!({})).await;
        until(&mut client, &next, |found| {
            found.is_some_and(|it| it["spec"]["nodeName"].is_string())
        })
        .await;
    });
}

#[test]
fn a_volume_that_is_to_be_retained_is_released() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let data = format!("{CLAIMS}/data");
        claim(&mut client, "data", &json!({})).await;
        until(&mut client, &data, |found| phase(found) == "Bound").await;
        let bound = find(&mut client, &data).await.unwrap();
        let name = bound["spec"]["volumeName"].as_str().unwrap();
        let volume = format!("/api/v1/persistentvolumes/{name}");
        let patch = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
        let headers = [("content-type", "application/merge-patch+json")];
        let answer = client
            .send("PATCH", &volume, &headers, patch.to_string())
            .await;
        assert_eq!(answer.code, 200, "{}", answer.text());
        delete(&mut client, &data, "Background").await;
        until(&mut client, &volume, |found| phase(found) == "Released").await;
        // One that asks for no provisioner gets nothing.
        claim(
            &mut client,
            "none",
            &json!({ "spec": { "storageClassName": "" } }),
        )
        .await;
        claim(&mut client, "some", &json!({})).await;
        until(&mut client, &format!("{CLAIMS}/some"), |found| {
            phase(found) == "Bound"
        })
        .await;
        let none = find(&mut client, &format!("{CLAIMS}/none")).await;
        assert_eq!(phase(none.as_ref()), "Pending");
    });
}
