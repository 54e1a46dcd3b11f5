//! Pods, as clients see them: what is told of them, and whose they are.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod support;

use serde_json::Value;
use support::Served;

const QUICK: &str = "(module (func (export \"_start\")))";
const BUSY: &str = "(module (func (export \"_start\") (loop (br 0))))";

/// Reason, source, field path and message of a pod's events, as `kubectl describe` asks for them.
fn told(served: &Served, pod: &str) -> Vec<[String; 4]> {
    let path = format!(
        "/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3D{pod}"
    );
    let list = served.get_json(&path);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            [
                text(&event["reason"]),
                text(&event["source"]["component"]),
                text(&event["involvedObject"]["fieldPath"]),
                text(&event["message"]),
            ]
        })
        .collect()
}

#[test]
fn a_pod_is_told_of_as_by_a_scheduler_and_a_kubelet() {
    let served = Served::start(&[("quick", QUICK), ("busy", BUSY)]);
    served.create(
        "/api/v1/namespaces/default/pods",
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never, \
         initContainers: [{name: first, image: quick}], containers: [{name: main, image: busy}]}}",
    );
    served.wait_for_phase("p", "Running");
    let image = |name: &str| {
        format!(
            "Container image \"{name}\" already present on machine and can be accessed by the pod"
        )
    };
    let (first, main) = ("spec.initContainers{first}", "spec.containers{main}");
    let wanted = [
        [
            "Scheduled",
            "default-scheduler",
            "",
            "Successfully assigned default/p to ",
        ],
        ["Pulled", "kubelet", first, &image("quick")],
        ["Created", "kubelet", first, "Container created"],
        ["Started", "kubelet", first, "Container started"],
        ["Pulled", "kubelet", main, &image("busy")],
        ["Created", "kubelet", main, "Container created"],
        ["Started", "kubelet", main, "Container started"],
    ];
    let seen = told(&served, "p");
    assert_eq!(seen.len(), wanted.len(), "{seen:?}");
    for (seen, wanted) in seen.iter().zip(wanted) {
        let [reason, source, path, message] = seen;
        assert_eq!([&**reason, source, path], wanted[..3]);
        assert!(message.starts_with(wanted[3]), "{message}");
    }

    let pod = served.get_json("/api/v1/namespaces/default/pods/p");
    assert_eq!(pod["status"]["initContainerStatuses"][0]["ready"], true);
    served.request(
        "DELETE",
        "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0",
        "",
        "",
    );
    served.wait(|| told(&served, "p").iter().any(|it| it[0] == "Killing"));
    let seen = told(&served, "p");
    let last = seen.last().unwrap();
    assert_eq!(
        last.each_ref().map(|it| &**it),
        ["Killing", "kubelet", main, "Stopping container main"]
    );
}

#[test]
fn a_container_that_cannot_start_is_told_to_have_failed() {
    let served = Served::start(&[("quick", QUICK)]);
    served.create(
        "/api/v1/namespaces/default/pods",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, annotations: {wasmjob.dev/allow-net: \
         'tcp:203.0.113.1:1'}}, spec: {restartPolicy: Never, containers: [{name: main, image: quick}]}}",
    );
    served.wait_for_phase("p", "Failed");
    served.wait(|| told(&served, "p").iter().any(|it| it[0] == "Failed"));
    let seen = told(&served, "p");
    assert!(seen.iter().all(|it| it[0] != "Started"), "{seen:?}");
    let failed = seen.iter().find(|it| it[0] == "Failed").unwrap();
    assert_eq!(failed[2], "spec.containers{main}");
    assert!(
        failed[3].starts_with("Error: ") && failed[3].contains("allow-net"),
        "{failed:?}"
    );
}

#[test]
fn a_pod_that_is_not_bound_has_no_containers_yet() {
    let served = Served::start(&[("quick", QUICK)]);
    served.create(
        "/api/v1/namespaces/default/pods",
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never, \
         containers: [{name: main, image: quick, resources: {requests: {cpu: '90000'}}}]}}",
    );
    let pod = || served.get_json("/api/v1/namespaces/default/pods/p");
    served.wait(|| pod()["status"]["conditions"][0]["reason"] == "Unschedulable");
    let pod = pod();
    assert_eq!(pod["status"]["phase"], "Pending");
    assert!(pod["status"].get("containerStatuses").is_none(), "{pod}");
}

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// A Job that takes pods by the label `app`.
fn job(served: &Served, name: &str, image: &str, app: &str) {
    served.create(
        JOBS,
        &format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{manualSelector: true, \
             selector: {{matchLabels: {{app: {app}}}}}, template: {{metadata: {{labels: {{app: {app}}}}}, \
             spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}}}}}"
        ),
    );
}

/// The pods by name: the Job that controls each, and its phase.
fn pods(served: &Served) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = served.get_json(PODS);
    let of = |pod: &Value| {
        let owners = &pod["metadata"]["ownerReferences"];
        (
            text(&pod["metadata"]["name"]),
            text(&owners[0]["name"]),
            text(&pod["status"]["phase"]),
        )
    };
    list["items"].as_array().unwrap().iter().map(of).collect()
}

