//! Containers, init containers and sidecars.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec, VolumeMount};

use super::{Errors, env, names, pod, probe, resources, text};
use crate::field::{Error, Path};

const RESTART_RULES_MAX: usize = 20;
const RESTART_CODES_MAX: usize = 255;

/// Checks all containers of `spec`; `volumes` are the names that they may mount.
pub(super) fn containers(
    errors: &mut Errors,
    spec: &PodSpec,
    volumes: &HashSet<&str>,
    path: &Path,
) {
    let mut names = HashSet::new();
    let list = path.child("containers");
    if spec.containers.is_empty() {
        errors.push(Error::required(&list, ""));
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let path = list.index(index);
        common(errors, container, volumes, &path);
        unique(errors, &mut names, container, &path);
        probes(errors, container, &path);
        restart_policy(errors, container, &path);
    }
    let list = path.child("initContainers");
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let path = list.index(index);
        common(errors, container, volumes, &path);
        unique(errors, &mut names, container, &path);
        restart_policy(errors, container, &path);
        if container.restart_policy.as_deref() == Some("Always") {
            probes(errors, container, &path);
        } else {
            only_for_sidecars(errors, container, &path);
        }
    }
}

fn unique<'a>(
    errors: &mut Errors,
    names: &mut HashSet<&'a str>,
    container: &'a Container,
    path: &Path,
) {
    if !container.name.is_empty() && !names.insert(&container.name) {
        errors.push(Error::duplicate(&path.child("name"), &container.name));
    }
}

fn common(errors: &mut Errors, container: &Container, volumes: &HashSet<&str>, path: &Path) {
    if container.name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    } else {
        errors.dns_label(&container.name, &path.child("name"));
    }
    if text(&container.image).is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    }
    let policy = text(&container.termination_message_policy);
    let policies = ["FallbackToLogsOnError", "File"];
    errors.one_of(policy, &policies, &path.child("terminationMessagePolicy"));
    ports(
        errors,
        container.ports.as_deref().unwrap_or_default(),
        &path.child("ports"),
    );
    env::env(
        errors,
        container.env.as_deref().unwrap_or_default(),
        &path.child("env"),
    );
    let env_from = container.env_from.as_deref().unwrap_or_default();
    env::env_from(errors, env_from, &path.child("envFrom"));
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    volume_mounts(errors, mounts, volumes, &path.child("volumeMounts"));
    let policies = ["Always", "IfNotPresent", "Never"];
    let policy = text(&container.image_pull_policy);
    errors.one_of(policy, &policies, &path.child("imagePullPolicy"));
    if let Some(requirements) = &container.resources {
        resources::requirements(errors, requirements, &path.child("resources"));
    }
    if let Some(context) = &container.security_context {
        let path = path.child("securityContext");
        pod::identity(errors, context.run_as_user, &path.child("runAsUser"));
        pod::identity(errors, context.run_as_group, &path.child("runAsGroup"));
        if context.privileged == Some(true) && context.allow_privilege_escalation == Some(false) {
            let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(Error::invalid(&path, context, message));
        }
    }
}

fn ports(errors: &mut Errors, ports: &[ContainerPort], path: &Path) {
    let in_range = |port: i32| (1..=65535).contains(&port);
    let message = "must be between 1 and 65535, inclusive";
    let mut port_names = HashSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = text(&port.name);
        if !name.is_empty() {
            for message in port_name(name) {
                errors.push(Error::invalid(&path.child("name"), name, message));
            }
            if !port_names.insert(name) {
                errors.push(Error::duplicate(&path.child("name"), name));
            }
        }
        if port.container_port == 0 {
            errors.push(Error::required(&path.child("containerPort"), ""));
        } else if !in_range(port.container_port) {
            let path = path.child("containerPort");
            errors.push(Error::invalid(&path, &port.container_port, message));
        }
        let host_port = port.host_port.unwrap_or(0);
        if host_port != 0 && !in_range(host_port) {
            errors.push(Error::invalid(&path.child("hostPort"), &host_port, message));
        }
        errors.one_of(
            text(&port.protocol),
            &["SCTP", "TCP", "UDP"],
            &path.child("protocol"),
        );
    }
}

