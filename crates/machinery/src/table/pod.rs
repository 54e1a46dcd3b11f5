//! Pods: what they are up to is told by their containers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{NONE, age, condition, deleting, holds, list, name, or, text, time};
use super::{Cells, Column, Printer};

pub(super) const POD: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new(
            "Ready",
            "The aggregate readiness state of this pod for accepting traffic.",
        ),
        Column::new(
            "Status",
            "The aggregate status of the containers in this pod.",
        ),
        Column::new(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        Column::AGE,
        Column::new("IP", "The address of the pod.").wide(),
        Column::new("Node", "The node that runs the pod.").wide(),
        Column::new("Nominated Node", "The node that makes room for the pod.").wide(),
        Column::new(
            "Readiness Gates",
            "How many of the pod's readiness gates hold.",
        )
        .wide(),
    ],
    row,
};

fn row(pod: &Value, now: Timestamp) -> Cells {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let summary = summarize(pod);
    let restarts = match (summary.restarts.count, summary.restarts.last) {
        (0, _) => "0".to_owned(),
        (count, Some(last)) => {
            let ago = super::human_duration(now.duration_since(last));
            format!("{count} ({ago} ago)")
        }
        (count, None) => count.to_string(),
    };
    let ip = or(text(&status["podIPs"][0]["ip"]), text(&status["podIP"]));
    let gates = list(&spec["readinessGates"]);
    let open = gates
        .iter()
        .filter(|gate| holds(pod, text(&gate["conditionType"])))
        .count();
    let gates = match gates.len() {
        0 => NONE.to_owned(),
        all => format!("{open}/{all}"),
    };
    let completed = |reason: &str, message: &str| json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
    let conditions = match text(&status["phase"]) {
        "Succeeded" => Some(completed(
            "Succeeded",
            "The pod has completed successfully.",
        )),
        "Failed" => Some(completed("Failed", "The pod failed.")),
        _ => None,
    };
    Cells {
        cells: vec![
            name(pod),
            json!(format!("{}/{}", summary.ready, summary.containers)),
            json!(summary.reason),
            json!(restarts),
            age(pod, now),
            json!(or(ip, NONE)),
            json!(or(text(&spec["nodeName"]), NONE)),
            json!(or(text(&status["nominatedNodeName"]), NONE)),
            json!(gates),
        ],
        conditions,
    }
}

/// How often containers were restarted, and when the last one ended before.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        let restarts = container["restartCount"].as_i64().unwrap_or(0);
        self.count = self.count.saturating_add(restarts);
        let ended = time(&container["lastState"]["terminated"]["finishedAt"]);
        self.last = self.last.max(ended);
    }
}

struct Summary {
    ready: usize,
    containers: usize,
    reason: String,
    restarts: Restarts,
}

fn summarize(pod: &Value) -> Summary {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let phase = text(&status["phase"]);
    let mut summary = Summary {
        ready: 0,
        containers: list(&spec["containers"]).len(),
        reason: or(text(&status["reason"]), phase).to_owned(),
        restarts: Restarts::default(),
    };
    let gated = condition(pod, "PodScheduled");
    if gated.is_some_and(|condition| condition["reason"] == "SchedulingGated") {
        "SchedulingGated".clone_into(&mut summary.reason);
    }
    let sidecars: Vec<&str> = list(&spec["initContainers"])
        .iter()
        .filter(|container| container["restartPolicy"] == "Always")
        .map(|container| text(&container["name"]))
        .collect();
    summary.containers += sidecars.len();
    let mut sidecar_restarts = Restarts::default();
    let initializing = initializing(pod, &mut summary, &sidecars, &mut sidecar_restarts);
    if !initializing || holds(pod, "Initialized") {
        summary.restarts = sidecar_restarts;
        running(pod, &mut summary);
    }
    if deleting(pod) {
        if status["reason"] == "NodeLost" {
            "Unknown".clone_into(&mut summary.reason);
        } else if !["Succeeded", "Failed"].contains(&phase) {
            "Terminating".clone_into(&mut summary.reason);
        }
    }
    summary
}

