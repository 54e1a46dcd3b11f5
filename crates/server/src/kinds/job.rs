//! Jobs.

use std::sync::Arc;

use serde_json::Value;
use wasmjob::api::field::Path;
use wasmjob::api::k8s_openapi::api::batch::v1::Job as Object;
use wasmjob::api::{Job, defaults, support, validation};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;

use super::{Change, Draft, Stamp, Typed, check, typed, untyped};
use crate::kinds::pod::notes;

pub(super) fn create(resource: &Resource, value: Value, stamp: &Stamp) -> Result<Draft, Status> {
    let mut job: Object = typed(resource, value)?;
    defaults::job(&mut job);
    let mut shown = job.clone();
    defaults::prepare_job(&mut shown, stamp.uid);
    shown.metadata.creation_timestamp = Some(super::pod::time(stamp.now));
    let mut errors = validation::validate_job(&shown);
    let path = Path::new("spec.template.spec");
    let spec = shown
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let mut warnings = texts(validation::job_warnings(&shown));
    if let Some(spec) = spec {
        errors.extend(support::refusals(spec, &path));
        warnings.extend(notes(spec, &path));
    }
    let name = shown.metadata.name.as_deref().unwrap_or_default();
    check(resource, name, &errors)?;
    Ok(Draft {
        value: untyped(&shown),
        typed: Typed::Job(Box::new(job), None),
        warnings,
    })
}

pub(super) fn update(
    resource: &Resource,
    row: &Arc<Job>,
    change: Change<'_>,
) -> Result<Draft, Status> {
    let mut new: Object = typed(resource, change.new)?;
    let mut old = row.to_object();
    old.metadata.resource_version = new.metadata.resource_version.clone();
    let name = row.name.as_ref();
    if change.subresource == "status" {
        new.spec = old.spec.clone();
        let errors = validation::validate_job_status_update(&new, &old);
        check(resource, name, &errors)?;
        let completions = row.spec.completions.unwrap_or(0);
        let status = row
            .status
            .with_object(&new.status.clone().unwrap_or_default(), completions)
            .map_err(|errors| check(resource, name, &errors).err())
            .map_err(|status| status.unwrap_or_else(Status::method_not_allowed))?;
        let mut value = untyped(&new);
        crate::render::keep_empty(&mut value, status.ready.is_some());
        return Ok(Draft {
            value,
            typed: Typed::Job(Box::new(new), Some(Box::new(status))),
            warnings: Vec::new(),
        });
    }
    new.status = old.status.clone();
    defaults::job(&mut new);
    let errors = validation::validate_job_update(&new, &old);
    check(resource, name, &errors)?;
    let warnings = texts(validation::job_warnings(&new));
    if new.spec != old.spec {
        new.metadata.generation = old.metadata.generation.map(|generation| generation + 1);
    }
    let mut value = untyped(&new);
    crate::render::keep_empty(&mut value, row.status.ready.is_some());
    Ok(Draft {
        value,
        typed: Typed::Job(Box::new(new), None),
        warnings,
    })
}

/// Warnings as the API server sends them.
pub(super) fn texts(warnings: Vec<(Path, String)>) -> Vec<String> {
    let text = |(path, text): (Path, String)| format!("{path}: {text}");
    warnings.into_iter().map(text).collect()
}
