//! What an update may make of a Job (`ValidateJobUpdate`, and the options that the
//! strategy of the API server gives it).

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::{Affinity, Container, PodTemplateSpec};

use super::job::{generated_selector, is_indexed, job_spec};
use super::{Errors, meta};
use crate::defaults::{CONTROLLER_UID_LABEL, JOB_NAME_LABEL};
use crate::field::{Error, ErrorList, Path};

/// Checks what `new` makes of `old`; both are defaulted, and `new` carries the
/// status of `old`.
#[must_use]
pub fn validate_job_update(new: &Job, old: &Job) -> ErrorList {
    let mut errors = Errors::new();
    let empty = JobSpec::default();
    let (spec, old_spec) = (
        new.spec.as_ref().unwrap_or(&empty),
        old.spec.as_ref().unwrap_or(&empty),
    );
    meta::object_meta_update(
        &mut errors,
        &new.metadata,
        &old.metadata,
        &Path::new("metadata"),
    );
    generated_selector(&mut errors, new, spec, has_prefixed_labels(old_spec));
    let path = Path::new("spec");
    job_spec(&mut errors, spec, &path);
    completions(&mut errors, spec, old_spec, &path.child("completions"));
    errors.immutable(&spec.selector, &old_spec.selector, &path.child("selector"));
    let template = reachable(old, old_spec, &spec.template);
    errors.immutable(&spec.template, &template, &path.child("template"));
    let mode = path.child("completionMode");
    errors.immutable(&spec.completion_mode, &old_spec.completion_mode, &mode);
    let failure = path.child("podFailurePolicy");
    errors.immutable(
        &spec.pod_failure_policy,
        &old_spec.pod_failure_policy,
        &failure,
    );
    let limit = path.child("backoffLimitPerIndex");
    errors.immutable(
        &spec.backoff_limit_per_index,
        &old_spec.backoff_limit_per_index,
        &limit,
    );
    errors.immutable(
        &spec.managed_by,
        &old_spec.managed_by,
        &path.child("managedBy"),
    );
    let success = path.child("successPolicy");
    errors.immutable(&spec.success_policy, &old_spec.success_policy, &success);
    errors.into_list()
}

/// Jobs from before Kubernetes 1.27 have the labels without a prefix only.
fn has_prefixed_labels(spec: &JobSpec) -> bool {
    let labels = spec
        .template
        .metadata
        .as_ref()
        .and_then(|m| m.labels.as_ref());
    labels.is_some_and(|labels| {
        labels.contains_key(JOB_NAME_LABEL) && labels.contains_key(CONTROLLER_UID_LABEL)
    })
}

/// An Indexed Job is elastic: completions follow parallelism.
fn completions(errors: &mut Errors, spec: &JobSpec, old: &JobSpec, path: &Path) {
    if !is_indexed(spec) {
        return errors.immutable(&spec.completions, &old.completions, path);
    }
    let Some(completions) = spec.completions else {
        return;
    };
    if spec.completions != old.completions && spec.parallelism != spec.completions {
        let message = "can only be modified in tandem with spec.parallelism";
        errors.push(Error::invalid(path, &completions, message));
    }
}

/// Whether the template may change in what schedules a pod and what it may use:
/// only while the Job is suspended and nothing of it is left running.
fn is_at_rest(old: &Job, old_spec: &JobSpec) -> bool {
    let none = JobStatus::default();
    let status = old.status.as_ref().unwrap_or(&none);
    let is_suspended = status
        .conditions
        .iter()
        .flatten()
        .any(|c| c.type_ == "Suspended" && c.status == "True");
    old_spec.suspend == Some(true)
        && status.active.unwrap_or(0) == 0
        && (status.start_time.is_none() || is_suspended)
}

/// The old template with every change of `new` that is allowed.
fn reachable(old: &Job, old_spec: &JobSpec, new: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = old_spec.template.clone();
    if !is_at_rest(old, old_spec) {
        return template;
    }
    let new_metadata = new.metadata.clone().unwrap_or_default();
    let metadata = template.metadata.get_or_insert_default();
    metadata.labels = new_metadata.labels;
    metadata.annotations = new_metadata.annotations;
    if new.metadata.is_none() && *metadata == Default::default() {
        template.metadata = None;
    }
    let (Some(spec), Some(new)) = (template.spec.as_mut(), new.spec.as_ref()) else {
        return template;
    };
    spec.node_selector.clone_from(&new.node_selector);
    spec.tolerations.clone_from(&new.tolerations);
    spec.scheduling_gates.clone_from(&new.scheduling_gates);
    node_affinity(&mut spec.affinity, new.affinity.as_ref());
    resources(&mut spec.containers, &new.containers);
    let new_init = new.init_containers.as_deref().unwrap_or_default();
    resources(
        spec.init_containers.as_deref_mut().unwrap_or_default(),
        new_init,
    );
    template
}

/// Only the node part of an affinity is free; with nothing else in it, the
/// affinity may come and go.
fn node_affinity(old: &mut Option<Affinity>, new: Option<&Affinity>) {
    match new {
        Some(new) => {
            old.get_or_insert_default()
                .node_affinity
                .clone_from(&new.node_affinity);
        }
        None => {
            if let Some(affinity) = old {
                affinity.node_affinity = None;
                if *affinity == Affinity::default() {
                    *old = None;
                }
            }
        }
    }
}

/// Resources may change; number, order and names of containers may not.
fn resources(old: &mut [Container], new: &[Container]) {
    let same = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| a.name == b.name);
    if same {
        for (old, new) in old.iter_mut().zip(new) {
            old.resources.clone_from(&new.resources);
        }
    }
}
