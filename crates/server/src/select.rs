//! Which objects a list or a watch is about.

use std::sync::Arc;

use wasmjob::Object;
use wasmjob_machinery::fields;
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::selector::{FieldSelector, LabelSelector};
use wasmjob_machinery::status::Status;

use crate::cache::{Entry, Scope};
use crate::request::{Query, ResourceTarget};

/// Label with the completion index, which rows have as a number.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What is asked for: a namespace or all, and conditions on labels and fields.
pub(crate) struct Selection {
    pub(crate) scope: Scope,
    labels: LabelSelector,
    fields: FieldSelector,
    kind: &'static str,
}

impl Selection {
    /// What the query of a list, a watch or a deletion of many asks for.
    pub(crate) fn of(target: &ResourceTarget, query: &Query) -> Result<Self, Status> {
        let labels = query.get("labelSelector").unwrap_or_default();
        let labels = LabelSelector::parse(labels).map_err(Status::bad_request)?;
        let kind = target.resource.kind;
        let fields = query.get("fieldSelector").unwrap_or_default();
        let fields = FieldSelector::parse(fields, kind).map_err(Status::bad_request)?;
        let namespace = Some(&target.namespace).filter(|namespace| !namespace.is_empty());
        let named = |field: &str| fields.exact(field).filter(|value| !value.is_empty());
        let scope = Scope {
            namespace: namespace
                .cloned()
                .or_else(|| named("metadata.namespace").map(Arc::from)),
            name: target
                .name
                .clone()
                .or_else(|| named("metadata.name").map(Arc::from)),
        };
        Ok(Self {
            scope,
            labels,
            fields,
            kind,
        })
    }

    /// Whether it asks for everything in its scope.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Whether it asks for the object, which is in its scope.
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        self.covers_labels(entry) && self.covers_fields(entry)
    }

    fn covers_labels(&self, entry: &Entry) -> bool {
        if self.labels.is_everything() {
            return true;
        }
        let labels = match &entry.object {
            Object::Job(job) => job.metadata.labels.as_ref(),
            Object::CronJob(cron_job) => cron_job.metadata.labels.as_ref(),
            Object::Pod(pod) => {
                let given = pod.metadata.as_deref();
                let index = pod.index.filter(|_| given.is_none());
                let index = index.map(|index| index.to_string());
                let labels = given.unwrap_or(&pod.template.metadata).labels.as_ref();
                return self.labels.matches_with(|key| match &index {
                    Some(index) if key == COMPLETION_INDEX => Some(index),
                    _ => labels?.get(key).map(String::as_str),
                });
            }
            Object::Event(_) | Object::Manifest(_) => None,
            Object::Generic(_) => return self.labels.matches_object(&entry.value()),
        };
        self.labels
            .matches_with(|key| labels?.get(key).map(String::as_str))
    }

    fn covers_fields(&self, entry: &Entry) -> bool {
        if self.fields.is_everything() {
            return true;
        }
        let (namespace, name) = entry.names();
        let mut rest = self.fields.terms().iter().filter_map(|term| {
            match (term.field.as_str(), &entry.object) {
                ("metadata.name", _) => Some((*name == *term.value) == term.equal),
                ("metadata.namespace", _) => Some((*namespace == *term.value) == term.equal),
                ("status.phase", Object::Pod(pod)) => {
                    Some((pod.status.phase.as_str() == term.value) == term.equal)
                }
                ("spec.nodeName", Object::Pod(pod)) => {
                    let node: &str = match pod.status.scheduled {
                        Some(_) => entry.node(),
                        None => "",
                    };
                    Some((node == term.value) == term.equal)
                }
                _ => None,
            }
        });
        if !rest.all(|holds| holds) {
            return false;
        }
        let is_quick = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || matches!(entry.object, Object::Pod(_))
                    && matches!(field, "status.phase" | "spec.nodeName")
        };
        if self.fields.terms().iter().all(|term| is_quick(&term.field)) {
            return true;
        }
        let value = entry.value();
        self.fields
            .matches_with(|field| fields::value(self.kind, field, &value))
    }
}

/// The name under which the objects of a resource are kept. Two versions of one
/// kind, and the two kinds of events, are one resource.
pub(crate) fn kept_as(resource: &Resource) -> String {
    match (resource.group, resource.plural) {
        ("events.k8s.io", "events") => "events".to_owned(),
        _ => resource.qualified().to_string(),
    }
}
