//! Bodies of JSON and YAML, read by the rules of their message.
//!
//! What Go's decoder would refuse is an error here: text that is not JSON, and values
//! of the wrong type. What it would drop in silence is a problem that is told: unknown
//! fields, and fields that stand there twice. `fieldValidation` decides what becomes of
//! problems: `Strict` refuses the request, `Warn` answers with warnings.
//!
//! What comes out is what a typed object would be written as: unknown fields and nulls
//! are gone, times are in UTC, and quantities are text.

mod check;
mod go;
mod json;
mod scalar;

use serde_json::Value;
use thiserror::Error;
use wasmjob_api::manifest::{Tree, plain_yaml};

use crate::resource::Resource;
use crate::status::Status;
use crate::types::Message;

/// Problems that are told of one body; as many as upstream tells.
const PROBLEMS_MAX: usize = 100;

/// A body, and what is wrong with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    /// The object.
    pub value: Value,
    /// Unknown fields and duplicate fields, in the order of the text, worded as
    /// Kubernetes words them. They are warnings, or parts of [`strict_error`].
    pub problems: Vec<String>,
}

/// Why a body is no object.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DecodeError {
    /// It is not of its language, or more than is read.
    #[error("{0}")]
    Syntax(String),
    /// A value has the wrong type; as Go words it.
    #[error("{0}")]
    Type(String),
}

/// Reads JSON as an object of that message.
///
/// # Errors
///
/// It is not JSON, nests deeper than 127 levels, or has a value of the wrong type.
pub fn parse_json(message: &'static Message, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    check::object(message, &json::read(bytes)?, Vec::new())
}

/// Reads YAML as an object of that message; of several documents, the first.
///
/// # Errors
///
/// It is not YAML, nests or repeats itself more than is read, or has a value of the
/// wrong type.
pub fn parse_yaml(message: &'static Message, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let (tree, problems) = yaml(bytes)?;
    check::object(message, &tree, problems)
}

/// Checks an object that has been read already, e.g. a patched one.
///
/// # Errors
///
/// It has a value of the wrong type.
pub fn check(message: &'static Message, value: Value) -> Result<Decoded, DecodeError> {
    check::object(message, &json::tree(value), Vec::new())
}

/// Reads JSON as it stands, e.g. a merge patch; the problems are duplicate fields.
///
/// # Errors
///
/// It is not JSON, or nests deeper than 127 levels.
pub fn plain_json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    Ok(check::plain(&json::read(bytes)?, Vec::new()))
}

/// Reads YAML (or JSON) as it stands, e.g. an apply patch; the problems are duplicate
/// fields.
///
/// # Errors
///
/// It is neither, or nests or repeats itself more than is read.
pub fn plain_yaml_or_json(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if let Ok(tree) = json::read(bytes) {
        return Ok(check::plain(&tree, Vec::new()));
    }
    let (tree, problems) = yaml(bytes)?;
    Ok(check::plain(&tree, problems))
}

fn yaml(bytes: &[u8]) -> Result<(Tree, Vec<String>), DecodeError> {
    let read = plain_yaml(bytes)
        .map_err(|error| DecodeError::Syntax(format!("error converting YAML to JSON: {error}")))?;
    let mut problems = Vec::new();
    if !read.twice.is_empty() {
        let mut text = "yaml: unmarshal errors:".to_owned();
        for (line, key) in &read.twice {
            text.push_str(&format!("\n  line {line}: key {key:?} already set in map"));
        }
        problems.push(text);
    }
    Ok((read.tree, problems))
}

/// Problems in one line, as a refusal has them: `strict decoding error: a, b`.
#[must_use]
pub fn strict_error(problems: &[String]) -> String {
    format!("strict decoding error: {}", problems.join(", "))
}

/// The refusal of a body of that `kind` and `apiVersion` where an object of `resource`
/// is expected; `why` is a [`DecodeError`] or a [`strict_error`].
#[must_use]
pub fn cannot_handle(kind: &str, api_version: &str, expected_kind: &str, why: &str) -> Status {
    let (_, version) = crate::resource::split(api_version);
    Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {expected_kind}: {why}"
    ))
}

/// [`cannot_handle`] for a body that is of the kind of `resource`, as most are.
#[must_use]
pub fn refusal(resource: &Resource, why: &str) -> Status {
    cannot_handle(resource.kind, resource.version, resource.kind, why)
}

#[cfg(test)]
mod tests;
