//! What is wrong with a field: its path, the kind of error, the value and a detail,
//! worded as Kubernetes words it (`k8s.io/apimachinery/pkg/util/validation/field`).

use std::fmt;

use serde::Serialize;

/// The path of a field, e.g. `spec.template.spec.containers[0].name`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Path(String);

impl Path {
    /// A path that starts with the field `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` of this one; `a.b` adds two.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            return Self::new(name);
        }
        Self(format!("{}.{name}", self.0))
    }

    /// The item `index` of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The value under `key` of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of an error, as Kubernetes tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ErrorKind {
    /// A value is needed and missing.
    Required,
    /// The value is malformed or breaks a rule.
    Invalid,
    /// The value is none of those that are known.
    NotSupported,
    /// The value must be unique and is not.
    Duplicate,
    /// The value is well formed, and not allowed here.
    Forbidden,
    /// The text is too long.
    TooLong,
    /// The list is too long.
    TooMany,
    /// The value that was referred to does not exist.
    NotFound,
}

impl ErrorKind {
    /// The `reason` of a cause in a Status, e.g. `FieldValueInvalid`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

/// One thing that is wrong with one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The kind.
    pub kind: ErrorKind,
    /// The path of the field.
    pub field: String,
    /// The value as JSON, where the message shows it.
    pub value: Option<String>,
    /// What is wrong with it; may be empty.
    pub detail: String,
}

/// Everything that is wrong with an object.
pub type ErrorList = Vec<Error>;

impl Error {
    /// A value is missing at `path`.
    #[must_use]
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::build(ErrorKind::Required, path, None, detail)
    }

    /// `value` breaks a rule.
    #[must_use]
    pub fn invalid<T: Serialize + ?Sized>(
        path: &Path,
        value: &T,
        detail: impl Into<String>,
    ) -> Self {
        Self::build(ErrorKind::Invalid, path, Some(json(value)), detail)
    }

    /// A rule is broken, and showing the value would not help.
    #[must_use]
    pub fn invalid_without_value(path: &Path, detail: impl Into<String>) -> Self {
        Self::build(ErrorKind::Invalid, path, None, detail)
    }

    /// `value` is not among `supported`.
    #[must_use]
    pub fn not_supported(path: &Path, value: &str, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| json(*s)).collect();
        let detail = match list.as_slice() {
            [] => String::new(),
            _ => format!("supported values: {}", list.join(", ")),
        };
        Self::build(ErrorKind::NotSupported, path, Some(json(value)), detail)
    }

    /// `value` stands there a second time.
    #[must_use]
    pub fn duplicate<T: Serialize + ?Sized>(path: &Path, value: &T) -> Self {
        Self::build(ErrorKind::Duplicate, path, Some(json(value)), "")
    }

    /// Something may not be set.
    #[must_use]
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::build(ErrorKind::Forbidden, path, None, detail)
    }

    /// A text has more than `max` bytes.
    #[must_use]
    pub fn too_long(path: &Path, max: usize) -> Self {
        let detail = format!("may not be more than {max} bytes");
        Self::build(ErrorKind::TooLong, path, None, detail)
    }

    /// A list has `actual` items, more than `max`.
    #[must_use]
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {items}");
        Self::build(ErrorKind::TooMany, path, Some(actual.to_string()), detail)
    }

    /// What `value` refers to does not exist.
    #[must_use]
    pub fn not_found<T: Serialize + ?Sized>(path: &Path, value: &T) -> Self {
        Self::build(ErrorKind::NotFound, path, Some(json(value)), "")
    }

    fn build(
        kind: ErrorKind,
        path: &Path,
        value: Option<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            field: path.0.clone(),
            value,
            detail: detail.into(),
        }
    }

    /// The `reason` of the cause, e.g. `FieldValueInvalid`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.kind.reason()
    }

    /// The message without the path: `Invalid value: -1: must be …`.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// Renders all of `errors` in one line, as the API server does in a Status:
/// `[a, b]`, or just `a`. What is said twice is rendered once.
#[must_use]
pub fn aggregate(errors: &[Error]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

/// A value as an error message shows it; what cannot be JSON shows as null.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Error, Path, aggregate};

    #[test]
    fn errors_read_as_kubernetes_writes_them() {
        let path = Path::new("spec").child("rules").index(1);
        let check = |error: Error, expected: &str| assert_eq!(error.to_string(), expected);
        check(Error::required(&path, ""), "spec.rules[1]: Required value");
        check(
            Error::invalid(&path, &-1, "must be greater than or equal to 0"),
            "spec.rules[1]: Invalid value: -1: must be greater than or equal to 0",
        );
        check(
            Error::not_supported(&path.key("a"), "x", &["A", "B"]),
            "spec.rules[1][a]: Unsupported value: \"x\": supported values: \"A\", \"B\"",
        );
        check(
            Error::duplicate(&path, &11),
            "spec.rules[1]: Duplicate value: 11",
        );
        check(
            Error::too_many(&path, 21, 20),
            "spec.rules[1]: Too many: 21: must have at most 20 items",
        );
        check(
            Error::too_long(&path, 63),
            "spec.rules[1]: Too long: may not be more than 63 bytes",
        );
    }

    #[test]
    fn a_list_of_errors_stands_in_brackets_and_says_nothing_twice() {
        let a = Error::required(&Path::new("a"), "");
        let b = Error::required(&Path::new("b"), "");
        assert_eq!(aggregate(std::slice::from_ref(&a)), "a: Required value");
        assert_eq!(
            aggregate(&[a.clone(), b, a]),
            "[a: Required value, b: Required value]"
        );
    }
}
