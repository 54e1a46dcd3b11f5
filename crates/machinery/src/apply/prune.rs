//! Removing what a manager owned and no longer applies, unless somebody else owns it.

use serde_json::{Map, Value};

use super::field_set::lenient;
use super::path::Element;
use super::schema::{Schema, View};
use super::set::FieldSet;

/// `merged` without the fields in `last` that are in no set of `owned`.
///
/// In three steps: all of `last` goes; what anybody owns comes back; and what was
/// never the manager's comes back. A struct goes with its last field.
pub(super) fn prune(schema: Schema, merged: &Value, last: &FieldSet, owned: &FieldSet) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let last = with_structs(schema, last);
    let all = with_structs(schema, &lenient(schema, merged));
    let fields = |value: &Value| with_structs(schema, &lenient(schema, value));

    let bare = without(schema, merged, &last);
    let kept = fields(&bare).union(&with_structs(schema, owned));
    let pruned = without(schema, merged, &all.difference(&kept));
    let gone = all.difference(&fields(&pruned)).intersection(&last);
    without(schema, merged, &gone)
}

fn without(schema: Schema, value: &Value, gone: &FieldSet) -> Value {
    remove(schema, value, gone).unwrap_or_else(|| Value::Object(Map::new()))
}

/// `value` without the fields in `gone`; nothing, if nothing is left of it.
fn remove(schema: Schema, value: &Value, gone: &FieldSet) -> Option<Value> {
    match schema.view(value) {
        View::Object(fields) if !fields.is_empty() => {
            let mut left = Map::new();
            for (name, field) in fields {
                let kept = keep(schema, &Element::field(name), field, gone);
                left.extend(kept.map(|field| (name.clone(), field)));
            }
            (!left.is_empty()).then_some(Value::Object(left))
        }
        View::Items(items) if !items.is_empty() => {
            let left: Vec<Value> = items
                .iter()
                .filter_map(|(element, item)| keep(schema, element, item, gone))
                .collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        _ => Some(value.clone()),
    }
}

fn keep(schema: Schema, element: &Element, value: &Value, gone: &FieldSet) -> Option<Value> {
    if gone.members.contains(element) {
        return None;
    }
    match gone.children.get(element) {
        Some(gone) => remove(schema.below(element), value, gone),
        None => Some(value.clone()),
    }
}

/// The set, and the structs that hold its fields.
fn with_structs(schema: Schema, set: &FieldSet) -> FieldSet {
    let mut result = FieldSet {
        members: set.members.clone(),
        ..FieldSet::default()
    };
    for (element, child) in &set.children {
        if let Element::Field(name) = element
            && schema.declared(name).is_some()
        {
            result.members.insert(element.clone());
        }
        let child = with_structs(schema.below(element), child);
        result.children.insert(element.clone(), child);
    }
    result
}
