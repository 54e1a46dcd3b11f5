//! The three ways to change an object by a patch: JSON patch, JSON merge patch and
//! Kubernetes' strategic merge patch. Server-side apply is [`crate::apply`].
//!
//! A patch comes from a client that may be hostile: the number of operations, what
//! they copy and how deep the result nests are bounded.

pub mod json;
pub mod merge;
pub mod strategic;

use serde_json::Value;

/// Why a patch was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatchError {
    /// The patch is malformed (400).
    #[error("{0}")]
    BadRequest(String),
    /// The patch asks for too much (413).
    #[error("{0}")]
    TooLarge(String),
    /// The patch does not fit the object (422, `Invalid`).
    #[error("{0}")]
    Unprocessable(String),
}

/// How deep an object may nest after a patch.
pub(crate) const DEPTH_MAX: usize = 200;

/// Whether `value` nests no deeper than `levels`.
pub(crate) fn fits(value: &Value, levels: usize) -> bool {
    let Some(inner) = levels.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Array(items) => items.iter().all(|item| fits(item, inner)),
        Value::Object(fields) => fields.values().all(|field| fits(field, inner)),
        _ => true,
    }
}

/// How many values there are in `value`.
pub(crate) fn parts(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(parts).sum::<usize>() + 1,
        Value::Object(fields) => fields.values().map(parts).sum::<usize>() + 1,
        _ => 1,
    }
}

/// Whether two values are the same; numbers are compared as numbers.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, value)| b.get(key).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

/// A check that no patch nests deeper than [`DEPTH_MAX`].
fn bounded(patch: &Value) -> Result<(), PatchError> {
    match fits(patch, DEPTH_MAX) {
        true => Ok(()),
        false => Err(PatchError::BadRequest(format!(
            "the patch nests deeper than {DEPTH_MAX} levels"
        ))),
    }
}

#[cfg(test)]
pub(crate) mod any {
    //! JSON values for property tests.

    use proptest::prelude::{Just, Strategy, prop_oneof};
    use serde_json::{Value, json};

    /// A value of few distinct parts, so that two of them often touch the same.
    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(json!(1)),
            Just(json!("a")),
            Just(json!("b")),
            Just(json!(true)),
            Just(json!("replace")),
            Just(json!("delete")),
        ];
        let key = prop_oneof![
            Just("name"),
            Just("metadata"),
            Just("spec"),
            Just("status"),
            Just("template"),
            Just("containers"),
            Just("env"),
            Just("ports"),
            Just("protocol"),
            Just("containerPort"),
            Just("finalizers"),
            Just("labels"),
            Just("conditions"),
            Just("type"),
            Just("unknown"),
            Just("$patch"),
            Just("$retainKeys"),
            Just("$setElementOrder/containers"),
            Just("$deleteFromPrimitiveList/finalizers"),
        ];
        leaf.prop_recursive(7, 48, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                    let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v));
                    Value::Object(fields.collect())
                }),
            ]
        })
    }
}
