//! CronJobs.

use std::sync::Arc;

use serde_json::Value;
use wasmjob::api::field::Path;
use wasmjob::api::k8s_openapi::api::batch::v1::CronJob as Object;
use wasmjob::api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob::api::{CronJob, defaults, manifest, support, validation};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;

use super::job::texts;
use super::pod::{notes, time};
use super::{Change, Draft, Stamp, Typed, check, typed, untyped};

const PATH: &str = "spec.jobTemplate.spec.template.spec";

pub(super) fn create(resource: &Resource, value: Value, stamp: &Stamp) -> Result<Draft, Status> {
    let mut cron_job: Object = typed(resource, value)?;
    defaults::cron_job(&mut cron_job);
    let mut shown = cron_job.clone();
    defaults::prepare_cron_job(&mut shown, stamp.uid);
    shown.metadata.creation_timestamp = Some(time(stamp.now));
    let mut errors = validation::validate_cron_job(&shown);
    let mut warnings = warnings(&shown);
    if let Some(spec) = pod_spec(&shown) {
        errors.extend(support::refusals(spec, &Path::new(PATH)));
        warnings.extend(notes(spec, &Path::new(PATH)));
    }
    let name = shown.metadata.name.as_deref().unwrap_or_default();
    check(resource, name, &errors)?;
    Ok(Draft {
        value: untyped(&shown),
        typed: Typed::CronJob(Box::new(cron_job), None),
        warnings,
    })
}

pub(super) fn update(
    resource: &Resource,
    row: &Arc<CronJob>,
    change: Change<'_>,
) -> Result<Draft, Status> {
    let mut new: Object = typed(resource, change.new)?;
    let mut old = row.to_object();
    old.metadata.resource_version = new.metadata.resource_version.clone();
    let mut status = None;
    if change.subresource == "status" {
        new.spec = old.spec.clone();
        let given = new.status.clone().unwrap_or_default();
        status = Some(Box::new(row.status_with_object(&given)));
    } else {
        new.status = old.status.clone();
        defaults::cron_job(&mut new);
    }
    let mut errors = validation::validate_cron_job_update(&new, &old);
    if let Some(spec) = pod_spec(&new).filter(|_| new.spec != old.spec) {
        errors.extend(support::refusals(spec, &Path::new(PATH)));
    }
    check(resource, &row.name, &errors)?;
    let warnings = warnings(&new);
    if new.spec != old.spec {
        new.metadata.generation = old.metadata.generation.map(|generation| generation + 1);
    }
    Ok(Draft {
        value: untyped(&new),
        typed: Typed::CronJob(Box::new(new), status),
        warnings,
    })
}

fn pod_spec(cron_job: &Object) -> Option<&PodSpec> {
    cron_job
        .spec
        .job_template
        .spec
        .as_ref()?
        .template
        .spec
        .as_ref()
}

fn warnings(cron_job: &Object) -> Vec<String> {
    let object = manifest::Object::CronJob(Box::new(cron_job.clone()));
    texts(validation::warnings(&object))
}
