//! What is special about a kind when it is written: its defaults, its rules, and
//! what becomes of it in the host.
//!
//! A [`Draft`] is an object on its way in: as JSON, which is what the client will be
//! shown and what field managers own parts of; and as the host takes it.

mod cron_job;
mod generic;
mod job;
mod pod;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wasmjob::api::field::ErrorList;
use wasmjob::api::k8s_openapi::api::{batch::v1 as batch, core::v1 as core};
use wasmjob::api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use wasmjob::api::{CronJobStatus, JobStatus, Uid};
use wasmjob::{GenericObject, NewObject, Object, Replacement};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::{Cause, Status};
use wasmjob_machinery::validate_meta;

use crate::cache::Entry;
use crate::select::kept_as;

/// An object on its way in.
pub(crate) struct Draft {
    /// The object in the version that it is kept in.
    pub(crate) value: Value,
    typed: Typed,
    /// Told to the client beside the answer.
    pub(crate) warnings: Vec<String>,
}

enum Typed {
    Job(Box<batch::Job>, Option<Box<JobStatus>>),
    CronJob(Box<batch::CronJob>, Option<Box<CronJobStatus>>),
    Pod(Box<core::Pod>),
    Generic,
}

/// What creation and updates add to an object.
pub(crate) struct Stamp {
    pub(crate) uid: Uid,
    pub(crate) now: Timestamp,
}

/// An update: what there is, what is to be, and which part the client may change.
pub(crate) struct Change<'a> {
    pub(crate) old: &'a Entry,
    pub(crate) old_value: &'a Value,
    pub(crate) new: Value,
    /// `status`, or empty.
    pub(crate) subresource: &'static str,
}

impl Draft {
    /// A new object: defaulted and checked. It has a name.
    pub(crate) fn create(resource: &Resource, value: Value, stamp: &Stamp) -> Result<Self, Status> {
        match kept_as(resource).as_str() {
            "jobs.batch" => job::create(resource, value, stamp),
            "cronjobs.batch" => cron_job::create(resource, value, stamp),
            "pods" => pod::create(resource, value, stamp),
            _ => generic::create(resource, value, stamp),
        }
    }

    /// Another state of an object: defaulted and checked against the one before.
    pub(crate) fn update(resource: &Resource, mut change: Change<'_>) -> Result<Self, Status> {
        keep_identity(&mut change);
        if !matches!(change.old.object, Object::Generic(_))
            && let Some(error) = validate_meta::new_finalizers(&change.new, change.old_value)
        {
            let name = meta(change.old_value, "name").to_owned();
            return Err(Status::invalid(resource, &name, vec![Cause::from(&error)]));
        }
        match &change.old.object {
            Object::Job(row) => job::update(resource, row, change),
            Object::CronJob(row) => cron_job::update(resource, row, change),
            Object::Pod(_) => pod::update(resource, change),
            Object::Generic(_) => generic::update(resource, change),
            Object::Event(_) | Object::Manifest(_) => Err(Status::method_not_supported(
                resource,
                "update of what the host itself has said",
            )),
        }
    }

    fn managed_fields(&self) -> Option<Vec<ManagedFieldsEntry>> {
        let fields = self.value.get("metadata")?.get("managedFields")?;
        serde_json::from_value(fields.clone()).ok()
    }

    /// What the host creates.
    pub(crate) fn into_new(self, resource: &Resource, stamp: &Stamp) -> NewObject {
        let fields = self.managed_fields();
        match self.typed {
            Typed::Job(mut job, _) => {
                job.metadata.managed_fields = fields;
                NewObject::Job(job)
            }
            Typed::CronJob(mut cron_job, _) => {
                cron_job.metadata.managed_fields = fields;
                NewObject::CronJob(cron_job)
            }
            Typed::Pod(mut pod) => {
                pod.metadata.managed_fields = fields;
                NewObject::Pod(pod)
            }
            Typed::Generic => NewObject::Generic(generic_object(resource, self.value, stamp.uid)),
        }
    }

