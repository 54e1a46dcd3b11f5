//! Replacing objects, and the one way in which all changes of them are made.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;
use wasmjob::{Propagation, Write, WriteError};
use wasmjob_machinery::apply::{self, Tracking};
use wasmjob_machinery::status::Status;
use wasmjob_machinery::types;

use crate::api::Api;
use crate::body::Reply;
use crate::cache::Entry;
use crate::call::{Call, cause};
use crate::convert;
use crate::decode;
use crate::kinds::{Change, Draft, meta, metadata};
use crate::render::seconds;
use crate::show;
use crate::verbs::create::check_namespace;

/// How often a change is made anew on a state that has changed meanwhile.
const ATTEMPTS: usize = 10;

/// How long a change waits for the state that was in its way to become visible.
const SETTLE: Duration = Duration::from_secs(2);

/// What a client wants an object to be.
pub(crate) struct Wanted {
    pub(crate) object: Value,
    /// Its `managedFields` say who owns what already.
    pub(crate) is_owned: bool,
}

/// Bytes of JSON that an object may grow to: as many as a body may have. Kubernetes
/// bounds it by what etcd takes.
const OBJECT_BYTES_MAX: usize = 3 << 20;

/// Patches make objects grow beyond any one body.
fn check_size(value: &Value) -> Result<(), Status> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    let _ = serde_json::to_writer(&mut count, value);
    if count.0 <= OBJECT_BYTES_MAX {
        return Ok(());
    }
    let text = format!("Request entity too large: limit is {OBJECT_BYTES_MAX}");
    Err(Status::new(413, "RequestEntityTooLarge", text))
}

impl Api {
    pub(crate) async fn update(&self, call: &Call, body: Bytes) -> Result<Reply, Status> {
        call.check_options(None)?;
        let mut object = decode::object(call, &body)?;
        check_namespace(call, &mut object)?;
        let name = meta(&object, "name");
        if name.is_empty() {
            return Err(Status::bad_request(format!(
                "the name of the object ({} based on URL) was undeterminable: name must be provided",
                call.name()
            )));
        }
        if name != call.name() {
            let text = format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name()
            );
            return Err(Status::bad_request(text));
        }
        if creates_on_update(call) && self.entry(call).is_err() {
            self.access
                .allow(self, &call.user, "create", &call.target)?;
            return self.create_object(call, object).await;
        }
        let make = |_: &Value| {
            Ok(Wanted {
                object: object.clone(),
                is_owned: false,
            })
        };
        self.change(call, make).await
    }

    /// Makes of an object what `make` makes of it; on another state once more, where
    /// the client did not insist on one.
    pub(crate) async fn change(
        &self,
        call: &Call,
        make: impl Fn(&Value) -> Result<Wanted, Status>,
    ) -> Result<Reply, Status> {
        let resource = call.target.resource;
        for _ in 0..ATTEMPTS {
            let entry = self.entry(call)?;
            let old = entry.value();
            let shown = convert::from_kept(resource, old.clone());
            let wanted = make(&shown)?;
            let insists = check_preconditions(call, &shown, &wanted.object)?;
            let Some(draft) = self.draft(call, &entry, &old, wanted)? else {
                return show::entry(call, &entry, self.now());
            };
            check_size(&draft.value)?;
            let value = draft.value.clone();
            let write = self.write_of(call, &entry, draft);
            let written = match call.is_dry_run() {
                true => self.host.review_write(write).await.map(|()| None),
                false => self.host.write(write).await.map(Some),
            };
            match written {
                Ok(written) => {
                    let now = written.and_then(|it| self.state_of(call, call.name(), &it));
                    // The last finalizer is gone, and so is the object; or it was only tried.
                    let value = now.map_or(value, |entry| entry.value());
                    return show::value(call, StatusCode::OK, value, self.now());
                }
                Err(WriteError::Conflict) if !insists => {
                    let store = self.host.store();
                    // What was in the way is decided; it may not be visible yet.
                    let _ = tokio::time::timeout(SETTLE, store.changed(entry.revision)).await;
                }
                Err(error) => return Err(self.refused(call, call.name(), error)),
            }
        }
        Err(Status::modified(resource, call.name()))
    }

    /// The change as a draft; none if it changes nothing.
    fn draft(
        &self,
        call: &Call,
        entry: &Arc<Entry>,
        old: &Value,
        wanted: Wanted,
    ) -> Result<Option<Draft>, Status> {
        let resource = call.target.resource;
        let mut object = convert::to_kept(resource, wanted.object);
        let requested = metadata(&mut object).get("managedFields").cloned();
        self.admit(call, &object, Some(old))?;
        let change = Change {
            old: entry,
            old_value: old,
            new: object,
            subresource: call.subresource(),
        };
        let mut draft = Draft::update(resource, change)?;
        draft.warnings.drain(..).for_each(|text| call.warn(text));
        if let Some(requested) = requested {
            metadata(&mut draft.value).insert("managedFields".to_owned(), requested);
        }
        if !wanted.is_owned {
            let now = seconds(self.now());
            let api_version = resource.api_version();
            let tracking = Tracking {
                manager: &call.manager(),
                subresource: call.subresource(),
                api_version: &api_version,
                now: &now,
            };
            let message = types::message(resource.message);
            apply::track_update(message, Some(old), &mut draft.value, tracking);
        }
        Ok((!is_same(&draft.value, old)).then_some(draft))
    }

    /// What the host is asked for: an object that only its finalizers held goes when
    /// the last of them does.
    fn write_of(&self, call: &Call, entry: &Arc<Entry>, draft: Draft) -> Write {
        let is_generic = matches!(entry.object, wasmjob::Object::Generic(_));
        let metadata = &draft.value["metadata"];
        let is_deleted = metadata
            .get("deletionTimestamp")
            .is_some_and(|at| !at.is_null());
        let list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
        let is_held = list(&metadata["finalizers"])
            || call.target.resource.kind == "Namespace" && list(&draft.value["spec"]["finalizers"]);
        if is_generic && is_deleted && !is_held {
            return Write::Delete {
                key: entry.object.key(),
                seen: Some(entry.object.clone()),
                propagation: Propagation::Background,
                grace: None,
            };
        }
        Write::Replace {
            seen: entry.object.clone(),
            new: draft.into_replacement(call.target.resource, entry),
        }
    }
}

