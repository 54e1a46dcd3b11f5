//! Jobs at their creation, and the rules of a JobSpec wherever it stands.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};

use super::{Errors, meta, names, pod, policies, selector, text};
use crate::defaults::{
    CONTROLLER_UID_LABEL, CONTROLLER_UID_LABEL_LEGACY, JOB_NAME_LABEL, JOB_NAME_LABEL_LEGACY,
};
use crate::field::{Error, ErrorList, Path};

const PARALLELISM_MAX_INDEXED: i32 = 100_000;
const FAILED_INDEXES_MAX: i32 = 100_000;
/// Above this many completions, back-off per index has tighter limits.
pub(super) const COMPLETIONS_SOFT_LIMIT: i32 = 100_000;
pub(super) const PARALLELISM_MAX_FOR_HIGH_COMPLETIONS: i32 = 10_000;
const FAILED_INDEXES_MAX_FOR_HIGH_COMPLETIONS: i32 = 10_000;
const MANAGED_BY_BYTES_MAX: usize = 63;

/// Checks a Job that is to be created: defaulted, and prepared by
/// [`crate::defaults::prepare_job`].
#[must_use]
pub fn validate_job(job: &Job) -> ErrorList {
    let mut errors = Errors::new();
    meta::object_meta(&mut errors, &job.metadata, &Path::new("metadata"));
    let empty = JobSpec::default();
    let spec = job.spec.as_ref().unwrap_or(&empty);
    generated_selector(&mut errors, job, spec, true);
    job_spec(&mut errors, spec, &Path::new("spec"));
    hostname(&mut errors, job, spec);
    errors.into_list()
}

/// The last index becomes part of a hostname.
fn hostname(errors: &mut Errors, job: &Job, spec: &JobSpec) {
    let completions = spec.completions.unwrap_or(0);
    if !is_indexed(spec) || completions <= 0 {
        return;
    }
    let name = text(&job.metadata.name);
    let hostname = format!("{name}-{}", completions - 1);
    if !names::is_dns1123_label(&hostname) {
        let message = format!("will not able to create pod with invalid DNS label: {hostname}");
        errors.push(Error::invalid(
            &Path::new("metadata").child("name"),
            name,
            message,
        ));
    }
}

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// Without `manualSelector` the labels and the selector are those that creation
/// gives, so that no two Jobs share pods.
pub(super) fn generated_selector(
    errors: &mut Errors,
    job: &Job,
    spec: &JobSpec,
    prefixed_labels: bool,
) {
    if spec.manual_selector.unwrap_or(false) || spec.selector.is_none() {
        return;
    }
    let uid = text(&job.metadata.uid);
    let name = text(&job.metadata.name);
    if uid.is_empty() {
        errors.push(Error::required(&Path::new("metadata").child("uid"), ""));
    }
    let mut expected = vec![
        (CONTROLLER_UID_LABEL_LEGACY, uid),
        (JOB_NAME_LABEL_LEGACY, name),
    ];
    if prefixed_labels {
        expected.extend([(CONTROLLER_UID_LABEL, uid), (JOB_NAME_LABEL, name)]);
    }
    let labels = spec
        .template
        .metadata
        .as_ref()
        .and_then(|m| m.labels.as_ref());
    let path = Path::new("spec")
        .child("template")
        .child("metadata")
        .child("labels");
    for (key, value) in &expected {
        let found = labels.and_then(|labels| labels.get(*key));
        if found.map(String::as_str) != Some(*value) {
            errors.push(Error::required(
                &path.key(key),
                format!("must be '{value}'"),
            ));
        }
    }
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    if selector::matches(spec.selector.as_ref(), &expected) == Some(false) {
        let path = Path::new("spec").child("selector");
        errors.push(Error::invalid(
            &path,
            &spec.selector,
            "`selector` not auto-generated",
        ));
    }
}

pub(super) fn job_spec(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    open_job_spec(errors, spec, path);
    match &spec.selector {
        None => errors.push(Error::required(&path.child("selector"), "")),
        Some(selector) => selector::syntax(errors, selector, &path.child("selector")),
    }
    let labels = spec
        .template
        .metadata
        .as_ref()
        .and_then(|m| m.labels.clone());
    let labels = labels.unwrap_or_default();
    if selector::matches(spec.selector.as_ref(), &labels) == Some(false) {
        let path = path.child("template.metadata.labels");
        let message = "`selector` does not match template `labels`";
        errors.push(Error::invalid(&path, &labels, message));
    }
}

