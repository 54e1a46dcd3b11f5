//! One request on its way through the server.

use std::sync::{Mutex, PoisonError};

use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, USER_AGENT};
use wasmjob_auth::identity::User;
use wasmjob_machinery::negotiate::Answer as Accepted;
use wasmjob_machinery::resource::Qualified;
use wasmjob_machinery::status::{Cause, Status};

use crate::request::{Query, ResourceTarget};

/// A request about a resource: read, authenticated and allowed.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) target: ResourceTarget,
    pub(crate) verb: &'static str,
    pub(crate) user: User,
    /// The form in which the answer is wanted.
    pub(crate) accepted: Accepted,
    warnings: Mutex<Vec<String>>,
}

/// What to do about fields that the schema does not know, and fields given twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Bytes of a field manager's name at most.
const MANAGER_BYTES_MAX: usize = 128;

impl Call {
    pub(crate) fn new(
        method: Method,
        query: Query,
        headers: HeaderMap,
        target: ResourceTarget,
        verb: &'static str,
        user: User,
        accepted: Accepted,
    ) -> Self {
        Self {
            method,
            query,
            headers,
            target,
            verb,
            user,
            accepted,
            warnings: Mutex::default(),
        }
    }

    /// Tells the client something beside the answer.
    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The name of the object that is asked for; a route without one has none.
    pub(crate) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    /// The subresource, empty if it is the object itself.
    pub(crate) fn subresource(&self) -> &'static str {
        self.target.subresource.map_or("", |sub| sub.name)
    }

    /// Whether nothing is to be changed, only the answer is wanted.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.get("dryRun").is_some()
    }

    /// What to do about fields that are not known; see [`Call::check_options`].
    pub(crate) fn field_validation(&self) -> FieldValidation {
        match self.query.get("fieldValidation") {
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        }
    }

    /// Whether the parameters of a write have values that they may have. `is_apply` is
    /// said of patches only.
    pub(crate) fn check_options(&self, is_apply: Option<bool>) -> Result<(), Status> {
        let mut causes = Vec::new();
        let mut wrong = |field: &str, text: String| causes.push(cause(field, text));
        let manager = self.query.get("fieldManager").unwrap_or_default();
        match is_apply {
            Some(false) if self.query.get("force").is_some() => {
                let text = "Forbidden: may not be specified for non-apply patch";
                wrong("force", text.to_owned());
            }
            Some(true) if manager.is_empty() => {
                let text = "Required value: is required for apply patch";
                wrong("fieldManager", text.to_owned());
            }
            _ => {}
        }
        if manager.len() > MANAGER_BYTES_MAX {
            let text = format!("Too long: may not be more than {MANAGER_BYTES_MAX} bytes");
            wrong("fieldManager", text);
        }
        for (at, char) in manager.char_indices().filter(|(_, it)| it.is_control()) {
            let number = u32::from(char);
            let text = format!(
                "Invalid value: {manager:?}: invalid character U+{number:04X} (at position {at})"
            );
            wrong("fieldManager", text);
        }
        let dry_runs = self.query.all("dryRun").filter(|value| !value.is_empty());
        if let Err(text) = check_dry_run(&dry_runs.collect::<Vec<_>>()) {
            wrong("dryRun", text);
        }
        let validation = self.query.get("fieldValidation").unwrap_or_default();
        if !matches!(validation, "" | "Ignore" | "Strict" | "Warn") {
            let text = format!(
                "Unsupported value: {validation:?}: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
            );
            wrong("fieldValidation", text);
        }
        let kind = match (is_apply, self.verb) {
            (Some(_), _) => "PatchOptions",
            (None, "update") => "UpdateOptions",
            _ => "CreateOptions",
        };
        invalid_options(kind, causes)
    }

    /// Who changes fields, as `managedFields` names them: what the client says, or
    /// the first part of its user agent.
    pub(crate) fn manager(&self) -> String {
        if let Some(manager) = self.query.get("fieldManager") {
            return manager.to_owned();
        }
        let agent = self.headers.get(USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        let name = agent.and_then(|agent| agent.split('/').next());
        let name = name.unwrap_or_default();
        let end = name.floor_char_boundary(MANAGER_BYTES_MAX);
        let name = if end == 0 { "unknown" } else { &name[..end] };
        name.to_owned()
    }

    /// The type of the body, without parameters; JSON if none is given.
    pub(crate) fn content_type(&self) -> &str {
        let value = self.headers.get(CONTENT_TYPE);
        let value = value.and_then(|value| value.to_str().ok());
        let value = value.and_then(|value| value.split(';').next());
        match value.unwrap_or_default().trim() {
            "" => "application/json",
            value => value,
        }
    }

    pub(crate) fn takes_gzip(&self) -> bool {
        takes_gzip(&self.headers)
    }
}

/// Whether the client takes compressed bodies.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT_ENCODING).iter();
    values.any(|value| {
        let mut encodings = value.to_str().unwrap_or_default().split(',');
        encodings.any(|encoding| {
            let (name, quality) = encoding.split_once(';').unwrap_or((encoding, ""));
            name.trim() == "gzip" && quality.trim() != "q=0"
        })
    })
}

/// Whether `dryRun` has no value but the one that it may have.
pub(crate) fn check_dry_run(values: &[&str]) -> Result<(), String> {
    match values.iter().all(|value| *value == "All") {
        true => Ok(()),
        false => Err(format!(
            "Unsupported value: {}: supported values: \"All\"",
            serde_json::json!(values)
        )),
    }
}

/// What is wrong with a parameter. `text` begins with the kind of the error, as
/// Kubernetes words it.
pub(crate) fn cause(field: &str, text: impl Into<String>) -> Cause {
    let text = text.into();
    let reason = match text.split(':').next() {
        Some("Unsupported value") => "FieldValueNotSupported",
        Some("Forbidden") => "FieldValueForbidden",
        Some("Required value") => "FieldValueRequired",
        Some("Too long") => "FieldValueTooLong",
        _ => "FieldValueInvalid",
    };
    Cause {
        reason: reason.to_owned(),
        message: text,
        field: field.to_owned(),
    }
}

/// Parameters of a request have values that they may not have, if there are causes.
pub(crate) fn invalid_options(kind: &'static str, causes: Vec<Cause>) -> Result<(), Status> {
    if causes.is_empty() {
        return Ok(());
    }
    let kind = Qualified {
        name: kind,
        group: "meta.k8s.io",
    };
    Err(Status::invalid_kind(kind, "", causes))
}

/// A whole number in a parameter; what is none is told as Go tells it.
pub(crate) fn number(text: &str) -> Result<i64, Status> {
    text.parse().map_err(|_| {
        let why = why_no_number(text.strip_prefix(['+', '-']).unwrap_or(text));
        Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

/// Why Go takes the text for no number.
pub(crate) fn why_no_number(digits: &str) -> &'static str {
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => "value out of range",
        false => "invalid syntax",
    }
}
