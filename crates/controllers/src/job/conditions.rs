//! The conditions in a Job's status.

use std::borrow::Cow;

use jiff::Timestamp;
use wasmjob_api::{JobCondition, JobConditionType};

/// Sets a condition; says whether that changed anything.
///
/// As `ensureJobConditionStatus` of Kubernetes: a condition that was never True
/// is not added as False.
pub(super) fn ensure(
    conditions: &mut Vec<JobCondition>,
    condition_type: JobConditionType,
    status: bool,
    reason: impl Into<Cow<'static, str>>,
    message: impl Into<Cow<'static, str>>,
    now: Timestamp,
) -> bool {
    let new = JobCondition {
        condition_type,
        status,
        reason: reason.into(),
        message: message.into(),
        last_probe: now,
        last_transition: now,
    };
    let old = conditions
        .iter_mut()
        .find(|old| old.condition_type == condition_type);
    match old {
        Some(old) if says_the_same(old, &new) => false,
        Some(old) => {
            *old = new;
            true
        }
        None if status => {
            conditions.push(new);
            true
        }
        None => false,
    }
}

fn says_the_same(a: &JobCondition, b: &JobCondition) -> bool {
    (a.status, &a.reason, &a.message) == (b.status, &b.reason, &b.message)
}
