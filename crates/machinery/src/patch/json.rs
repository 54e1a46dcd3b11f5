//! JSON patch (RFC 6902): a list of operations, all of which succeed or none.
//!
//! Written here and not taken from a crate because of `copy`: a few dozen
//! operations that copy an object into itself would fill any memory, so what is
//! copied is counted, as upstream does.

use serde_json::Value;

use super::{DEPTH_MAX, PatchError, fits, same};

/// The operations that one patch may have, as upstream.
pub const OPERATIONS_MAX: usize = 10_000;

/// The bytes of JSON that one patch may copy: as many as a request may have.
const COPIED_BYTES_MAX: usize = 3 << 20;

/// The steps that one patch may cost: items that make room for another, and parts of
/// what is moved. Else few operations on a long list would take minutes.
const STEPS_MAX: usize = 32 << 20;

/// What a patch has cost so far.
#[derive(Default)]
struct Spent {
    copied: usize,
    steps: usize,
}

impl Spent {
    fn copy(&mut self, bytes: usize) -> Result<(), PatchError> {
        self.copied = self.copied.saturating_add(bytes);
        match self.copied > COPIED_BYTES_MAX {
            true => Err(PatchError::TooLarge(format!(
                "copy operations copy more than {COPIED_BYTES_MAX} bytes"
            ))),
            false => Ok(()),
        }
    }