/// Walks the init containers, up to the first that is not done; whether there is one.
fn initializing(
    pod: &Value,
    summary: &mut Summary,
    sidecars: &[&str],
    sidecar_restarts: &mut Restarts,
) -> bool {
    let all = list(&pod["spec"]["initContainers"]).len();
    let statuses = list(&pod["status"]["initContainerStatuses"]);
    for (index, container) in statuses.iter().enumerate() {
        summary.restarts.add(container);
        let sidecar = sidecars.contains(&text(&container["name"]));
        if sidecar {
            sidecar_restarts.add(container);
        }
        let terminated = &container["state"]["terminated"];
        let waiting = text(&container["state"]["waiting"]["reason"]);
        if terminated.is_object() && exit_code(terminated) == 0 {
            continue;
        }
        if sidecar && container["started"] == true {
            summary.ready += usize::from(container["ready"] == true);
            continue;
        }
        summary.reason = if terminated.is_object() {
            format!("Init:{}", termination(terminated))
        } else if !waiting.is_empty() && waiting != "PodInitializing" {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{all}")
        };
        return true;
    }
    false
}

/// Walks the containers from the last to the first: the first one has the last word.
fn running(pod: &Value, summary: &mut Summary) {
    let mut has_running = false;
    let mut failed = None;
    for container in list(&pod["status"]["containerStatuses"]).iter().rev() {
        summary.restarts.add(container);
        let state = &container["state"];
        let waiting = text(&state["waiting"]["reason"]);
        if !waiting.is_empty() {
            waiting.clone_into(&mut summary.reason);
        } else if state["terminated"].is_object() {
            summary.reason = termination(&state["terminated"]);
            if exit_code(&state["terminated"]) != 0 {
                failed = Some(summary.reason.clone());
            }
        } else if container["ready"] == true && state["running"].is_object() {
            has_running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && has_running {
        summary.reason = match failed {
            _ if holds(pod, "Ready") => "Running".to_owned(),
            Some(reason) => reason,
            None => "NotReady".to_owned(),
        };
    }
}

fn exit_code(terminated: &Value) -> i64 {
    terminated["exitCode"].as_i64().unwrap_or(0)
}

fn termination(terminated: &Value) -> String {
    let reason = text(&terminated["reason"]);
    match terminated["signal"].as_i64() {
        _ if !reason.is_empty() => reason.to_owned(),
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", exit_code(terminated)),
    }
}

#[cfg(test)]
mod tests {
    use super::row;
    use serde_json::{Value, json};

    /// Ready, status and restarts of a pod with this spec and status.
    fn cells(spec: Value, status: Value) -> [Value; 3] {
        deleted(spec, status, false)
    }

    fn deleted(spec: Value, status: Value, deleted: bool) -> [Value; 3] {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": status});
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let row = row(&pod, "2026-01-01T01:00:00Z".parse().unwrap());
        [
            row.cells[1].clone(),
            row.cells[2].clone(),
            row.cells[3].clone(),
        ]
    }

    fn two() -> Value {
        json!({"containers": [{"name": "a"}, {"name": "b"}]})
    }

    #[test]
    fn containers_tell_the_status() {
        let running = json!({"ready": true, "state": {"running": {}}});
        let done = |reason: &str, code: i64| json!({"state": {"terminated": {"reason": reason, "exitCode": code}}});
        let ready = json!([{"type": "Ready", "status": "True"}]);
        for (statuses, conditions, expected) in [
            (json!([running, running]), json!([]), "Running"),
            (
                json!([{"state": {"waiting": {"reason": "ImagePullBackOff"}}}, running]),
                json!([]),
                "ImagePullBackOff",
            ),
            (json!([done("Completed", 0), running]), ready, "Running"),
            (
                json!([done("Completed", 0), running]),
                json!([]),
                "NotReady",
            ),
            (
                json!([running, done("Error", 1), done("Completed", 0)]),
                json!([]),
                "Error",
            ),
            (
                json!([done("Completed", 0), done("Error", 1), running]),
                json!([]),
                "Error",
            ),
            (json!([done("", 3)]), json!([]), "ExitCode:3"),
            (
                json!([{"state": {"terminated": {"signal": 9, "exitCode": 137}}}]),
                json!([]),
                "Signal:9",
            ),
        ] {
            let status = json!({
                "phase": "Running", "containerStatuses": statuses, "conditions": conditions,
            });
            assert_eq!(cells(two(), status)[1], expected, "{statuses}");
        }
    }

    #[test]
    fn init_containers_come_first() {
        let spec = json!({
            "containers": [{"name": "a"}],
            "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
        });
        let status =
            |statuses: Value| json!({"phase": "Pending", "initContainerStatuses": statuses});
        let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
        for (statuses, expected) in [
            (
                json!([{"name": "i", "state": {"running": {}}}]),
                ["0/2", "Init:0/2"],
            ),
            (
                json!([{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]),
                ["0/2", "Init:0/2"],
            ),
            (
                json!([{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]),
                ["0/2", "Init:CrashLoopBackOff"],
            ),
            (
                json!([{"name": "i", "state": {"terminated": {"exitCode": 2}}}]),
                ["0/2", "Init:ExitCode:2"],
            ),
            (
                json!([{"name": "i", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}]),
                ["0/2", "Init:Error"],
            ),
            (
                json!([done, {"name": "s", "state": {"running": {}}}]),
                ["0/2", "Init:1/2"],
            ),
            (
                json!([done, {"name": "s", "started": true, "ready": true, "state": {"running": {}}}]),
                ["1/2", "Pending"],
            ),
        ] {
            assert_eq!(cells(spec.clone(), status(statuses))[..2], expected);
        }
    }

    #[test]
    fn restarts_say_when() {
        let status = json!({"phase": "Running", "containerStatuses": [
            {"restartCount": 2, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}}},
            {"restartCount": 1, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:10:00Z"}}},
        ]});
        assert_eq!(cells(two(), status)[2], "3 (5m ago)");
        let status = json!({"phase": "Running", "containerStatuses": [{"restartCount": 2}]});
        assert_eq!(cells(two(), status)[2], "2");
        assert_eq!(cells(two(), json!({}))[2], "0");
    }

    #[test]
    fn deletion_gates_and_reasons() {
        let phase = |phase: &str| json!({"phase": phase});
        assert_eq!(deleted(two(), phase("Running"), true)[1], "Terminating");
        assert_eq!(deleted(two(), phase("Succeeded"), true)[1], "Succeeded");
        let lost = json!({"phase": "Running", "reason": "NodeLost"});
        assert_eq!(deleted(two(), lost, true)[1], "Unknown");
        assert_eq!(
            cells(two(), json!({"phase": "Failed", "reason": "Evicted"}))[1],
            "Evicted"
        );
        let gated = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"},
        ]});
        assert_eq!(cells(two(), gated)[1], "SchedulingGated");
    }

    #[test]
    fn wide_cells() {
        let pod = json!({
            "metadata": {"name": "p"},
            "spec": {"nodeName": "n", "readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}]},
            "status": {"phase": "Succeeded", "podIPs": [{"ip": "1.2.3.4"}],
                "conditions": [{"type": "x", "status": "True"}]},
        });
        let row = row(&pod, "2026-01-01T01:00:00Z".parse().unwrap());
        assert_eq!(row.cells[5..], ["1.2.3.4", "n", "<none>", "1/2"]);
        assert_eq!(
            row.conditions.unwrap(),
            json!([{"type": "Completed", "status": "True", "reason": "Succeeded",
                "message": "The pod has completed successfully."}])
        );
    }
}
