//! Creating objects, and what stands in for it: evictions, bindings, tokens, reviews.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;
use wasmjob::{Write, WriteError, Written};
use wasmjob_machinery::apply::{self, Tracking};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::{Cause, Status};
use wasmjob_machinery::types;

use crate::api::Api;
use crate::body::Reply;
use crate::cache::Entry;
use crate::call::Call;
use crate::convert;
use crate::decode;
use crate::kinds::{Draft, meta, metadata};
use crate::render::seconds;
use crate::select::kept_as;
use crate::show;
use crate::subresource;

/// How often another name is tried when a generated one is taken, as in Kubernetes.
const GENERATED_NAMES_TRIED: usize = 8;

impl Api {
    pub(crate) async fn create(&self, call: &Call, body: Bytes) -> Result<Reply, Status> {
        call.check_options(None)?;
        let object = decode::object(call, &body)?;
        if call.target.resource.kind == "Binding" {
            return Err(subresource::bound(self, call, meta(&object, "name")));
        }
        self.create_object(call, object).await
    }

    /// Creates the object that a client has sent.
    pub(crate) async fn create_object(
        &self,
        call: &Call,
        mut object: Value,
    ) -> Result<Reply, Status> {
        let resource = call.target.resource;
        check_namespace(call, &mut object)?;
        let name = meta(&object, "name").to_owned();
        // Before the object itself is looked at, as in Kubernetes.
        self.check_open(call, &name)?;
        if !meta(&object, "resourceVersion").is_empty() {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let prefix = meta(&object, "generateName").to_owned();
        let generates = meta(&object, "name").is_empty() && !prefix.is_empty();
        let mut tried = 0;
        loop {
            let mut object = object.clone();
            if generates {
                let name = self.generated_name(&prefix);
                metadata(&mut object).insert("name".to_owned(), name.into());
            }
            let name = meta(&object, "name").to_owned();
            match self.create_named(call, object).await {
                Err(status) if generates && status.reason == "AlreadyExists" => {
                    tried += 1;
                    if tried == GENERATED_NAMES_TRIED {
                        return Err(Status::generated_name_taken(resource, &name));
                    }
                }
                Err(status) => return Err(status),
                Ok(reply) => return Ok(reply),
            }
        }
    }

    async fn create_named(&self, call: &Call, object: Value) -> Result<Reply, Status> {
        let resource = call.target.resource;
        let name = meta(&object, "name").to_owned();
        let requested = object["metadata"].get("managedFields").cloned();
        let kept = convert::to_kept(resource, object);
        let stamp = self.stamp();
        self.admit(call, &kept, None)?;
        let mut draft = Draft::create(resource, kept, &stamp)?;
        draft.warnings.drain(..).for_each(|text| call.warn(text));
        if let Some(requested) = requested {
            metadata(&mut draft.value).insert("managedFields".to_owned(), requested);
        }
        // What `apply` has made is owned by who applied; the rest is recorded here.
        if call.verb != "patch" {
            let now = seconds(stamp.now);
            let api_version = resource.api_version();
            apply::track_update(
                types::message(resource.message),
                None,
                &mut draft.value,
                Tracking {
                    manager: &call.manager(),
                    subresource: "",
                    api_version: &api_version,
                    now: &now,
                },
            );
        }
        let namespace = call.target.namespace.as_ref();
        if call.is_dry_run() {
            self.check_free(resource, namespace, &name)?;
            let mut shown = draft.value.clone();
            let reviewed = self.host.review(draft.into_new(resource, &stamp)).await;
            let reviewed = reviewed.map_err(|error| self.refused(call, &name, error))?;
            if let Some(pod) = reviewed {
                // What it would come in with; Kubernetes' types always have a form as JSON.
                shown["spec"] = serde_json::to_value(pod.spec).unwrap_or_default();
                if let Some(annotations) = pod.metadata.annotations {
                    let annotations = serde_json::to_value(annotations).unwrap_or_default();
                    metadata(&mut shown).insert("annotations".to_owned(), annotations);
                }
            }
            return show::value(call, StatusCode::CREATED, shown, self.now());
        }
        let shown = draft.value.clone();
        let new = draft.into_new(resource, &stamp);
        let written = self.host.write(Write::Create(new)).await;
        let written = written.map_err(|error| self.refused(call, &name, error))?;
        match self.state_of(call, &name, &written) {
            Some(entry) => show::value(call, StatusCode::CREATED, entry.value(), self.now()),
            // It is gone already.
            None => show::value(call, StatusCode::CREATED, shown, self.now()),
        }
    }

    /// Whether something can be created in the namespace of the request.
    fn check_open(&self, call: &Call, name: &str) -> Result<(), Status> {
        let resource = call.target.resource;
        let namespace = call.target.namespace.as_ref();
        if !resource.namespaced {
            return Ok(());
        }
        match self.cache.get("namespaces", "", namespace) {
            None => Err(Status::namespace_not_found(namespace)),
            Some(entry) if entry.is_being_deleted() => Err(ending(resource, name, namespace)),
            Some(_) => Ok(()),
        }
    }

    /// What a dry run cannot find out by trying.
    fn check_free(&self, resource: &Resource, namespace: &str, name: &str) -> Result<(), Status> {
        match self.cache.get(&kept_as(resource), namespace, name) {
            None => Ok(()),
            Some(_) => Err(self.exists(resource, namespace, name)),
        }
    }

    fn exists(&self, resource: &Resource, namespace: &str, name: &str) -> Status {
        let mut status = Status::already_exists(resource, name);
        let entry = self.cache.get(&kept_as(resource), namespace, name);
        if entry.is_some_and(|entry| entry.is_being_deleted()) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }

    /// Why the host did not do it, as Kubernetes says it.
    pub(crate) fn refused(&self, call: &Call, name: &str, error: WriteError) -> Status {
        let resource = call.target.resource;
        match error {
            WriteError::Conflict => Status::modified(resource, name),
            WriteError::NotFound => Status::not_found(resource, name),
            WriteError::AlreadyExists(_) => self.exists(resource, &call.target.namespace, name),
            WriteError::NoNamespace(namespace) => Status::namespace_not_found(&namespace),
            WriteError::Terminating(namespace) => ending(resource, name, &namespace),
            WriteError::Forbidden(why) => {
                Status::forbidden_because(resource.qualified(), name, &why)
            }
            WriteError::Invalid(text) => Status::new(422, "Invalid", text),
            WriteError::Unavailable(why) => Status::service_unavailable(why).retry_after(1),
            WriteError::Gone(gone) => Status::service_unavailable(gone.to_string()).retry_after(1),
        }
    }

    /// The state of an object that a change has led to; none if it was its end. What
    /// others have made of it since is not the answer to this client.
    pub(crate) fn state_of(
        &self,
        call: &Call,
        name: &str,
        written: &Written,
    ) -> Option<Arc<Entry>> {
        let resource = kept_as(call.target.resource);
        let now = self.cache.get(&resource, &call.target.namespace, name);
        let is_it = |entry: &Arc<Entry>| {
            entry.revision == written.revision && entry.object.key() == written.key
        };
        now.filter(is_it).or_else(|| self.cache.written(written))
    }
}

/// The namespace is being deleted.
fn ending(resource: &Resource, name: &str, namespace: &str) -> Status {
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut status = Status::forbidden_because(resource.qualified(), name, &why);
    status.details.get_or_insert_default().causes = vec![Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    }];
    status
}

/// The namespace of an object is that of the path.
pub(crate) fn check_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
    let own = meta(object, "namespace").to_owned();
    let wanted = call.target.namespace.as_ref();
    if !call.target.resource.namespaced {
        metadata(object).remove("namespace");
        return Ok(());
    }
    if !own.is_empty() && own != wanted {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata(object).insert("namespace".to_owned(), wanted.into());
    Ok(())
}
