//! A Job as Kubernetes shows it.

use k8s_openapi::api::batch::v1 as batch;

use super::{text, time};
use crate::{Job, JobCondition, JobStatus};

impl Job {
    /// Renders the whole object, as `kubectl get -o yaml` would show it.
    #[must_use]
    pub fn to_object(&self) -> batch::Job {
        let mut metadata = self.metadata.as_ref().clone();
        metadata.name = Some(self.name.to_string());
        metadata.namespace = Some(self.namespace.to_string());
        metadata.uid = Some(self.uid.to_string());
        metadata.generation = Some(self.generation);
        metadata.resource_version =
            (self.resource_version > 0).then(|| self.resource_version.to_string());
        metadata.creation_timestamp = Some(time(self.created));
        metadata.deletion_timestamp = self.deletion.map(time);
        // A Job has no processes of its own to wait for.
        metadata.deletion_grace_period_seconds = self.deletion.map(|_| 0);
        batch::Job {
            metadata,
            spec: Some(self.spec.object.clone()),
            status: Some(self.status.to_object()),
        }
    }
}

impl JobStatus {
    /// Renders the status.
    #[must_use]
    pub fn to_object(&self) -> batch::JobStatus {
        let count = |count: u32| (count > 0).then(|| number(count));
        let conditions: Vec<_> = self.conditions.iter().map(condition).collect();
        batch::JobStatus {
            conditions: (!conditions.is_empty()).then_some(conditions),
            start_time: self.start_time.map(time),
            completion_time: self.completion_time.map(time),
            active: count(self.active),
            ready: self.ready.map(number),
            terminating: self.terminating.map(number),
            succeeded: count(self.succeeded),
            failed: count(self.failed),
            completed_indexes: text(&self.completed_indexes.to_string()),
            failed_indexes: self.failed_indexes.as_ref().map(ToString::to_string),
            // Counting is part of the commit that sees a pod end, so nothing is
            // ever uncounted; Kubernetes shows the empty list after the first sync.
            uncounted_terminated_pods: self.ready.map(|_| Default::default()),
        }
    }
}

fn condition(condition: &JobCondition) -> batch::JobCondition {
    batch::JobCondition {
        type_: condition.condition_type.as_str().to_owned(),
        status: if condition.status { "True" } else { "False" }.to_owned(),
        reason: text(&condition.reason),
        message: text(&condition.message),
        last_probe_time: Some(time(condition.last_probe)),
        last_transition_time: Some(time(condition.last_transition)),
    }
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
