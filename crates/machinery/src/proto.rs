//! Objects as `application/vnd.kubernetes.protobuf`.
//!
//! The wire format is four magic bytes, then `runtime.Unknown` around the message of
//! the object. The table of [`crate::types`] says which field is which, in both
//! directions; what Kubernetes writes differently in JSON (times, quantities, bytes,
//! inlined members) is special here and nowhere else.
//!
//! Go clients write every field that is no pointer, also an empty one; JSON leaves it
//! out. So does [`decode`]: what comes out is what the client would have sent as JSON.
//! Bodies come from strangers, so that nesting, size and the number of values have
//! limits, and no bytes make it panic.

mod decode;
mod encode;
pub(crate) mod wire;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::gvk::{self, Shape};
use crate::types::{self, Message};

/// The media type of the format.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The bytes that every document starts with: `k8s`, and zero.
const MAGIC: &[u8; 4] = b"k8s\0";

/// Bytes that a document may have. The server takes bodies of 3 MiB; lists that it
/// writes may be longer, and are read back by tests only.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Nesting that is followed; no message of the table nests half as deep.
const DEPTH_MAX: usize = 64;

/// Values that a document may have. Two bytes make a value, which takes a hundred
/// in memory.
const VALUES_MAX: usize = 1_000_000;

/// Why bytes are no object, or an object has no bytes.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProtoError {
    /// They do not start with the magic bytes.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    NoMagic,
    /// The bytes end within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number has too many bytes.
    #[error("proto: integer overflow")]
    Overflow,
    /// A field number or a wire type that there is not.
    #[error("proto: illegal tag {0}")]
    IllegalTag(u64),
    /// The field is written as another type than it has.
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WrongWire {
        /// The name of the field.
        field: String,
        /// The wire type that stands there.
        wire: u8,
    },
    /// Text that is not UTF-8.
    #[error("proto: field {0} contains invalid UTF-8")]
    NotUtf8(String),
    /// A field holds a value that it cannot have.
    #[error("proto: field {field}: {what}")]
    Invalid {
        /// The name of the field.
        field: String,
        /// What is wrong with its value.
        what: &'static str,
    },
    /// More than is read: nesting, bytes or values.
    #[error("proto: {0}")]
    TooMuch(&'static str),
    /// The kind is not known here, or has no form in protobuf.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind {
        /// The version.
        api_version: String,
        /// The kind.
        kind: String,
    },
}

/// Reads an object (or a list): its `apiVersion`, its kind, and itself as JSON, which
/// has both in it.
///
/// # Errors
///
/// The bytes are not of the format, end early, hold a value that its field cannot
/// have, or more than is read; or the kind is not known.
pub fn decode(bytes: &[u8]) -> Result<(String, String, Value), ProtoError> {
    if bytes.len() > BYTES_MAX {
        return Err(ProtoError::TooMuch("the message is too long"));
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or(ProtoError::NoMagic)?;
    let unknown = decode::unknown(rest)?;
    let (api_version, kind) = (unknown.api_version, unknown.kind);
    let shape = shape(&api_version, &kind)?;
    let mut object = match shape {
        Shape::Object(message) => decode::object(message, unknown.raw)?,
        Shape::List(message) => decode::list(message, unknown.raw)?,
    };
    object.insert("apiVersion".to_owned(), Value::String(api_version.clone()));
    object.insert("kind".to_owned(), Value::String(kind.clone()));
    Ok((api_version, kind, Value::Object(object)))
}

/// Reads the options of a deletion, with or without magic bytes and kind.
///
/// # Errors
///
/// As for [`decode`]; also if the bytes are of another kind.
pub fn decode_delete_options(bytes: &[u8]) -> Result<Value, ProtoError> {
    if bytes.starts_with(MAGIC) {
        let (api_version, kind, value) = decode(bytes)?;
        if kind != "DeleteOptions" {
            return Err(ProtoError::UnknownKind { api_version, kind });
        }
        return Ok(value);
    }
    let message = types::message("meta.v1.DeleteOptions").ok_or(ProtoError::NoMagic)?;
    decode_message(message, bytes).map(Value::Object)
}

/// Reads the bytes of one message, without magic bytes and kind.
///
/// # Errors
///
/// As for [`decode`].
pub fn decode_message(
    message: &'static Message,
    bytes: &[u8],
) -> Result<Map<String, Value>, ProtoError> {
    if bytes.len() > BYTES_MAX {
        return Err(ProtoError::TooMuch("the message is too long"));
    }
    decode::object(message, bytes)
}

/// Writes an object or a list. What the message has no field for is left out.
///
/// # Errors
///
/// The kind is not known or has no form in protobuf (metrics), or a field holds what
/// its type cannot be.
pub fn encode(api_version: &str, kind: &str, value: &Value) -> Result<Vec<u8>, ProtoError> {
    let raw = match shape(api_version, kind)? {
        Shape::Object(message) => encode::object(message, value)?,
        Shape::List(message) => encode::list(message, value)?,
    };
    Ok(wrap(api_version, kind, &raw))
}

/// Puts magic bytes and kind in front of a message.
#[must_use]
pub fn wrap(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    encode::unknown(api_version, kind, raw, &mut bytes);
    bytes
}

/// What the kind stands for, where it has a form in protobuf.
fn shape(api_version: &str, kind: &str) -> Result<Shape, ProtoError> {
    gvk::shape(api_version, kind)
        .filter(|shape| {
            let (Shape::Object(message) | Shape::List(message)) = shape;
            // A duration among their fields is a message there, and text here.
            !message.name.starts_with("metrics.")
        })
        .ok_or_else(|| ProtoError::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
}

#[cfg(test)]
mod tests;
