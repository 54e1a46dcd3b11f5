//! Messages to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::wire::{Fields, Wire};
use super::{DEPTH_MAX, ProtoError, VALUES_MAX};
use crate::types::{self, Field, Message, Type};

/// `runtime.Unknown`.
pub(super) struct Unknown<'a> {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) raw: &'a [u8],
}

pub(super) fn unknown(bytes: &[u8]) -> Result<Unknown<'_>, ProtoError> {
    let mut unknown = Unknown {
        api_version: String::new(),
        kind: String::new(),
        raw: &[],
    };
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut fields = Fields::new(bytes);
                while let Some((number, wire)) = fields.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(bytes)) => {
                            unknown.api_version = text(bytes, "apiVersion")?;
                        }
                        (2, Wire::Bytes(bytes)) => unknown.kind = text(bytes, "kind")?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => unknown.raw = bytes,
            // How the raw bytes are encoded; nothing but this format is in use.
            _ => {}
        }
    }
    Ok(unknown)
}

/// One object.
pub(super) fn object(
    message: &'static Message,
    bytes: &[u8],
) -> Result<Map<String, Value>, ProtoError> {
    let mut object = Map::new();
    Decoder::default().message(message, bytes, 0, &mut object)?;
    Ok(object)
}

/// A list of objects: `{metadata = 1, items = 2}`.
pub(super) fn list(
    message: &'static Message,
    bytes: &[u8],
) -> Result<Map<String, Value>, ProtoError> {
    let mut decoder = Decoder::default();
    let mut metadata = Map::new();
    let mut items = Vec::new();
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                if let Some(list_meta) = types::message("meta.v1.ListMeta") {
                    decoder.message(list_meta, bytes, 1, &mut metadata)?;
                }
            }
            (2, Wire::Bytes(bytes)) => {
                let mut item = Map::new();
                decoder.message(message, bytes, 1, &mut item)?;
                items.push(Value::Object(item));
            }
            _ => {}
        }
    }
    let mut list = Map::new();
    list.insert("metadata".to_owned(), Value::Object(metadata));
    list.insert("items".to_owned(), Value::Array(items));
    Ok(list)
}

#[derive(Default)]
struct Decoder {
    values: usize,
}

