//! Version 2, made of what version 3 is made of.

use serde_json::{Map, Value, json};

/// The document of version 2 with those paths and schemas of version 3.
pub(super) fn document(paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    let paths: Map<String, Value> = paths
        .into_iter()
        .map(|(path, item)| (path, path_item(item)))
        .collect();
    let definitions: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, value)| (name, schema(value)))
        .collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {
            "BearerToken": {
                "type": "apiKey",
                "in": "header",
                "name": "authorization",
                "description": "Bearer Token authentication",
            },
        },
        "security": [{"BearerToken": []}],
    })
}

fn path_item(item: Value) -> Value {
    let Value::Object(item) = item else {
        return item;
    };
    Value::Object(
        item.into_iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("parameters", Value::Array(list)) => {
                    (key, list.into_iter().map(parameter).collect())
                }
                (_, Value::Object(found)) => (key, operation(found)),
                (_, other) => (key, other),
            })
            .collect(),
    )
}

fn operation(mut operation: Map<String, Value>) -> Value {
    let mut parameters: Vec<Value> = match operation.remove("parameters") {
        Some(Value::Array(list)) => list.into_iter().map(parameter).collect(),
        _ => Vec::new(),
    };
    if let Some(mut body) = operation.remove("requestBody")
        && let Value::Object(content) = body["content"].take()
    {
        let types: Vec<&String> = content.keys().collect();
        operation.insert("consumes".to_owned(), json!(types));
        let of_it = content.into_values().next().unwrap_or_default();
        let mut parameter = json!({"in": "body", "name": "body"});
        parameter["schema"] = schema(of_it["schema"].clone());
        if body["required"] == true {
            parameter["required"] = true.into();
        }
        parameters.push(parameter);
    }
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        let mut produces = Vec::new();
        for response in responses.values_mut() {
            let content = response.as_object_mut().and_then(|r| r.remove("content"));
            if let Some(Value::Object(content)) = content {
                produces = content.keys().cloned().collect();
                let of_it = content.into_values().next().unwrap_or_default();
                response["schema"] = schema(of_it["schema"].clone());
            }
        }
        operation.insert("produces".to_owned(), produces.into());
    }
    Value::Object(operation)
}

/// A parameter has its type itself.
fn parameter(mut parameter: Value) -> Value {
    if let Some(parameter) = parameter.as_object_mut()
        && let Some(Value::Object(schema)) = parameter.remove("schema")
    {
        parameter.extend(schema);
    }
    parameter
}

/// A reference stands beside the description, and nothing is one of several.
fn schema(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(schema).collect(),
        Value::Object(fields) => {
            let mut out = Map::new();
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("allOf", Value::Array(items)) => {
                        if let Some(Value::Object(first)) = items.into_iter().next().map(schema) {
                            out.extend(first);
                        }
                    }
                    ("oneOf", _) => {
                        out.insert("type".to_owned(), "string".into());
                    }
                    ("$ref", Value::String(to)) => {
                        let name = to.rsplit('/').next().unwrap_or_default();
                        out.insert(key, format!("#/definitions/{name}").into());
                    }
                    (_, value) => {
                        out.insert(key, schema(value));
                    }
                }
            }
            Value::Object(out)
        }
        other => other,
    }
}
