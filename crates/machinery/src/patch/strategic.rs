//! Strategic merge patch: a merge patch that knows which lists are merged, by what
//! key, from the table of types; and that has directives for the rest.
//!
//! - `$patch: replace | delete | merge` in an object, or as an item of a list;
//! - `$retainKeys: [...]`: fields that are not named go;
//! - `$setElementOrder/<list>`: the order of the result;
//! - `$deleteFromPrimitiveList/<list>`: values that go.

use serde_json::{Map, Value};

use super::{PatchError, bounded};
use crate::types::{Message, Type};

mod list;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// What is known about a value that is patched.
#[derive(Clone, Copy)]
enum Shape {
    Message(&'static Message),
    /// A map from text to such values.
    Map(&'static Type),
    Unknown,
}

/// What is known about a field that is patched.
#[derive(Clone, Copy)]
struct FieldShape {
    /// Of the field, or of the items if it is a list.
    shape: Shape,
    merge_key: Option<&'static str>,
}

impl Shape {
    fn of(ty: &'static Type) -> Self {
        match ty {
            Type::Message(_) => ty.message().map_or(Self::Unknown, Self::Message),
            Type::Map(value) => Self::Map(value),
            _ => Self::Unknown,
        }
    }

    fn field(self, name: &str) -> FieldShape {
        let (ty, merge_key) = match self {
            Self::Message(message) => match message.field(name) {
                Some(field) => (&field.ty, field.merge_key),
                None => return FieldShape::UNKNOWN,
            },
            Self::Map(value) => (value, None),
            Self::Unknown => return FieldShape::UNKNOWN,
        };
        let shape = match ty {
            Type::List(item) => Self::of(item),
            other => Self::of(other),
        };
        FieldShape { shape, merge_key }
    }
}

impl FieldShape {
    const UNKNOWN: Self = Self {
        shape: Shape::Unknown,
        merge_key: None,
    };
}

/// `object`, a `message`, with `patch` applied. A kind without a message merges
/// its objects and replaces its lists.
///
/// # Errors
///
/// The patch is malformed: a directive is, or an item has no merge key.
pub fn apply(
    message: Option<&'static Message>,
    object: &Value,
    patch: &Value,
) -> Result<Value, PatchError> {
    bounded(patch)?;
    let Value::Object(patch) = patch else {
        return Err(bad("invalid JSON document"));
    };
    let original = match object {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    let shape = message.map_or(Shape::Unknown, Shape::Message);
    merge(original, patch.clone(), shape).map(Value::Object)
}

fn bad(message: impl Into<String>) -> PatchError {
    PatchError::BadRequest(message.into())
}

type Fields = Map<String, Value>;

fn merge(mut original: Fields, mut patch: Fields, shape: Shape) -> Result<Fields, PatchError> {
    match patch.remove(PATCH) {
        None => {}
        Some(directive) => match directive.as_str() {
            Some("replace") => return Ok(clean(patch)),
            Some("delete") => return Ok(Fields::new()),
            Some("merge") => {}
            _ => return Err(unknown_directive(&directive, patch)),
        },
    }
    retain_keys(&mut original, &mut patch)?;
    ordered_lists(&mut original, &mut patch, shape)?;
    for (key, value) in patch {
        if let Some(name) = directive_of(&key, DELETE_FROM)? {
            delete_from(&mut original, name, &value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => {
                Value::Object(merge(old, new, shape.field(&key).shape)?)
            }
            (Some(Value::Array(old)), Value::Array(new)) => {
                Value::Array(list::merge(old, new, shape.field(&key))?)
            }
            (_, value) => match cleaned(value) {
                Some(value) => value,
                None => continue,
            },
        };
        original.insert(key, merged);
    }
    Ok(original)
}

fn unknown_directive(directive: &Value, mut patch: Fields) -> PatchError {
    patch.insert(PATCH.to_owned(), directive.clone());
    bad(format!(
        "unknown patch type: {} in map: {}",
        list::go(directive),
        list::go(&Value::Object(patch))
    ))
}

/// The list that a key like `$setElementOrder/containers` is about.
fn directive_of<'a>(key: &'a str, prefix: &str) -> Result<Option<&'a str>, PatchError> {
    let Some(rest) = key.strip_prefix(prefix) else {
        return Ok(None);
    };
    match rest.strip_prefix('/') {
        Some(name) => Ok(Some(name)),
        None if prefix == SET_ORDER => Err(bad(BAD_ORDER)),
        None => Err(bad(BAD_PRIMITIVES)),
    }
}

const BAD_ORDER: &str = "invalid patch format of setElementOrder list";
const BAD_PRIMITIVES: &str = "invalid patch format of primitive list";
const BAD_RETAIN: &str = "invalid patch format of retainKeys";

/// Removes from `original` what `$retainKeys` does not name.
fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), PatchError> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(keys) = keys else {
        return Err(bad(BAD_RETAIN));
    };
    let retained: std::collections::HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let allowed = |(key, value): (&String, &Value)| {
        value.is_null()
            || key.starts_with(DELETE_FROM)
            || key.starts_with(SET_ORDER)
            || retained.contains(key.as_str())
    };
    if !patch.iter().all(allowed) {
        return Err(bad(BAD_RETAIN));
    }
    original.retain(|key, _| retained.contains(key.as_str()));
    Ok(())
}

