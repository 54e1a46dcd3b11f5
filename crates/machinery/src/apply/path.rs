//! One step of a path: a field, an item by its keys, an item by its value.

use std::fmt;

use serde_json::{Map, Value};

/// A step from an object or list to what it holds.
///
/// Keys and values are kept as JSON text with sorted keys: it orders them, tells
/// them apart and is what is recorded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Element {
    /// A field of an object: `f:name`.
    Field(String),
    /// The item of a list with these keys: `k:{"name":"x"}`.
    Key(String),
    /// The item of a set with this value: `v:"x"`.
    Value(String),
    /// The item of a list at this place: `i:0`. Only old records have it.
    Index(u64),
}

impl Element {
    /// The field of that name.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    /// The item with these keys.
    #[must_use]
    pub fn key<'a>(keys: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        // The order of a map of JSON depends on how serde_json is built.
        let mut keys: Vec<(&str, &Value)> = keys.into_iter().collect();
        keys.sort_by_key(|(name, _)| *name);
        let mut text = String::from("{");
        for (index, (name, value)) in keys.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_text(&mut text, name);
            text.push(':');
            match value {
                Value::String(value) => push_text(&mut text, value),
                value => text.push_str(&value.to_string()),
            }
        }
        text.push('}');
        Self::Key(text)
    }

    /// The item with this value.
    #[must_use]
    pub fn value(value: &Value) -> Self {
        Self::Value(value.to_string())
    }

    /// As it is recorded.
    pub(super) fn record(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// What a record means.
    pub(super) fn read(record: &str) -> Result<Self, String> {
        let wrong = || format!("missing key type or unknown one: {record:?}");
        let json = |text: &str| {
            serde_json::from_str::<Value>(text).map_err(|error| format!("{record:?}: {error}"))
        };
        let (kind, rest) = record.split_once(':').ok_or_else(wrong)?;
        match kind {
            "f" => Ok(Self::field(rest)),
            "k" => match json(rest)? {
                Value::Object(keys) => Ok(Self::key(keys.iter().map(|(k, v)| (k.as_str(), v)))),
                _ => Err(format!("{record:?}: keys are no object")),
            },
            "v" => Ok(Self::value(&json(rest)?)),
            "i" => rest.parse().map(Self::Index).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let parts: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", parts.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Appends a text as JSON; most need no escape.
fn push_text(out: &mut String, text: &str) {
    let plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    match text.bytes().all(plain) {
        true => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
        false => out.push_str(&Value::from(text).to_string()),
    }
}

/// A path as messages show it: `.spec.containers[name="c"].image`.
pub(super) fn text(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}