    fn step(&mut self, steps: usize) -> Result<(), PatchError> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > STEPS_MAX {
            true => Err(PatchError::TooLarge(
                "the operations take too many steps".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

/// `object` with the operations of `patch` applied, in their order.
///
/// # Errors
///
/// The patch is malformed, has too many operations or does not fit the object.
pub fn apply(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(malformed("a JSON patch is a list of operations"));
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut result = object.clone();
    let mut spent = Spent::default();
    for operation in operations {
        apply_one(&mut result, operation, &mut spent)?;
    }
    Ok(result)
}

fn apply_one(target: &mut Value, operation: &Value, spent: &mut Spent) -> Result<(), PatchError> {
    let name = operation["op"].as_str().unwrap_or_default();
    let path = pointer(operation, "path")?;
    let value = || {
        let value = operation.get("value");
        value.ok_or_else(|| malformed(&format!("{name} operation has no value")))
    };
    match name {
        "add" => add(target, &path, value()?.clone(), name, spent),
        "remove" => remove(target, &path, name, spent).map(drop),
        "replace" => {
            let value = value()?;
            fits_at(&path, value)?;
            *find(target, &path, name)? = value.clone();
            Ok(())
        }
        "move" => {
            let from = pointer(operation, "from")?;
            if path.len() > from.len() && path.starts_with(&from) {
                let message = format!("move operation into itself: {}", text(&path));
                return Err(PatchError::Unprocessable(message));
            }
            let value = remove(target, &from, name, spent)?;
            spent.step(size(&value))?;
            add(target, &path, value, name, spent)
        }
        "copy" => {
            let from = pointer(operation, "from")?;
            let value = find(target, &from, name)?;
            spent.copy(size(value))?;
            let value = value.clone();
            add(target, &path, value, name, spent)
        }
        "test" => {
            let expected = value()?;
            // What is missing equals null.
            let actual = find(target, &path, name).map_or(&Value::Null, |value| &*value);
            match same(actual, expected) {
                true => Ok(()),
                false => Err(PatchError::Unprocessable(format!(
                    "testing value {} failed: test failed",
                    text(&path)
                ))),
            }
        }
        other => Err(PatchError::Unprocessable(format!(
            "Unexpected kind: {other}"
        ))),
    }
}

fn malformed(message: &str) -> PatchError {
    PatchError::BadRequest(format!("error decoding patch: {message}"))
}

fn missing(name: &str, path: &[String]) -> PatchError {
    PatchError::Unprocessable(format!(
        "{name} operation does not apply: doc is missing path: {}: missing value",
        text(path)
    ))
}

fn bad_index(name: &str, path: &[String]) -> PatchError {
    PatchError::Unprocessable(format!(
        "{name} operation does not apply: unable to access invalid index: {}: invalid index referenced",
        text(path)
    ))
}

fn text(path: &[String]) -> String {
    path.iter()
        .map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")))
        .collect()
}

fn pointer(operation: &Value, field: &str) -> Result<Vec<String>, PatchError> {
    let Some(text) = operation[field].as_str() else {
        return Err(malformed(&format!("an operation has no {field}")));
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = text.strip_prefix('/') else {
        return Err(malformed(&format!("{text:?} is not a JSON pointer")));
    };
    let parts = rest.split('/');
    Ok(parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect())
}

fn fits_at(path: &[String], value: &Value) -> Result<(), PatchError> {
    let levels = DEPTH_MAX.saturating_sub(path.len());
    match fits(value, levels) {
        true => Ok(()),
        false => Err(PatchError::Unprocessable(format!(
            "the object would nest deeper than {DEPTH_MAX} levels"
        ))),
    }
}

/// The place of an item; digits only, and no zero in front.
fn index(part: &str) -> Option<usize> {
    let plain = part == "0" || !part.starts_with('0');
    let digits = part.bytes().all(|b| b.is_ascii_digit());
    (plain && digits).then(|| part.parse().ok()).flatten()
}

fn find<'a>(
    target: &'a mut Value,
    path: &[String],
    name: &str,
) -> Result<&'a mut Value, PatchError> {
    let mut at = target;
    for part in path {
        let next = match at {
            Value::Object(fields) => fields.get_mut(part.as_str()),
            Value::Array(items) => index(part).and_then(|index| items.get_mut(index)),
            _ => None,
        };
        at = next.ok_or_else(|| missing(name, path))?;
    }
    Ok(at)
}

fn add(
    target: &mut Value,
    path: &[String],
    value: Value,
    name: &str,
    spent: &mut Spent,
) -> Result<(), PatchError> {
    fits_at(path, &value)?;
    let Some((last, parents)) = path.split_last() else {
        *target = value;
        return Ok(());
    };
    match find(target, parents, name).map_err(|_| missing(name, path))? {
        Value::Object(fields) => {
            fields.insert(last.clone(), value);
        }
        Value::Array(items) => {
            let index = match last.as_str() {
                "-" => items.len(),
                other => index(other)
                    .filter(|index| *index <= items.len())
                    .ok_or_else(|| bad_index(name, path))?,
            };
            spent.step(items.len() - index)?;
            items.insert(index, value);
        }
        _ => return Err(missing(name, path)),
    }
    Ok(())
}

fn remove(
    target: &mut Value,
    path: &[String],
    name: &str,
    spent: &mut Spent,
) -> Result<Value, PatchError> {
    let Some((last, parents)) = path.split_last() else {
        return Ok(target.take());
    };
    match find(target, parents, name).map_err(|_| missing(name, path))? {
        Value::Object(fields) => fields
            .remove(last.as_str())
            .ok_or_else(|| missing(name, path)),
        Value::Array(items) => match index(last).filter(|index| *index < items.len()) {
            Some(index) => {
                spent.step(items.len() - index)?;
                Ok(items.remove(index))
            }
            None => Err(bad_index(name, path)),
        },
        _ => Err(missing(name, path)),
    }
}

/// About the bytes of `value` as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| key.len() + 4 + size(value);
            2 + fields.iter().map(field).sum::<usize>()
        }
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::patch::{PatchError, any};
    use serde_json::{Value, json};

    #[test]
    fn operations_do_what_the_standard_says() {
        for (object, patch, expected) in [
            (
                json!({"a": 1}),
                json!([{"op": "add", "path": "/b", "value": 2}]),
                json!({"a": 1, "b": 2}),
            ),
            (
                json!({"a": [1, 3]}),
                json!([{"op": "add", "path": "/a/1", "value": 2}]),
                json!({"a": [1, 2, 3]}),
            ),
            (
                json!({"a": [1]}),
                json!([{"op": "add", "path": "/a/-", "value": 2}]),
                json!({"a": [1, 2]}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "add", "path": "", "value": [1]}]),
                json!([1]),
            ),
            (
                json!({"a": {"b": 1}}),
                json!([{"op": "remove", "path": "/a/b"}]),
                json!({"a": {}}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "replace", "path": "/a", "value": null}]),
                json!({"a": null}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "move", "from": "/a", "path": "/b"}]),
                json!({"b": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "copy", "from": "/a", "path": "/b"}]),
                json!({"a": 1, "b": 1}),
            ),
            (
                json!({"a/b": {"~": 1}}),
                json!([{"op": "replace", "path": "/a~1b/~0", "value": 2}]),
                json!({"a/b": {"~": 2}}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "test", "path": "/a", "value": 1.0}]),
                json!({"a": 1}),
            ),
            (
                json!({"a": 1}),
                json!([{"op": "test", "path": "/b", "value": null}]),
                json!({"a": 1}),
            ),
        ] {
            assert_eq!(apply(&object, &patch).unwrap(), expected, "{patch}");
        }
    }

    #[test]
    fn errors_say_what_did_not_apply() {
        let object = json!({"a": [1], "s": "t"});
        for (operation, expected) in [
            (
                json!({"op": "test", "path": "/s", "value": "u"}),
                "testing value /s failed: test failed",
            ),
            (
                json!({"op": "remove", "path": "/x"}),
                "remove operation does not apply: doc is missing path: /x: missing value",
            ),
            (
                json!({"op": "replace", "path": "/x/y", "value": 1}),
                "replace operation does not apply: doc is missing path: /x/y: missing value",
            ),
            (
                json!({"op": "add", "path": "/a/7", "value": 1}),
                "add operation does not apply: unable to access invalid index: /a/7: invalid index referenced",
            ),
            (
                json!({"op": "add", "path": "/a/00", "value": 1}),
                "add operation does not apply: unable to access invalid index: /a/00: invalid index referenced",
            ),
            (
                json!({"op": "add", "path": "/s/x", "value": 1}),
                "add operation does not apply: doc is missing path: /s/x: missing value",
            ),
            (json!({"op": "jump", "path": "/a"}), "Unexpected kind: jump"),
        ] {
            let error = apply(&object, &json!([operation])).unwrap_err();
            assert_eq!(error, PatchError::Unprocessable(expected.to_owned()));
        }
        for patch in [
            json!({}),
            json!([{"op": "add", "path": "/b"}]),
            json!([{"op": "remove"}]),
            json!([{"op": "remove", "path": "a"}]),
            json!([1]),
        ] {
            let error = apply(&object, &patch).unwrap_err();
            assert!(matches!(error, PatchError::BadRequest(_)), "{patch}");
        }
    }

    #[test]
    fn greed_is_refused() {
        let many = vec![json!({"op": "add", "path": "/a", "value": 1}); 10_001];
        let error = apply(&json!({}), &Value::Array(many)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The allowed maximum operations in a JSON patch is 10000, got 10001"
        );
        // Each operation doubles the object.
        let copies = vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 60];
        let error = apply(&json!({"a": ["x"]}), &Value::Array(copies)).unwrap_err();
        assert!(matches!(
            error,
            PatchError::TooLarge(_) | PatchError::Unprocessable(_)
        ));
        // Each operation moves a long list by one.
        let long = json!({"a": vec![1; 100_000]});
        let shifts = vec![json!({"op": "add", "path": "/a/0", "value": 1}); 5_000];
        let error = apply(&long, &Value::Array(shifts)).unwrap_err();
        assert_eq!(error.to_string(), "the operations take too many steps");
        // Each operation doubles the depth.
        let deeper = json!([
            {"op": "copy", "from": "", "path": "/a"},
            {"op": "copy", "from": "", "path": "/a/a"},
            {"op": "copy", "from": "", "path": "/a/a/a/a"},
        ]);
        assert!(apply(&json!({}), &deeper).is_ok());
        let mut nested = json!(1);
        for _ in 0..150 {
            nested = json!([nested]);
        }
        let patch = json!([{"op": "copy", "from": "/a", "path": "/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"}]);
        assert!(apply(&json!({"a": nested}), &patch).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(
            object in any::value(),
            value in any::value(),
            operations in proptest::collection::vec(
                ("(add|remove|replace|move|copy|test)", "(/(a|name|0|1|-|spec)){0,3}", "(/(name|0|spec)){0,3}"),
                0..6,
            ),
        ) {
            let operations = operations.into_iter().map(|(op, path, from)| {
                json!({"op": op, "path": path, "from": from, "value": value})
            });
            let _ = apply(&object, &Value::Array(operations.collect()));
            proptest::prop_assert_eq!(apply(&object, &json!([])).unwrap(), object);
        }
    }
}