impl Decoder {
    fn count(&mut self) -> Result<(), ProtoError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(ProtoError::TooMuch("the message has too many values"));
        }
        Ok(())
    }

    /// Reads a message into `object`, which may have fields of it already: a message
    /// that stands there twice is one.
    fn message(
        &mut self,
        message: &'static Message,
        bytes: &[u8],
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Result<(), ProtoError> {
        if depth > DEPTH_MAX {
            return Err(ProtoError::TooMuch("the message nests too deep"));
        }
        let mut fields = Fields::new(bytes);
        while let Some((number, wire)) = fields.next()? {
            let Some(field) = message.fields.iter().find(|f| f.number == number) else {
                continue;
            };
            self.count()?;
            self.field(field, wire, depth, object)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        field: &'static Field,
        wire: Wire<'_>,
        depth: usize,
        object: &mut Map<String, Value>,
    ) -> Result<(), ProtoError> {
        match &field.ty {
            Type::Message(_) => {
                let (Some(message), Wire::Bytes(bytes)) = (field.ty.message(), wire) else {
                    return Err(wrong_wire(field, wire));
                };
                if field.name.is_empty() {
                    return self.message(message, bytes, depth + 1, object);
                }
                let mut inner = match object.remove(field.name) {
                    Some(Value::Object(inner)) => inner,
                    _ => Map::new(),
                };
                self.message(message, bytes, depth + 1, &mut inner)?;
                if field.pointer || !inner.is_empty() {
                    object.insert(field.name.to_owned(), Value::Object(inner));
                }
            }
            Type::List(item) => {
                let mut items = match object.remove(field.name) {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                };
                self.items(field, item, wire, depth, &mut items)?;
                if !items.is_empty() {
                    object.insert(field.name.to_owned(), Value::Array(items));
                }
            }
            Type::Map(ty) => {
                let Wire::Bytes(bytes) = wire else {
                    return Err(wrong_wire(field, wire));
                };
                let (key, value) = self.entry(field, ty, bytes, depth)?;
                let map = object
                    .entry(field.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    map.insert(key, value);
                }
            }
            ty => {
                let value = self.value(field, ty, wire, depth)?;
                if value.is_null() || (!field.pointer && is_empty(&value)) {
                    object.remove(field.name);
                } else {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    /// Appends what stands in one occurrence of a repeated field.
    fn items(
        &mut self,
        field: &'static Field,
        item: &'static Type,
        wire: Wire<'_>,
        depth: usize,
        items: &mut Vec<Value>,
    ) -> Result<(), ProtoError> {
        if let (Type::Bool | Type::Int32 | Type::Int64, Wire::Bytes(packed)) = (item, wire) {
            let mut numbers = Fields::new(packed);
            while !numbers.is_empty() {
                self.count()?;
                let number = Wire::Varint(numbers.varint()?);
                items.push(self.value(field, item, number, depth)?);
            }
            return Ok(());
        }
        items.push(self.value(field, item, wire, depth)?);
        Ok(())
    }

    /// One entry of a map: `{key = 1, value = 2}`.
    fn entry(
        &mut self,
        field: &'static Field,
        ty: &'static Type,
        bytes: &[u8],
        depth: usize,
    ) -> Result<(String, Value), ProtoError> {
        let mut key = String::new();
        let mut value = None;
        let mut fields = Fields::new(bytes);
        while let Some((number, wire)) = fields.next()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => key = text(bytes, field.name)?,
                (2, wire) => value = Some(self.value(field, ty, wire, depth + 1)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            // An empty value may be left out on the wire.
            None => match ty {
                Type::Bool => Value::Bool(false),
                Type::Int32 | Type::Int64 | Type::IntOrString => Value::from(0),
                Type::Quantity => Value::String("0".to_owned()),
                Type::List(_) => Value::Array(Vec::new()),
                Type::Map(_) | Type::Message(_) => Value::Object(Map::new()),
                Type::String | Type::Bytes => Value::String(String::new()),
                Type::Time | Type::MicroTime | Type::FieldsV1 => Value::Null,
            },
        };
        Ok((key, value))
    }

    /// A value that is not part of an object yet; null for a time that is not set.
    fn value(
        &mut self,
        field: &'static Field,
        ty: &'static Type,
        wire: Wire<'_>,
        depth: usize,
    ) -> Result<Value, ProtoError> {
        match (ty, wire) {
            (Type::Bool, Wire::Varint(number)) => Ok(Value::Bool(number != 0)),
            // Go cuts the upper half off as well.
            (Type::Int32, Wire::Varint(number)) => Ok(Value::from(number as i32)),
            (Type::Int64, Wire::Varint(number)) => Ok(Value::from(number.cast_signed())),
            (Type::String, Wire::Bytes(bytes)) => text(bytes, field.name).map(Value::String),
            (Type::Bytes, Wire::Bytes(bytes)) => Ok(Value::String(STANDARD.encode(bytes))),
            (Type::Time, Wire::Bytes(bytes)) => time(field, bytes, false),
            (Type::MicroTime, Wire::Bytes(bytes)) => time(field, bytes, true),
            (Type::Quantity, Wire::Bytes(bytes)) => quantity(field, bytes),
            (Type::IntOrString, Wire::Bytes(bytes)) => int_or_string(field, bytes),
            (Type::FieldsV1, Wire::Bytes(bytes)) => fields_v1(field, bytes),
            (Type::Message(_), Wire::Bytes(bytes)) => {
                let mut inner = Map::new();
                if let Some(message) = ty.message() {
                    self.message(message, bytes, depth + 1, &mut inner)?;
                }
                Ok(Value::Object(inner))
            }
            // The value of a map: a message around the list.
            (Type::List(item), Wire::Bytes(bytes)) => {
                let mut items = Vec::new();
                let mut fields = Fields::new(bytes);
                while let Some((number, wire)) = fields.next()? {
                    if number == 1 {
                        self.count()?;
                        self.items(field, item, wire, depth + 1, &mut items)?;
                    }
                }
                Ok(Value::Array(items))
            }
            _ => Err(wrong_wire(field, wire)),
        }
    }
}

fn wrong_wire(field: &Field, wire: Wire<'_>) -> ProtoError {
    ProtoError::WrongWire {
        field: field.name.to_owned(),
        wire: wire.number(),
    }
}

fn invalid(field: &Field, what: &'static str) -> ProtoError {
    ProtoError::Invalid {
        field: field.name.to_owned(),
        what,
    }
}

fn text(bytes: &[u8], name: &str) -> Result<String, ProtoError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ProtoError::NotUtf8(name.to_owned())),
    }
}

/// Whether a scalar is what Go starts with, so that JSON leaves it out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// `{seconds = 1, nanos = 2}`; no bytes at all are no time.
fn time(field: &Field, bytes: &[u8], micros: bool) -> Result<Value, ProtoError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        match (number, wire) {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    let nanos = i32::try_from(nanos)
        .ok()
        .filter(|nanos| (0..1_000_000_000).contains(nanos))
        .filter(|_| micros)
        .unwrap_or_default();
    let time = Timestamp::new(seconds, nanos).map_err(|_| invalid(field, "no such time"))?;
    let shape = if micros {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Ok(Value::String(time.strftime(shape).to_string()))
}

/// `{string = 1}`.
fn quantity(field: &Field, bytes: &[u8]) -> Result<Value, ProtoError> {
    let mut value = String::new();
    let mut fields = Fields::new(bytes);
    while let Some((number, wire)) = fields.next()? {
        if let (1, Wire::Bytes(bytes)) = (number, wire) {
            value = text(bytes, field.name)?;
        }
    }
    if value.is_empty() {
        value.push('0');
    }
    Ok(Value::String(value))
}

/// `{type = 1, intVal = 2, strVal = 3}`; type 1 is text.
fn int_or_string(field: &Field, bytes: &[u8]) -> Result<Value, ProtoError> {
    let (mut kind, mut number, mut string) = (0, 0, String::new());
    let mut fields = Fields::new(bytes);
    while let Some((tag, wire)) = fields.next()? {
        match (tag, wire) {
            (1, Wire::Varint(value)) => kind = value,
            (2, Wire::Varint(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes, field.name)?,
            _ => {}
        }
    }
    if kind == 1 {
        return Ok(Value::String(string));
    }
    let number = i32::try_from(number).map_err(|_| invalid(field, "number out of range"))?;
    Ok(Value::from(number))
}

/// `{Raw = 1}`: JSON.
fn fields_v1(field: &Field, bytes: &[u8]) -> Result<Value, ProtoError> {
    let mut fields = Fields::new(bytes);
    let mut value = Value::Null;
    while let Some((number, wire)) = fields.next()? {
        if let (1, Wire::Bytes(bytes)) = (number, wire)
            && !bytes.is_empty()
        {
            value = serde_json::from_slice(bytes).map_err(|_| invalid(field, "not valid JSON"))?;
        }
    }
    Ok(value)
}
