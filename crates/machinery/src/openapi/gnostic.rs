//! Version 2 in protobuf: what `kubectl` before 1.29 asks for, and takes nothing else.
//!
//! The messages are those of `openapi.v2` (gnostic), of which every part has a number
//! that `kubectl` reads: definitions for `explain` and patches, and of the paths what
//! `PATCH` takes. Extensions are YAML there, which JSON is.

use serde_json::{Map, Value};

use crate::proto::wire::{put_bytes, put_number};

/// Writes a document of version 2.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(1, &document["swagger"], &mut out);
    let mut info = Vec::new();
    text(1, &document["info"]["title"], &mut info);
    text(2, &document["info"]["version"], &mut info);
    put_bytes(2, &info, &mut out);
    let mut paths = Vec::new();
    for (path, item) in entries(&document["paths"]) {
        named(2, path, &path_item(item), &mut paths);
    }
    put_bytes(8, &paths, &mut out);
    put_bytes(9, &schemas(&document["definitions"]), &mut out);
    out
}

fn path_item(item: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let methods = [
        ("get", 2),
        ("put", 3),
        ("post", 4),
        ("delete", 5),
        ("patch", 8),
    ];
    for (method, number) in methods {
        if let Some(found) = item.get(method) {
            put_bytes(number, &operation(found), &mut out);
        }
    }
    for found in items(&item["parameters"]) {
        put_bytes(9, &parameter(found), &mut out);
    }
    out
}

fn operation(operation: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    texts(1, &operation["tags"], &mut out);
    text(3, &operation["description"], &mut out);
    text(5, &operation["operationId"], &mut out);
    texts(6, &operation["produces"], &mut out);
    texts(7, &operation["consumes"], &mut out);
    for found in items(&operation["parameters"]) {
        put_bytes(8, &parameter(found), &mut out);
    }
    let mut responses = Vec::new();
    for (code, found) in entries(&operation["responses"]) {
        let mut response = Vec::new();
        text(1, &found["description"], &mut response);
        if let Some(found) = found.get("schema") {
            put_bytes(2, &wrap(1, &schema(found)), &mut response);
        }
        named(1, code, &wrap(1, &response), &mut responses);
    }
    put_bytes(9, &responses, &mut out);
    extensions(13, operation, &mut out);
    out
}

fn parameter(parameter: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let place = parameter["in"].as_str().unwrap_or_default();
    let required = parameter["required"] == true;
    if place == "body" {
        text(2, &parameter["name"], &mut out);
        text(3, &parameter["in"], &mut out);
        flag(4, required, &mut out);
        put_bytes(5, &schema(&parameter["schema"]), &mut out);
        return wrap(1, &wrap(1, &out));
    }
    flag(1, required, &mut out);
    text(2, &parameter["in"], &mut out);
    text(3, &parameter["description"], &mut out);
    text(4, &parameter["name"], &mut out);
    // A parameter of a query may be empty, so that it has one number more.
    let (number, ty) = if place == "query" { (3, 6) } else { (4, 5) };
    text(ty, &parameter["type"], &mut out);
    wrap(1, &wrap(2, &wrap(number, &out)))
}

fn schemas(named_schemas: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, found) in entries(named_schemas) {
        named(1, name, &schema(found), &mut out);
    }
    out
}

fn schema(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(1, &value["$ref"], &mut out);
    text(2, &value["format"], &mut out);
    text(4, &value["description"], &mut out);
    if let Some(default) = value.get("default") {
        put_bytes(5, &any(default), &mut out);
    }
    texts(19, &value["required"], &mut out);
    if let Some(found) = value.get("additionalProperties") {
        put_bytes(21, &wrap(1, &schema(found)), &mut out);
    }
    if let Some(ty) = value.get("type") {
        let mut types = Vec::new();
        text(1, ty, &mut types);
        put_bytes(22, &types, &mut out);
    }
    if let Some(found) = value.get("items") {
        put_bytes(23, &wrap(1, &schema(found)), &mut out);
    }
    if let Some(properties) = value.get("properties") {
        put_bytes(25, &schemas(properties), &mut out);
    }
    extensions(31, value, &mut out);
    out
}

/// All extensions (`x-…`) of a value.
fn extensions(number: u32, value: &Value, out: &mut Vec<u8>) {
    for (name, found) in entries(value).filter(|(name, _)| name.starts_with("x-")) {
        named(number, name, &any(found), out);
    }
}

/// Any value: YAML.
fn any(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(2, value.to_string().as_bytes(), &mut out);
    out
}

/// `{name = 1, value = 2}` in the field `number`.
fn named(number: u32, name: &str, value: &[u8], out: &mut Vec<u8>) {
    let mut entry = Vec::new();
    put_bytes(1, name.as_bytes(), &mut entry);
    put_bytes(2, value, &mut entry);
    put_bytes(number, &entry, out);
}

/// A message with nothing but that one in it.
fn wrap(number: u32, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(number, value, &mut out);
    out
}

fn text(number: u32, value: &Value, out: &mut Vec<u8>) {
    if let Some(text) = value.as_str() {
        put_bytes(number, text.as_bytes(), out);
    }
}

fn texts(number: u32, value: &Value, out: &mut Vec<u8>) {
    for item in items(value) {
        text(number, item, out);
    }
}

fn flag(number: u32, value: bool, out: &mut Vec<u8>) {
    if value {
        put_number(number, 1, out);
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
