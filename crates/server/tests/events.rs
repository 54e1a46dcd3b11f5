//! What people are told of pods.
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
