//! A Pod as Kubernetes shows it: the template, and what the row adds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Map, Value as Json, json};

use super::{condition, container, text, time};
use crate::defaults::pod_only;
use crate::{ContainerStatus, Phase, Pod, Usage, qos};

/// Label and annotation that hold the completion index.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation with the failures of the index before this pod.
const INDEX_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation with the failures of the index that the policy ignored.
const INDEX_IGNORED_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// The finalizer of a pod whose end has not been counted.
const JOB_TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Annotation with what the containers used, as JSON by their names.
const USAGE: &str = "wasmjob.dev/usage";

impl Pod {
    /// Metadata as a client gave it, without what is rendered anew each time: what
    /// [`Pod::metadata`] keeps.
    #[must_use]
    pub fn given_metadata(metadata: ObjectMeta) -> ObjectMeta {
        let mut finalizers = metadata.finalizers.unwrap_or_default();
        finalizers.retain(|finalizer| finalizer != JOB_TRACKING);
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.remove(USAGE);
        ObjectMeta {
            labels: metadata.labels.filter(|labels| !labels.is_empty()),
            annotations: not_empty(annotations),
            finalizers: (!finalizers.is_empty()).then_some(finalizers),
            owner_references: metadata.owner_references,
            managed_fields: metadata.managed_fields,
            ..ObjectMeta::default()
        }
    }

