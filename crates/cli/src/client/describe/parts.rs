//! What descriptions of all kinds have: labels, annotations, times, owners.

use jiff::Timestamp;
use serde_json::{Map, Value};
use wasmjob::api::field::Path;
use wasmjob_machinery::selector::LabelSelector;
use wasmjob_machinery::table::human_duration;

use super::safe;
use crate::client::api::text;
use crate::client::tabs::Tabbed;
use crate::when::now;

/// Characters of an annotation that are shown on a line.
const ANNOTATION_CHARS: usize = 140;

/// What `kubectl apply` keeps for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Names and values, one on a line.
pub(super) fn labels(title: &str, labels: &Value, out: &mut Tabbed) {
    let pair = |(key, value): (&String, &Value)| {
        format!("{key}={}", safe(value.as_str().unwrap_or_default()))
    };
    list(title, entries(labels).iter().map(pair), out);
}

/// Lines below each other behind a title.
pub(super) fn list(title: &str, lines: impl Iterator<Item = String>, out: &mut Tabbed) {
    let mut before = format!("{title}:");
    let mut none = true;
    for line in lines {
        out.line(format_args!("{before}\t{line}"));
        before.clear();
        none = false;
    }
    if none {
        out.line(format_args!("{before}\t<none>"));
    }
}

/// Annotations; what is long stands below its name.
pub(super) fn annotations(title: &str, annotations: &Value, out: &mut Tabbed) {
    let mut lines = Vec::new();
    for (key, value) in entries(annotations) {
        if key == LAST_APPLIED {
            continue;
        }
        let value = value.as_str().unwrap_or_default();
        let value = value.strip_suffix('\n').unwrap_or(value);
        if value.chars().count() + key.len() + 2 > ANNOTATION_CHARS || value.contains('\n') {
            lines.push(format!("{key}:"));
            let part = |line| format!("  {}", short(&safe(line), ANNOTATION_CHARS - 2));
            lines.extend(value.split('\n').map(part));
        } else {
            lines.push(format!("{key}: {}", safe(value)));
        }
    }
    list(title, lines.into_iter(), out);
}

fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// The entries of a map, none if there is no map.
pub(super) fn entries(map: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    map.as_object().unwrap_or(&NONE)
}

/// The items of a list, none if there is no list.
pub(super) fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A time as mail has it: `Tue, 25 Aug 2026 10:52:11 +0000`.
pub(super) fn time(value: &Value) -> String {
    moment(value).map_or_else(
        || "<unknown>".to_owned(),
        |at| at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
    )
}

pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long ago that was.
pub(super) fn ago(value: &Value) -> String {
    moment(value).map_or_else(
        || "<unknown>".to_owned(),
        |at| human_duration(now().duration_since(at)),
    )
}

/// Name, and where the object is; as every description begins.
pub(super) fn head(object: &Value, out: &mut Tabbed) {
    out.field("Name", text(object, "/metadata/name"));
    out.field("Namespace", text(object, "/metadata/namespace"));
}

/// Who controls the object.
pub(super) fn controller(object: &Value, out: &mut Tabbed) {
    let owners = items(&object["metadata"]["ownerReferences"]).iter();
    let mut controllers = owners.filter(|owner| owner["controller"] == true);
    if let Some(owner) = controllers.next() {
        let (kind, name) = (text(owner, "/kind"), text(owner, "/name"));
        out.field("Controlled By", format_args!("{kind}/{name}"));
    }
}

/// A selector of labels as it is written in arguments.
pub(super) fn selector(selector: &Value) -> String {
    match LabelSelector::from_object(Some(selector), &Path::default()) {
        Ok(selector) => selector.to_string(),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// A number or truth value as it is, or `<unset>`.
pub(super) fn or_unset(value: &Value) -> String {
    match value {
        Value::Null => "<unset>".to_owned(),
        value => plain(value),
    }
}

/// A scalar without quotes.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

/// As Go's describer prints truth.
pub(super) fn truth(value: &Value) -> &'static str {
    match value.as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
}

#[cfg(test)]
mod tests {
    use super::{annotations, time};
    use crate::client::tabs::Tabbed;
    use serde_json::json;

    #[test]
    fn long_annotations_stand_below_their_names() {
        let mut out = Tabbed::default();
        let long = "x".repeat(150);
        annotations(
            "Annotations",
            &json!({"a": "b", "long": long, "z": "1\n2\n"}),
            &mut out,
        );
        let expected = format!(
            "Annotations:  a: b\n              long:\n                {}...\n              z:\n                1\n                2\n",
            "x".repeat(138)
        );
        assert_eq!(out.finish(), expected);
        let mut out = Tabbed::default();
        annotations("Annotations", &json!({}), &mut out);
        assert_eq!(out.finish(), "Annotations:  <none>\n");
    }

    #[test]
    fn times_are_those_of_mail() {
        assert_eq!(
            time(&json!("2026-08-25T10:52:11Z")),
            "Tue, 25 Aug 2026 10:52:11 +0000"
        );
        assert_eq!(time(&json!(null)), "<unknown>");
    }
}
