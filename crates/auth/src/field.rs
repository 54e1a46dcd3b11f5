//! What is wrong with one field of an object, as Kubernetes tells it.

use std::fmt;

use serde::Serialize;

/// The kind of an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldErrorKind {
    /// A value is needed and missing.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value is none of those that are known.
    NotSupported,
    /// The value must not be there.
    Forbidden,
}

impl FieldErrorKind {
    /// The `reason` of a cause in a Status.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
        }
    }
}

/// One thing that is wrong with one field. It shows as `field: body`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The kind.
    pub kind: FieldErrorKind,
    /// The path of the field, e.g. `rules[0].verbs`.
    pub field: String,
    /// The value as JSON, where the message shows it.
    pub value: Option<String>,
    /// What is wrong; may be empty.
    pub detail: String,
}

impl FieldError {
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self {
            kind: FieldErrorKind::Required,
            field: field.into(),
            value: None,
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            kind: FieldErrorKind::Forbidden,
            field: field.into(),
            value: None,
            detail: detail.to_owned(),
        }
    }

    pub(crate) fn invalid(
        field: impl Into<String>,
        value: &impl Serialize,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind: FieldErrorKind::Invalid,
            field: field.into(),
            value: serde_json::to_string(value).ok(),
            detail: detail.into(),
        }
    }

    pub(crate) fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported
            .iter()
            .map(|text| crate::text::quoted(text))
            .collect();
        Self {
            kind: FieldErrorKind::NotSupported,
            field: field.into(),
            value: serde_json::to_string(value).ok(),
            detail: format!("supported values: {}", supported.join(", ")),
        }
    }

    /// The message without the field: the `message` of a cause in a Status.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = self.kind.text().to_owned();
        for part in [self.value.as_deref().unwrap_or_default(), &self.detail] {
            if !part.is_empty() {
                body.push_str(": ");
                body.push_str(part);
            }
        }
        body
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.body())
    }
}