    /// Whether somebody's finalizer holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let given = self.metadata.as_deref();
        let metadata = given.unwrap_or(&self.template.metadata);
        metadata.finalizers.iter().flatten().next().is_some()
    }

    /// Renders the whole object, as `kubectl get -o yaml` would show it.
    /// `node_name` is shown once the pod is bound; a `resource_version` of 0 is left out.
    #[must_use]
    pub fn to_object(&self, node_name: &str, resource_version: u64) -> core::Pod {
        let mut spec = (*self.template.spec).clone();
        pod_only(&mut spec);
        if self.status.scheduled.is_some() {
            spec.node_name = Some(node_name.to_owned());
        }
        if let (Some(index), Some(owner)) = (self.index, &self.template.owner) {
            spec.hostname = Some(format!("{}-{index}", owner.name));
        }
        let status = self.status_object(&spec);
        let metadata = self.metadata_object(resource_version);
        core::Pod {
            metadata,
            spec: Some(spec),
            status: Some(status),
        }
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let given = self.metadata.as_deref();
        let shared = given.unwrap_or(&self.template.metadata);
        let mut labels = shared.labels.clone().unwrap_or_default();
        if let Some(index) = self.index.filter(|_| given.is_none()) {
            labels.insert(COMPLETION_INDEX.to_owned(), index.to_string());
        }
        labels
    }

    fn metadata_object(&self, resource_version: u64) -> ObjectMeta {
        let given = self.metadata.as_deref();
        let shared = given.unwrap_or(&self.template.metadata);
        let labels = self.labels();
        let mut annotations = shared.annotations.clone().unwrap_or_default();
        if let Some(index) = self.index.filter(|_| given.is_none()) {
            annotations.insert(COMPLETION_INDEX.to_owned(), index.to_string());
        }
        let counts = [
            (INDEX_FAILURE_COUNT, self.index_failure_count),
            (
                INDEX_IGNORED_FAILURE_COUNT,
                self.index_ignored_failure_count,
            ),
        ];
        for (key, count) in counts.into_iter().filter(|_| given.is_none()) {
            annotations.extend(count.map(|count| (key.to_owned(), count.to_string())));
        }
        annotations.extend(self.usage().map(|usage| (USAGE.to_owned(), usage)));
        let mut finalizers = shared.finalizers.clone().unwrap_or_default();
        if self.tracked {
            finalizers.push(JOB_TRACKING.to_owned());
        }
        let owner = self.template.owner.as_ref().map(|owner| OwnerReference {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            name: owner.name.to_string(),
            uid: owner.uid.to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
        let owner_references = match owner {
            Some(owner) if given.is_none() => Some(vec![owner]),
            _ => shared.owner_references.clone(),
        };
        ObjectMeta {
            name: Some(self.name.to_string()),
            generate_name: self.generate_name(),
            namespace: Some(self.namespace.to_string()),
            uid: Some(self.uid.to_string()),
            resource_version: (resource_version > 0).then(|| resource_version.to_string()),
            // The spec of a pod never changes here.
            generation: Some(1),
            creation_timestamp: Some(time(self.created)),
            deletion_timestamp: self.deletion.map(|deletion| time(deletion.at)),
            deletion_grace_period_seconds: self
                .deletion
                .map(|deletion| i64::try_from(deletion.grace.as_secs()).unwrap_or(i64::MAX)),
            labels: not_empty(labels),
            annotations: not_empty(annotations),
            finalizers: (!finalizers.is_empty()).then_some(finalizers),
            owner_references,
            managed_fields: shared.managed_fields.clone(),
            ..ObjectMeta::default()
        }
    }

    fn generate_name(&self) -> Option<String> {
        let Some(owner) = &self.template.owner else {
            return self.template.metadata.generate_name.clone();
        };
        Some(match self.index {
            Some(index) => format!("{}-{index}-", owner.name),
            None => format!("{}-", owner.name),
        })
    }

    /// What the ended containers used; `None` while none has ended.
    fn usage(&self) -> Option<String> {
        let mut all = Map::new();
        let init = self
            .template
            .spec
            .init_containers
            .as_deref()
            .unwrap_or_default();
        let groups = [
            (init, &self.status.init_containers),
            (
                self.template.spec.containers.as_slice(),
                &self.status.containers,
            ),
        ];
        for (containers, statuses) in groups {
            for (container, status) in containers.iter().zip(statuses) {
                let ended = status
                    .state
                    .terminated()
                    .or(status.last_terminated.as_deref());
                all.extend(ended.map(|ended| (container.name.clone(), usage(&ended.usage))));
            }
        }
        (!all.is_empty()).then(|| Json::Object(all).to_string())
    }

    fn status_object(&self, spec: &core::PodSpec) -> core::PodStatus {
        let status = &self.status;
        // A kubelet says how containers are, and none has the pod before it is bound.
        let is_bound = status.scheduled.is_some() || status.phase != Phase::Pending;
        let tells = !condition::is_unschedulable(status);
        let statuses = |containers: &[core::Container], statuses: &[ContainerStatus]| {
            let list: Vec<_> = containers
                .iter()
                .zip(statuses)
                .map(|(container, status)| container::status(self, container, status))
                .collect();
            (is_bound && !list.is_empty()).then_some(list)
        };
        let init = spec.init_containers.as_deref().unwrap_or_default();
        core::PodStatus {
            phase: Some(status.phase.as_str().to_owned()),
            conditions: condition::conditions(self, spec),
            // Why it waits is a condition's to say.
            reason: status.reason.as_deref().filter(|_| tells).and_then(text),
            message: status.message.as_deref().filter(|_| tells).and_then(text),
            start_time: status.started.map(time),
            init_container_statuses: statuses(init, &status.init_containers),
            container_statuses: statuses(&spec.containers, &status.containers),
            qos_class: Some(qos::class(spec).to_owned()),
            observed_generation: status.scheduled.map(|_| 1),
            ..core::PodStatus::default()
        }
    }
}

fn not_empty(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

fn usage(usage: &Usage) -> Json {
    let mut object = json!({
        "cpuSeconds": usage.cpu.as_secs_f64(),
        "memoryBytesPeak": usage.memory_bytes_peak,
    });
    if usage.written_bytes > 0 {
        object["writtenBytes"] = Json::from(usage.written_bytes);
    }
    if let Some(fuel) = usage.fuel {
        object["fuel"] = Json::from(fuel);
    }
    object
}
