//! How a Job ends: what decides it, and how it is written down.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use wasmjob_api::{Event, JobConditionType};

use super::super::conditions::ensure;
use super::super::success_policy::match_success_policy;
use super::super::verdict::Verdict;
use super::Look;

/// How a Job ends.
pub(super) struct Ending {
    pub(super) success: bool,
    pub(super) reason: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl Ending {
    pub(super) fn failure(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            success: false,
            reason: reason.into(),
            message: message.into(),
        }
    }

    pub(super) fn success(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            success: true,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

impl Look<'_> {
    /// How the Job ends, if that is decided before its pods are managed. What
    /// stands first wins.
    pub(super) fn decided_ending(&self) -> Option<Ending> {
        self.earlier_decision()
            .or_else(|| self.failed_pod())
            .or_else(|| self.too_many_failures())
            .or_else(|| self.past_deadline())
            .or_else(|| self.failed_indexes())
            .or_else(|| self.success_policy())
    }

    fn earlier_decision(&self) -> Option<Ending> {
        let status = &self.job.status;
        let interim = [
            JobConditionType::SuccessCriteriaMet,
            JobConditionType::FailureTarget,
        ];
        let condition = interim
            .into_iter()
            .filter_map(|interim| status.condition(interim))
            .find(|condition| condition.status)?;
        Some(Ending {
            success: condition.condition_type == JobConditionType::SuccessCriteriaMet,
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        })
    }

    fn failed_pod(&self) -> Option<Ending> {
        let message = self.verdicts.iter().find_map(Verdict::fail_job_message)?;
        Some(Ending::failure("PodFailurePolicy", message.to_owned()))
    }

    fn too_many_failures(&self) -> Option<Ending> {
        let limit = u64::from(self.job.spec.backoff_limit);
        // `pastBackoffLimitOnFailure`: restarts in place count as failures too.
        let restarts = self.pods.restarts();
        let restarted = self.job.spec.restart_on_failure && restarts >= limit.max(1);
        (self.tally.failed > limit || restarted).then(|| {
            Ending::failure(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            )
        })
    }

    fn past_deadline(&self) -> Option<Ending> {
        self.deadline().filter(|at| *at <= self.now).map(|_| {
            Ending::failure(
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            )
        })
    }

    /// When `activeDeadlineSeconds` is over; never, if no timestamp can hold it.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if self.job.spec.suspend {
            return None;
        }
        let deadline = SignedDuration::try_from(self.job.spec.active_deadline?).ok()?;
        self.status.start_time?.checked_add(deadline).ok()
    }

    fn failed_indexes(&self) -> Option<Ending> {
        let failed = self.status.failed_indexes.as_ref()?.len();
        let finished = failed + self.status.completed_indexes.len();
        let spec = &self.job.spec;
        if spec
            .max_failed_indexes
            .is_some_and(|max| failed > u64::from(max))
        {
            return Some(Ending::failure(
                "MaxFailedIndexesExceeded",
                "Job has exceeded the specified maximal number of failed indexes",
            ));
        }
        let all = finished >= u64::from(spec.completions.unwrap_or(0));
        (failed > 0 && all).then(|| Ending::failure("FailedIndexes", "Job has failed indexes"))
    }

    fn success_policy(&self) -> Option<Ending> {
        if !self.job.spec.is_indexed() {
            return None;
        }
        let rules = &self.job.spec.success_rules;
        let at = match_success_policy(rules, &self.status.completed_indexes)?;
        let message = format!("Matched rules at index {at}");
        Some(Ending::success("SuccessPolicy", message))
    }

    /// Writes the decision down and, once no pod is left running, the end.
    pub(super) fn conclude(&mut self, ending: &Ending) {
        let (interim, last) = match ending.success {
            true => (
                JobConditionType::SuccessCriteriaMet,
                JobConditionType::Complete,
            ),
            false => (JobConditionType::FailureTarget, JobConditionType::Failed),
        };
        let (reason, message) = (&ending.reason, &ending.message);
        // A clock that was set back must not make it end before it started.
        let at = self
            .status
            .start_time
            .map_or(self.now, |start| start.max(self.now));
        let conditions = &mut self.status.conditions;
        ensure(
            conditions,
            interim,
            true,
            reason.clone(),
            message.clone(),
            at,
        );
        if self.terminating > 0 {
            return;
        }
        ensure(conditions, last, true, reason.clone(), message.clone(), at);
        if self.status.start_time.is_none() && self.job.spec.completions != Some(0) {
            self.status.start_time = Some(at);
        }
        if ending.success {
            self.status.completion_time = Some(at);
            self.report_completion();
        } else {
            let event = Event::warning(reason.clone(), message.clone());
            self.plan.events.push(event);
        }
    }

    fn report_completion(&mut self) {
        let wanted = self.job.spec.completions;
        if wanted.is_some_and(|wanted| self.status.succeeded > wanted) {
            self.plan.events.push(Event::warning(
                "TooManySucceededPods",
                "Too many succeeded pods running after completion count reached",
            ));
        }
        self.plan
            .events
            .push(Event::normal("Completed", "Job completed"));
    }
}
