//! JSON to messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::wire::{put_bytes, put_number};
use super::{DEPTH_MAX, ProtoError};
use crate::types::{self, Message, Type};

/// `runtime.Unknown` around a message.
pub(super) fn unknown(api_version: &str, kind: &str, raw: &[u8], out: &mut Vec<u8>) {
    let mut meta = Vec::new();
    put_bytes(1, api_version.as_bytes(), &mut meta);
    put_bytes(2, kind.as_bytes(), &mut meta);
    put_bytes(1, &meta, out);
    put_bytes(2, raw, out);
    put_bytes(3, &[], out);
    put_bytes(4, &[], out);
}

/// One object.
pub(super) fn object(message: &'static Message, value: &Value) -> Result<Vec<u8>, ProtoError> {
    let mut out = Vec::new();
    let object = as_object(value, message.name)?;
    write_message(message, object, 0, &mut out)?;
    Ok(out)
}

/// A list of objects: `{metadata = 1, items = 2}`.
pub(super) fn list(message: &'static Message, value: &Value) -> Result<Vec<u8>, ProtoError> {
    let mut out = Vec::new();
    let list = as_object(value, message.name)?;
    let metadata = match (list.get("metadata"), types::message("meta.v1.ListMeta")) {
        (Some(metadata), Some(list_meta)) => object(list_meta, metadata)?,
        _ => Vec::new(),
    };
    put_bytes(1, &metadata, &mut out);
    if let Some(Value::Array(items)) = list.get("items") {
        for item in items {
            put_bytes(2, &object(message, item)?, &mut out);
        }
    }
    Ok(out)
}

fn as_object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, ProtoError> {
    value
        .as_object()
        .ok_or_else(|| invalid(name, "not an object"))
}

fn write_message(
    message: &'static Message,
    object: &Map<String, Value>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    if depth > DEPTH_MAX {
        return Err(ProtoError::TooMuch("the message nests too deep"));
    }
    for field in &message.fields {
        if field.name.is_empty() {
            if let Some(inlined) = field.ty.message() {
                let mut inner = Vec::new();
                write_message(inlined, object, depth + 1, &mut inner)?;
                put_bytes(field.number, &inner, out);
            }
            continue;
        }
        let Some(value) = object.get(field.name).filter(|value| !value.is_null()) else {
            continue;
        };
        match (&field.ty, value) {
            (Type::List(item), Value::Array(items)) => {
                for value in items {
                    write(field.number, item, value, field.name, depth, out)?;
                }
            }
            (Type::List(_), _) => return Err(invalid(field.name, "not a list")),
            (ty, value) => write(field.number, ty, value, field.name, depth, out)?,
        }
    }
    Ok(())
}

/// Appends one value as the field `number`.
fn write(
    number: u32,
    ty: &'static Type,
    value: &Value,
    name: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    match ty {
        Type::Bool => match value {
            Value::Bool(value) => put_number(number, u64::from(*value), out),
            _ => return Err(invalid(name, "not a Boolean")),
        },
        Type::Int32 => {
            let value = i32::try_from(integer(value, name)?)
                .map_err(|_| invalid(name, "number out of range"))?;
            put_number(number, i64::from(value).cast_unsigned(), out);
        }
        Type::Int64 => put_number(number, integer(value, name)?.cast_unsigned(), out),
        Type::String => put_bytes(number, text(value, name)?.as_bytes(), out),
        Type::Bytes => {
            let bytes = STANDARD
                .decode(text(value, name)?)
                .map_err(|_| invalid(name, "not base64"))?;
            put_bytes(number, &bytes, out);
        }
        Type::Time | Type::MicroTime => {
            let time = time(value, name, *ty == Type::MicroTime)?;
            put_bytes(number, &time, out);
        }
        Type::Quantity => {
            let mut inner = Vec::new();
            match value {
                Value::String(text) => put_bytes(1, text.as_bytes(), &mut inner),
                Value::Number(number) => put_bytes(1, number.to_string().as_bytes(), &mut inner),
                _ => return Err(invalid(name, "not a quantity")),
            }
            put_bytes(number, &inner, out);
        }
        Type::IntOrString => {
            let mut inner = Vec::new();
            if let Value::String(text) = value {
                put_number(1, 1, &mut inner);
                put_number(2, 0, &mut inner);
                put_bytes(3, text.as_bytes(), &mut inner);
            } else {
                put_number(1, 0, &mut inner);
                write(2, &Type::Int32, value, name, depth, &mut inner)?;
                put_bytes(3, &[], &mut inner);
            }
            put_bytes(number, &inner, out);
        }
        Type::FieldsV1 => {
            let raw = serde_json::to_vec(value).map_err(|_| invalid(name, "not JSON"))?;
            let mut inner = Vec::new();
            put_bytes(1, &raw, &mut inner);
            put_bytes(number, &inner, out);
        }
        Type::Message(_) => {
            let mut inner = Vec::new();
            if let Some(message) = ty.message() {
                write_message(message, as_object(value, name)?, depth + 1, &mut inner)?;
            }
            put_bytes(number, &inner, out);
        }
        // The value of a map: a message around the list.
        Type::List(item) => {
            let Value::Array(items) = value else {
                return Err(invalid(name, "not a list"));
            };
            let mut inner = Vec::new();
            for value in items {
                write(1, item, value, name, depth + 1, &mut inner)?;
            }
            put_bytes(number, &inner, out);
        }
        Type::Map(ty) => {
            for (key, value) in as_object(value, name)? {
                let mut entry = Vec::new();
                put_bytes(1, key.as_bytes(), &mut entry);
                if !value.is_null() {
                    write(2, ty, value, name, depth + 1, &mut entry)?;
                }
                put_bytes(number, &entry, out);
            }
        }
    }
    Ok(())
}

fn invalid(field: &str, what: &'static str) -> ProtoError {
    ProtoError::Invalid {
        field: field.to_owned(),
        what,
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, ProtoError> {
    value.as_str().ok_or_else(|| invalid(name, "not text"))
}

fn integer(value: &Value, name: &str) -> Result<i64, ProtoError> {
    value
        .as_i64()
        .ok_or_else(|| invalid(name, "not a whole number"))
}

/// `{seconds = 1, nanos = 2}`.
fn time(value: &Value, name: &str, micros: bool) -> Result<Vec<u8>, ProtoError> {
    let time: Timestamp = text(value, name)?
        .parse()
        .map_err(|_| invalid(name, "not a time"))?;
    let mut nanos = i64::from(time.subsec_nanosecond());
    let mut seconds = time.as_second();
    // Before 1970 both count backwards here, and nanoseconds forwards on the wire.
    if nanos < 0 {
        nanos += 1_000_000_000;
        seconds -= 1;
    }
    let nanos = if micros { nanos / 1000 * 1000 } else { 0 };
    let mut bytes = Vec::new();
    put_number(1, seconds.cast_unsigned(), &mut bytes);
    put_number(2, nanos.cast_unsigned(), &mut bytes);
    Ok(bytes)
}
