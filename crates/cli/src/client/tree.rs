//! `tree`: an object and what it owns, as the plugin `kubectl tree` prints it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use wasmjob_machinery::resource::{RESOURCES, Resource};
use wasmjob_machinery::table::human_duration;

use super::api::{Api, name, text};
use super::failure::{Failure, Result};
use super::kinds::Wanted;
use super::output::print;
use super::uri::Uri;
use crate::args::TreeArgs;
use crate::exit::Exit;
use crate::when::now;

const HEADER: [&str; 6] = ["NAMESPACE", "NAME", "READY", "REASON", "STATUS", "AGE"];

pub(crate) async fn tree(api: &Api, args: &TreeArgs) -> Result<Exit> {
    let named = Wanted::read_named(&args.what)?;
    let [(resource, wanted)] = named.as_slice() else {
        return Err(Failure::usage("one object has a tree"));
    };
    let namespace = args.daemon.namespace();
    let mut root = api.object(resource, namespace, wanted).await?;
    root["kind"] = resource.kind.into();
    let owned = owned(api, resource, namespace).await?;
    let mut rows = vec![HEADER.map(str::to_owned)];
    grow(&root, &owned, "", &mut rows);
    print(&lay_out(&rows))?;
    Ok(Exit::Complete)
}

/// Objects by the UIDs of their owners: what has an owner may be of any kind.
async fn owned(api: &Api, of: &Resource, namespace: &str) -> Result<HashMap<String, Vec<Value>>> {
    let namespace = of.namespaced.then_some(namespace);
    let mut owned: HashMap<String, Vec<Value>> = HashMap::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for resource in RESOURCES {
        let may_be_owned = resource.namespaced
            && resource.supports("list")
            && resource.supports("watch")
            && resource.kind != "Event";
        // Other versions show the same objects again.
        if !may_be_owned || seen.contains(&(resource.group, resource.plural)) {
            continue;
        }
        seen.push((resource.group, resource.plural));
        let items = match api.items(resource, &Uri::list(resource, namespace)).await {
            Ok(items) => items,
            // What one may not see, or is not there yet, is no part of the tree.
            Err(Failure::Refused(_)) => continue,
            Err(failure) => return Err(failure),
        };
        for item in items {
            let owners = item["metadata"]["ownerReferences"].as_array().cloned();
            for owner in owners.unwrap_or_default() {
                let uid = text(&owner, "/uid").to_owned();
                owned.entry(uid).or_default().push(item.clone());
            }
        }
    }
    for children in owned.values_mut() {
        children.sort_by_key(|child| (text(child, "/kind").to_owned(), name(child).to_owned()));
    }
    Ok(owned)
}

/// Adds the row of an object, and those of what it owns. `lead` is what stands before
/// its children's branches.
fn grow(
    object: &Value,
    owned: &HashMap<String, Vec<Value>>,
    lead: &str,
    rows: &mut Vec<[String; 6]>,
) {
    push(object, "", lead, rows);
    branch(object, owned, lead, rows);
}

fn branch(
    object: &Value,
    owned: &HashMap<String, Vec<Value>>,
    lead: &str,
    rows: &mut Vec<[String; 6]>,
) {
    let children = owned
        .get(text(object, "/metadata/uid"))
        .map_or(&[][..], Vec::as_slice);
    for (place, child) in children.iter().enumerate() {
        let is_last = place + 1 == children.len();
        let (mark, below) = if is_last {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        push(child, mark, lead, rows);
        // An object cannot be below itself unless somebody writes owners by hand.
        if rows.len() < ROWS_MAX {
            branch(child, owned, &format!("{lead}{below}"), rows);
        }
    }
}

/// Rows after which no deeper ones are added.
const ROWS_MAX: usize = 100_000;

fn push(object: &Value, mark: &str, lead: &str, rows: &mut Vec<[String; 6]>) {
    let (ready, reason) = ready(object);
    let created: Option<Timestamp> = text(object, "/metadata/creationTimestamp").parse().ok();
    let age = created.map(|created| human_duration(now().duration_since(created)));
    rows.push([
        text(object, "/metadata/namespace").to_owned(),
        format!("{lead}{mark}{}/{}", text(object, "/kind"), name(object)),
        ready.to_owned(),
        reason.to_owned(),
        status(object).to_owned(),
        age.unwrap_or_default(),
    ]);
}

/// The condition `Ready`, and its reason.
fn ready(object: &Value) -> (&str, &str) {
    match condition(object, "Ready") {
        Some(condition) => (text(condition, "/status"), text(condition, "/reason")),
        None => ("-", ""),
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Whether the object is as it is meant to be (kstatus, which the plugin uses).
fn status(object: &Value) -> &'static str {
    let is_true = |kind: &str| condition(object, kind).is_some_and(|it| it["status"] == "True");
    let phase = text(object, "/status/phase");
    match text(object, "/kind") {
        _ if !object["metadata"]["deletionTimestamp"].is_null() => "Terminating",
        "Job" if is_true("Failed") => "Failed",
        "Job" if object["status"]["startTime"].is_null() => "InProgress",
        "Pod" if phase == "Failed" => "Failed",
        "Pod" if phase != "Succeeded" && !is_true("Ready") => "InProgress",
        _ => "Current",
    }
}

fn lay_out(rows: &[[String; 6]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{grow, lay_out};
    use serde_json::{Value, json};
    use std::collections::HashMap;

    fn object(kind: &str, name: &str, status: &Value) -> Value {
        json!({"kind": kind, "metadata": {"name": name, "namespace": "d", "uid": name}, "status": status})
    }

    #[test]
    fn branches_are_drawn_as_far_as_there_is_something_below() {
        let ready =
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let failed =
            json!({"startTime": "x", "conditions": [{"type": "Failed", "status": "True"}]});
        let done = json!({"phase": "Succeeded", "conditions": [
            {"type": "Ready", "status": "False", "reason": "PodCompleted"}]});
        let owned = HashMap::from([
            (
                "c".to_owned(),
                vec![object("Job", "a", &failed), object("Job", "b", &json!({}))],
            ),
            (
                "a".to_owned(),
                vec![object("Pod", "a-1", &ready), object("Pod", "a-2", &done)],
            ),
            (
                "b".to_owned(),
                vec![object("Pod", "b-1", &json!({"phase": "Pending"}))],
            ),
        ]);
        let mut rows = Vec::new();
        grow(&object("CronJob", "c", &json!({})), &owned, "", &mut rows);
        assert_eq!(
            lay_out(&rows),
            "d  CronJob/c    -                    Current\n\
             d  ├─Job/a      -                    Failed\n\
             d  │ ├─Pod/a-1  True                 Current\n\
             d  │ └─Pod/a-2  False  PodCompleted  Current\n\
             d  └─Job/b      -                    InProgress\n\
             d    └─Pod/b-1  -                    InProgress\n"
        );
    }
}
