//! What Kubernetes fills in when a manifest leaves it out
//! (`pkg/apis/batch/v1/defaults.go`, `pkg/apis/core/v1/defaults.go`), and what it
//! adds when an object is created (`PrepareForCreate` of the strategies).

mod container;
mod creation;
mod image;
mod job;
mod pod;

pub(crate) use creation::{
    CONTROLLER_UID_LABEL, CONTROLLER_UID_LABEL_LEGACY, JOB_NAME_LABEL, JOB_NAME_LABEL_LEGACY,
};
pub use creation::{generated_name, prepare_cron_job, prepare_job, prepare_pod};
pub use job::{cron_job, job};
pub(crate) use pod::pod_only;
pub use pod::{limit_range, pod, pod_template, requests_from_limits};

/// Sets what is absent.
fn set<T>(field: &mut Option<T>, value: T) {
    if field.is_none() {
        *field = Some(value);
    }
}

/// Sets a text that is absent or empty; Go cannot tell the two apart.
fn set_text(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_owned());
    }
}
