//! `kubectl apply --server-side` of an object that `kubectl apply` made: the
//! annotation of the latter says what the former already owned.

use serde_json::Value;

use super::compare::compare;
use super::field_set::strict;
use super::schema::Schema;
use super::set::FieldSet;
use crate::patch::{DEPTH_MAX, fits};

/// The manager that all this is for.
pub(super) const MANAGER: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The most that all annotations may have.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// The fields that the annotation of `live` sets as they are: no conflict for kubectl.
pub(super) fn owned(schema: Schema, live: &Value, api_version: &str) -> Option<FieldSet> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str()?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if applied["apiVersion"] != api_version || !fits(&applied, DEPTH_MAX) {
        return None;
    }
    let set = strict(schema, &applied).ok()?;
    let comparison = compare(schema, &applied, live);
    Some(
        set.difference(&comparison.changed())
            .difference(&comparison.removed),
    )
}

/// Brings the annotation of `object` up to date, if it has one.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    let annotations = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(Value::as_object_mut);
    let Some(annotations) = annotations else {
        return;
    };
    let present = annotations.get(ANNOTATION).and_then(Value::as_str);
    if present.is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(Value::Object(inner)) = metadata.get_mut("annotations") {
            inner.remove(ANNOTATION);
        }
    }
    let text = go_json(&config);
    let others = annotations.iter().filter(|(key, _)| *key != ANNOTATION);
    let others: usize = others
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if others + ANNOTATION.len() + text.len() > ANNOTATIONS_BYTES_MAX {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), Value::String(text));
    }
}

/// JSON as Go's encoder writes it: these signs stand only within texts.
fn go_json(value: &Value) -> String {
    let mut text = value.to_string();
    for (sign, escaped) in [
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ] {
        text = text.replace(sign, escaped);
    }
    text.push('\n');
    text
}