fn label(served: &Served, pod: &str, app: &str) {
    let body = format!("{{\"metadata\":{{\"labels\":{{\"app\":\"{app}\"}}}}}}");
    let headers = "Content-Type: application/merge-patch+json\r\n";
    let (code, answer) = served.request("PATCH", &format!("{PODS}/{pod}"), headers, &body);
    assert_eq!(code, 200, "{answer}");
}

#[test]
fn a_job_takes_over_what_another_left_and_lets_go_what_is_no_longer_its() {
    let served = Served::start(&[("busy", BUSY)]);
    job(&served, "old", "busy", "x");
    served.wait(|| pods(&served).iter().any(|pod| pod.2 == "Running"));
    let pod = pods(&served)[0].0.clone();
    let uid = served.get_json(&format!("{PODS}/{pod}"))["metadata"]["uid"].clone();
    served.request(
        "DELETE",
        &format!("{JOBS}/old?propagationPolicy=Orphan"),
        "",
        "",
    );
    served.wait(|| pods(&served) == [(pod.clone(), String::new(), "Running".to_owned())]);

    job(&served, "new", "busy", "x");
    served.wait(|| served.get_json(&format!("{JOBS}/new"))["status"]["active"] == 1);
    let seen = served.get_json(&format!("{PODS}/{pod}"));
    assert_eq!(seen["metadata"]["uid"], uid);
    let owner = &seen["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["name"], &owner["controller"]),
        (&"new".into(), &true.into())
    );
    assert_eq!(
        seen["metadata"]["finalizers"][0],
        "batch.kubernetes.io/job-tracking"
    );
    assert_eq!(pods(&served).len(), 1, "it needed none of its own");

    // Let go, it is replaced, and goes on by itself.
    label(&served, &pod, "y");
    served.wait(|| {
        pods(&served)
            .iter()
            .filter(|pod| pod.2 == "Running")
            .count()
            == 2
    });
    let seen = served.get_json(&format!("{PODS}/{pod}"));
    assert_eq!(seen["metadata"]["ownerReferences"][0], Value::Null);
    assert_eq!(seen["metadata"]["finalizers"], Value::Null);
    // What the node says of it is heard all the same.
    label(&served, &pod, "x");
    served.wait(|| pods(&served).iter().filter(|pod| pod.1 == "new").count() == 1);
    let left = pods(&served);
    assert_eq!(left.len(), 1, "one too many: {left:?}");
    assert_eq!(
        served.get_json(&format!("{JOBS}/new"))["status"]["active"],
        1
    );
}

#[test]
fn what_an_adopted_pod_comes_to_counts() {
    let served = Served::start(&[("quick", QUICK), ("busy", BUSY)]);
    let pod = |name: &str, image: &str| {
        served.create(
            PODS,
            &format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: z}}}}, spec: \
                 {{restartPolicy: Never, containers: [{{name: c, image: {image}}}]}}}}"
            ),
        );
    };
    pod("done", "quick");
    pod("goes-on", "busy");
    served.wait_for_phase("done", "Succeeded");
    served.wait_for_phase("goes-on", "Running");
    // The one that is done is its completion; the other one is too many.
    job(&served, "taker", "busy", "z");
    served.wait(|| {
        let status = &served.get_json(&format!("{JOBS}/taker"))["status"];
        status["succeeded"] == 1 && status["conditions"][1]["type"] == "Complete"
    });
    served.wait(|| pods(&served) == [("done".into(), "taker".into(), "Succeeded".into())]);
    // A pod made later is nobody's: the Job is over.
    pod("late", "quick");
    served.wait_for_phase("late", "Succeeded");
    assert_eq!(pods(&served)[1].1, "");
}

#[test]
fn a_probe_that_says_nothing_new_changes_nothing() {
    // Guests of one module differ by their arguments: a probe has one, and ends.
    let module = "(module
        (import \"wasi_snapshot_preview1\" \"args_sizes_get\" (func $sizes (param i32 i32) (result i32)))
        (memory (export \"memory\") 1)
        (func (export \"_start\")
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (if (i32.eq (i32.load (i32.const 0)) (i32.const 2)) (then (return)))
            (if (i32.eq (i32.load (i32.const 0)) (i32.const 3)) (then unreachable))
            (loop (br 0))))";
    let served = Served::start(&[("busy", module)]);
    for (name, command) in [("passes", "[a, b]"), ("fails", "[a, b, c]")] {
        served.create(
            PODS,
            &format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: c, \
                 image: busy, command: [a], readinessProbe: {{exec: {{command: {command}}}, periodSeconds: 1, \
                 failureThreshold: 1}}}}]}}}}"
            ),
        );
    }
    let pod = |name: &str| served.get_json(&format!("{PODS}/{name}"));
    let is_ready = |name: &str| pod(name)["status"]["containerStatuses"][0]["ready"] == true;
    served.wait(|| is_ready("passes"));
    served.wait(|| told(&served, "fails").iter().any(|it| it[0] == "Unhealthy"));
    let revisions =
        || ["passes", "fails"].map(|name| pod(name)["metadata"]["resourceVersion"].clone());
    let before = revisions();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(revisions(), before);
    assert!(!is_ready("fails"));
    for name in ["passes", "fails"] {
        served.request(
            "DELETE",
            &format!("{PODS}/{name}?gracePeriodSeconds=0"),
            "",
            "",
        );
    }
}
