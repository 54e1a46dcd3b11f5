//! A document as a tree in which every value knows where it stands.

use crate::manifest::problem::Position;

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
    /// Nodes in this subtree, itself included: what an alias to it would cost.
    pub(crate) weight: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    /// A number that is not whole, or too large for 128 bits.
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn scalar(at: Position, value: Value) -> Self {
        Self {
            at,
            value,
            weight: 1,
        }
    }

    pub(crate) fn list(at: Position, items: Vec<Self>) -> Self {
        let weight = items.iter().fold(1, |sum, item| sum + item.weight);
        Self {
            at,
            value: Value::List(items),
            weight,
        }
    }

    pub(crate) fn map(at: Position, entries: Vec<Entry>) -> Self {
        let weight = entries
            .iter()
            .fold(1, |sum, entry| sum + 1 + entry.value.weight);
        Self {
            at,
            value: Value::Map(entries),
            weight,
        }
    }

    /// The entry of this map under `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text under `key`, if it is a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.value.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing here, as in an empty document.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What stands here, for a message: `the integer 5`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Int(value) => format!("the integer {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::String(value) => format!("the string {}", excerpt(value)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "an object".to_owned(),
        }
    }

    /// Where the field at `path` (in Kubernetes' notation) stands, or the
    /// nearest parent that exists.
    pub(crate) fn locate(&self, path: &str) -> Position {
        let mut at = self.at;
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let (segment, tail) = next_segment(rest);
            rest = tail;
            match &node.value {
                Value::Map(entries) => {
                    let Some(entry) = entries.iter().find(|entry| entry.key == segment) else {
                        return at;
                    };
                    node = &entry.value;
                    at = match node.value {
                        Value::List(_) | Value::Map(_) | Value::Null => entry.key_at,
                        _ => node.at,
                    };
                }
                Value::List(items) => {
                    let item = segment
                        .parse::<usize>()
                        .ok()
                        .and_then(|index| items.get(index));
                    let Some(item) = item else { return at };
                    node = item;
                    at = node.at;
                }
                _ => return at,
            }
        }
        at
    }
}

/// Splits `a.b[0]` into `a` and `b[0]`, `[x.y/z].b` into `x.y/z` and `b`.
fn next_segment(path: &str) -> (&str, &str) {
    if let Some(inner) = path.strip_prefix('[') {
        let (key, tail) = inner.split_once(']').unwrap_or((inner, ""));
        return (key, tail.strip_prefix('.').unwrap_or(tail));
    }
    match path.find(['.', '[']) {
        Some(end) if path[end..].starts_with('.') => (&path[..end], &path[end + 1..]),
        Some(end) => (&path[..end], &path[end..]),
        None => (path, ""),
    }
}

/// A text in quotes, cut where it would fill the screen.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    if text.chars().count() <= CHARS_MAX {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(CHARS_MAX).collect();
    format!("{start:?}…")
}
