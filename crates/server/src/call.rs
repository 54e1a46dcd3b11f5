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
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text.into());
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
    pub(crate) fn is_dry_run(&self) -> Result<bool, Status> {
        let mut values = self.query.all("dryRun").filter(|value| !value.is_empty());
        match values.next() {
            None => Ok(false),
            Some(value) => dry_run(value),
        }
    }

    pub(crate) fn field_validation(&self) -> Result<FieldValidation, Status> {
        match self.query.get("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some(other) => Err(invalid_option(
                "fieldValidation",
                &format!(
                    "Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
                ),
            )),
        }
    }

    /// Who changes fields, as `managedFields` names them: what the client says, or
    /// the first part of its user agent.
    pub(crate) fn manager(&self) -> Result<String, Status> {
        if let Some(manager) = self.query.get("fieldManager") {
            if manager.len() > MANAGER_BYTES_MAX || manager.chars().any(|char| char.is_control()) {
                return Err(invalid_option(
                    "fieldManager",
                    &format!(
                        "Invalid value: {manager:?}: must be printable, and no more than {MANAGER_BYTES_MAX} bytes"
                    ),
                ));
            }
            return Ok(manager.to_owned());
        }
        let agent = self.headers.get(USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        let name = agent.and_then(|agent| agent.split('/').next());
        let name = name.unwrap_or_default();
        let end = name.floor_char_boundary(MANAGER_BYTES_MAX);
        let name = if end == 0 { "unknown" } else { &name[..end] };
        Ok(name.to_owned())
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

/// What a value of `dryRun` asks for.
pub(crate) fn dry_run(value: &str) -> Result<bool, Status> {
    match value {
        "All" => Ok(true),
        other => {
            let text = format!("Unsupported value: {other:?}: supported values: \"All\"");
            Err(invalid_option("dryRun", &text))
        }
    }
}

/// A parameter of a request has a value that it may not have. `text` begins with the
/// kind of the error, as Kubernetes words it.
pub(crate) fn invalid_option(field: &str, text: &str) -> Status {
    let reason = match text.split(':').next() {
        Some("Unsupported value") => "FieldValueNotSupported",
        Some("Forbidden") => "FieldValueForbidden",
        Some("Required value") => "FieldValueRequired",
        _ => "FieldValueInvalid",
    };
    let kind = match field {
        "resourceVersionMatch" | "sendInitialEvents" | "resourceVersion" => "ListOptions",
        "dryRun" | "fieldManager" | "fieldValidation" | "force" => "PatchOptions",
        _ => "DeleteOptions",
    };
    let kind = Qualified {
        name: kind,
        group: "meta.k8s.io",
    };
    let cause = Cause {
        reason: reason.to_owned(),
        message: text.to_owned(),
        field: field.to_owned(),
    };
    Status::invalid_kind(kind, "", vec![cause])
}
