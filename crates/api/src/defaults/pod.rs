//! Defaults of pods and pod templates.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, LimitRange, Pod, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{container, set, set_text};

/// Fills in a pod template.
pub fn pod_template(template: &mut PodTemplateSpec) {
    pod_spec(template.spec.get_or_insert_default());
}

/// Fills in a pod: its spec, and what only a pod (no template) gets.
pub fn pod(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    pod_spec(spec);
    pod_only(spec);
}

/// What `SetDefaults_Pod` adds to a pod spec once it is a pod's.
pub(crate) fn pod_only(spec: &mut PodSpec) {
    set(&mut spec.enable_service_links, true);
    requests_from_limits(spec);
}

/// What is limited and not asked for is asked for as it is limited.
pub fn requests_from_limits(spec: &mut PodSpec) {
    for container in containers(spec) {
        container::requests_from_limits(container);
    }
}

/// Fills in a LimitRange: what its largest amounts and limits say of the defaults of
/// containers (`SetDefaults_LimitRangeItem`).
pub fn limit_range(limit_range: &mut LimitRange) {
    let limits = limit_range
        .spec
        .iter_mut()
        .flat_map(|spec| &mut spec.limits);
    for item in limits.filter(|item| item.type_ == "Container") {
        let fill = |list: &mut Option<BTreeMap<_, _>>,
                    from: &Option<BTreeMap<String, Quantity>>| {
            for (name, amount) in from.iter().flatten() {
                let list = list.get_or_insert_default();
                list.entry(name.clone()).or_insert_with(|| amount.clone());
            }
        };
        fill(&mut item.default, &item.max);
        fill(&mut item.default_request, &item.default);
        fill(&mut item.default_request, &item.min);
    }
}

fn pod_spec(spec: &mut PodSpec) {
    set_text(&mut spec.dns_policy, "ClusterFirst");
    set_text(&mut spec.restart_policy, "Always");
    set(&mut spec.termination_grace_period_seconds, 30);
    set_text(&mut spec.scheduler_name, "default-scheduler");
    set(&mut spec.security_context, Default::default());
    // The deprecated name of the field always shows the same.
    let account = [&spec.service_account_name, &spec.service_account]
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty())
        .cloned();
    spec.service_account_name.clone_from(&account);
    spec.service_account = account;
    for container in containers(spec) {
        container::container(container);
    }
    spec.volumes.iter_mut().flatten().for_each(volume);
}

fn containers(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    spec.init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
}

fn volume(volume: &mut Volume) {
    const DEFAULT_MODE: i32 = 0o644;
    if let Some(host_path) = &mut volume.host_path {
        set(&mut host_path.type_, String::new());
    }
    if let Some(secret) = &mut volume.secret {
        set(&mut secret.default_mode, DEFAULT_MODE);
    }
    if let Some(config_map) = &mut volume.config_map {
        set(&mut config_map.default_mode, DEFAULT_MODE);
    }
    if let Some(projected) = &mut volume.projected {
        set(&mut projected.default_mode, DEFAULT_MODE);
        for source in projected.sources.iter_mut().flatten() {
            if let Some(token) = &mut source.service_account_token {
                set(&mut token.expiration_seconds, 60 * 60);
            }
        }
    }
    if let Some(downward_api) = &mut volume.downward_api {
        set(&mut downward_api.default_mode, DEFAULT_MODE);
        for item in downward_api.items.iter_mut().flatten() {
            if let Some(field) = &mut item.field_ref {
                set_text(&mut field.api_version, "v1");
            }
        }
    }
    let only_a_name = Volume {
        name: volume.name.clone(),
        ..Volume::default()
    };
    if *volume == only_a_name {
        volume.empty_dir = Some(Default::default());
    }
}
