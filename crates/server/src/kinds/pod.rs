//! Pods.

use jiff::Timestamp;
use serde_json::Value;
use wasmjob::api::field::{Error, ErrorList, Path};
use wasmjob::api::k8s_openapi::api::core::v1::{Pod, PodSpec};
use wasmjob::api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use wasmjob::api::{defaults, support, validation};
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;

use super::{Change, Draft, Stamp, Typed, check, typed, untyped};

pub(super) fn create(resource: &Resource, value: Value, stamp: &Stamp) -> Result<Draft, Status> {
    let mut pod: Pod = typed(resource, value)?;
    defaults::pod(&mut pod);
    let mut shown = pod.clone();
    defaults::prepare_pod(&mut shown, stamp.uid);
    shown.metadata.creation_timestamp = Some(time(stamp.now));
    let mut errors = validation::validate_pod(&shown);
    let mut warnings = Vec::new();
    if let Some(spec) = &shown.spec {
        errors.extend(support::refusals(spec, &Path::new("spec")));
        warnings = notes(spec, &Path::new("spec"));
    }
    let name = shown.metadata.name.as_deref().unwrap_or_default();
    check(resource, name, &errors)?;
    Ok(Draft {
        value: untyped(&shown),
        typed: Typed::Pod(Box::new(pod)),
        warnings,
    })
}

/// A pod's spec is what runs; only its metadata may change.
pub(super) fn update(resource: &Resource, change: Change<'_>) -> Result<Draft, Status> {
    let mut new: Pod = typed(resource, change.new)?;
    let old: Pod = typed(resource, change.old_value.clone())?;
    if change.subresource == "status" {
        return Err(Status::method_not_allowed());
    }
    defaults::pod(&mut new);
    new.status = old.status.clone();
    let mut errors = ErrorList::new();
    let same = |new: &Pod, old: &Pod| untyped(&new.spec) == untyped(&old.spec);
    if !same(&new, &old) {
        let message = "pod updates may not change fields of the spec: what runs cannot be changed, \
                       create another pod instead";
        errors.push(Error::forbidden(&Path::new("spec"), message));
    }
    errors.extend(validation::validate_metadata_update(
        &new.metadata,
        &old.metadata,
    ));
    let name = old.metadata.name.as_deref().unwrap_or_default();
    check(resource, name, &errors)?;
    Ok(Draft {
        value: untyped(&new),
        typed: Typed::Pod(Box::new(new)),
        warnings: Vec::new(),
    })
}

/// Fields that have no effect here, told to whoever uses them.
pub(super) fn notes(spec: &PodSpec, path: &Path) -> Vec<String> {
    let notes = support::served_notes(spec, path).into_iter();
    notes
        .map(|note| format!("{}: {}", note.path, note.effect))
        .collect()
}

/// A time as Kubernetes writes it.
pub(super) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
