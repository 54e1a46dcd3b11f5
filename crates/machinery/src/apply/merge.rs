//! What a manager applies, merged into the live object.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::path::Element;
use super::schema::{Schema, View};
use crate::patch::DEPTH_MAX;

/// `live` with `config` merged into it.
pub(super) fn merge(schema: Schema, live: &Value, config: &Value) -> Value {
    visit(schema, Some(live), Some(config), DEPTH_MAX).unwrap_or(Value::Null)
}

fn visit(
    schema: Schema,
    live: Option<&Value>,
    config: Option<&Value>,
    levels: usize,
) -> Option<Value> {
    let (live, config) = match (live, config) {
        (live, None) => return live.cloned(),
        (None, Some(config)) => (None, config),
        (Some(live), Some(Value::Null)) => {
            // Null says nothing about what is owned in parts, and unsets a whole.
            let parts = matches!(schema.view(live), View::Object(_) | View::Items(_));
            return (parts || live.is_null()).then(|| live.clone());
        }
        (Some(live), Some(config)) => (Some(live), config),
    };
    let Some(levels) = levels.checked_sub(1) else {
        return Some(config.clone());
    };
    match (live.map(|live| schema.view(live)), schema.view(config)) {
        (Some(View::Object(live)), View::Object(config)) => {
            let mut merged = Map::new();
            for (name, value) in live {
                let value = visit(schema.field(name), Some(value), config.get(name), levels);
                merged.extend(value.map(|value| (name.clone(), value)));
            }
            for (name, value) in config.iter().filter(|(name, _)| !live.contains_key(*name)) {
                let value = visit(schema.field(name), None, Some(value), levels);
                merged.extend(value.map(|value| (name.clone(), value)));
            }
            Some(Value::Object(merged))
        }
        (Some(View::Items(live)), View::Items(config)) => {
            Some(Value::Array(items(schema, &live, &config, levels)))
        }
        (_, View::Object(config)) => {
            let fields = config.iter().filter_map(|(name, value)| {
                let value = visit(schema.field(name), None, Some(value), levels)?;
                Some((name.clone(), value))
            });
            Some(Value::Object(fields.collect()))
        }
        _ => (!config.is_null()).then(|| config.clone()),
    }
}

/// The items of both lists. What both have stands in the order of `config`; what
/// only the live list has stays before what followed it there.
fn items(
    schema: Schema,
    live: &[(Element, &Value)],
    config: &[(Element, &Value)],
    levels: usize,
) -> Vec<Value> {
    let wanted: HashSet<&Element> = config.iter().map(|(element, _)| element).collect();
    let mut known: HashMap<&Element, &Value> = HashMap::new();
    for (element, value) in live {
        known.entry(element).or_insert(value);
    }
    let mut shared = config
        .iter()
        .map(|(element, _)| element)
        .filter(|element| known.contains_key(element))
        .peekable();
    let mut rest = live.iter().peekable();
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    for (element, value) in config {
        // Up to the next item that both have: those that only the live list has.
        while let Some((other, item)) = rest.peek() {
            if !wanted.contains(other) {
                merged.push((*item).clone());
            } else if shared.peek() == Some(&other) {
                break;
            }
            rest.next();
        }
        let old = known.get(element).copied();
        merged.extend(visit(schema.item(), old, Some(value), levels));
        if old.is_some() {
            shared.next();
        }
        if rest.peek().is_some_and(|(other, _)| other == element) {
            rest.next();
        }
    }
    let last = rest.filter(|(element, _)| !wanted.contains(element));
    merged.extend(last.map(|(_, item)| (*item).clone()));
    merged
}
