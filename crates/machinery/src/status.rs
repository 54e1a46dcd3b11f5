//! `meta/v1` Status: what a request that failed gets as its answer.
//!
//! Programs decide by `reason` and `details`, people read `message`, and scripts match
//! its text: all three are worded as Kubernetes 1.36 words them. In `details`, `kind` is
//! the plural of the resource, except for [`Status::invalid`], where it is the kind.

use std::fmt;

use serde_json::{Map, Value, json};
use wasmjob_api::field;

use crate::resource::{Qualified, Resource};

/// A failure, as the API answers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The reason in one word, e.g. `NotFound`.
    pub reason: &'static str,
    /// What people read.
    pub message: String,
    /// What it is about; boxed so that results stay small.
    pub details: Option<Box<Details>>,
    /// When to try again: also the `Retry-After` header.
    pub retry_after_seconds: Option<u32>,
}

/// What a [`Status`] is about. Empty texts are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Details {
    /// The name of the object.
    pub name: String,
    /// The group of the resource.
    pub group: String,
    /// The plural of the resource, or the kind.
    pub kind: String,
    /// The UID of the object.
    pub uid: String,
    /// More reasons, e.g. one for each invalid field.
    pub causes: Vec<Cause>,
}

/// One of several reasons.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cause {
    /// In one word, e.g. `FieldValueInvalid`.
    pub reason: String,
    /// What people read.
    pub message: String,
    /// The path of the field, e.g. `spec.containers[0].name`.
    pub field: String,
}

impl From<&field::Error> for Cause {
    fn from(error: &field::Error) -> Self {
        Self {
            reason: error.reason().to_owned(),
            message: error.body(),
            field: error.field.clone(),
        }
    }
}

/// A request, as [`Status::forbidden`] words it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Denied<'a> {
    /// The name of the user.
    pub user: &'a str,
    /// The verb, e.g. `list`.
    pub verb: &'a str,
    /// The group; empty for the core group.
    pub group: &'a str,
    /// The plural.
    pub resource: &'a str,
    /// The subresource; empty for none.
    pub subresource: &'a str,
    /// The namespace; empty for the whole cluster.
    pub namespace: &'a str,
    /// The name of the object; empty for none.
    pub name: &'a str,
    /// Why, where there is more to say; may be empty.
    pub why: &'a str,
}

