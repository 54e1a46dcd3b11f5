//! The strict check of a tree against the schema, which also makes it JSON.
//!
//! What passes here fits the Kubernetes type, so the step from JSON to the type
//! has nothing left to refuse, and nothing to lose silently.

use serde_json::{Map, Number, Value as Json};

use super::problem::Position;
use super::tree::{Entry, Node, Value, excerpt};
use crate::field::Path;
use crate::types::{self, Message, Type};

/// Something that does not fit.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) at: Position,
    pub(crate) path: Path,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Checks the object `node` against the message `message`, and makes it JSON.
/// Whatever does not fit is left out of the JSON and told.
pub(crate) fn object(node: &Node, message: &'static str, misfits: &mut Vec<Misfit>) -> Json {
    let check = &mut Check { misfits };
    match types::message(message) {
        Some(message) => check.message(node, message, &Path::default()),
        None => free(node),
    }
}

struct Check<'a> {
    misfits: &'a mut Vec<Misfit>,
}

impl Check<'_> {
    fn message(&mut self, node: &Node, message: &'static Message, path: &Path) -> Json {
        let Value::Map(entries) = &node.value else {
            return self.misfit(node, path, "an object");
        };
        let is_root = path.as_str().is_empty();
        let mut object = Map::new();
        for entry in entries {
            let path = path.child(&entry.key);
            if is_root && matches!(entry.key.as_str(), "apiVersion" | "kind") {
                object.insert(
                    entry.key.clone(),
                    self.value(&entry.value, &Type::String, &path),
                );
            } else if let Some(field) = message.field(&entry.key) {
                // Null is the same as absent, as in Go.
                if !entry.value.is_null() {
                    let value = self.value(&entry.value, &field.ty, &path);
                    object.insert(entry.key.clone(), value);
                }
            } else {
                self.unknown(entry, path, message);
            }
        }
        Json::Object(object)
    }

    fn value(&mut self, node: &Node, kind: &Type, path: &Path) -> Json {
        match (kind, &node.value) {
            (Type::Message(_), _) => match kind.message() {
                Some(message) => self.message(node, message, path),
                None => free(node),
            },
            (Type::List(item), Value::List(items)) => {
                let item_of = |(index, node): (usize, &Node)| {
                    let path = path.index(index);
                    if node.is_null() {
                        zero(item)
                    } else {
                        self.value(node, item, &path)
                    }
                };
                Json::Array(items.iter().enumerate().map(item_of).collect())
            }
            (Type::List(_), _) => self.misfit(node, path, "a list"),
            (Type::Map(value), Value::Map(entries)) => {
                let mut object = Map::new();
                for entry in entries {
                    let path = path.key(&entry.key);
                    let json = if entry.value.is_null() {
                        zero(value)
                    } else {
                        self.value(&entry.value, value, &path)
                    };
                    object.insert(entry.key.clone(), json);
                }
                Json::Object(object)
            }
            (Type::Map(_), _) => self.misfit(node, path, "an object"),
            (Type::String | Type::Bytes, Value::String(text)) => Json::from(text.as_str()),
            (Type::String | Type::Bytes, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => {
                let hint = Some("put it in quotes".to_owned());
                self.misfit_with(node, path, "a string", hint)
            }
            (Type::String | Type::Bytes, _) => self.misfit(node, path, "a string"),
            (Type::Bool, Value::Bool(value)) => Json::Bool(*value),
            (Type::Bool, Value::String(text)) => {
                let hint = boolean_meant(text);
                self.misfit_with(node, path, "a boolean", hint)
            }
            (Type::Bool, _) => self.misfit(node, path, "a boolean"),
            (Type::Int32, Value::Int(value)) => match i32::try_from(*value) {
                Ok(value) => Json::from(value),
                Err(_) => self.misfit(node, path, "an integer of 32 bits"),
            },
            (Type::Int64, Value::Int(value)) => match i64::try_from(*value) {
                Ok(value) => Json::from(value),
                Err(_) => self.misfit(node, path, "an integer of 64 bits"),
            },
            (Type::Int32 | Type::Int64, Value::String(text)) if text.parse::<i64>().is_ok() => {
                let hint = Some(format!("write {text} without quotes"));
                self.misfit_with(node, path, "an integer", hint)
            }
            (Type::Int32 | Type::Int64, _) => self.misfit(node, path, "an integer"),
            (Type::Time | Type::MicroTime, Value::String(text)) => {
                if text.parse::<jiff::Timestamp>().is_err() {
                    return self.misfit(node, path, "a time such as \"2026-11-21T00:20:00Z\"");
                }
                Json::from(text.as_str())
            }
            (Type::Time | Type::MicroTime, _) => {
                self.misfit(node, path, "a time such as \"2026-11-21T00:20:00Z\"")
            }
            (Type::Quantity, _) => self.quantity(node, path),
            (Type::IntOrString, Value::String(text)) => Json::from(text.as_str()),
            (Type::IntOrString, Value::Int(value)) => match i32::try_from(*value) {
                Ok(value) => Json::from(value),
                Err(_) => self.misfit(node, path, "an integer of 32 bits or a string"),
            },
            (Type::IntOrString, _) => self.misfit(node, path, "an integer or a string"),
            (Type::FieldsV1, _) => free(node),
        }
    }

    fn quantity(&mut self, node: &Node, path: &Path) -> Json {
        let text = match &node.value {
            Value::String(text) => text.clone(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) if value.is_finite() => value.to_string(),
            _ => return self.misfit(node, path, "a quantity such as 500m or 256Mi"),
        };
        if let Err(error) = text.parse::<crate::Quantity>() {
            let message = format!("{} is not a quantity: {error}", excerpt(&text));
            let hint = quantity_meant(&text);
            self.misfits.push(Misfit {
                at: node.at,
                path: path.clone(),
                message,
                hint,
            });
            return Json::Null;
        }
        Json::from(text)
    }

    fn misfit(&mut self, node: &Node, path: &Path, expected: &str) -> Json {
        self.misfit_with(node, path, expected, None)
    }

    fn misfit_with(
        &mut self,
        node: &Node,
        path: &Path,
        expected: &str,
        hint: Option<String>,
    ) -> Json {
        let message = format!("expected {expected}, found {}", node.describe());
        self.misfits.push(Misfit {
            at: node.at,
            path: path.clone(),
            message,
            hint,
        });
        Json::Null
    }

    fn unknown(&mut self, entry: &Entry, path: Path, message: &'static Message) {
        let names = message.json_fields().map(|field| field.name);
        let hint = did_you_mean(&entry.key, names).map(|name| format!("did you mean `{name}`?"));
        let message = "unknown field".to_owned();
        self.misfits.push(Misfit {
            at: entry.key_at,
            path,
            message,
            hint,
        });
    }
}

