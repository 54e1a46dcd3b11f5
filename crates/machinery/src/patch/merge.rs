//! JSON merge patch (RFC 7386): objects merge, null deletes, all else replaces.

use serde_json::{Map, Value};

use super::{PatchError, bounded};

/// `object` with `patch` applied.
///
/// # Errors
///
/// The patch nests too deeply.
pub fn apply(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    bounded(patch)?;
    let mut result = object.clone();
    merge(&mut result, patch);
    Ok(result)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::patch::any;
    use serde_json::json;

    #[test]
    fn the_examples_of_the_standard_hold() {
        for (object, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": "b"}),
                json!({"b": "c"}),
                json!({"a": "b", "b": "c"}),
            ),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (
                json!({"a": [{"b": "c"}]}),
                json!({"a": [1]}),
                json!({"a": [1]}),
            ),
            (json!(["a", "b"]), json!(["c"]), json!(["c"])),
            (
                json!({"e": null}),
                json!({"a": 1}),
                json!({"e": null, "a": 1}),
            ),
            (
                json!([1, 2]),
                json!({"a": "b", "c": null}),
                json!({"a": "b"}),
            ),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ] {
            assert_eq!(apply(&object, &patch).unwrap(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_second_time_changes_nothing(object in any::value(), patch in any::value()) {
            let once = apply(&object, &patch).unwrap();
            proptest::prop_assert_eq!(apply(&once, &patch).unwrap(), once);
        }

        #[test]
        fn an_empty_patch_is_identity(object in any::value()) {
            if object.is_object() {
                proptest::prop_assert_eq!(apply(&object, &json!({})).unwrap(), object);
            }
        }
    }
}
