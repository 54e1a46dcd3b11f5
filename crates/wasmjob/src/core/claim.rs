//! Pods that become a Job's, or no longer are one's, by their labels.
//!
//! As Kubernetes' `PodControllerRefManager` does it: a pod that nobody controls and
//! that a Job's selector takes is adopted and from then on counted; one whose labels
//! the selector no longer takes is released. A selector that was not written by hand
//! takes pods by the Job's UID, so the labels name the Job to ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use wasmjob_api::{CompletionMode, Job, OwnerJob, Pod, PodTemplate, Uid};

use super::Core;
use super::turn::Turn;

/// The labels that a generated selector asks for.
const CONTROLLER_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];

impl Core {
    /// The Job that has the pod, according to the host. `hint` may be out of date.
    pub(super) fn owner_of(&self, pod: Uid, hint: Option<Uid>) -> Option<Uid> {
        let has = |job: &Uid| {
            let entry = self.jobs.get(job);
            entry.is_some_and(|entry| entry.pods.get(pod).is_some())
        };
        let adopter = || self.adopted.get(&pod).copied();
        hint.filter(has).or_else(|| adopter().filter(has))
    }

    /// Looks at a pod whose labels or owners are new.
    pub(super) fn claim(&mut self, turn: &mut Turn, uid: Uid) {
        let Some(pod) = self.pod(uid).cloned() else {
            return;
        };
        let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
        match self.owner_of(uid, owner) {
            Some(job) => self.claimed(turn, job, &pod),
            None => self.adopt_by_any(turn, &pod),
        }
    }

    /// A pod of `job` stays one if its labels say so.
    fn claimed(&mut self, turn: &mut Turn, job: Uid, pod: &Arc<Pod>) {
        let Some(entry) = self.jobs.get(&job) else {
            return;
        };
        let takes = entry.job.spec.selects(labels(pod));
        // Without given metadata nobody has touched its owners.
        let controller = pod.metadata.as_deref().map(controller);
        let is_its = controller.is_none_or(|it| it.is_some_and(|it| is(it, job)));
        if takes && is_its {
            return;
        }
        let pod = self.release(turn, job, pod);
        self.adopt_by_any(turn, &pod);
    }

    fn release(&mut self, turn: &mut Turn, job: Uid, pod: &Arc<Pod>) -> Arc<Pod> {
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.pods.remove(pod.uid);
            entry.deleting.remove(&pod.uid);
        }
        self.adopted.remove(&pod.uid);
        let metadata = pod.metadata.as_deref().map(|metadata| {
            let mut metadata = metadata.clone();
            if let Some(owners) = &mut metadata.owner_references {
                owners.retain(|owner| !is(owner, job));
            }
            Arc::new(metadata)
        });
        let pod = Arc::new(Pod {
            template: owned_by(&pod.template, None),
            metadata,
            tracked: false,
            ..(**pod).clone()
        });
        turn.put_pod(&pod);
        self.loose.insert(pod.uid, Arc::clone(&pod));
        self.mark(job);
        pod
    }

    fn adopt_by_any(&mut self, turn: &mut Turn, pod: &Arc<Pod>) {
        let labels = labels(pod);
        let named = CONTROLLER_UID
            .iter()
            .filter_map(|key| labels.get(*key)?.parse().ok());
        let manual = self.manual_selectors.iter().copied();
        let takes = |job: &Uid| {
            let entry = self.jobs.get(job);
            entry.is_some_and(|entry| may_adopt(&entry.job, pod))
        };
        if let Some(job) = named.chain(manual).find(takes) {
            self.adopt(turn, job, pod);
        }
    }

    /// A Job with a selector of its author's takes what is there already.
    pub(super) fn adopt_all(&mut self, turn: &mut Turn, job: &Arc<Job>) {
        if !job.spec.has_manual_selector() {
            return;
        }
        let pods: Vec<_> = self
            .loose
            .values()
            .filter(|pod| may_adopt(job, pod))
            .cloned()
            .collect();
        for pod in pods {
            self.adopt(turn, job.uid, &pod);
        }
    }

    fn adopt(&mut self, turn: &mut Turn, uid: Uid, pod: &Arc<Pod>) {
        let Some(entry) = self.jobs.get_mut(&uid) else {
            return;
        };
        let owner = OwnerJob {
            name: Arc::clone(&entry.job.name),
            uid,
        };
        let metadata = pod.metadata.as_deref().map(|metadata| {
            let mut metadata = metadata.clone();
            let owners = metadata.owner_references.get_or_insert_default();
            if !owners.iter().any(|it| is(it, uid)) {
                owners.push(OwnerReference {
                    api_version: "batch/v1".to_owned(),
                    kind: "Job".to_owned(),
                    name: owner.name.to_string(),
                    uid: uid.to_string(),
                    controller: Some(true),
                    block_owner_deletion: Some(true),
                });
            }
            Arc::new(metadata)
        });
        let pod = Arc::new(Pod {
            template: owned_by(&pod.template, Some(owner)),
            metadata,
            tracked: true,
            ..(**pod).clone()
        });
        entry.pods.insert(Arc::clone(&pod));
        self.loose.remove(&pod.uid);
        self.adopted.insert(pod.uid, uid);
        turn.put_pod(&pod);
        self.mark(uid);
    }
}

/// Whether `job` may take `pod`, which no Job here has.
fn may_adopt(job: &Job, pod: &Pod) -> bool {
    let goes_on = job.deletion.is_none() && job.finished().is_none() && !job.spec.managed_elsewhere;
    // One without a place among the indexes would only be ended again.
    let has_place = match job.spec.completion_mode {
        CompletionMode::NonIndexed => pod.index.is_none(),
        CompletionMode::Indexed => {
            let completions = job.spec.completions.unwrap_or_default();
            pod.index.is_some_and(|index| index < completions)
        }
    };
    let controller = controller(metadata(pod));
    goes_on
        && has_place
        && job.namespace == pod.namespace
        && pod.deletion.is_none()
        && controller.is_none_or(|controller| is(controller, job.uid))
        && job.spec.selects(labels(pod))
}

fn metadata(pod: &Pod) -> &ObjectMeta {
    pod.metadata.as_deref().unwrap_or(&pod.template.metadata)
}

fn labels(pod: &Pod) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    metadata(pod).labels.as_ref().unwrap_or(&NONE)
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

fn is(owner: &OwnerReference, job: Uid) -> bool {
    owner.controller == Some(true) && owner.uid.parse() == Ok(job)
}

fn owned_by(template: &PodTemplate, owner: Option<OwnerJob>) -> Arc<PodTemplate> {
    Arc::new(PodTemplate {
        metadata: template.metadata.clone(),
        spec: Arc::clone(&template.spec),
        owner,
        base: Arc::clone(&template.base),
    })
}
