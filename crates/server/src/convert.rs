//! Between the version of an object that is kept and the one that is asked for.
//!
//! `batch/v1beta1` CronJobs have the fields of `batch/v1`. An event of
//! `events.k8s.io/v1` is one of `v1` under other names of fields.

use serde_json::Value;
use wasmjob_machinery::resource::Resource;

/// Fields of an event in `v1` and in `events.k8s.io/v1`.
const EVENT: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Whether objects of `resource` are kept in another version.
pub(crate) fn is_converted(resource: &Resource) -> bool {
    matches!(
        (resource.group, resource.version, resource.kind),
        ("batch", "v1beta1", _) | ("events.k8s.io", ..)
    )
}

/// The object as `resource` shows it.
pub(crate) fn from_kept(resource: &Resource, mut value: Value) -> Value {
    if !is_converted(resource) {
        return value;
    }
    if resource.group == "events.k8s.io" {
        rename(&mut value, |(kept, shown)| (kept, shown));
    }
    set_version(&mut value, &resource.api_version());
    value
}

/// The object as it is kept.
pub(crate) fn to_kept(resource: &Resource, mut value: Value) -> Value {
    if !is_converted(resource) {
        return value;
    }
    if resource.group == "events.k8s.io" {
        rename(&mut value, |(kept, shown)| (shown, kept));
        set_version(&mut value, "v1");
    } else {
        set_version(&mut value, "batch/v1");
    }
    value
}

fn rename(
    value: &mut Value,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    for pair in EVENT {
        let (from, to) = direction(pair);
        if let Some(field) = fields.remove(from) {
            fields.insert(to.to_owned(), field);
        }
    }
}

fn set_version(value: &mut Value, version: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), version.into());
    }
}