    /// What the host puts in the place of `old`.
    pub(crate) fn into_replacement(self, resource: &Resource, old: &Entry) -> Replacement {
        let fields = self.managed_fields();
        match self.typed {
            Typed::Job(mut job, status) => {
                job.metadata.managed_fields = fields;
                Replacement::Job(job, status)
            }
            Typed::CronJob(mut cron_job, status) => {
                cron_job.metadata.managed_fields = fields;
                Replacement::CronJob(cron_job, status)
            }
            Typed::Pod(mut pod) => {
                pod.metadata.managed_fields = fields;
                Replacement::PodMetadata(Box::new(pod.metadata))
            }
            Typed::Generic => {
                let uid = old.object.key().uid;
                Replacement::Generic(generic_object(resource, self.value, uid))
            }
        }
    }
}

fn generic_object(resource: &Resource, mut value: Value, uid: Uid) -> GenericObject {
    let metadata = metadata(&mut value);
    metadata.remove("resourceVersion");
    let text = |name: &str| {
        metadata
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let namespace = if resource.namespaced {
        text("namespace")
    } else {
        ""
    };
    let (namespace, name) = (namespace.into(), text("name").into());
    GenericObject {
        uid,
        resource: kept_as(resource).into(),
        namespace,
        name,
        // A value always has a form as text.
        json: serde_json::to_vec(&value).unwrap_or_default().into(),
    }
}

/// The metadata of an object; one without gets empty metadata.
pub(crate) fn metadata(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let metadata = &mut value["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    // It was just made one if it was none.
    match metadata {
        Value::Object(metadata) => metadata,
        _ => unreachable!("metadata was made an object"),
    }
}

/// A text in the metadata, empty if it is not there.
pub(crate) fn meta<'a>(value: &'a Value, field: &str) -> &'a str {
    value["metadata"][field].as_str().unwrap_or_default()
}

/// What creation fixed, and the client did not repeat, stays as it is.
fn keep_identity(change: &mut Change<'_>) {
    let old = &change.old_value["metadata"];
    let new = metadata(&mut change.new);
    new.remove("selfLink");
    new.insert("resourceVersion".to_owned(), old["resourceVersion"].clone());
    for field in [
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        match old.get(field) {
            Some(value) => new.insert(field.to_owned(), value.clone()),
            None => new.remove(field),
        };
    }
    for field in ["uid", "name", "namespace", "generateName"] {
        let is_absent = new
            .get(field)
            .is_none_or(|value| value.is_null() || value == "");
        if is_absent && let Some(value) = old.get(field) {
            new.insert(field.to_owned(), value.clone());
        }
    }
    // Empty is absent, as Go writes it.
    for field in ["annotations", "finalizers", "labels", "ownerReferences"] {
        let is_empty = match new.get(field) {
            Some(Value::Array(list)) => list.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            _ => false,
        };
        if is_empty {
            new.remove(field);
        }
    }
}

/// The object as Kubernetes' type.
fn typed<T: DeserializeOwned>(resource: &Resource, value: Value) -> Result<T, Status> {
    serde_json::from_value(value).map_err(|error| unreadable(resource, error))
}

/// The body is no object of that kind.
pub(crate) fn unreadable(resource: &Resource, why: impl std::fmt::Display) -> Status {
    let (kind, version) = (resource.kind, resource.version);
    Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

/// The object as JSON, with its kind.
fn untyped<T: serde::Serialize>(object: &T) -> Value {
    // Our own types always have a form as JSON.
    serde_json::to_value(object).unwrap_or(Value::Null)
}

/// Everything that is wrong, in the words of Kubernetes.
pub(crate) fn check(resource: &Resource, name: &str, errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    let causes = errors.iter().map(Cause::from).collect();
    Err(Status::invalid(resource, name, causes))
}
