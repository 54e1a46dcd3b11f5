//! Rows of the store as the JSON that clients read.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use wasmjob::{EventRecord, Kind, Object};

/// Where the node is: here. A wasm pod has no address of its own.
const HOST_IP: &str = "127.0.0.1";

/// The name of the one node: this machine.
#[derive(Clone, Debug)]
pub(crate) struct NodeName(pub(crate) Arc<str>);

/// The object as Kubernetes shows it, in the version that it is kept in.
pub(crate) fn value(object: &Object, revision: u64, node: &NodeName) -> Value {
    let mut value = match object {
        Object::Job(job) => {
            let mut value = typed(serde_json::to_value(job.to_object()));
            keep_empty(&mut value, job.status.ready.is_some());
            value
        }
        Object::CronJob(cron_job) => typed(serde_json::to_value(cron_job.to_object())),
        Object::Pod(pod) => {
            let mut value = typed(serde_json::to_value(pod.to_object(&node.0, 0)));
            if pod.status.started.is_some()
                && let Some(status) = value.get_mut("status").and_then(Value::as_object_mut)
            {
                status.insert("hostIP".to_owned(), HOST_IP.into());
                status.insert("hostIPs".to_owned(), json!([{ "ip": HOST_IP }]));
            }
            value
        }
        Object::Event(event) => self::event(event, node),
        Object::Generic(object) => typed(serde_json::from_slice(&object.json)),
        Object::Manifest(_) => Value::Null,
    };
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    }
    value
}

/// Our own types always have a form as JSON, and generic objects were JSON.
fn typed(value: Result<Value, serde_json::Error>) -> Value {
    value.unwrap_or(Value::Null)
}

/// `status.uncountedTerminatedPods` is an empty object in Kubernetes.
pub(crate) fn keep_empty(job: &mut Value, is_synced: bool) {
    if is_synced && let Some(status) = job.get_mut("status").and_then(Value::as_object_mut) {
        status
            .entry("uncountedTerminatedPods")
            .or_insert_with(|| json!({}));
    }
}

/// The kind and API version of what an event is about.
fn regarding(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Job => ("Job", "batch/v1"),
        Kind::CronJob => ("CronJob", "batch/v1"),
        Kind::Pod => ("Pod", "v1"),
        Kind::Event | Kind::Manifest | Kind::Generic => ("Object", "v1"),
    }
}

/// The name of an event, as client-go's recorder makes it: that of the object and its
/// time in hexadecimal, so that names have the order of events; and some bits that tell
/// events of one moment apart.
pub(crate) fn event_name(event: &EventRecord) -> String {
    // A name is at most 253 bytes.
    let end = event.name.floor_char_boundary(230);
    let nanoseconds = event.first.as_nanosecond();
    let bits = event.uid.bits() as u16;
    format!("{}.{nanoseconds:016x}{bits:04x}", &event.name[..end])
}

fn event(event: &EventRecord, node: &NodeName) -> Value {
    let (kind, api_version) = regarding(event.regarding.kind);
    let mut source = json!({ "component": event.source });
    if event.source == "kubelet" {
        source["host"] = node.0.as_ref().into();
    }
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": event_name(event),
            "namespace": event.namespace,
            "uid": event.uid.to_string(),
            "creationTimestamp": seconds(event.first),
        },
        "involvedObject": {
            "apiVersion": api_version,
            "kind": kind,
            "name": event.name,
            "namespace": event.namespace,
            "uid": event.regarding.uid.to_string(),
        },
        "reason": event.event.reason,
        "message": event.event.note.to_string(),
        "source": source,
        "firstTimestamp": seconds(event.first),
        "lastTimestamp": seconds(event.time),
        "count": event.count,
        "type": event.event.event_type.as_str(),
        "eventTime": null,
        "reportingComponent": event.source,
        "reportingInstance": if event.source == "kubelet" { &node.0 } else { "" },
    });
    if let Some(path) = &event.event.field_path {
        object["involvedObject"]["fieldPath"] = path.as_ref().into();
    }
    object
}

/// A time as Kubernetes writes it: whole seconds.
pub(crate) fn seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}
