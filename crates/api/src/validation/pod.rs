//! Pods and pod templates: what concerns the pod as a whole.
//!
//! The rules of fields that have no effect here (affinity, tolerations, DNS) are
//! left out; such a field is told by [`crate::support`].

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};

use super::{Errors, container, meta, names, text, volume};
use crate::field::{Error, ErrorList, Path};
use crate::network::{ALLOW_NET, Destination};

/// Checks a defaulted bare Pod that is to be created.
#[must_use]
pub fn validate_pod(pod: &Pod) -> ErrorList {
    let mut errors = Errors::new();
    meta::object_meta(&mut errors, &pod.metadata, &Path::new("metadata"));
    let annotations = pod.metadata.annotations.as_ref();
    network(&mut errors, annotations, &Path::new("metadata.annotations"));
    let path = Path::new("spec");
    match &pod.spec {
        Some(spec) => {
            pod_spec(&mut errors, spec, &path);
            if spec
                .ephemeral_containers
                .as_ref()
                .is_some_and(|list| !list.is_empty())
            {
                let message = "cannot be set on create";
                errors.push(Error::forbidden(
                    &path.child("ephemeralContainers"),
                    message,
                ));
            }
            image_whitespace(&mut errors, spec, &path);
        }
        None => pod_spec(&mut errors, &PodSpec::default(), &path),
    }
    errors.into_list()
}

/// Where pods may connect to must be understood before one runs.
fn network(errors: &mut Errors, annotations: Option<&BTreeMap<String, String>>, path: &Path) {
    let Some(text) = annotations.and_then(|annotations| annotations.get(ALLOW_NET)) else {
        return;
    };
    if let Err(error) = Destination::list(text) {
        let path = path.key(ALLOW_NET);
        errors.push(Error::invalid(&path, text, error.to_string()));
    }
}

/// A pod may not have what a template may.
fn image_whitespace(errors: &mut Errors, spec: &PodSpec, path: &Path) {
    let init = spec.init_containers.as_deref().unwrap_or_default();
    for (field, list) in [("initContainers", init), ("containers", &spec.containers)] {
        for (index, container) in list.iter().enumerate() {
            let image = text(&container.image);
            if image.trim() != image {
                let path = path.child(field).index(index).child("image");
                let message = "must not have leading or trailing whitespace";
                errors.push(Error::invalid(&path, image, message));
            }
        }
    }
}

pub(super) fn template(errors: &mut Errors, template: &PodTemplateSpec, path: &Path) {
    let metadata = template.metadata.as_ref();
    meta::labels(
        errors,
        metadata.and_then(|m| m.labels.as_ref()),
        &path.child("labels"),
    );
    let annotations = metadata.and_then(|m| m.annotations.as_ref());
    meta::annotations(errors, annotations, &path.child("annotations"));
    network(errors, annotations, &path.child("annotations"));
    let empty = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&empty);
    let path = path.child("spec");
    pod_spec(errors, spec, &path);
    if spec
        .ephemeral_containers
        .as_ref()
        .is_some_and(|list| !list.is_empty())
    {
        let message = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(
            &path.child("ephemeralContainers"),
            message,
        ));
    }
}

fn pod_spec(errors: &mut Errors, spec: &PodSpec, path: &Path) {
    const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];
    const DNS_POLICIES: [&str; 4] = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    let volumes = volume::volumes(errors, spec, &path.child("volumes"));
    container::containers(errors, spec, &volumes, path);
    let restart_policy = text(&spec.restart_policy);
    errors.one_of(
        restart_policy,
        &RESTART_POLICIES,
        &path.child("restartPolicy"),
    );
    errors.one_of(
        text(&spec.dns_policy),
        &DNS_POLICIES,
        &path.child("dnsPolicy"),
    );
    meta::labels(
        errors,
        spec.node_selector.as_ref(),
        &path.child("nodeSelector"),
    );
    let account = text(&spec.service_account_name);
    if !account.is_empty() {
        errors.dns_subdomain(account, &path.child("serviceAccountName"));
    }
    let node = text(&spec.node_name);
    if !node.is_empty() {
        errors.dns_subdomain(node, &path.child("nodeName"));
    }
    if let Some(seconds) = spec.active_deadline_seconds
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let message = format!("must be between 1 and {}, inclusive", i32::MAX);
        errors.push(Error::invalid(
            &path.child("activeDeadlineSeconds"),
            &seconds,
            message,
        ));
    }
    let grace = path.child("terminationGracePeriodSeconds");
    errors.not_negative(spec.termination_grace_period_seconds, &grace);
    for (field, value) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if !text(value).is_empty() {
            errors.dns_label(text(value), &path.child(field));
        }
    }
    let class = text(&spec.priority_class_name);
    if !class.is_empty() {
        errors.dns_subdomain(class, &path.child("priorityClassName"));
    }
    security_context(errors, spec, &path.child("securityContext"));
    gates(errors, spec, &path.child("schedulingGates"));
}

fn security_context(errors: &mut Errors, spec: &PodSpec, path: &Path) {
    let Some(context) = &spec.security_context else {
        return;
    };
    let ids = [
        ("fsGroup", context.fs_group),
        ("runAsUser", context.run_as_user),
        ("runAsGroup", context.run_as_group),
    ];
    for (field, id) in ids {
        identity(errors, id, &path.child(field));
    }
}

/// A numeric user or group.
pub(super) fn identity(errors: &mut Errors, id: Option<i64>, path: &Path) {
    if let Some(id) = id.filter(|id| !(0..=i64::from(i32::MAX)).contains(id)) {
        let message = format!("must be between 0 and {}, inclusive", i32::MAX);
        errors.push(Error::invalid(path, &id, message));
    }
}

fn gates(errors: &mut Errors, spec: &PodSpec, path: &Path) {
    let mut seen = HashSet::new();
    for (index, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = path.index(index);
        for message in names::qualified_name(&gate.name) {
            errors.push(Error::invalid(&path, &gate.name, message));
        }
        if !seen.insert(&gate.name) {
            errors.push(Error::duplicate(&path, &gate.name));
        }
    }
}
