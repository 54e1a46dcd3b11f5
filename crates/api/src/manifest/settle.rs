//! The typed object, defaulted and checked as creation would check it.

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value as Json;

use super::{Kept, Object};
use crate::field::{ErrorList, Path};
use crate::validation::NameRule;
use crate::{Uid, config, defaults, network_policy, support, validation};

/// Defaults `object` and checks it as it would be checked when it is created.
pub(super) fn settle(object: &mut Object) -> ErrorList {
    if let Some(spec) = pod_spec_mut(object) {
        // Only a class gives one; who would take a manifest's word here?
        spec.priority = None;
    }
    let mut errors = match object {
        Object::Job(job) => {
            settle_metadata(&mut job.metadata);
            defaults::job(job);
            let mut created = job.as_ref().clone();
            name_for_now(&mut created.metadata);
            defaults::prepare_job(&mut created, Uid::from_random(0));
            validation::validate_job(&created)
        }
        Object::CronJob(cron_job) => {
            settle_metadata(&mut cron_job.metadata);
            defaults::cron_job(cron_job);
            let mut created = cron_job.as_ref().clone();
            name_for_now(&mut created.metadata);
            validation::validate_cron_job(&created)
        }
        Object::Pod(pod) => {
            settle_metadata(&mut pod.metadata);
            defaults::pod(pod);
            let mut created = pod.as_ref().clone();
            name_for_now(&mut created.metadata);
            validation::validate_pod(&created)
        }
        Object::Kept(kept) => settle_kept(kept),
    };
    if let Some((spec, path)) = pod_spec(object) {
        errors.extend(support::refusals(spec, &path));
    }
    errors
}

fn settle_kept(kept: &mut Kept) -> ErrorList {
    settle_metadata(&mut kept.metadata);
    let mut created = kept.metadata.clone();
    name_for_now(&mut created);
    let mut errors = validation::validate_metadata(&created, NameRule::Subdomain, true);
    kept.json["apiVersion"] = kept.api_version.into();
    kept.json["kind"] = kept.kind.into();
    match kept.kind {
        "Secret" => {
            config::default_secret(&mut kept.json);
            errors.extend(config::validate_secret(&kept.json));
        }
        "ConfigMap" => errors.extend(config::validate_config_map(&kept.json)),
        "NetworkPolicy" => {
            network_policy::default(&mut kept.json);
            kept.metadata.generation = Some(1);
            errors.extend(network_policy::validate(&kept.json));
        }
        _ => {
            config::default_claim(&mut kept.json);
            errors.extend(config::validate_claim(&kept.json));
        }
    }
    errors
}

fn settle_metadata(metadata: &mut ObjectMeta) {
    if metadata.namespace.as_deref().unwrap_or_default().is_empty() {
        metadata.namespace = Some("default".to_owned());
    }
}

/// Gives an object with a `generateName` a name for as long as it is checked.
fn name_for_now(metadata: &mut ObjectMeta) {
    let has_name = metadata
        .name
        .as_deref()
        .is_some_and(|name| !name.is_empty());
    let prefix = metadata.generate_name.as_deref().unwrap_or_default();
    if !has_name && !prefix.is_empty() {
        metadata.name = Some(defaults::generated_name(prefix, "xxxxx"));
    }
}

/// The pod spec in `object`, and its path.
pub(super) fn pod_spec(object: &Object) -> Option<(&PodSpec, Path)> {
    match object {
        Object::Job(job) => {
            let spec = job.spec.as_ref()?.template.spec.as_ref()?;
            Some((spec, Path::new("spec.template.spec")))
        }
        Object::CronJob(cron_job) => {
            let job = cron_job.spec.job_template.spec.as_ref()?;
            Some((
                job.template.spec.as_ref()?,
                Path::new("spec.jobTemplate.spec.template.spec"),
            ))
        }
        Object::Pod(pod) => Some((pod.spec.as_ref()?, Path::new("spec"))),
        Object::Kept(_) => None,
    }
}

fn pod_spec_mut(object: &mut Object) -> Option<&mut PodSpec> {
    match object {
        Object::Job(job) => job.spec.as_mut()?.template.spec.as_mut(),
        Object::CronJob(cron_job) => {
            let job = cron_job.spec.job_template.spec.as_mut()?;
            job.template.spec.as_mut()
        }
        Object::Pod(pod) => pod.spec.as_mut(),
        Object::Kept(_) => None,
    }
}

/// Takes out what the check could not read; to the type it is absent.
pub(super) fn remove_nulls(json: &mut Json) {
    match json {
        Json::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(remove_nulls);
        }
        Json::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(remove_nulls);
        }
        _ => {}
    }
}
