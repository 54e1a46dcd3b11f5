//! An object of any other kind: its metadata, and the rest as YAML.

use serde_json::{Map, Value};

use super::parts::{annotations, labels, time};
use crate::client::api::text;
use crate::client::get::yaml_text;
use crate::client::tabs::Tabbed;

/// What the YAML need not say again.
const SAID: [&str; 3] = ["apiVersion", "kind", "metadata"];

pub(super) fn describe(object: &Value, out: &mut Tabbed) {
    let metadata = &object["metadata"];
    out.field("Name", text(metadata, "/name"));
    if !metadata["namespace"].is_null() {
        out.field("Namespace", text(metadata, "/namespace"));
    }
    labels("Labels", &metadata["labels"], out);
    annotations("Annotations", &metadata["annotations"], out);
    out.field("API Version", text(object, "/apiVersion"));
    out.field("Kind", text(object, "/kind"));
    out.field("Created", time(&metadata["creationTimestamp"]));
    let is_secret = object["kind"] == "Secret";
    let mut rest = Map::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            key if SAID.contains(&key) => {}
            "data" | "stringData" if is_secret => sizes(value, out),
            _ => drop(rest.insert(key.clone(), value.clone())),
        }
    }
    if !rest.is_empty() {
        // Tabs would be taken for ends of cells.
        out.line("");
        yaml_text(&Value::Object(rest))
            .unwrap_or_default()
            .lines()
            .for_each(|line| out.line(line.replace('\t', " ")));
    }
}

/// How long each secret is, and nothing else about it.
fn sizes(data: &Value, out: &mut Tabbed) {
    out.line("\nData\n====");
    for (key, value) in data.as_object().into_iter().flatten() {
        let base64 = value.as_str().unwrap_or_default();
        let padding = base64
            .bytes()
            .rev()
            .take_while(|byte| *byte == b'=')
            .count();
        let bytes = (base64.len() / 4 * 3).saturating_sub(padding);
        out.field(key, format_args!("{bytes} bytes"));
    }
}
