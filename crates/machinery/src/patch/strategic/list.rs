//! Lists in strategic merge patches: merged by key, joined as sets, or replaced.
//!
//! Items are found by the text of their key in tables, never by searching: a
//! patch of many items must not cost the square of their number.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{FieldShape, PATCH, PatchError, bad, cleaned, merge as merge_maps, unknown_directive};

/// `original` with the list `patch` merged into it.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    field: FieldShape,
) -> Result<Vec<Value>, PatchError> {
    let Some(key) = field.merge_key else {
        return Ok(patch);
    };
    if original.iter().chain(&patch).any(Value::is_array) {
        let message = "lists of lists are not supported".to_owned();
        return Err(PatchError::Unprocessable(message));
    }
    let maps = original.iter().chain(&patch).filter(|v| v.is_object());
    let maps = maps.count();
    if maps != 0 && maps != original.len() + patch.len() {
        return Err(bad(format!(
            "list element types are not identical: [{} {}]",
            go(&Value::Array(original)),
            go(&Value::Array(patch))
        )));
    }
    if maps == 0 {
        let order = original.clone();
        let mut seen = HashSet::new();
        let both = original.into_iter().chain(patch.iter().cloned());
        let both = both.filter(|item| seen.insert(text(item)));
        return reorder(both.collect(), &patch, &order, field);
    }
    if key.is_empty() {
        return Err(bad("cannot merge lists without merge key for type map"));
    }
    let (original, patch) = special_items(original, patch, key)?;
    let order = original.clone();
    let by_key = patch.clone();
    let merged = merge_items(original, patch, key, field)?;
    reorder(merged, &by_key, &order, field)
}

/// Does what the items with a directive say; what is left of both lists.
fn special_items(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut plain = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    let mut replace = false;
    for mut item in patch {
        let directive = item.as_object_mut().and_then(|item| item.remove(PATCH));
        match directive.as_ref().map(Value::as_str) {
            None | Some(Some("merge")) => plain.push(item),
            Some(Some("replace")) => replace = true,
            Some(Some("delete")) => {
                deleted.insert(text(key_of(&item, key)?));
            }
            Some(_) => {
                let item = item.as_object().cloned().unwrap_or_default();
                return Err(unknown_directive(&directive.unwrap_or_default(), item));
            }
        }
    }
    if replace {
        return Ok((plain.into_iter().filter_map(cleaned).collect(), Vec::new()));
    }
    original.retain(|item| {
        let key = item.get(key).map(text);
        !key.is_some_and(|key| deleted.contains(&key))
    });
    Ok((original, plain))
}

fn merge_items(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    field: FieldShape,
) -> Result<Vec<Value>, PatchError> {
    let mut places = places(&original, key);
    for item in patch {
        let name = text(key_of(&item, key)?);
        let Value::Object(change) = item else {
            continue;
        };
        match places.get(&name) {
            Some(place) => {
                let old = match original[*place].take() {
                    Value::Object(old) => old,
                    _ => serde_json::Map::new(),
                };
                original[*place] = Value::Object(merge_maps(old, change, field.shape)?);
            }
            None => {
                places.insert(name, original.len());
                original.push(Value::Object(super::clean(change)));
            }
        }
    }
    Ok(original)
}

/// `items` in the order of `order`; those that are not in it stay where the server
/// had them, before those that it knows to come later.
pub(super) fn reorder(
    items: Vec<Value>,
    order: &[Value],
    server: &[Value],
    field: FieldShape,
) -> Result<Vec<Value>, PatchError> {
    let maps = items.iter().any(Value::is_object);
    let key = field.merge_key.unwrap_or_default();
    if maps && key.is_empty() {
        return Ok(items);
    }
    let name = |item: &Value| match maps {
        true => key_of(item, key).map(text),
        false => Ok(text(item)),
    };
    let ranks = |list: &[Value]| -> HashMap<String, usize> {
        let mut ranks = HashMap::new();
        for (rank, item) in list.iter().enumerate() {
            let name = match maps {
                true => item.get(key).map(text),
                false => Some(text(item)),
            };
            if let Some(name) = name {
                ranks.entry(name).or_insert(rank);
            }
        }
        ranks
    };
    let (order, server) = (ranks(order), ranks(server));
    let mut ordered = Vec::new();
    let mut others = Vec::new();
    for item in items {
        let name = name(&item)?;
        match order.get(&name) {
            Some(rank) => ordered.push((*rank, server.get(&name).copied(), item)),
            None => others.push((server.get(&name).copied(), item)),
        }
    }
    ordered.sort_by_key(|(rank, ..)| *rank);
    others.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
    let mut result = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, place, item) in ordered {
        while let Some((other, _)) = others.peek() {
            let before = matches!((other, place), (Some(other), Some(place)) if *other < place);
            if !before {
                break;
            }
            result.extend(others.next().map(|(_, item)| item));
        }
        result.push(item);
    }
    result.extend(others.map(|(_, item)| item));
    Ok(result)
}

/// A patch must have its items in the order that `$setElementOrder` gives.
pub(super) fn check_order(
    patch: &[Value],
    order: &[Value],
    field: FieldShape,
) -> Result<(), PatchError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let key = field.merge_key.unwrap_or_default();
    let name = |item: &Value| match key {
        "" => Ok(text(item)),
        key => key_of(item, key).map(text),
    };
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(PATCH).is_none()) {
        let wanted = name(item)?;
        let mut found = false;
        for candidate in rest.by_ref() {
            if name(candidate)? == wanted {
                found = true;
                break;
            }
        }
        if !found {
            return Err(bad(format!(
                "The order in patch list:\n{}\n doesn't match {} list:\n{}\n",
                go(&Value::Array(patch.to_vec())),
                super::SET_ORDER,
                go(&Value::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}

fn places(items: &[Value], key: &str) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        if let Some(value) = item.get(key) {
            places.entry(text(value)).or_insert(place);
        }
    }
    places
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, PatchError> {
    item.get(key).ok_or_else(|| {
        bad(format!(
            "map: {} does not contain declared merge key: {key}",
            go(item)
        ))
    })
}

/// A value as text that differs where values differ.
pub(super) fn text(value: &Value) -> String {
    value.to_string()
}

/// The longest text of a value in an error.
const SHOWN_BYTES_MAX: usize = 4096;

/// A value as Go's `%v` shows it, cut where it is very long.
pub(super) fn go(value: &Value) -> String {
    let mut out = String::new();
    show(value, &mut out);
    if out.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX)
            .rev()
            .find(|at| out.is_char_boundary(*at));
        out.truncate(end.unwrap_or_default());
        out.push_str("...");
    }
    out
}

fn show(value: &Value, out: &mut String) {
    if out.len() > SHOWN_BYTES_MAX {
        return;
    }
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                show(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                show(field, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
