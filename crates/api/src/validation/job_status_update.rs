//! What an update may make of a Job's status (`ValidateJobUpdateStatus`, and the
//! options of the status strategy). Only what an update changes is held against it.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::Job;

use super::job_status::View;
use super::{Errors, index_string, meta};
use crate::field::{Error, ErrorList, Path};

/// Checks the status of `new`, which has the spec of `old`.
#[must_use]
pub fn validate_job_status_update(new: &Job, old: &Job) -> ErrorList {
    let mut errors = Errors::new();
    meta::object_meta_update(
        &mut errors,
        &new.metadata,
        &old.metadata,
        &Path::new("metadata"),
    );
    let mut check = Check {
        errors: &mut errors,
        new: View::of(new),
        old: View::of(old),
        path: Path::new("status"),
    };
    check.counters();
    check.uncounted_pods();
    check.conditions();
    check.times();
    check.finished();
    check.indexes();
    check.transitions();
    errors.into_list()
}

struct Check<'a> {
    errors: &'a mut Errors,
    new: View,
    old: View,
    path: Path,
}

impl Check<'_> {
    /// Whether the condition `kind` becomes true or stops being it.
    fn turns(&self, kind: &str) -> bool {
        self.new.is(kind) != self.old.is(kind)
    }

    fn refuse_conditions(&mut self, message: &str) {
        let path = self.path.child("conditions");
        self.errors
            .push(Error::invalid_without_value(&path, message));
    }

    fn counters(&mut self) {
        let status = &self.new.status;
        let counters = [
            ("active", status.active),
            ("succeeded", status.succeeded),
            ("failed", status.failed),
            ("ready", status.ready),
            ("terminating", status.terminating),
        ];
        for (field, value) in counters {
            self.errors.not_negative(value, &self.path.child(field));
        }
        let changed =
            status.ready != self.old.status.ready || self.new.active() != self.old.active();
        if let Some(ready) = status
            .ready
            .filter(|ready| changed && *ready > self.new.active())
        {
            let message = "cannot set more ready pods than active";
            self.errors
                .push(Error::invalid(&self.path.child("ready"), &ready, message));
        }
    }

    fn uncounted_pods(&mut self) {
        let path = self.path.child("uncountedTerminatedPods");
        let (succeeded, failed) = self.new.uncounted();
        let mut seen = HashSet::new();
        for (field, uids) in [("succeeded", succeeded), ("failed", failed)] {
            for (index, uid) in uids.iter().enumerate() {
                let path = path.child(field).index(index);
                if uid.is_empty() {
                    self.errors
                        .push(Error::invalid(&path, uid, "must not be empty"));
                } else if !seen.insert(uid) {
                    self.errors.push(Error::duplicate(&path, uid));
                }
            }
        }
    }

    /// Which conditions exclude or need one another.
    fn conditions(&mut self) {
        let complete = self.new.is("Complete");
        let failed = self.new.is("Failed");
        let target = self.new.is("FailureTarget");
        let met = self.new.is("SuccessCriteriaMet");
        if complete && failed && (self.turns("Complete") || self.turns("Failed")) {
            self.refuse_conditions("cannot set Complete=True and Failed=true conditions");
        }
        if complete && target && (self.turns("Complete") || self.turns("FailureTarget")) {
            self.refuse_conditions("cannot set Complete=True and FailureTarget=true conditions");
        }
        if failed && !target && (self.turns("Failed") || self.turns("FailureTarget")) {
            self.refuse_conditions(
                "cannot set Failed=True condition without the FailureTarget=true condition",
            );
        }
        if complete && !met && (self.turns("Complete") || self.turns("SuccessCriteriaMet")) {
            self.refuse_conditions(
                "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
            );
        }
        if met && failed {
            self.refuse_conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions");
        }
        if met && target {
            self.refuse_conditions(
                "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            );
        }
        if self.new.spec.success_policy.is_some() && !met && complete {
            self.refuse_conditions(
                "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
            );
        }
    }

    fn times(&mut self) {
        let (new, old) = (&self.new.status, &self.old.status);
        let path = self.path.child("completionTime");
        let complete = self.new.is("Complete");
        let changes = new.completion_time != old.completion_time;
        let turns = self.turns("Complete") || changes;
        if turns && !complete && new.completion_time.is_some() {
            let message = "cannot set completionTime when there is no Complete=True condition";
            self.errors
                .push(Error::invalid(&path, &new.completion_time, message));
        }
        if turns && complete && new.completion_time.is_none() {
            let message = "completionTime is required for Complete jobs";
            self.errors.push(Error::required(&path, message));
        }
        if let (Some(start), Some(completion)) = (&new.start_time, &new.completion_time)
            && (changes || new.start_time != old.start_time)
            && completion.0 < start.0
        {
            let message = "completionTime cannot be set before startTime";
            self.errors.push(Error::invalid(&path, completion, message));
        }
        if changes && new.completion_time.is_some() && old.completion_time.is_some() {
            let message = "completionTime cannot be mutated";
            self.errors
                .push(Error::invalid(&path, &new.completion_time, message));
        }
        // Resuming sets a new start time.
        let resumes = self.old.is("Suspended") && !self.new.is("Suspended");
        let is_suspended = self.new.spec.suspend == Some(true);
        let moves = old.start_time.is_some() && new.start_time != old.start_time;
        if moves && !is_suspended && !resumes {
            let message = "startTime cannot be removed for unsuspended job";
            self.errors
                .push(Error::required(&self.path.child("startTime"), message));
        }
    }

    /// What a finished Job may not have any more.
    fn finished(&mut self) {
        if !self.new.is_finished() {
            return;
        }
        let turns = !self.old.is_finished();
        let (new, old) = (&self.new.status, &self.old.status);
        let active = self.new.active();
        if active > 0 && (turns || active != self.old.active()) {
            let message = "active>0 is invalid for finished job";
            self.errors
                .push(Error::invalid(&self.path.child("active"), &active, message));
        }
        let spec = &self.new.spec;
        let never_started = spec.suspend == Some(true) && spec.completions == Some(0);
        if new.start_time.is_none() && (turns || old.start_time.is_some()) && !never_started {
            let message = "startTime is required for finished job";
            self.errors
                .push(Error::required(&self.path.child("startTime"), message));
        }
        let (succeeded, failed) = self.new.uncounted();
        let changes = new.uncounted_terminated_pods != old.uncounted_terminated_pods;
        if succeeded.len() + failed.len() > 0 && (turns || changes) {
            let path = self.path.child("uncountedTerminatedPods");
            let message = "uncountedTerminatedPods needs to be empty for finished job";
            self.errors.push(Error::invalid(
                &path,
                &new.uncounted_terminated_pods,
                message,
            ));
        }
        let terminating = new.terminating.filter(|terminating| *terminating > 0);
        if let Some(terminating) = terminating
            && (turns || new.terminating != old.terminating)
        {
            let message = "terminating>0 is invalid for finished job";
            self.errors.push(Error::invalid(
                &self.path.child("terminating"),
                &terminating,
                message,
            ));
        }
    }

    fn indexes(&mut self) {
        let spec = &self.new.spec;
        let completed = self.new.completed_indexes();
        let failed = self.new.status.failed_indexes.as_deref();
        let completed_change = completed != self.old.completed_indexes();
        let failed_change = failed != self.old.status.failed_indexes.as_deref();
        let path = self.path.child("completedIndexes");
        let failed_path = self.path.child("failedIndexes");
        if let Some(completions) = spec.completions.filter(|_| completed_change)
            && let Err(message) = index_string::count(completed, completions)
        {
            let message = format!("error parsing completedIndexes: {message}");
            self.errors.push(Error::invalid(&path, completed, message));
        }
        if let (Some(completions), Some(failed)) = (spec.completions, failed)
            && failed_change
            && spec.backoff_limit_per_index.is_some()
            && let Err(message) = index_string::count(failed, completions)
        {
            let message = format!("error parsing failedIndexes: {message}");
            self.errors
                .push(Error::invalid(&failed_path, failed, message));
        }
        let is_indexed = spec.completion_mode.as_deref() == Some("Indexed");
        if completed_change && !completed.is_empty() && !is_indexed {
            let message = "cannot set non-empty completedIndexes when non-indexed completion mode";
            self.errors.push(Error::invalid(&path, completed, message));
        }
        let Some(failed) = failed else { return };
        if failed_change && spec.backoff_limit_per_index.is_none() {
            let message = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            self.errors
                .push(Error::invalid(&failed_path, failed, message));
        }
        if let Some(completions) = spec.completions
            && (failed_change || completed_change)
            && let Some(index) = index_string::overlap(completed, failed, completions)
        {
            let message = format!("failedIndexes and completedIndexes overlap at index: {index}");
            self.errors
                .push(Error::invalid(&failed_path, failed, message));
        }
    }

    /// What never goes back.
    fn transitions(&mut self) {
        for kind in ["Failed", "Complete", "FailureTarget"] {
            if self.old.is(kind) && !self.new.is(kind) {
                let message = format!("cannot disable the terminal {kind}=True condition");
                self.refuse_conditions(&message);
            }
        }
        let decreases = |new: Option<i32>, old: Option<i32>| new.unwrap_or(0) < old.unwrap_or(0);
        let (new, old) = (&self.new.status, &self.old.status);
        if decreases(new.failed, old.failed) {
            let message = "cannot decrease the failed counter";
            let value = new.failed.unwrap_or(0);
            self.errors
                .push(Error::invalid(&self.path.child("failed"), &value, message));
        }
        let spec = &self.new.spec;
        let is_elastic = spec.completion_mode.as_deref() == Some("Indexed")
            && spec.completions == spec.parallelism;
        if decreases(new.succeeded, old.succeeded) && !is_elastic {
            let message = "cannot decrease the succeeded counter";
            let value = new.succeeded.unwrap_or(0);
            self.errors.push(Error::invalid(
                &self.path.child("succeeded"),
                &value,
                message,
            ));
        }
        let (met, was_met) = (
            self.new.is("SuccessCriteriaMet"),
            self.old.is("SuccessCriteriaMet"),
        );
        if was_met && !met {
            self.refuse_conditions("cannot disable the SuccessCriteriaMet=True condition");
        }
        if self.old.is("Complete") && !was_met && met {
            self.refuse_conditions(
                "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
            );
        }
    }
}
