//! A CronJob as Kubernetes shows it.

use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::ObjectReference;

use super::time;
use crate::{CronJob, CronJobStatus, JobReference};

/// The annotation that shows what became of the slots. What a client writes there is
/// overwritten.
const SLOTS: &str = "wasmjob.dev/slots";

impl CronJob {
    /// Renders the whole object, as `kubectl get -o yaml` would show it.
    #[must_use]
    pub fn to_object(&self) -> batch::CronJob {
        let mut metadata = self.metadata.as_ref().clone();
        metadata.name = Some(self.name.to_string());
        metadata.namespace = Some(self.namespace.to_string());
        metadata.uid = Some(self.uid.to_string());
        metadata.generation = Some(self.generation);
        metadata.resource_version =
            (self.resource_version > 0).then(|| self.resource_version.to_string());
        metadata.creation_timestamp = Some(time(self.created));
        metadata.deletion_timestamp = self.deletion.map(time);
        metadata.deletion_grace_period_seconds = self.deletion.map(|_| 0);
        if let Some(slots) = self.status.ledger.to_annotation() {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(SLOTS.to_owned(), slots);
        }
        batch::CronJob {
            metadata,
            spec: self.spec.object.clone(),
            status: Some(self.status()),
        }
    }

    /// The status that a client has written: what clients see of it from `object`,
    /// the rest as it is. What is no reference to a Job is left out.
    #[must_use]
    pub fn status_with_object(&self, object: &batch::CronJobStatus) -> CronJobStatus {
        let active = object.active.iter().flatten().filter_map(|job| {
            Some(JobReference {
                uid: job.uid.as_deref()?.parse().ok()?,
                name: job.name.as_deref()?.into(),
            })
        });
        CronJobStatus {
            active: active.collect(),
            last_schedule_time: object.last_schedule_time.as_ref().map(|time| time.0),
            last_successful_time: object.last_successful_time.as_ref().map(|time| time.0),
            ..self.status.clone()
        }
    }

    fn status(&self) -> batch::CronJobStatus {
        let status = &self.status;
        let active: Vec<_> = status
            .active
            .iter()
            .map(|job| ObjectReference {
                api_version: Some("batch/v1".to_owned()),
                kind: Some("Job".to_owned()),
                namespace: Some(self.namespace.to_string()),
                name: Some(job.name.to_string()),
                uid: Some(job.uid.to_string()),
                ..ObjectReference::default()
            })
            .collect();
        batch::CronJobStatus {
            active: (!active.is_empty()).then_some(active),
            last_schedule_time: status.last_schedule_time.map(time),
            last_successful_time: status.last_successful_time.map(time),
        }
    }
}
