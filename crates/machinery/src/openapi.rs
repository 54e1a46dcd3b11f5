//! OpenAPI documents: what `kubectl` explains, validates and computes patches from.
//!
//! Version 3 is what counts: `kubectl` reads the document of a group version for
//! `explain`, `create` and `apply`. It looks there for schemas by their kind
//! (`x-kubernetes-group-version-kind`), for how lists merge (`x-kubernetes-patch-*`;
//! without it a container that is taken out of a manifest would stay in the cluster),
//! and whether `PATCH` takes `fieldValidation`. Version 2 is for other programs, in JSON,
//! and for `kubectl` before 1.29, in protobuf.
//!
//! Documents are built from the tables when they are first asked for, and kept.

mod gnostic;
mod paths;
mod schema;
mod swagger;
mod texts;

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use crate::resource::{self, RESOURCES, join};

pub use schema::schema_name;

/// The media type of version 2 in protobuf.
pub const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A document as it is served.
#[derive(Debug)]
pub struct Document {
    /// The JSON.
    pub bytes: Vec<u8>,
    /// Changes with the bytes: the `hash` in the index, and an `ETag`.
    pub hash: String,
}

impl Document {
    fn new(value: &Value) -> Self {
        // Values are JSON, so that writing them does not fail.
        Self::of_bytes(serde_json::to_vec(value).unwrap_or_default())
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        let hash = hash(&bytes);
        Self { bytes, hash }
    }
}

/// SHA-512 of `bytes` in upper case, as Kubernetes names the states of documents.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(128);
    for byte in Sha512::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// A document of version 3 and the group version that it describes.
struct Part {
    group: &'static str,
    version: &'static str,
    document: OnceLock<Document>,
}

static PARTS: OnceLock<Vec<Part>> = OnceLock::new();
static INDEX: OnceLock<Document> = OnceLock::new();
static VERSION_2: OnceLock<Document> = OnceLock::new();
static VERSION_2_PROTOBUF: OnceLock<Document> = OnceLock::new();

fn parts() -> &'static [Part] {
    PARTS.get_or_init(|| {
        let mut parts: Vec<Part> = Vec::new();
        for resource in RESOURCES {
            let (group, version) = (resource.group, resource.version);
            if !parts
                .iter()
                .any(|p| (p.group, p.version) == (group, version))
            {
                parts.push(Part {
                    group,
                    version,
                    document: OnceLock::new(),
                });
            }
        }
        parts
    })
}

/// `/openapi/v3`: the path of each document, with its hash.
#[must_use]
pub fn index() -> &'static Document {
    INDEX.get_or_init(|| {
        let paths: Map<String, Value> = parts()
            .iter()
            .map(|part| {
                let path = path(part.group, part.version);
                let hash = &document(part).hash;
                let url = format!("/openapi/v3/{path}?hash={hash}");
                (path, json!({"serverRelativeURL": url}))
            })
            .collect();
        Document::new(&json!({"paths": paths}))
    })
}

/// `/openapi/v3/{path}` where the path is `api/v1` or `apis/{group}/{version}`; none for
/// an unknown one.
#[must_use]
pub fn v3(path_of_it: &str) -> Option<&'static Document> {
    parts()
        .iter()
        .find(|part| path(part.group, part.version) == path_of_it)
        .map(document)
}

/// `/openapi/v2`: everything in one document, in JSON.
#[must_use]
pub fn v2() -> &'static Document {
    VERSION_2.get_or_init(|| Document::new(&version_2()))
}

/// `/openapi/v2` in protobuf ([`V2_PROTOBUF`]).
#[must_use]
pub fn v2_protobuf() -> &'static Document {
    VERSION_2_PROTOBUF.get_or_init(|| Document::of_bytes(gnostic::document(&version_2())))
}

fn version_2() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for part in parts() {
        paths.append(&mut paths::of(part.group, part.version));
        for (name, schema) in schema::of(part.group, part.version) {
            merge(&mut schemas, name, schema);
        }
    }
    swagger::document(paths, schemas)
}

/// Adds a schema. Two group versions may have the same one, each with its own kinds.
fn merge(schemas: &mut Map<String, Value>, name: String, schema: Value) {
    let Some(known) = schemas.get_mut(&name) else {
        schemas.insert(name, schema);
        return;
    };
    let (Some(Value::Array(kinds)), Some(Value::Array(more))) =
        (known.get_mut(schema::KINDS), schema.get(schema::KINDS))
    else {
        return;
    };
    for kind in more {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
}

fn document(part: &'static Part) -> &'static Document {
    part.document.get_or_init(|| {
        Document::new(&json!({
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "unversioned"},
            "paths": paths::of(part.group, part.version),
            "components": {
                "schemas": schema::of(part.group, part.version),
                "securitySchemes": {
                    "BearerToken": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "authorization",
                        "description": "Bearer Token authentication",
                    },
                },
            },
        }))
    })
}

/// The path of a group version: `api/v1`, `apis/batch/v1`.
fn path(group: &str, version: &str) -> String {
    let prefix = if group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", join(group, version))
}

/// Group, version and kind as the extension has them.
fn kind(api_version: &str, kind: &str) -> Value {
    let (group, version) = resource::split(api_version);
    json!({"group": group, "version": version, "kind": kind})
}

#[cfg(test)]
mod tests;
