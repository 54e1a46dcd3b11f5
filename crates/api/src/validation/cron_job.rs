//! CronJobs. What is a schedule and what a time zone is said by `wasmjob-schedule`.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};

use wasmjob_schedule::{Schedule, Zone};

use super::job::open_job_spec;
use super::{Errors, meta, text};
use crate::field::{Error, ErrorList, Path};
use crate::{Allowed, CronJobOptions, OptionError};

/// The controller appends 11 characters, and the name of a Job may have 63.
const NAME_BYTES_MAX: usize = 52;

/// Checks a defaulted CronJob that is to be created.
#[must_use]
pub fn validate_cron_job(cron_job: &CronJob) -> ErrorList {
    let mut errors = Errors::new();
    let path = Path::new("metadata");
    meta::object_meta(&mut errors, &cron_job.metadata, &path);
    options(&mut errors, option_errors(cron_job));
    cron_job_spec(&mut errors, &cron_job.spec, None, &Path::new("spec"));
    let name = text(&cron_job.metadata.name);
    if name.len() > NAME_BYTES_MAX {
        let message = format!("must be no more than {NAME_BYTES_MAX} characters");
        errors.push(Error::invalid(&path.child("name"), name, message));
    }
    errors.into_list()
}

/// Checks what `new` makes of `old`. Everything may change; what was accepted once
/// (a time zone, a `TZ=` in the schedule, an annotation of ours) is not held against an update.
#[must_use]
pub fn validate_cron_job_update(new: &CronJob, old: &CronJob) -> ErrorList {
    let mut errors = Errors::new();
    meta::object_meta_update(
        &mut errors,
        &new.metadata,
        &old.metadata,
        &Path::new("metadata"),
    );
    let mut wrong = option_errors(new);
    let was_wrong = option_errors(old);
    wrong.retain(|error| !was_wrong.contains(error));
    options(&mut errors, wrong);
    cron_job_spec(&mut errors, &new.spec, Some(&old.spec), &Path::new("spec"));
    errors.into_list()
}

fn option_errors(cron_job: &CronJob) -> Vec<OptionError> {
    CronJobOptions::parse(cron_job.metadata.annotations.as_ref()).1
}

/// Our own annotations: a misspelt one must not pass for the default.
fn options(errors: &mut Errors, wrong: Vec<OptionError>) {
    let path = Path::new("metadata").child("annotations");
    for error in wrong {
        let path = path.key(error.key);
        errors.push(match error.allowed {
            Allowed::Words(words) => Error::not_supported(&path, &error.value, words),
            Allowed::Text(text) => Error::invalid(&path, &error.value, text),
        });
    }
}

fn cron_job_spec(errors: &mut Errors, spec: &CronJobSpec, old: Option<&CronJobSpec>, path: &Path) {
    if spec.schedule.is_empty() {
        errors.push(Error::required(&path.child("schedule"), ""));
    } else {
        let may_name_zone = old.is_some_and(|old| old.schedule.contains("TZ"));
        let has_zone = spec.time_zone.is_some();
        schedule_format(
            errors,
            &spec.schedule,
            may_name_zone,
            has_zone,
            &path.child("schedule"),
        );
    }
    let deadline = path.child("startingDeadlineSeconds");
    errors.not_negative(spec.starting_deadline_seconds, &deadline);
    if old.is_none_or(|old| old.time_zone != spec.time_zone) {
        time_zone(errors, spec.time_zone.as_deref(), &path.child("timeZone"));
    }
    let policy = text(&spec.concurrency_policy);
    let policy_path = path.child("concurrencyPolicy");
    errors.one_of(policy, &["Allow", "Forbid", "Replace"], &policy_path);
    job_template(errors, &spec.job_template, &path.child("jobTemplate"));
    let limit = path.child("successfulJobsHistoryLimit");
    errors.not_negative(spec.successful_jobs_history_limit, &limit);
    errors.not_negative(
        spec.failed_jobs_history_limit,
        &path.child("failedJobsHistoryLimit"),
    );
}

pub(super) fn schedule_format(
    errors: &mut Errors,
    value: &str,
    may_name_zone: bool,
    has_zone: bool,
    path: &Path,
) {
    if let Err(error) = Schedule::parse(value) {
        errors.push(Error::invalid(path, value, error.to_string()));
    }
    if !value.contains("TZ") {
        return;
    }
    let message = match (may_name_zone, has_zone) {
        (true, true) => "cannot use both timeZone field and TZ or CRON_TZ in schedule",
        (true, false) => return,
        (false, _) => "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
    };
    errors.push(Error::invalid(path, value, message));
}

pub(super) fn time_zone(errors: &mut Errors, zone: Option<&str>, path: &Path) {
    let Some(zone) = zone else { return };
    if zone.is_empty() {
        let message = "timeZone must be nil or non-empty string";
        errors.push(Error::invalid(path, zone, message));
        return;
    }
    if !is_well_formed(zone) {
        errors.push(Error::invalid(
            path,
            zone,
            format!("unknown time zone {zone}"),
        ));
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        let message =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(Error::invalid(path, zone, message));
    }
    // Go knows "Local" itself, in this spelling only.
    if Zone::load(zone, &Zone::utc()).is_err() {
        errors.push(Error::invalid(
            path,
            zone,
            format!("unknown time zone {zone}"),
        ));
    }
}

/// Whether `name` has the form of a zone's name: parts of 1 to 14 characters, none
/// of which leads anywhere else when it becomes part of a path.
fn is_well_formed(name: &str) -> bool {
    name.split('/').all(|part| {
        (1..=14).contains(&part.len())
            && part != "."
            && part != ".."
            && !part.starts_with('-')
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    })
}

fn job_template(errors: &mut Errors, template: &JobTemplateSpec, path: &Path) {
    let empty = JobSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&empty);
    let path = path.child("spec");
    open_job_spec(errors, spec, &path);
    if let Some(selector) = &spec.selector {
        let message = "`selector` will be auto-generated";
        errors.push(Error::invalid(&path.child("selector"), selector, message));
    }
    if spec.manual_selector == Some(true) {
        let path = path.child("manualSelector");
        let mut error = Error::not_supported(&path, "", &["nil", "false"]);
        error.value = Some("true".to_owned());
        errors.push(error);
    }
}
