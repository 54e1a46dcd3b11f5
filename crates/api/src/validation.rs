//! What makes an object valid: Kubernetes 1.36's rules, field by field and message
//! by message (`pkg/apis/batch/validation`, `pkg/apis/core/validation`).
//!
//! The functions take defaulted objects and return everything that is wrong. What
//! is valid and yet nothing that wasmjob does is told by [`crate::support`].

mod container;
mod cron_job;
mod env;
mod index_string;
mod job;
mod job_status;
mod job_status_update;
mod job_update;
mod limit_range;
mod meta;
pub mod names;
mod pod;
mod policies;
mod priority_class;
mod probe;
mod resource_quota;
mod resources;
mod selector;
mod volume;
mod warnings;

pub(crate) use container::port_name;
pub use cron_job::{validate_cron_job, validate_cron_job_update};
pub use job::validate_job;
pub use job_status_update::validate_job_status_update;
pub use job_update::validate_job_update;
pub use limit_range::validate_limit_range;
pub use meta::{NameRule, validate_metadata, validate_metadata_update};
pub use names::{is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
pub use pod::validate_pod;
pub use priority_class::{
    SYSTEM_PRIORITY_CLASSES, USER_PRIORITY_MAX, validate_priority_class,
    validate_priority_class_update,
};
pub use resource_quota::{validate_resource_quota, validate_resource_quota_update};
pub(crate) use selector::{matches_labels as selects, syntax as selector_syntax};
pub(crate) use volume::sources as volume_sources;
pub use warnings::{job_warnings, warnings};

use crate::field::{Error, ErrorList, Path};

/// Collects errors; what every check below writes to.
pub(crate) struct Errors(ErrorList);

impl Errors {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, error: Error) {
        self.0.push(error);
    }

    pub(crate) fn into_list(self) -> ErrorList {
        self.0
    }

    /// `value`, if there is one, must not be negative.
    pub(crate) fn not_negative(&mut self, value: Option<impl Into<i64>>, path: &Path) {
        if let Some(value) = value.map(Into::into)
            && value < 0
        {
            self.push(Error::invalid(
                path,
                &value,
                "must be greater than or equal to 0",
            ));
        }
    }

    /// `value` must be one of `supported`; it is required.
    pub(crate) fn one_of(&mut self, value: &str, supported: &[&str], path: &Path) {
        if value.is_empty() {
            self.push(Error::required(path, ""));
        } else if !supported.contains(&value) {
            self.push(Error::not_supported(path, value, supported));
        }
    }

    /// `value` must be a DNS label.
    pub(crate) fn dns_label(&mut self, value: &str, path: &Path) {
        for message in names::dns1123_label(value) {
            self.push(Error::invalid(path, value, message));
        }
    }

    /// `value` must be a DNS subdomain.
    pub(crate) fn dns_subdomain(&mut self, value: &str, path: &Path) {
        for message in names::dns1123_subdomain(value) {
            self.push(Error::invalid(path, value, message));
        }
    }

    /// `value` must be a qualified name, e.g. `example.com/name`.
    pub(crate) fn qualified_name(&mut self, value: &str, path: &Path) {
        for message in names::qualified_name(value) {
            self.push(Error::invalid(path, value, message));
        }
    }

    /// `new` must be what `old` was.
    pub(crate) fn immutable<T: PartialEq + serde::Serialize>(
        &mut self,
        new: &T,
        old: &T,
        path: &Path,
    ) {
        if new != old {
            self.push(Error::invalid(path, new, "field is immutable"));
        }
    }
}

/// The text of an optional field; absent and empty are the same, as in Go.
pub(crate) fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}