/// Whether what is not there yet is created by replacing it.
fn creates_on_update(call: &Call) -> bool {
    let resource = call.target.resource;
    call.subresource().is_empty()
        && (resource.group == "rbac.authorization.k8s.io"
            || matches!(resource.kind, "Lease" | "Event" | "LimitRange"))
}

/// Whether the client insists on the state that it has seen, which must be this one.
fn check_preconditions(call: &Call, is: &Value, wanted: &Value) -> Result<bool, Status> {
    let resource = call.target.resource;
    let (version, uid) = (meta(wanted, "resourceVersion"), meta(wanted, "uid"));
    if !uid.is_empty() && uid != meta(is, "uid") {
        return Err(Status::precondition_uid(
            resource,
            call.name(),
            uid,
            meta(is, "uid"),
        ));
    }
    if version.is_empty() && call.verb == "update" && resource.kind == "Lease" {
        let wrong = cause(
            "metadata.resourceVersion",
            "Invalid value: 0: must be specified for an update",
        );
        return Err(Status::invalid_kind(
            resource.qualified(),
            call.name(),
            vec![wrong],
        ));
    }
    if version.is_empty() || call.verb == "patch" && version == meta(is, "resourceVersion") {
        return Ok(false);
    }
    if version == meta(is, "resourceVersion") {
        return Ok(true);
    }
    if version.parse::<u64>().is_err() {
        let text = format!("Invalid value: {version:?}: must be a number");
        let wrong = cause("metadata.resourceVersion", text);
        return Err(Status::invalid(resource, call.name(), vec![wrong]));
    }
    Err(Status::modified(resource, call.name()))
}

/// Whether two states differ in nothing that matters: a new time at which the same
/// manager owns the same fields is no change.
fn is_same(new: &Value, old: &Value) -> bool {
    let without_times = |value: &Value| {
        let mut value = value.clone();
        let metadata = metadata(&mut value);
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("time");
            }
        }
        remove_empty(&mut value);
        value
    };
    without_times(new) == without_times(old)
}

/// Takes out what is null or empty, as `creationTimestamp: null`: absent is the same.
fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(remove_empty);
            fields.retain(|_, value| !value.is_null());
        }
        Value::Array(items) => items.iter_mut().for_each(remove_empty),
        _ => {}
    }
}
