//! Trees against messages.

use std::collections::HashSet;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use wasmjob_api::manifest::Tree;

use super::{DecodeError, Decoded, PROBLEMS_MAX, go, scalar};
use crate::types::{Field, Message, Type};

/// Checks `tree` as an object with `apiVersion` and `kind`.
pub(super) fn object(
    message: &'static Message,
    tree: &Tree,
    problems: Vec<String>,
) -> Result<Decoded, DecodeError> {
    let mut checker = Checker::new(problems);
    let value = match tree {
        Tree::Map(entries) => checker.message(message, true, entries, &mut Path::default()),
        Tree::Null => Value::Object(Map::new()),
        other => {
            let ty = go::message(message.name);
            let text = format!(
                "json: cannot unmarshal {} into Go value of type {ty}",
                kind_of(other)
            );
            return Err(DecodeError::Type(text));
        }
    };
    match checker.wrong {
        Some(wrong) => Err(DecodeError::Type(wrong)),
        None => Ok(Decoded {
            value,
            problems: checker.problems,
        }),
    }
}

/// Takes `tree` as it stands; keys that stand there twice are problems.
pub(super) fn plain(tree: &Tree, problems: Vec<String>) -> Decoded {
    let mut checker = Checker::new(problems);
    let value = checker.plain(tree, &mut Path::default());
    Decoded {
        value,
        problems: checker.problems,
    }
}

/// Where the checker is: the path with indices for problems (`spec.containers[0]`), and
/// the names of fields alone, which Go has in its errors.
#[derive(Default)]
struct Path {
    full: String,
    fields: Vec<&'static str>,
}

impl Path {
    /// The path of `key` from here.
    fn join(&self, key: &str) -> String {
        if self.full.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.full)
        }
    }

    /// Steps down to `key`; [`Path::leave`] takes the length back.
    fn enter(&mut self, key: &str) -> usize {
        let length = self.full.len();
        if length > 0 {
            self.full.push('.');
        }
        self.full.push_str(key);
        length
    }

    fn enter_index(&mut self, index: usize) -> usize {
        let length = self.full.len();
        // Writing to a string does not fail.
        let _ = write!(self.full, "[{index}]");
        length
    }

    fn leave(&mut self, length: usize) {
        self.full.truncate(length);
    }
}

/// Where a value stands, as Go's errors tell it.
#[derive(Clone, Copy)]
struct Place {
    message: &'static Message,
    field: &'static Field,
    /// Whether it is the value of the field itself, and no part of it.
    whole: bool,
}

struct Checker {
    problems: Vec<String>,
    told: HashSet<String>,
    /// The first value of a wrong type; Go goes on as well.
    wrong: Option<String>,
}

impl Checker {
    fn new(problems: Vec<String>) -> Self {
        Self {
            problems,
            told: HashSet::new(),
            wrong: None,
        }
    }

    /// Adds a problem, each once, and no more than anybody reads.
    fn tell(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX && self.told.insert(problem.clone()) {
            self.problems.push(problem);
        }
    }

    fn message(
        &mut self,
        message: &'static Message,
        is_root: bool,
        entries: &[(String, Tree)],
        path: &mut Path,
    ) -> Value {
        // Options of a deletion are an object also where they are part of another.
        let has_kind = is_root || message.name == "meta.v1.DeleteOptions";
        let mut object = Map::new();
        let mut seen: HashSet<&str> = HashSet::new();
        for (key, tree) in entries {
            let is_meta = has_kind && matches!(key.as_str(), "apiVersion" | "kind");
            let field = message.field(key);
            if !is_meta && field.is_none() {
                self.tell(format!("unknown field {:?}", path.join(key)));
                continue;
            }
            if !seen.insert(key) {
                self.tell(format!("duplicate field {:?}", path.join(key)));
            }
            let value = match field {
                Some(field) => {
                    let place = Place {
                        message,
                        field,
                        whole: true,
                    };
                    let length = path.enter(key);
                    path.fields.push(field.name);
                    let value = self.value(&field.ty, tree, place, path);
                    path.fields.pop();
                    path.leave(length);
                    value
                }
                None => match tree {
                    Tree::String(text) => Value::String(text.clone()),
                    Tree::Null => Value::Null,
                    other => {
                        let text = format!(
                            "json: cannot unmarshal {} into Go struct field {}.{key} of type string",
                            kind_of(other),
                            go::local(message.name)
                        );
                        self.wrong.get_or_insert(text);
                        Value::Null
                    }
                },
            };
            if value.is_null() {
                object.remove(key);
            } else {
                object.insert(key.clone(), value);
            }
        }
        Value::Object(object)
    }

