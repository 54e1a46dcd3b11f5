//! Probes.

use k8s_openapi::api::core::v1::Probe;

use super::Errors;
use crate::field::{Error, Path};

/// Checks `probe`, which stands in `field` (`livenessProbe`, …).
pub(super) fn probe(errors: &mut Errors, probe: &Probe, field: &str, path: &Path) {
    let handlers = [
        ("exec", probe.exec.is_some()),
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
    ];
    let mut set = handlers.iter().filter(|(_, is_set)| *is_set);
    if set.next().is_none() {
        errors.push(Error::required(path, "must specify a handler type"));
    }
    for (name, _) in set {
        let message = "may not specify more than 1 handler type";
        errors.push(Error::forbidden(&path.child(name), message));
    }
    let command = probe
        .exec
        .as_ref()
        .map(|exec| exec.command.as_deref().unwrap_or_default());
    if command.is_some_and(<[String]>::is_empty) {
        errors.push(Error::required(&path.child("exec.command"), ""));
    }
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (name, value) in numbers {
        errors.not_negative(value, &path.child(name));
    }
    let grace = path.child("terminationGracePeriodSeconds");
    if field == "readinessProbe" {
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let message = "must not be set for readinessProbes";
            errors.push(Error::invalid(&grace, &seconds, message));
        }
        return;
    }
    if let Some(threshold) = probe.success_threshold.filter(|threshold| *threshold != 1) {
        errors.push(Error::invalid(
            &path.child("successThreshold"),
            &threshold,
            "must be 1",
        ));
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|s| *s <= 0) {
        errors.push(Error::invalid(&grace, &seconds, "must be greater than 0"));
    }
}
