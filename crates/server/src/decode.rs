//! Bodies as objects: JSON, YAML or protobuf, checked against the schema of their kind.

use serde_json::Value;
use wasmjob_machinery::negotiate::{self, Encoding};
use wasmjob_machinery::proto;
use wasmjob_machinery::resource::{self, Qualified};
use wasmjob_machinery::status::Status;
use wasmjob_machinery::strict::{self, DecodeError};
use wasmjob_machinery::types;

use crate::call::{Call, FieldValidation, cause};

/// The object that a client sends for the resource of the request.
pub(crate) fn object(call: &Call, bytes: &[u8]) -> Result<Value, Status> {
    let resource = call.target.resource;
    typed(
        call,
        bytes,
        resource.kind,
        &resource.api_version(),
        resource.message,
    )
}

/// The object that a client sends to a subresource.
pub(crate) fn subresource(call: &Call, bytes: &[u8]) -> Result<Value, Status> {
    let Some(subresource) = call.target.subresource else {
        return object(call, bytes);
    };
    let version = subresource.api_version(call.target.resource);
    typed(call, bytes, subresource.kind, &version, subresource.message)
}

fn typed(
    call: &Call,
    bytes: &[u8],
    kind: &str,
    api_version: &str,
    message: &str,
) -> Result<Value, Status> {
    let encoding = negotiate::body(Some(call.content_type()))?;
    let (mut value, problems) = match encoding {
        Encoding::Protobuf => {
            let (version, own, mut value) =
                proto::decode(bytes).map_err(|error| Status::bad_request(error.to_string()))?;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("apiVersion".to_owned(), version.into());
                fields.insert("kind".to_owned(), own.into());
            }
            match types::message(message) {
                // What JSON may not hold, protobuf may not either.
                Some(message) => strict::check(message, value)
                    .map(|checked| (checked.value, Vec::new()))
                    .map_err(|error| Status::bad_request(error.to_string()))?,
                None => (value, Vec::new()),
            }
        }
        Encoding::Json | Encoding::Yaml => {
            let parsed = match (encoding, types::message(message)) {
                (Encoding::Yaml, Some(message)) => strict::parse_yaml(message, bytes),
                (_, Some(message)) => strict::parse_json(message, bytes),
                (_, None) => strict::plain_yaml_or_json(bytes),
            };
            match parsed {
                Ok(parsed) => (parsed.value, parsed.problems),
                Err(error) => return Err(unread(kind, api_version, encoding, bytes, &error)),
            }
        }
    };
    check_kind(&mut value, kind, api_version)?;
    told(call, kind, api_version, &problems)?;
    Ok(value)
}

/// Why a body is no object of that kind: it may be one of another.
fn unread(
    kind: &str,
    api_version: &str,
    encoding: Encoding,
    bytes: &[u8],
    error: &DecodeError,
) -> Status {
    let unrecognized = |why: &str| {
        let text = match encoding {
            Encoding::Json => format!("couldn't get version/kind; json parse error: {why}"),
            _ => why.to_owned(),
        };
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {text} ({})",
            summary(bytes)
        ))
    };
    let DecodeError::Type(why) = error else {
        return unrecognized(&error.to_string());
    };
    let Ok(plain) = strict::plain_yaml_or_json(bytes) else {
        return unrecognized(why);
    };
    let own = match &plain.value {
        Value::Object(_) => None,
        Value::Array(_) => Some("array"),
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("bool"),
        _ => Some("number"),
    };
    if let Some(own) = own {
        return unrecognized(&format!(
            "json: cannot unmarshal {own} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        ));
    }
    let mut value = plain.value;
    match check_kind(&mut value, kind, api_version) {
        Err(status) => status,
        Ok(()) => refused(kind, api_version, why),
    }
}

/// The beginning of a body, as errors show it.
fn summary(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(30)];
    let mut text = match bytes.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if shown.len() < bytes.len() {
        text.push_str(" ...");
    }
    text
}

/// The kind is that of the request, or is not said.
fn check_kind(value: &mut Value, kind: &str, api_version: &str) -> Result<(), Status> {
    if !value.is_object() {
        return Err(Status::bad_request(format!(
            "the body is no object; a {kind} was expected"
        )));
    }
    for (field, wanted) in [("apiVersion", api_version), ("kind", kind)] {
        if value[field].as_str().unwrap_or_default().is_empty() {
            value[field] = wanted.into();
        }
    }
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    let (own_version, own) = (text("apiVersion"), text("kind"));
    if (own_version, own) == (api_version, kind) {
        return Ok(());
    }
    // Go's names of the types are a part of the answer.
    let (group, _) = resource::split(api_version);
    let (own_group, _) = resource::split(own_version);
    let Some(known) = resource::by_kind(own_version, own) else {
        let why = format!(
            "no kind {own:?} is registered for version {own_version:?} in scheme \"k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30\""
        );
        return Err(strict::cannot_handle(own, own_version, kind, &why));
    };
    if (own_group, own) == (group, kind) {
        return Err(Status::bad_request(format!(
            "the API version in the data ({own_version}) does not match the expected API version ({api_version})"
        )));
    }
    let package = match group.split('.').next() {
        Some("") | None => "core",
        Some(package) => package,
    };
    let why = format!(
        "converting ({}.{own}) to ({package}.{kind}): unknown conversion",
        known.version
    );
    Err(strict::cannot_handle(own, own_version, kind, &why))
}

