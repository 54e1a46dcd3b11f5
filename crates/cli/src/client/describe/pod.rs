//! A pod, described.

use serde_json::Value;

use super::containers::{Owner, containers, tolerations};
use super::parts::{ago, annotations, controller, head, items, labels, plain, time};
use super::volumes::volumes;
use crate::client::api::text;
use crate::client::tabs::Tabbed;

pub(super) fn describe(pod: &Value, out: &mut Tabbed) {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    head(pod, out);
    let optional = |name: &str, value: &Value, out: &mut Tabbed| {
        if !value.is_null() && value != "" {
            out.field(name, plain(value));
        }
    };
    optional("Priority", &spec["priority"], out);
    optional("Priority Class Name", &spec["priorityClassName"], out);
    optional("Runtime Class Name", &spec["runtimeClassName"], out);
    optional("Service Account", &spec["serviceAccountName"], out);
    match text(spec, "/nodeName") {
        "" => out.field("Node", "<none>"),
        node => out.field("Node", format_args!("{node}/{}", text(status, "/hostIP"))),
    }
    if !status["startTime"].is_null() {
        out.field("Start Time", time(&status["startTime"]));
    }
    labels("Labels", &pod["metadata"]["labels"], out);
    annotations("Annotations", &pod["metadata"]["annotations"], out);
    phase(pod, out);
    optional("Reason", &status["reason"], out);
    optional("Message", &status["message"], out);
    optional(
        "SeccompProfile",
        &spec["securityContext"]["seccompProfile"]["type"],
        out,
    );
    addresses(status, out);
    controller(pod, out);
    let of_kind = |title: &str, list: &str, statuses: &str, out: &mut Tabbed| {
        containers(title, &spec[list], Owner::Pod(pod, &status[statuses]), out);
    };
    if !items(&spec["initContainers"]).is_empty() {
        of_kind(
            "Init Containers",
            "initContainers",
            "initContainerStatuses",
            out,
        );
    }
    of_kind("Containers", "containers", "containerStatuses", out);
    conditions(status, out);
    volumes(&spec["volumes"], "", out);
    out.field("QoS Class", text(status, "/qosClass"));
    labels("Node-Selectors", &spec["nodeSelector"], out);
    tolerations("Tolerations", &spec["tolerations"], out);
}

fn phase(pod: &Value, out: &mut Tabbed) {
    let phase = text(pod, "/status/phase");
    let deletion = &pod["metadata"]["deletionTimestamp"];
    if deletion.is_null() || matches!(phase, "Succeeded" | "Failed") {
        return out.field("Status", phase);
    }
    out.field(
        "Status",
        format_args!("Terminating (lasts {})", ago(deletion)),
    );
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_i64();
    out.field(
        "Termination Grace Period",
        format_args!("{}s", grace.unwrap_or(0)),
    );
}

fn addresses(status: &Value, out: &mut Tabbed) {
    out.field("IP", text(status, "/podIP"));
    match items(&status["podIPs"]) {
        [] => out.field("IPs", "<none>"),
        ips => {
            out.line("IPs:");
            ips.iter().for_each(|ip| out.field("  IP", text(ip, "/ip")));
        }
    }
}

fn conditions(status: &Value, out: &mut Tabbed) {
    let conditions = items(&status["conditions"]);
    if conditions.is_empty() {
        return;
    }
    out.line("Conditions:");
    out.line("  Type\tStatus");
    for condition in conditions {
        let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
        out.line(format_args!("  {kind} \t{status} "));
    }
}