pub(crate) fn port_name(name: &str) -> Vec<&'static str> {
    let mut messages = Vec::new();
    if name.len() > 15 {
        messages.push("must be no more than 15 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)");
    }
    if name.contains("--") {
        messages.push("must not contain consecutive hyphens");
    }
    if name.starts_with('-') || name.ends_with('-') {
        messages.push("must not begin or end with a hyphen");
    }
    messages
}

fn volume_mounts(
    errors: &mut Errors,
    mounts: &[VolumeMount],
    volumes: &HashSet<&str>,
    path: &Path,
) {
    let mut places = HashSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let path = path.index(index);
        if mount.name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        } else if !volumes.contains(mount.name.as_str()) {
            errors.push(Error::not_found(&path.child("name"), &mount.name));
        }
        let place = path.child("mountPath");
        if mount.mount_path.is_empty() {
            errors.push(Error::required(&place, ""));
        } else if !places.insert(&mount.mount_path) {
            errors.push(Error::invalid(&place, &mount.mount_path, "must be unique"));
        }
        for (field, value) in [
            ("subPath", &mount.sub_path),
            ("subPathExpr", &mount.sub_path_expr),
        ] {
            let value = text(value);
            if value.starts_with('/') {
                let message = "must be a relative path";
                errors.push(Error::invalid(&path.child(field), value, message));
            }
            if value.split('/').any(|part| part == "..") {
                let message = "must not contain '..'";
                errors.push(Error::invalid(&path.child(field), value, message));
            }
        }
    }
}

fn probes(errors: &mut Errors, container: &Container, path: &Path) {
    let probes = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ];
    for (field, probe) in probes {
        if let Some(probe) = probe {
            probe::probe(errors, probe, field, &path.child(field));
        }
    }
}

fn only_for_sidecars(errors: &mut Errors, container: &Container, path: &Path) {
    let fields = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, is_set) in fields {
        if is_set {
            let message = "may not be set for init containers without restartPolicy=Always";
            errors.push(Error::forbidden(&path.child(field), message));
        }
    }
}

/// A container's own restartPolicy, and its rules.
fn restart_policy(errors: &mut Errors, container: &Container, path: &Path) {
    let policy_path = path.child("restartPolicy");
    let rules = container
        .restart_policy_rules
        .as_deref()
        .unwrap_or_default();
    match container.restart_policy.as_deref() {
        Some(policy) => {
            errors.one_of(policy, &["Always", "Never", "OnFailure"], &policy_path);
        }
        None if !rules.is_empty() => {
            let message = "must specify restartPolicy when restart rules are used";
            errors.push(Error::required(&policy_path, message));
        }
        None => {}
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.push(Error::too_many(&path, rules.len(), RESTART_RULES_MAX));
    }
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        errors.one_of(&rule.action, &["Restart"], &path.child("action"));
        let path = path.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            errors.push(Error::required(&path, "must be specified"));
            continue;
        };
        errors.one_of(&codes.operator, &["In", "NotIn"], &path.child("operator"));
        let values = codes.values.as_deref().unwrap_or_default();
        let path = path.child("values");
        if values.is_empty() {
            errors.push(Error::invalid(
                &path,
                values,
                "must have at least one value",
            ));
        } else if values.len() > RESTART_CODES_MAX {
            errors.push(Error::too_many(&path, values.len(), RESTART_CODES_MAX));
        }
        let mut seen = HashSet::new();
        for (index, value) in values.iter().enumerate() {
            if !seen.insert(value) {
                errors.push(Error::duplicate(&path.index(index), value));
            }
        }
    }
}

/// Whether `name` may be the key of a label, as in `metadata.labels['key']`.
pub(super) fn is_label_key(name: &str) -> bool {
    names::is_qualified_name(name)
}