/// Merges the lists that have a `$setElementOrder`, and takes them from the patch.
fn ordered_lists(
    original: &mut Fields,
    patch: &mut Fields,
    shape: Shape,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(SET_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let order = patch.remove(&directive);
        let Some(name) = directive_of(&directive, SET_ORDER)? else {
            continue;
        };
        let Some(Value::Array(order)) = order else {
            return Err(bad(BAD_ORDER));
        };
        // A patch that deletes the list leaves nothing to order.
        if patch.get(name).is_some_and(Value::is_null) {
            continue;
        }
        let field = shape.field(name);
        let change = match patch.remove(name) {
            None => None,
            Some(Value::Array(change)) => Some(change),
            Some(other) => return Err(not_a_list(&other)),
        };
        if let Some(change) = &change {
            list::check_order(change, &order, field)?;
        }
        let server = match original.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::Array(server)) => Some(server),
            Some(other) => return Err(not_a_list(&other)),
        };
        let server_order = server.clone().unwrap_or_default();
        let merged = match (server, change) {
            (None, None) => continue,
            (Some(server), None) => server,
            (server, Some(change)) => list::merge(server.unwrap_or_default(), change, field)?,
        };
        let merged = list::reorder(merged, &order, &server_order, field)?;
        original.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

fn not_a_list(value: &Value) -> PatchError {
    let kind = match value {
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        _ => "%!s(<nil>)",
    };
    bad(format!(
        "expected a []interface {{}}, but received a {kind}"
    ))
}

fn delete_from(original: &mut Fields, name: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(bad(BAD_PRIMITIVES));
    };
    if let Some(Value::Array(items)) = original.get_mut(name) {
        let gone: std::collections::HashSet<String> = values.iter().map(list::text).collect();
        items.retain(|item| !gone.contains(&list::text(item)));
    }
    Ok(())
}

/// What is new is taken as it is, but for nulls and directives.
fn clean(fields: Fields) -> Fields {
    let directive = |key: &str| {
        key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
    };
    fields
        .into_iter()
        .filter(|(key, value)| !value.is_null() && !directive(key))
        .filter_map(|(key, value)| Some((key, cleaned(value)?)))
        .collect()
}

