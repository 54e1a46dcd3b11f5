//! What a write changes: the fields that are new, gone or different.
//!
//! Upstream compares Go's typed objects, in which a struct that is no pointer is
//! always there and an empty value is the same as none. JSON leaves both out, so
//! they are put back here; else the records would differ from upstream's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::path::Element;
use super::schema::{Schema, View};
use super::set::FieldSet;
use crate::patch::{DEPTH_MAX, same};
use crate::types::{Field, Type};

/// How two objects differ.
#[derive(Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
}

impl Comparison {
    /// What is new or different.
    pub(super) fn changed(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    pub(super) fn map(self, f: impl Fn(FieldSet) -> FieldSet) -> Self {
        Self {
            added: f(self.added),
            removed: f(self.removed),
            modified: f(self.modified),
        }
    }
}

pub(super) static EMPTY: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));

static EMPTY_LIST: Value = Value::Array(Vec::new());

/// How `new` differs from `old`.
pub(super) fn compare(schema: Schema, old: &Value, new: &Value) -> Comparison {
    visit(schema, Some(old), Some(new), DEPTH_MAX).below
}

/// How a value differs.
#[derive(Default)]
struct Difference {
    /// Itself, if it does.
    own: Option<Change>,
    below: Comparison,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
    Modified,
}

type Both<'a> = (Option<&'a Value>, Option<&'a Value>);
type Fields = Map<String, Value>;

impl Comparison {
    /// Adds what differs one step below.
    fn put(&mut self, element: Element, difference: Difference) {
        let Difference { own, below } = difference;
        let is = |change| own == Some(change);
        self.added
            .put(element.clone(), is(Change::Added), below.added);
        self.removed
            .put(element.clone(), is(Change::Removed), below.removed);
        self.modified
            .put(element, is(Change::Modified), below.modified);
    }
}

fn visit(schema: Schema, old: Option<&Value>, new: Option<&Value>, levels: usize) -> Difference {
    let Some(levels) = levels.checked_sub(1) else {
        return leaf(old, new);
    };
    let views = (
        old.map(|value| schema.view(value)),
        new.map(|value| schema.view(value)),
    );
    let (own, below) = match views {
        (Some(View::Object(a)), Some(View::Object(b))) => {
            (None, fields(schema, Some(a), Some(b), levels))
        }
        (None, Some(View::Object(b))) if !b.is_empty() => {
            (Some(Change::Added), fields(schema, None, Some(b), levels))
        }
        (Some(View::Object(a)), None) if !a.is_empty() => {
            (Some(Change::Removed), fields(schema, Some(a), None, levels))
        }
        (Some(View::Items(a)), Some(View::Items(b))) => (None, items(schema, a, b, levels)),
        (None, Some(View::Items(b))) if !b.is_empty() => {
            (Some(Change::Added), items(schema, Vec::new(), b, levels))
        }
        (Some(View::Items(a)), None) if !a.is_empty() => {
            (Some(Change::Removed), items(schema, a, Vec::new(), levels))
        }
        _ => return leaf(old, new),
    };
    Difference { own, below }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Difference {
    let own = match (old, new) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (Some(old), Some(new)) if !same(old, new) => Some(Change::Modified),
        _ => None,
    };
    Difference {
        own,
        ..Difference::default()
    }
}

fn items(
    schema: Schema,
    old: Vec<(Element, &Value)>,
    new: Vec<(Element, &Value)>,
    levels: usize,
) -> Comparison {
    let mut both: BTreeMap<Element, Both<'_>> = BTreeMap::new();
    for (element, value) in old {
        both.entry(element).or_default().0.get_or_insert(value);
    }
    for (element, value) in new {
        both.entry(element).or_default().1.get_or_insert(value);
    }
    let mut below = Comparison::default();
    for (element, (old, new)) in both {
        below.put(element, visit(schema.item(), old, new, levels));
    }
    below
}

fn fields(schema: Schema, old: Option<&Fields>, new: Option<&Fields>, levels: usize) -> Comparison {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for fields in [old, new].into_iter().flatten() {
        names.extend(fields.keys().map(String::as_str));
    }
    if let Schema::Struct(message) = schema
        && old.is_some() != new.is_some()
    {
        // What JSON leaves out is new or gone as well.
        let always = message
            .json_fields()
            .filter(|field| always(field).is_some());
        names.extend(always.map(|field| field.name));
    }
    let mut below = Comparison::default();
    for name in names {
        let values = (
            old.and_then(|fields| fields.get(name)),
            new.and_then(|fields| fields.get(name)),
        );
        let (a, b) = match schema.declared(name) {
            None => values,
            Some(field) => {
                let (a, b) = typed(field, values, (old.is_some(), new.is_some()));
                // Nothing and an empty value are the same in one object.
                if old.is_some() && new.is_some() && !field.pointer {
                    let zero = |value: Option<&Value>| value.is_none_or(is_zero);
                    if (a.is_none() || b.is_none()) && zero(a) && zero(b) {
                        continue;
                    }
                }
                (a, b)
            }
        };
        if a.is_some() || b.is_some() {
            let difference = visit(schema.field(name), a, b, levels);
            below.put(Element::field(name), difference);
        }
    }
    below
}

/// What Go has where JSON has nothing: a struct that is no pointer, or a list or map
/// that is not left out when it is empty.
fn always(field: &Field) -> Option<&'static Value> {
    if field.pointer || field.name.is_empty() {
        return None;
    }
    match field.ty {
        Type::Message(_) => Some(&EMPTY),
        Type::List(_) if !field.omit_empty => Some(&EMPTY_LIST),
        Type::Map(_) if !field.omit_empty => Some(&EMPTY),
        _ => None,
    }
}

/// The values as Go's typed objects have them.
fn typed<'a>(field: &Field, values: Both<'a>, parents: (bool, bool)) -> Both<'a> {
    let one = |value: Option<&'a Value>, parent: bool| {
        if let Some(empty) = always(field) {
            let value = value.filter(|value| !value.is_null());
            return parent.then(|| value.unwrap_or(empty));
        }
        let time = matches!(field.ty, Type::Time | Type::MicroTime) && !field.pointer;
        value.filter(|value| match value {
            Value::Null => time,
            value => field.pointer || !field.omit_empty || !is_zero(value),
        })
    };
    (one(values.0, parents.0), one(values.1, parents.1))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}
