//! A Job as Kubernetes shows it.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{text, time};
use crate::field::{Error, ErrorList, Path};
use crate::{IndexSet, Job, JobCondition, JobConditionType, JobStatus};

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
            spec: Some(self.spec.to_object()),
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

impl JobStatus {
    /// The status that a client has written: what clients see of it from `object`,
    /// the rest as it is.
    ///
    /// # Errors
    ///
    /// A condition that is none of Kubernetes' own, or indexes that are none.
    pub fn with_object(
        &self,
        object: &batch::JobStatus,
        completions: u32,
    ) -> Result<Self, ErrorList> {
        let path = Path::new("status");
        let mut errors = ErrorList::new();
        let mut conditions = Vec::new();
        for (index, condition) in object.conditions.iter().flatten().enumerate() {
            match condition_of(condition) {
                Some(condition) => conditions.push(condition),
                None => {
                    let path = path.child("conditions").index(index).child("type");
                    let known = CONDITIONS.map(JobConditionType::as_str);
                    errors.push(Error::not_supported(&path, &condition.type_, &known));
                }
            }
        }
        let mut indexes = |field: &str, text: Option<&str>| {
            IndexSet::parse(text.unwrap_or_default(), completions).unwrap_or_else(|error| {
                let path = path.child(field);
                errors.push(Error::invalid(
                    &path,
                    text.unwrap_or_default(),
                    error.to_string(),
                ));
                IndexSet::new()
            })
        };
        let completed_indexes = indexes("completedIndexes", object.completed_indexes.as_deref());
        let failed_indexes = object.failed_indexes.as_deref();
        let failed_indexes = failed_indexes.map(|text| indexes("failedIndexes", Some(text)));
        if !errors.is_empty() {
            return Err(errors);
        }
        let count = |count: Option<i32>| u32::try_from(count.unwrap_or(0)).unwrap_or(0);
        Ok(Self {
            conditions,
            start_time: object.start_time.as_ref().map(|time| time.0),
            completion_time: object.completion_time.as_ref().map(|time| time.0),
            active: count(object.active),
            ready: object.ready.map(|ready| count(Some(ready))),
            terminating: object
                .terminating
                .map(|terminating| count(Some(terminating))),
            succeeded: count(object.succeeded),
            failed: count(object.failed),
            completed_indexes,
            failed_indexes,
            backoff: self.backoff,
        })
    }
}

const CONDITIONS: [JobConditionType; 5] = [
    JobConditionType::Suspended,
    JobConditionType::FailureTarget,
    JobConditionType::Failed,
    JobConditionType::SuccessCriteriaMet,
    JobConditionType::Complete,
];

fn condition_of(condition: &batch::JobCondition) -> Option<JobCondition> {
    let condition_type = CONDITIONS
        .into_iter()
        .find(|known| known.as_str() == condition.type_)?;
    let text = |text: &Option<String>| Cow::Owned(text.clone().unwrap_or_default());
    let time = |time: &Option<Time>| time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    Some(JobCondition {
        condition_type,
        status: condition.status == "True",
        reason: text(&condition.reason),
        message: text(&condition.message),
        last_probe: time(&condition.last_probe_time),
        last_transition: time(&condition.last_transition_time),
    })
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
