//! What a namespace may have: quotas and limits.

use std::collections::BTreeSet;

use serde_json::Value;

use super::safe;
use crate::client::api::text;
use crate::client::tabs::Tabbed;

pub(super) fn quota(object: &Value, out: &mut Tabbed) {
    named(object, out);
    let scopes = object["spec"]["scopes"].as_array().into_iter().flatten();
    let scopes: BTreeSet<&str> = scopes.filter_map(Value::as_str).collect();
    if !scopes.is_empty() {
        let all: Vec<&str> = scopes.iter().copied().collect();
        out.field("Scopes", safe(&all.join(", ")));
        for about in scopes.iter().filter_map(|scope| about(scope)) {
            out.line(format_args!(" * {about}"));
        }
    }
    out.line("Resource\tUsed\tHard");
    out.line("--------\t----\t----");
    let hard = object["status"]["hard"].as_object();
    for (name, hard) in hard.into_iter().flatten() {
        let used = object["status"]["used"][name].as_str().unwrap_or("0");
        let hard = hard.as_str().unwrap_or_default();
        let [name, used, hard] = [name, used, hard].map(safe);
        out.line(format_args!("{name}\t{used}\t{hard}"));
    }
}

fn about(scope: &str) -> Option<&'static str> {
    Some(match scope {
        "Terminating" => {
            "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before being actively terminated by the system."
        }
        "NotTerminating" => {
            "Matches all pods that do not have an active deadline. These pods usually include long running pods whose container command is not expected to terminate."
        }
        "BestEffort" => {
            "Matches all pods that do not have resource requirements set. These pods have a best effort quality of service."
        }
        "NotBestEffort" => {
            "Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service."
        }
        _ => return None,
    })
}

pub(super) fn limit_range(object: &Value, out: &mut Tabbed) {
    named(object, out);
    out.line("Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio");
    out.line("----\t--------\t---\t---\t---------------\t-------------\t-----------------------");
    let fields = [
        "min",
        "max",
        "defaultRequest",
        "default",
        "maxLimitRequestRatio",
    ];
    for limit in object["spec"]["limits"].as_array().into_iter().flatten() {
        let lists = fields.iter().filter_map(|field| limit[*field].as_object());
        let names: BTreeSet<&String> = lists.flat_map(|list| list.keys()).collect();
        for name in names {
            let amounts = fields.map(|field| safe(limit[field][name].as_str().unwrap_or("-")));
            let [kind, name] = [text(limit, "/type"), name].map(safe);
            out.line(format_args!("{kind}\t{name}\t{}", amounts.join("\t")));
        }
    }
}

fn named(object: &Value, out: &mut Tabbed) {
    out.field("Name", text(object, "/metadata/name"));
    out.field("Namespace", text(object, "/metadata/namespace"));
}
