//! Reading objects for cells: what is missing is empty.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::human_duration;

pub(super) const NONE: &str = "<none>";
pub(super) const UNKNOWN: &str = "<unknown>";
pub(super) const UNSET: &str = "<unset>";

/// The text of a value; empty if it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The text, or what stands for none.
pub(super) fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
    match text {
        "" => default,
        text => text,
    }
}

/// The items of a list; none if it is none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// How many fields an object has.
pub(super) fn count(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// The name of the object.
pub(super) fn name(object: &Value) -> Value {
    json!(text(&object["metadata"]["name"]))
}

/// A time, if it is one.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long ago; `<unknown>` if there is no time.
pub(super) fn since(value: &Value, now: Timestamp) -> String {
    time(value).map_or_else(
        || UNKNOWN.to_owned(),
        |time| human_duration(now.duration_since(time)),
    )
}

/// The age of the object.
pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    json!(since(&object["metadata"]["creationTimestamp"], now))
}

/// Whether the object is being deleted.
pub(super) fn deleting(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// The condition of that type.
pub(super) fn condition<'a>(object: &'a Value, ty: &str) -> Option<&'a Value> {
    let conditions = list(&object["status"]["conditions"]);
    conditions.iter().find(|condition| condition["type"] == ty)
}

/// Whether the condition of that type is true.
pub(super) fn holds(object: &Value, ty: &str) -> bool {
    condition(object, ty).is_some_and(|condition| condition["status"] == "True")
}

/// One field of all items, joined by commas.
pub(super) fn joined(items: &Value, field: &str) -> String {
    let items: Vec<&str> = list(items).iter().map(|item| text(&item[field])).collect();
    items.join(",")
}

/// Labels as `a=b,c=d`.
pub(super) fn labels(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let mut pairs: Vec<String> = labels.map(|(k, v)| format!("{k}={}", text(v))).collect();
    pairs.sort();
    match pairs.is_empty() {
        true => NONE.to_owned(),
        false => pairs.join(","),
    }
}