/// What Go's zero value of a type is as JSON.
fn zero(kind: &Type) -> Json {
    match kind {
        Type::Message(_) | Type::Map(_) => Json::Object(Map::new()),
        Type::List(_) => Json::Array(Vec::new()),
        Type::Int32 | Type::Int64 | Type::IntOrString => Json::from(0),
        Type::Bool => Json::Bool(false),
        Type::Quantity => Json::from("0"),
        Type::String | Type::Bytes | Type::Time | Type::MicroTime | Type::FieldsV1 => {
            Json::from("")
        }
    }
}

fn free(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Number::from_i128(*value).map_or(Json::Null, Json::Number),
        Value::Float(value) => Json::from(*value),
        Value::String(text) => Json::from(text.as_str()),
        Value::List(items) => Json::Array(items.iter().map(free).collect()),
        Value::Map(entries) => Json::Object(
            entries
                .iter()
                .map(|e| (e.key.clone(), free(&e.value)))
                .collect(),
        ),
    }
}

/// The name that `word` was most likely meant to be.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    names: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // Comparing is quadratic in the lengths; no name is longer than this.
    const WORD_BYTES_MAX: usize = 100;
    const SIMILARITY_MIN: f64 = 0.75;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    names
        .map(|name| (strsim::jaro_winkler(&word, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn boolean_meant(text: &str) -> Option<String> {
    let name = did_you_mean(text, ["true", "false"].into_iter())?;
    Some(format!("write {name} without quotes"))
}

fn quantity_meant(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let suffix = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "b" => "",
        "kb" => "k",
        "k" | "ki" | "kib" => "Ki",
        "mb" => "M",
        "mi" | "mib" => "Mi",
        "gb" => "G",
        "g" | "gi" | "gib" => "Gi",
        "tb" => "T",
        "ti" | "tib" => "Ti",
        _ => return None,
    };
    Some(format!("did you mean `{digits}{suffix}`?"))
}
