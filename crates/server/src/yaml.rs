//! Answers as YAML.

use serde_json::Value;

/// The value as YAML.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    match serde_saphyr::to_string(value) {
        Ok(text) => text.into_bytes(),
        // JSON is YAML, too, and a value always has a form as JSON.
        Err(_) => serde_json::to_vec(value).unwrap_or_default(),
    }
}