impl Status {
    /// A failure that is about no object.
    #[must_use]
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
            retry_after_seconds: None,
        }
    }

    fn about(mut self, what: Qualified<'_>, name: &str) -> Self {
        self.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: what.group.to_owned(),
            kind: what.name.to_owned(),
            ..Details::default()
        }));
        self
    }

    /// The same with a time after which to try again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    fn caused_by(mut self, causes: Vec<Cause>) -> Self {
        self.details.get_or_insert_default().causes = causes;
        self
    }

    /// There is no such object.
    #[must_use]
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let what = resource.qualified();
        Self::new(404, "NotFound", format!("{what} {name:?} not found")).about(what, name)
    }

    /// There is no such namespace.
    #[must_use]
    pub fn namespace_not_found(name: &str) -> Self {
        let what = Qualified {
            name: "namespaces",
            group: "",
        };
        Self::new(404, "NotFound", format!("{what} {name:?} not found")).about(what, name)
    }

    /// There is no such resource, in a group version that there is.
    #[must_use]
    pub fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self {
            details: Some(Box::default()),
            ..Self::new(404, "NotFound", message)
        }
    }

    /// There is such an object already.
    #[must_use]
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let what = resource.qualified();
        let message = format!("{what} {name:?} already exists");
        Self::new(409, "AlreadyExists", message).about(what, name)
    }

    /// No free name was found for a `generateName`; `name` is the last that was tried.
    #[must_use]
    pub fn generated_name_taken(resource: &Resource, name: &str) -> Self {
        let what = resource.qualified();
        let message = format!(
            "{what} {name:?} already exists, the server was not able to generate a unique name for the object"
        );
        Self::new(409, "AlreadyExists", message)
            .about(what, name)
            .retry_after(1)
    }

    /// The object is not in the state that the request needs.
    #[must_use]
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let what = resource.qualified();
        let message = format!("Operation cannot be fulfilled on {what} {name:?}: {why}");
        Self::new(409, "Conflict", message).about(what, name)
    }

    /// The object has changed since the version that the request names.
    #[must_use]
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// The UID of a precondition is another one.
    #[must_use]
    pub fn precondition_uid(resource: &Resource, name: &str, wanted: &str, is: &str) -> Self {
        Self::precondition(resource, name, "UID", wanted, is)
    }

    fn precondition(resource: &Resource, name: &str, of: &str, wanted: &str, is: &str) -> Self {
        let why = format!(
            "Precondition failed: {of} in precondition: {wanted}, {of} in object meta: {is}"
        );
        Self::conflict(resource, name, &why)
    }

    /// Fields are owned by other managers, as [`crate::apply`] words it.
    #[must_use]
    pub fn apply_conflict(message: String, causes: Vec<Cause>) -> Self {
        Self::new(409, "Conflict", message).caused_by(causes)
    }

    /// Fields have values that they cannot have.
    #[must_use]
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_kind(resource.qualified_kind(), name, causes)
    }

    /// [`Status::invalid`] for a kind that is no resource, e.g. `PatchOptions.meta.k8s.io`.
    #[must_use]
    pub fn invalid_kind(kind: Qualified<'_>, name: &str, causes: Vec<Cause>) -> Self {
        let mut texts: Vec<String> = Vec::with_capacity(causes.len());
        for cause in &causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let mut message = format!("{kind} {name:?} is invalid");
        match texts.as_slice() {
            [] => {}
            [one] => {
                message.push_str(": ");
                message.push_str(one);
            }
            many => message.push_str(&format!(": [{}]", many.join(", "))),
        }
        Self::new(422, "Invalid", message)
            .about(kind, name)
            .caused_by(causes)
    }

    /// The request makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Nobody has said who is asking.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// Who is asking may not do this.
    #[must_use]
    pub fn forbidden(request: &Denied<'_>) -> Self {
        let what = Qualified {
            name: request.resource,
            group: request.group,
        };
        let slash = if request.subresource.is_empty() {
            ""
        } else {
            "/"
        };
        let mut text = format!(
            "User {:?} cannot {} resource \"{}{slash}{}\" in API group {:?}",
            request.user, request.verb, request.resource, request.subresource, request.group
        );
        if request.namespace.is_empty() {
            text.push_str(" at the cluster scope");
        } else {
            text.push_str(&format!(" in the namespace {:?}", request.namespace));
        }
        if !request.why.is_empty() {
            text.push_str(": ");
            text.push_str(request.why);
        }
        // A browser that takes the text for HTML must find none in it.
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        Self::forbidden_because(what, request.name, &text)
    }

    /// Who is asking may not read that path, which belongs to no resource.
    #[must_use]
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let nothing = Qualified {
            name: "",
            group: "",
        };
        let text = format!("User {user:?} cannot {verb} path {path:?}");
        Self::forbidden_because(nothing, "", &text)
    }

    /// This may not be done, for a reason in words of its own.
    #[must_use]
    pub fn forbidden_because(what: Qualified<'_>, name: &str, why: &str) -> Self {
        let message = match (what.name, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{what} is forbidden: {why}"),
            _ => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::new(403, "Forbidden", message).about(what, name)
    }

    /// The path is there, and does not take that HTTP method.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self {
            details: Some(Box::default()),
            ..Self::new(405, "MethodNotAllowed", message)
        }
    }

    /// The resource does not know that action, e.g. `delete`.
    #[must_use]
    pub fn method_not_supported(resource: &Resource, action: &str) -> Self {
        let what = resource.qualified();
        let message = format!("{action} is not supported on resources of kind \"{what}\"");
        Self::new(405, "MethodNotAllowed", message).about(what, "")
    }

    /// The answer cannot be given in a form that the client accepts.
    #[must_use]
    pub fn not_acceptable(available: &[&str]) -> Self {
        let message = format!(
            "only the following media types are accepted: {}",
            available.join(", ")
        );
        Self::new(406, "NotAcceptable", message)
    }

    /// The body has a type that is not read.
    #[must_use]
    pub fn unsupported_media_type(available: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            available.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The version, or the page, is too old to be known.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A watch begins before what is remembered.
    #[must_use]
    pub fn version_expired() -> Self {
        Self::expired("The resourceVersion for the provided watch is too old.")
    }

    /// It was there, and will not be again.
    #[must_use]
    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// The request names a version that is not there yet.
    #[must_use]
    pub fn too_large_resource_version(requested: u64, current: u64) -> Self {
        let text = format!("Too large resource version: {requested}, current: {current}");
        Self::timeout(&text, 1).caused_by(vec![Cause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }])
    }

    /// The request took too long.
    #[must_use]
    pub fn timeout(why: &str, retry_after_seconds: u32) -> Self {
        let status = Self::new(504, "Timeout", format!("Timeout: {why}"));
        Self {
            details: Some(Box::default()),
            ..status.retry_after(retry_after_seconds)
        }
    }

    /// The client, or all of them, ask too much.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(429, "TooManyRequests", message).retry_after(retry_after_seconds)
    }

    /// The body has more than `limit` bytes.
    #[must_use]
    pub fn request_entity_too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message)
    }

    /// Something is wrong with the server.
    #[must_use]
    pub fn internal_error(error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let message = format!("Internal error occurred: {text}");
        Self::new(500, "InternalError", message).caused_by(vec![Cause {
            message: text,
            ..Cause::default()
        }])
    }

    /// The server, or a part of it, is not there right now.
    #[must_use]
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// As the API writes it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if self.details.is_some() || self.retry_after_seconds.is_some() {
            let mut details = self.details.as_deref().map(details).unwrap_or_default();
            // Absent and zero are the same, upstream too.
            if let Some(seconds @ 1..) = self.retry_after_seconds {
                details.insert("retryAfterSeconds".to_owned(), seconds.into());
            }
            value["details"] = Value::Object(details);
        }
        value
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

/// The answer to the deletion of an object that is gone at once.
#[must_use]
pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let what = resource.qualified();
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details(&Details {
            name: name.to_owned(),
            group: what.group.to_owned(),
            kind: what.name.to_owned(),
            uid: uid.to_owned(),
            causes: Vec::new(),
        }),
    })
}

/// The answer to a request that has gone well and has nothing to show.
#[must_use]
pub fn success(code: u16) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": code,
    })
}

fn details(details: &Details) -> Map<String, Value> {
    let mut map = texts(&[
        ("name", &details.name),
        ("group", &details.group),
        ("kind", &details.kind),
        ("uid", &details.uid),
    ]);
    if !details.causes.is_empty() {
        let causes = details.causes.iter().map(|cause| {
            Value::Object(texts(&[
                ("reason", &cause.reason),
                ("message", &cause.message),
                ("field", &cause.field),
            ]))
        });
        map.insert("causes".to_owned(), causes.collect());
    }
    map
}

fn texts(pairs: &[(&str, &String)]) -> Map<String, Value> {
    let set = pairs.iter().filter(|(_, text)| !text.is_empty());
    set.map(|(name, text)| ((*name).to_owned(), Value::String((*text).clone())))
        .collect()
}

#[cfg(test)]
mod tests;