/// The same of any value; nothing is left of an item that only deletes or replaces.
fn cleaned(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut fields) => match fields.remove(PATCH) {
            Some(directive) if directive == "delete" => None,
            Some(directive) if directive == "replace" && fields.is_empty() => None,
            _ => Some(Value::Object(clean(fields))),
        },
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(cleaned).collect(),
        )),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::patch::{PatchError, any};
    use crate::types::message;
    use serde_json::{Value, json};

    fn pod_spec(object: Value, patch: Value) -> Result<Value, PatchError> {
        apply(message("core.v1.PodSpec"), &object, &patch)
    }

    #[test]
    fn lists_with_a_merge_key_merge() {
        let object = json!({"containers": [
            {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}], "args": ["x"]},
            {"name": "b", "image": "1"},
        ], "tolerations": [{"key": "k"}]});
        let patch = json!({"containers": [
            {"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}], "args": ["y"]},
            {"name": "c", "image": "3"},
        ], "tolerations": [{"key": "l"}]});
        // What is new stands where the patch has it, before what only the server has.
        let result = pod_spec(object, patch).unwrap();
        assert_eq!(result["tolerations"], json!([{"key": "l"}]));
        let names = |value: &Value| -> Vec<String> {
            let items = value["containers"].as_array().unwrap().iter();
            items
                .map(|c| c["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(&result), ["a", "c", "b"]);
        assert_eq!(result["containers"][0]["image"], "2");
        assert_eq!(result["containers"][0]["args"], json!(["y"]));
        assert_eq!(result["containers"][0]["env"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn directives_in_lists() {
        let object = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
        let deleted = json!({"containers": [{"name": "b", "$patch": "delete"}]});
        assert_eq!(
            pod_spec(object.clone(), deleted).unwrap(),
            json!({"containers": [{"name": "a"}, {"name": "c"}]})
        );
        let replaced = json!({"containers": [{"$patch": "replace"}, {"name": "z"}]});
        assert_eq!(
            pod_spec(object.clone(), replaced).unwrap(),
            json!({"containers": [{"name": "z"}]})
        );
        let emptied = json!({"containers": [{"$patch": "replace"}]});
        assert_eq!(
            pod_spec(object.clone(), emptied).unwrap(),
            json!({"containers": []})
        );
        let merged = json!({"containers": [{"name": "a", "$patch": "merge", "image": "x"}]});
        assert_eq!(
            pod_spec(object.clone(), merged).unwrap()["containers"][0],
            json!({"name": "a", "image": "x"})
        );
        let unknown = json!({"containers": [{"name": "a", "$patch": "turn"}]});
        assert_eq!(
            pod_spec(object, unknown).unwrap_err().to_string(),
            "unknown patch type: turn in map: map[$patch:turn name:a]"
        );
    }

    #[test]
    fn directives_in_objects() {
        let object = json!({"nodeSelector": {"a": "1"}, "securityContext": {"runAsUser": 1}});
        let patch = json!({
            "nodeSelector": {"$patch": "replace", "b": "2"},
            "securityContext": {"$patch": "delete"},
        });
        assert_eq!(
            pod_spec(object, patch).unwrap(),
            json!({"nodeSelector": {"b": "2"}, "securityContext": {}})
        );
    }

    #[test]
    fn retain_keys_drops_the_other_source_of_a_volume() {
        let object = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        let patch = json!({"volumes": [
            {"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}},
        ]});
        assert_eq!(
            pod_spec(object.clone(), patch).unwrap(),
            json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})
        );
        let wrong = json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "secret": {}}]});
        assert_eq!(
            pod_spec(object, wrong).unwrap_err().to_string(),
            "invalid patch format of retainKeys"
        );
    }

    #[test]
    fn set_element_order_orders() {
        let object = json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "s"}]});
        let patch = json!({
            "$setElementOrder/containers": [{"name": "b"}, {"name": "n"}, {"name": "a"}],
            "containers": [{"name": "n", "image": "i"}],
        });
        assert_eq!(
            pod_spec(object.clone(), patch).unwrap(),
            json!({"containers": [{"name": "b"}, {"name": "n", "image": "i"}, {"name": "a"}, {"name": "s"}]})
        );
        let only_order = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
        assert_eq!(
            pod_spec(object.clone(), only_order).unwrap(),
            json!({"containers": [{"name": "b"}, {"name": "a"}, {"name": "s"}]})
        );
        let wrong = json!({
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "n"}],
        });
        assert!(
            pod_spec(object, wrong)
                .unwrap_err()
                .to_string()
                .starts_with("The order in patch list:\n[map[name:n]]\n doesn't match")
        );
    }

    #[test]
    fn kubectl_apply_that_drops_a_container() {
        let object = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let patch = json!({
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "2"}, {"$patch": "delete", "name": "b"}],
        });
        assert_eq!(
            pod_spec(object, patch).unwrap(),
            json!({"containers": [{"name": "a", "image": "2"}]})
        );
    }

    #[test]
    fn lists_of_values_are_unions() {
        let meta = message("meta.v1.ObjectMeta");
        let object = json!({"finalizers": ["a", "b"]});
        let union = json!({"finalizers": ["b", "c"]});
        assert_eq!(
            apply(meta, &object, &union).unwrap(),
            json!({"finalizers": ["a", "b", "c"]})
        );
        let less = json!({"$deleteFromPrimitiveList/finalizers": ["a"]});
        assert_eq!(
            apply(meta, &object, &less).unwrap(),
            json!({"finalizers": ["b"]})
        );
        let both = json!({
            "$deleteFromPrimitiveList/finalizers": ["a"],
            "$setElementOrder/finalizers": ["c", "b"],
            "finalizers": ["c"],
        });
        assert_eq!(
            apply(meta, &object, &both).unwrap(),
            json!({"finalizers": ["c", "b"]})
        );
        let absent = json!({"$deleteFromPrimitiveList/finalizers": ["a"]});
        assert_eq!(apply(meta, &json!({}), &absent).unwrap(), json!({}));
    }

    #[test]
    fn an_item_without_its_key_is_refused() {
        let error = pod_spec(
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"image": "i", "tty": true}]}),
        );
        assert_eq!(
            error.unwrap_err(),
            PatchError::BadRequest(
                "map: map[image:i tty:true] does not contain declared merge key: name".to_owned()
            )
        );
    }

    #[test]
    fn what_is_new_has_no_nulls_and_no_directives() {
        let patch = json!({
            "containers": [{"name": "a", "image": null}, {"name": "b", "$patch": "delete"}],
            "securityContext": {"runAsUser": null, "fsGroup": 1},
            "hostname": null,
        });
        assert_eq!(
            pod_spec(json!({}), patch).unwrap(),
            json!({"containers": [{"name": "a"}], "securityContext": {"fsGroup": 1}})
        );
    }

    #[test]
    fn what_replaces_another_type_is_new() {
        let object = json!({"securityContext": null, "hostname": "h"});
        let patch = json!({
            "securityContext": {"fsGroup": 1, "runAsUser": null},
            "hostname": {"$patch": "delete"},
        });
        assert_eq!(
            pod_spec(object, patch).unwrap(),
            json!({"securityContext": {"fsGroup": 1}})
        );
    }

    #[test]
    fn without_a_message_lists_are_replaced() {
        let object = json!({"spec": {"a": [1], "b": {"c": 1}}});
        let patch = json!({"spec": {"a": [2], "b": {"d": 2}}});
        assert_eq!(
            apply(None, &object, &patch).unwrap(),
            json!({"spec": {"a": [2], "b": {"c": 1, "d": 2}}})
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(object in any::value(), patch in any::value()) {
            for kind in ["batch.v1.Job", "core.v1.Pod", "core.v1.PodSpec", "core.v1.Container", "meta.v1.ObjectMeta"] {
                let _ = apply(message(kind), &object, &patch);
            }
            let _ = apply(None, &object, &patch);
        }

        #[test]
        fn an_empty_patch_is_identity(object in any::value()) {
            if object.is_object() {
                let result = apply(message("core.v1.PodSpec"), &object, &json!({})).unwrap();
                proptest::prop_assert_eq!(result, object);
            }
        }
    }
}
