//! Patching: JSON, merge and strategic merge patches, and server-side apply.

use bytes::Bytes;
use serde_json::Value;
use wasmjob_machinery::apply::{self, ApplyError, Applying};
use wasmjob_machinery::patch::{self, PatchError};
use wasmjob_machinery::status::{Cause, Status};
use wasmjob_machinery::types;

use crate::api::Api;
use crate::body::Reply;
use crate::call::{Call, cause, invalid_options};
use crate::decode;
use crate::kinds::meta;
use crate::render::seconds;
use crate::verbs::create::check_namespace;
use crate::verbs::update::Wanted;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Api {
    pub(crate) async fn patch(&self, call: &Call, body: Bytes) -> Result<Reply, Status> {
        if call.content_type() == APPLY {
            return self.apply(call, &body).await;
        }
        let is_known = [JSON, MERGE, STRATEGIC].contains(&call.content_type());
        if !is_known {
            return Err(Status::unsupported_media_type(&[
                JSON, MERGE, STRATEGIC, APPLY,
            ]));
        }
        call.check_options(Some(false))?;
        let patch = decode::patch(call.content_type(), &body)?;
        let message = types::message(call.target.resource.message);
        let make = |live: &Value| {
            let patched = match call.content_type() {
                JSON => patch::json::apply(live, &patch),
                MERGE => patch::merge::apply(live, &patch),
                _ => patch::strategic::apply(message, live, &patch),
            };
            let mut object = patched.map_err(refused)?;
            check_identity(call, live, &mut object)?;
            Ok(Wanted {
                object: decode::check_known(call, &object, &patch)?,
                is_owned: false,
            })
        };
        self.change(call, make).await
    }

    /// Server-side apply: what is not there yet is created.
    async fn apply(&self, call: &Call, body: &[u8]) -> Result<Reply, Status> {
        call.check_options(Some(true))?;
        let config = decode::configuration(call, body)?;
        let resource = call.target.resource;
        let mut named = config.clone();
        check_namespace(call, &mut named)?;
        let name = meta(&config, "name");
        if !name.is_empty() && name != call.name() {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name()
            )));
        }
        let manager = &call.manager();
        let api_version = resource.api_version();
        let make = |live: Option<&Value>| {
            let applying = Applying {
                manager,
                subresource: call.subresource(),
                api_version: &api_version,
                now: &seconds(self.now()),
                force: call.query.is_set("force"),
            };
            let message = types::message(resource.message);
            apply::apply(message, live, &config, applying).map_err(status)
        };
        match self.entry(call) {
            Ok(_) => {
                let make = |live: &Value| {
                    let mut object = make(Some(live))?;
                    check_identity(call, live, &mut object)?;
                    Ok(Wanted {
                        object,
                        is_owned: true,
                    })
                };
                self.change(call, make).await
            }
            Err(_) if call.subresource().is_empty() => {
                if !meta(&config, "uid").is_empty() {
                    let why = format!(
                        "uid mismatch: the provided object specified uid {}, and no existing object was found",
                        meta(&config, "uid")
                    );
                    return Err(Status::conflict(resource, call.name(), &why));
                }
                self.access
                    .allow(self, &call.user, "create", &call.target)?;
                let mut object = make(None)?;
                crate::kinds::metadata(&mut object).insert("name".to_owned(), call.name().into());
                self.create_object(call, object).await
            }
            Err(status) => Err(status),
        }
    }
}

fn status(error: ApplyError) -> Status {
    let text = error.to_string();
    match error {
        ApplyError::NoManager => {
            let missing = cause(
                "fieldManager",
                "Required value: is required for apply patch",
            );
            let refused = invalid_options("PatchOptions", vec![missing]);
            refused.err().unwrap_or_else(Status::method_not_allowed)
        }
        ApplyError::BadRequest(text) => Status::bad_request(text),
        ApplyError::Malformed(_) => Status::internal_error(text),
        ApplyError::Conflict(conflict) => {
            let causes = conflict.causes.into_iter().map(|cause| Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: cause.message,
                field: cause.field,
            });
            Status::apply_conflict(conflict.message, causes.collect())
        }
    }
}

/// Why a patch cannot be made. Kubernetes tells nothing of a patch that does not fit.
fn refused(error: PatchError) -> Status {
    match error {
        PatchError::BadRequest(text) => Status::bad_request(text),
        PatchError::TooLarge(text) => {
            let text = format!("Request entity too large: {text}");
            Status::new(413, "RequestEntityTooLarge", text)
        }
        PatchError::Unprocessable(why) => {
            tracing::debug!(%why, "a patch does not fit its object");
            let text = "the server rejected our request due to an error in our request";
            Status {
                details: Some(Box::default()),
                ..Status::new(422, "Invalid", text)
            }
        }
    }
}

/// A patch changes neither kind nor name.
fn check_identity(call: &Call, live: &Value, object: &mut Value) -> Result<(), Status> {
    check_namespace(call, object)?;
    for field in ["apiVersion", "kind"] {
        if object[field].is_null() {
            object[field] = live[field].clone();
        }
        if object[field] != live[field] {
            return Err(Status::bad_request(format!(
                "a patch cannot change {field} from {} to {}",
                live[field], object[field]
            )));
        }
    }
    if meta(object, "name") != meta(live, "name") {
        return Err(Status::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            meta(object, "name"),
            call.name()
        )));
    }
    Ok(())
}
