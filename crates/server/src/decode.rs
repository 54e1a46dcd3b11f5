//! Bodies as objects: JSON, YAML or protobuf, checked against the schema of their kind.

use serde_json::Value;
use wasmjob_machinery::negotiate::{self, Encoding};
use wasmjob_machinery::proto;
use wasmjob_machinery::status::Status;
use wasmjob_machinery::strict;
use wasmjob_machinery::types;

use crate::call::{Call, FieldValidation};

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
    let mut value = match encoding {
        Encoding::Protobuf => {
            let (version, own, mut value) =
                proto::decode(bytes).map_err(|error| Status::bad_request(error.to_string()))?;
            if let Some(fields) = value.as_object_mut() {
                fields.insert("apiVersion".to_owned(), version.into());
                fields.insert("kind".to_owned(), own.into());
            }
            value
        }
        Encoding::Json | Encoding::Yaml => {
            let parsed = match (encoding, types::message(message)) {
                (Encoding::Yaml, Some(message)) => strict::parse_yaml(message, bytes),
                (_, Some(message)) => strict::parse_json(message, bytes),
                (_, None) => strict::plain_yaml_or_json(bytes),
            };
            let parsed = parsed.map_err(|error| refused(kind, api_version, &error.to_string()))?;
            told(call, kind, api_version, &parsed.problems)?;
            parsed.value
        }
    };
    check_kind(&mut value, kind, api_version)?;
    Ok(value)
}

/// The kind is that of the request, or is not said.
fn check_kind(value: &mut Value, kind: &str, api_version: &str) -> Result<(), Status> {
    if !value.is_object() {
        return Err(Status::bad_request(format!(
            "the body is no object; a {kind} was expected"
        )));
    }
    for (field, wanted) in [("apiVersion", api_version), ("kind", kind)] {
        let own = value[field].as_str().unwrap_or_default();
        if own.is_empty() {
            value[field] = wanted.into();
        } else if own != wanted {
            let text = match field {
                "kind" => format!(
                    "{own} in version \"{}\" cannot be handled as a {kind}: the kind must be {kind}",
                    version(api_version)
                ),
                _ => format!(
                    "the API version in the data ({own}) does not match the expected API version ({wanted})"
                ),
            };
            return Err(Status::bad_request(text));
        }
    }
    Ok(())
}

fn version(api_version: &str) -> &str {
    api_version.rsplit('/').next().unwrap_or(api_version)
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
    match call.field_validation()? {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => problems.iter().for_each(|problem| call.warn(problem)),
        FieldValidation::Strict => {
            return Err(refused(kind, api_version, &strict::strict_error(problems)));
        }
    }
    Ok(())
}

/// A patched object has only fields that its kind has.
pub(crate) fn check_known(call: &Call, object: &Value) -> Result<Value, Status> {
    let resource = call.target.resource;
    let Some(message) = types::message(resource.message) else {
        return Ok(object.clone());
    };
    let parsed = strict::check(message, object.clone())
        .map_err(|error| refused(resource.kind, &resource.api_version(), &error.to_string()))?;
    told(
        call,
        resource.kind,
        &resource.api_version(),
        &parsed.problems,
    )?;
    Ok(parsed.value)
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

/// A patch, which has no schema of its own.
pub(crate) fn patch(bytes: &[u8]) -> Result<Value, Status> {
    let parsed = strict::plain_json(bytes)
        .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    Ok(parsed.value)
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