    fn value(&mut self, ty: &'static Type, tree: &Tree, place: Place, path: &mut Path) -> Value {
        match (ty, tree) {
            (Type::FieldsV1, tree) => self.plain(tree, path),
            (_, Tree::Null) => Value::Null,
            (Type::Message(_), Tree::Map(entries)) => match ty.message() {
                Some(message) => self.message(message, false, entries, path),
                None => Value::Null,
            },
            (Type::List(item), Tree::List(items)) => {
                let place = Place {
                    whole: false,
                    ..place
                };
                let items = items.iter().enumerate().map(|(index, tree)| {
                    let length = path.enter_index(index);
                    let value = self.value(item, tree, place, path);
                    path.leave(length);
                    or_zero(value, item)
                });
                Value::Array(items.collect())
            }
            (Type::Map(ty), Tree::Map(entries)) => {
                let place = Place {
                    whole: false,
                    ..place
                };
                let mut map = Map::new();
                for (key, tree) in entries {
                    let length = path.enter(key);
                    let value = self.value(ty, tree, place, path);
                    path.leave(length);
                    if map.insert(key.clone(), or_zero(value, ty)).is_some() {
                        self.tell(format!("duplicate field {:?}", path.join(key)));
                    }
                }
                Value::Object(map)
            }
            (ty, tree) => self.scalar(ty, tree, place, path),
        }
    }

    /// A scalar, or a value of the wrong type.
    fn scalar(&mut self, ty: &'static Type, tree: &Tree, place: Place, path: &Path) -> Value {
        let checked = match (ty, tree) {
            (Type::Bool, Tree::Bool(value)) => return Value::Bool(*value),
            (Type::String, Tree::String(text)) => return Value::String(text.clone()),
            (Type::IntOrString, Tree::String(text)) => return Value::String(text.clone()),
            (Type::Int32 | Type::IntOrString, Tree::Number(number))
                if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
            {
                return Value::Number(number.clone());
            }
            (Type::Int64, Tree::Number(number)) if number.as_i64().is_some() => {
                return Value::Number(number.clone());
            }
            (Type::Bytes, Tree::String(text)) => base64(text),
            (Type::Time, Tree::String(text)) => scalar::time(text, false).map(Value::String),
            (Type::MicroTime, Tree::String(text)) => scalar::time(text, true).map(Value::String),
            (Type::Quantity, Tree::String(text)) => match scalar::quantity(text.trim()) {
                Ok(()) => return Value::String(text.trim().to_owned()),
                Err(why) => Err(why.to_owned()),
            },
            (Type::Quantity, Tree::Number(number)) => return Value::String(number.to_string()),
            (Type::Quantity, _) => Err(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                    .to_owned(),
            ),
            (ty, tree) => Err(wrong_type(ty, tree, place, path)),
        };
        match checked {
            Ok(value) => value,
            Err(why) => {
                self.wrong.get_or_insert(why);
                Value::Null
            }
        }
    }

    fn plain(&mut self, tree: &Tree, path: &mut Path) -> Value {
        match tree {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::String(text) => Value::String(text.clone()),
            Tree::List(items) => {
                let items = items.iter().enumerate().map(|(index, tree)| {
                    let length = path.enter_index(index);
                    let value = self.plain(tree, path);
                    path.leave(length);
                    value
                });
                Value::Array(items.collect())
            }
            Tree::Map(entries) => {
                let mut map = Map::new();
                for (key, tree) in entries {
                    let length = path.enter(key);
                    let value = self.plain(tree, path);
                    path.leave(length);
                    if map.insert(key.clone(), value).is_some() {
                        self.tell(format!("duplicate field {:?}", path.join(key)));
                    }
                }
                Value::Object(map)
            }
        }
    }
}

fn wrong_type(ty: &'static Type, tree: &Tree, place: Place, path: &Path) -> String {
    let name = if place.whole {
        go::name_in(place.message.name, place.field)
    } else {
        go::name(ty)
    };
    let is_whole_number = matches!(ty, Type::Int32 | Type::Int64 | Type::IntOrString);
    let what = match tree {
        Tree::Number(number) if is_whole_number => format!("number {}", plain_number(number)),
        other => kind_of(other).to_owned(),
    };
    format!(
        "json: cannot unmarshal {what} into Go struct field {}.{} of type {name}",
        go::local(place.message.name),
        path.fields.join(".")
    )
}

/// A number without the `.0` of a whole one.
fn plain_number(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn base64(text: &str) -> Result<Value, String> {
    // Go skips the ends of lines within.
    let compact: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    match STANDARD.decode(&compact) {
        Ok(_) => Ok(Value::String(compact)),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => compact.len(),
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

/// What Go has where an item of a list or a value of a map is null.
fn or_zero(value: Value, ty: &Type) -> Value {
    if !value.is_null() {
        return value;
    }
    match ty {
        Type::String | Type::Bytes => Value::String(String::new()),
        Type::Bool => Value::Bool(false),
        Type::Int32 | Type::Int64 | Type::IntOrString => Value::from(0),
        Type::Quantity => Value::String("0".to_owned()),
        Type::Message(_) | Type::Map(_) => Value::Object(Map::new()),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Time | Type::MicroTime | Type::FieldsV1 => Value::Null,
    }
}

/// What a value is, as Go says it.
fn kind_of(tree: &Tree) -> &'static str {
    match tree {
        Tree::Null => "null",
        Tree::Bool(_) => "bool",
        Tree::Number(_) => "number",
        Tree::String(_) => "string",
        Tree::List(_) => "array",
        Tree::Map(_) => "object",
    }
}