fn refused(kind: &str, api_version: &str, why: &str) -> Status {
    strict::cannot_handle(kind, api_version, kind, why)
}

/// Fields that are not known, or given twice: refused, told or ignored as the client
/// wishes.
fn told(call: &Call, kind: &str, api_version: &str, problems: &[String]) -> Result<(), Status> {
    if problems.is_empty() {
        return Ok(());
    }
    match call.field_validation() {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => problems.iter().for_each(|problem| call.warn(problem)),
        FieldValidation::Strict => {
            return Err(refused(kind, api_version, &strict::strict_error(problems)));
        }
    }
    Ok(())
}

/// A patched object has only fields that its kind has.
pub(crate) fn check_known(call: &Call, object: &Value, patch: &Value) -> Result<Value, Status> {
    let Some(message) = types::message(call.target.resource.message) else {
        return Ok(object.clone());
    };
    // Shown is the object, or the patch where Kubernetes has it in another form.
    let refused = |why: &str| {
        let shown = match call.content_type() {
            "application/strategic-merge-patch+json" => go_text(patch),
            _ => object.to_string(),
        };
        let nothing = Qualified {
            name: "",
            group: "",
        };
        let wrong = cause("patch", format!("Invalid value: {shown:?}: {why}"));
        Status::invalid_kind(nothing, "", vec![wrong])
    };
    let parsed = strict::check(message, object.clone());
    let parsed = parsed.map_err(|error| refused(&error.to_string()))?;
    if !parsed.problems.is_empty() {
        match call.field_validation() {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => parsed.problems.iter().for_each(|it| call.warn(it)),
            FieldValidation::Strict => {
                return Err(refused(&strict::strict_error(&parsed.problems)));
            }
        }
    }
    Ok(parsed.value)
}

/// A value as Go prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let mut fields: Vec<String> = fields
                .map(|(name, value)| format!("{name}:{}", go_text(value)))
                .collect();
            fields.sort_unstable();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// What a client applies: JSON, or YAML.
pub(crate) fn configuration(call: &Call, bytes: &[u8]) -> Result<Value, Status> {
    let resource = call.target.resource;
    let decoding = |error| Status::bad_request(format!("error decoding YAML: {error}"));
    let plain = strict::plain_yaml_or_json(bytes).map_err(decoding)?;
    let parsed = match types::message(resource.message) {
        None => plain,
        Some(message) => {
            let mut parsed = strict::check(message, plain.value).map_err(|error| {
                refused(resource.kind, &resource.api_version(), &error.to_string())
            })?;
            parsed.problems.splice(0..0, plain.problems);
            parsed
        }
    };
    told(
        call,
        resource.kind,
        &resource.api_version(),
        &parsed.problems,
    )?;
    let mut value = parsed.value;
    check_kind(&mut value, resource.kind, &resource.api_version())?;
    Ok(value)
}

/// A patch, which has no schema of its own: a list of operations, or an object.
pub(crate) fn patch(content_type: &str, bytes: &[u8]) -> Result<Value, Status> {
    let refused = |why: &str| {
        Status::bad_request(match content_type {
            "application/strategic-merge-patch+json" => why.to_owned(),
            _ => format!("error decoding patch: {why}"),
        })
    };
    let parsed = strict::plain_json(bytes).map_err(|error| refused(&error.to_string()))?;
    let is_list = content_type == "application/json-patch+json";
    let own = match &parsed.value {
        Value::Array(_) if !is_list => "array",
        Value::Object(_) if is_list => "object",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::Array(_) | Value::Object(_) | Value::Null => return Ok(parsed.value),
    };
    let wanted = match is_list {
        true => "[]handlers.jsonPatchOp",
        false => "map[string]interface {}",
    };
    Err(refused(&format!(
        "json: cannot unmarshal {own} into Go value of type {wanted}"
    )))
}

/// What is said of a deletion.
pub(crate) fn delete_options(call: &Call, bytes: &[u8]) -> Result<Value, Status> {
    match negotiate::body(Some(call.content_type()))? {
        Encoding::Protobuf => proto::decode_delete_options(bytes)
            .map_err(|error| Status::bad_request(error.to_string())),
        Encoding::Json | Encoding::Yaml => {
            let parsed = strict::plain_yaml_or_json(bytes)
                .map_err(|error| Status::bad_request(error.to_string()))?;
            Ok(parsed.value)
        }
    }
}