/// A JobSpec that need not have a selector yet, as in a CronJob.
pub(super) fn open_job_spec(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    errors.not_negative(spec.parallelism, &path.child("parallelism"));
    errors.not_negative(spec.completions, &path.child("completions"));
    errors.not_negative(
        spec.active_deadline_seconds,
        &path.child("activeDeadlineSeconds"),
    );
    errors.not_negative(spec.backoff_limit, &path.child("backoffLimit"));
    let ttl = path.child("ttlSecondsAfterFinished");
    errors.not_negative(spec.ttl_seconds_after_finished, &ttl);
    errors.not_negative(
        spec.backoff_limit_per_index,
        &path.child("backoffLimitPerIndex"),
    );
    errors.not_negative(spec.max_failed_indexes, &path.child("maxFailedIndexes"));
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        let path = path.child("backoffLimitPerIndex");
        errors.push(Error::required(&path, "when maxFailedIndexes is specified"));
    }
    if let Some(managed_by) = &spec.managed_by {
        let path = path.child("managedBy");
        for message in names::domain_prefixed_path(managed_by) {
            errors.push(Error::invalid(&path, managed_by, message));
        }
        if managed_by.len() > MANAGED_BY_BYTES_MAX {
            errors.push(Error::too_long(&path, MANAGED_BY_BYTES_MAX));
        }
    }
    completion_mode(errors, spec, path);
    policies::policies(errors, spec, path);
    pod::template(errors, &spec.template, &path.child("template"));
    restart_policy(errors, spec, &path.child("template.spec.restartPolicy"));
}

fn completion_mode(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    match spec.completion_mode.as_deref() {
        Some("Indexed") => indexed(errors, spec, path),
        None | Some("NonIndexed") => {
            let message = "requires indexed completion mode";
            if let Some(limit) = spec.backoff_limit_per_index {
                let path = path.child("backoffLimitPerIndex");
                errors.push(Error::invalid(&path, &limit, message));
            }
            if let Some(limit) = spec.max_failed_indexes {
                errors.push(Error::invalid(
                    &path.child("maxFailedIndexes"),
                    &limit,
                    message,
                ));
            }
        }
        Some(other) => errors.push(Error::not_supported(
            &path.child("completionMode"),
            other,
            &["NonIndexed", "Indexed"],
        )),
    }
}

fn indexed(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    let at_most = |errors: &mut Errors, value: Option<i32>, max: i32, field: &str, when: &str| {
        if let Some(value) = value.filter(|value| *value > max) {
            let message = format!("must be less than or equal to {max}{when}");
            errors.push(Error::invalid(&path.child(field), &value, message));
        }
    };
    let Some(completions) = spec.completions else {
        let message = "when completion mode is Indexed";
        errors.push(Error::required(&path.child("completions"), message));
        let when = " when completion mode is Indexed";
        at_most(
            errors,
            spec.parallelism,
            PARALLELISM_MAX_INDEXED,
            "parallelism",
            when,
        );
        at_most(
            errors,
            spec.max_failed_indexes,
            FAILED_INDEXES_MAX,
            "maxFailedIndexes",
            "",
        );
        return;
    };
    let when = " when completion mode is Indexed";
    at_most(
        errors,
        spec.parallelism,
        PARALLELISM_MAX_INDEXED,
        "parallelism",
        when,
    );
    if let Some(limit) = spec.max_failed_indexes.filter(|limit| *limit > completions) {
        let message = "must be less than or equal to completions";
        errors.push(Error::invalid(
            &path.child("maxFailedIndexes"),
            &limit,
            message,
        ));
    }
    at_most(
        errors,
        spec.max_failed_indexes,
        FAILED_INDEXES_MAX,
        "maxFailedIndexes",
        "",
    );
    if completions <= COMPLETIONS_SOFT_LIMIT || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        let message =
            format!("must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}");
        errors.push(Error::required(&path.child("maxFailedIndexes"), message));
    }
    let when = format!(
        " when completions are above {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index"
    );
    let max = PARALLELISM_MAX_FOR_HIGH_COMPLETIONS;
    at_most(errors, spec.parallelism, max, "parallelism", &when);
    let max = FAILED_INDEXES_MAX_FOR_HIGH_COMPLETIONS;
    at_most(
        errors,
        spec.max_failed_indexes,
        max,
        "maxFailedIndexes",
        &when,
    );
}

fn restart_policy(errors: &mut Errors, spec: &JobSpec, path: &Path) {
    let policy = spec
        .template
        .spec
        .as_ref()
        .map_or("", |pod| text(&pod.restart_policy));
    match policy {
        // Always is what the default gives if nothing was said.
        "" | "Always" => {
            errors.push(Error::required(
                path,
                "valid values: \"OnFailure\", \"Never\"",
            ));
        }
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_some() => {
            let message = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(Error::invalid(path, policy, message));
        }
        "OnFailure" => {}
        other => errors.push(Error::not_supported(path, other, &["OnFailure", "Never"])),
    }
}
