//! Defaults of containers: what surrounds their process, and their probes.

use k8s_openapi::api::core::v1::{Container, EnvVarSource, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{image, set, set_text};

pub(super) fn container(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    let pull_policy = if image::is_latest(image) {
        "Always"
    } else {
        "IfNotPresent"
    };
    set_text(&mut container.image_pull_policy, pull_policy);
    set_text(
        &mut container.termination_message_path,
        "/dev/termination-log",
    );
    set_text(&mut container.termination_message_policy, "File");
    set(&mut container.resources, Default::default());
    for port in container.ports.iter_mut().flatten() {
        set_text(&mut port.protocol, "TCP");
    }
    for source in container
        .env
        .iter_mut()
        .flatten()
        .filter_map(|env| env.value_from.as_mut())
    {
        env_source(source);
    }
    let probes = [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ];
    probes.into_iter().flatten().for_each(probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        let handlers = [&mut lifecycle.post_start, &mut lifecycle.pre_stop];
        for handler in handlers.into_iter().flatten() {
            handler.http_get.as_mut().map(http_get);
        }
    }
}

fn env_source(source: &mut EnvVarSource) {
    if let Some(field) = &mut source.field_ref {
        set_text(&mut field.api_version, "v1");
    }
    if let Some(resource) = &mut source.resource_field_ref {
        set(&mut resource.divisor, Quantity("0".to_owned()));
    }
    if let Some(file) = &mut source.file_key_ref {
        set(&mut file.optional, false);
    }
}

fn probe(probe: &mut Probe) {
    let zero_means_unset = |field: &mut Option<i32>, value| {
        if field.unwrap_or(0) == 0 {
            *field = Some(value);
        }
    };
    zero_means_unset(&mut probe.timeout_seconds, 1);
    zero_means_unset(&mut probe.period_seconds, 10);
    zero_means_unset(&mut probe.success_threshold, 1);
    zero_means_unset(&mut probe.failure_threshold, 3);
    if let Some(get) = &mut probe.http_get {
        http_get(get);
    }
    if let Some(grpc) = &mut probe.grpc {
        set(&mut grpc.service, String::new());
    }
}

fn http_get(get: &mut HTTPGetAction) {
    set_text(&mut get.path, "/");
    set_text(&mut get.scheme, "HTTP");
}

/// A limit without a request is its own request.
pub(super) fn requests_from_limits(container: &mut Container) {
    let Some(resources) = &mut container.resources else {
        return;
    };
    let Some(limits) = resources
        .limits
        .as_ref()
        .filter(|limits| !limits.is_empty())
    else {
        return;
    };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests
            .entry(name.clone())
            .or_insert_with(|| limit.clone());
    }
}
