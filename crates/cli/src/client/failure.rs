//! What goes wrong, said as `kubectl` says it.

use serde_json::Value;

use crate::exit::{Exit, say};

/// Why a command did not do all it should.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon says no.
    Refused(Box<Refusal>),
    /// The arguments make no sense; nothing was done.
    Usage(String),
    /// Anything else.
    Other(String),
    /// The reader of the output has gone: there is nobody to work for.
    ClosedPipe,
}

/// What commands give.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A Status of failure.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: String,
    message: String,
    kind: String,
    name: String,
    /// Field and message; the details of a Status may lack causes, or be lacking.
    causes: Option<Vec<(String, String)>>,
}

impl Refusal {
    /// Reads the body of an answer with that code.
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(status) if status["kind"] == "Status" => Self::of_status(code, &status),
            _ => Self::of_code(code),
        }
    }

    fn of_status(code: u16, status: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let details = &status["details"];
        let causes = details.is_object().then(|| {
            let causes = details["causes"].as_array().map_or(&[][..], Vec::as_slice);
            let pair = |cause: &Value| (text(&cause["field"]), text(&cause["message"]));
            causes.iter().map(pair).collect()
        });
        Self {
            code,
            reason: text(&status["reason"]),
            message: text(&status["message"]),
            kind: text(&details["kind"]),
            name: text(&details["name"]),
            causes,
        }
    }

    /// What client-go makes of an answer that is no Status.
    fn of_code(code: u16) -> Self {
        let (reason, message) = match code {
            400 => (
                "BadRequest",
                "the server rejected our request for an unknown reason",
            ),
            401 => (
                "Unauthorized",
                "the server has asked for the client to provide credentials",
            ),
            403 => (
                "Forbidden",
                "the server does not allow access to the requested resource",
            ),
            404 => (
                "NotFound",
                "the server could not find the requested resource",
            ),
            405 => (
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
            429 => (
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            _ => ("InternalError", "the server does not say what went wrong"),
        };
        Self {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Self::default()
        }
    }

    fn text(&self) -> String {
        match (self.reason.as_str(), &self.causes) {
            ("Invalid", Some(causes)) => self.invalid(causes),
            ("Invalid", None) => format!("The request is invalid: {}", self.message),
            ("", _) => format!("Error from server: {}", self.message),
            (reason, _) => format!("Error from server ({reason}): {}", self.message),
        }
    }

    /// One problem on the same line, several on lines of their own.
    fn invalid(&self, causes: &[(String, String)]) -> String {
        let subject = match (self.kind.as_str(), self.name.as_str()) {
            ("", "") if causes.is_empty() => {
                return format!("The request is invalid: {}", self.message);
            }
            ("", "") => "The request is invalid".to_owned(),
            (kind, name) => format!("The {kind} {name:?} is invalid"),
        };
        let line = |(field, message): &(String, String)| match field.as_str() {
            "" => message.clone(),
            field => format!("{field}: {message}"),
        };
        match causes {
            [] => subject,
            [only] => format!("{subject}: {}", line(only)),
            several => {
                let lines: Vec<String> = several
                    .iter()
                    .map(|it| format!("\n* {}", line(it)))
                    .collect();
                format!("{subject}: {}", lines.concat())
            }
        }
    }
}

impl Failure {
    /// Whether an object is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == 404)
    }

    /// Adds what was being done, and with which file.
    #[must_use]
    pub(crate) fn when(mut self, doing: &str, file: &str) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.message = format!("error when {doing} {file:?}: {}", refusal.message);
        }
        self
    }

    /// Says it; the exit code that follows.
    pub(crate) fn tell(&self) -> Exit {
        match self {
            Self::Refused(refusal) => {
                say(refusal.text());
                Exit::Failed
            }
            Self::Usage(text) => {
                say(format_args!("error: {text}"));
                Exit::Usage
            }
            Self::Other(text) => {
                say(format_args!("error: {text}"));
                Exit::Failed
            }
            Self::ClosedPipe => Exit::Complete,
        }
    }

    /// Says it and lets the command go on; an error if there is no sense in that.
    pub(crate) fn tell_and_go_on(self) -> Result<Exit> {
        match self {
            Self::ClosedPipe => Err(self),
            other => Ok(other.tell()),
        }
    }

    pub(crate) fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(code: u16, body: &Value, expected: &str) {
        let body = serde_json::to_vec(body).unwrap();
        assert_eq!(Refusal::read(code, &body).text(), expected);
    }

    #[test]
    fn refusals_read_as_kubectl_says_them() {
        check(
            404,
            &json!({
                "kind": "Status", "reason": "NotFound", "message": "jobs.batch \"x\" not found",
                "details": {"name": "x", "group": "batch", "kind": "jobs"},
            }),
            "Error from server (NotFound): jobs.batch \"x\" not found",
        );
        check(
            404,
            &json!("404 page not found"),
            "Error from server (NotFound): the server could not find the requested resource",
        );
        check(
            500,
            &json!({"kind": "Status", "message": "oh"}),
            "Error from server: oh",
        );
    }

    #[test]
    fn what_is_invalid_is_listed() {
        let invalid = |causes: Value| {
            json!({
                "kind": "Status", "reason": "Invalid", "message": "all of it",
                "details": {"name": "x", "kind": "Job", "causes": causes},
            })
        };
        let one = json!({"field": "spec.a", "message": "Required value"});
        let two = json!({"message": "too long"});
        check(
            422,
            &invalid(json!([one])),
            "The Job \"x\" is invalid: spec.a: Required value",
        );
        check(
            422,
            &invalid(json!([one, two])),
            "The Job \"x\" is invalid: \n* spec.a: Required value\n* too long",
        );
        check(422, &invalid(json!([])), "The Job \"x\" is invalid");
        check(
            422,
            &json!({"kind": "Status", "reason": "Invalid", "message": "all of it"}),
            "The request is invalid: all of it",
        );
    }
}
