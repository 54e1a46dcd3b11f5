//! A real server's records: what it wrote must be read, written and found again.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::managed::{decode, encode};
use super::{Tracking, track_update};
use crate::types::message;

/// The items of a list that a real server answered; nothing without the vectors.
fn items(file: &str) -> Vec<Value> {
    let start = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = start
        .ancestors()
        .map(|folder| folder.join("shared/vectors/kubernetes-1.36").join(file))
        .find(|path| path.exists());
    let Some(file) = file else {
        println!("skipped: no folder shared/vectors is above the crate");
        return Vec::new();
    };
    let list: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    list["items"].as_array().unwrap().clone()
}

const CRON_JOBS: &str = "apis_batch_v1_namespaces_default_cronjobs.json";
const JOBS: &str = "apis_batch_v1_namespaces_default_jobs.json";
const PODS: &str = "api_v1_namespaces_default_pods.json";
const EVENTS: &str = "api_v1_namespaces_default_events.json";

/// What the server sets after it has recorded who owns what.
fn remove(object: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            fields.remove(name);
        }
    }
}

/// The recorded fields of the entry whose subresource it is.
fn recorded(object: &Value, manager: &str, subresource: &str) -> Option<Value> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == manager
            && entry["subresource"].as_str().unwrap_or_default() == subresource
    });
    Some(entry?["fieldsV1"].clone())
}

fn entries_of(object: &Value) -> Vec<(String, String, String)> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let entry = |entry: &Value| {
        (
            text(entry, "manager"),
            text(entry, "subresource"),
            text(entry, "apiVersion"),
        )
    };
    entries.into_iter().flatten().map(entry).collect()
}

#[test]
fn records_survive_reading_and_writing() {
    for file in [CRON_JOBS, JOBS, PODS, EVENTS] {
        for object in items(file) {
            let entries = &object["metadata"]["managedFields"];
            if entries.is_array() {
                let managed = decode(Some(entries)).unwrap();
                assert_eq!(encode(&managed).as_ref(), Some(entries));
            }
        }
    }
}

/// Replays creation and the first status: both records must come out.
fn replay(kind: &str, object: &Value, late: &[&str], late_status: &[&str]) {
    let version = if kind.starts_with("batch") {
        "batch/v1"
    } else {
        "v1"
    };
    let tracking = |manager, subresource| Tracking {
        manager,
        subresource,
        api_version: version,
        now: "2026-11-21T00:19:36Z",
    };
    let mut created = object.clone();
    remove(&mut created, late);
    remove(&mut created, &["/status", "/metadata/managedFields"]);
    let (writers, reporters): (Vec<_>, Vec<_>) = entries_of(object)
        .into_iter()
        .filter(|(_, subresource, _)| ["", "status"].contains(&subresource.as_str()))
        .partition(|(_, subresource, _)| subresource.is_empty());
    let [(creator, ..)] = writers.as_slice() else {
        panic!("{writers:?}");
    };
    track_update(message(kind), None, &mut created, tracking(creator, ""));
    assert_eq!(
        recorded(&created, creator, ""),
        recorded(object, creator, ""),
        "{}",
        object["metadata"]["name"]
    );
    let [(reporter, ..)] = reporters.as_slice() else {
        return;
    };
    let mut reported = created.clone();
    reported["status"] = object["status"].clone();
    remove(&mut reported, late_status);
    if let Some(conditions) = reported.pointer_mut("/status/conditions") {
        // That one is the scheduler's.
        let conditions = conditions.as_array_mut().unwrap();
        conditions.retain(|condition| condition["type"] != "PodScheduled");
    }
    if kind == "core.v1.Pod" {
        // So that the list of conditions is not new.
        created["status"] = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled"}]});
        let scheduled = created["status"]["conditions"][0].clone();
        let conditions = reported["status"]["conditions"].as_array_mut().unwrap();
        conditions.push(scheduled);
    }
    track_update(
        message(kind),
        Some(&created),
        &mut reported,
        tracking(reporter, "status"),
    );
    let expected = recorded(object, reporter, "status");
    assert_eq!(recorded(&reported, reporter, "status"), expected);
    assert_eq!(
        recorded(&reported, creator, ""),
        recorded(object, creator, "")
    );
}

#[test]
fn cron_jobs_have_the_records_of_a_real_server() {
    for object in items(CRON_JOBS) {
        replay("batch.v1.CronJob", &object, &[], &[]);
    }
}

#[test]
fn jobs_have_the_records_of_a_real_server() {
    for object in items(JOBS) {
        let late = [
            "/metadata/labels",
            "/spec/selector",
            "/spec/template/metadata/labels",
        ];
        replay("batch.v1.Job", &object, &late, &[]);
    }
}

#[test]
fn pods_have_the_records_of_a_real_server() {
    for object in items(PODS) {
        let late = [
            "/spec/volumes",
            "/spec/containers/0/volumeMounts",
            "/spec/serviceAccountName",
            "/spec/serviceAccount",
            "/spec/nodeName",
            "/spec/tolerations",
            "/spec/priority",
            "/spec/preemptionPolicy",
        ];
        replay("core.v1.Pod", &object, &late, &["/status/qosClass"]);
    }
}

#[test]
fn events_have_the_records_of_a_real_server() {
    for object in items(EVENTS) {
        let entries = entries_of(&object);
        // One event of this server has no record.
        let [(creator, _, version)] = entries.as_slice() else {
            continue;
        };
        // Those of the other API are recorded by its names of fields.
        if version == "v1" {
            replay("core.v1.Event", &object, &[], &[]);
        }
        assert!(recorded(&object, creator, "").is_some());
    }
}
