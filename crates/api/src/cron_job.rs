//! CronJobs: the spec parsed once, and the status as the controller keeps it.

mod ledger;
mod options;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use wasmjob_schedule::{Schedule, ScheduleError, UnknownZone, Zone};

pub use ledger::{Cause, Obstacle, Rule, SLOT_RECORDS_MAX, SlotLedger, SlotRecord, SlotVerdict};
pub use options::{Allowed, CatchUp, CronJobOptions, OptionError};

use crate::Uid;

/// A CronJob. Cheap to clone: a status change copies no spec.
#[derive(Clone, Debug)]
pub struct CronJob {
    /// Identity; never reused.
    pub uid: Uid,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name, unique in its namespace.
    pub name: Arc<str>,
    /// When it was created (wall time).
    pub created: Timestamp,
    /// `deletionTimestamp`, once deletion was asked for.
    pub deletion: Option<Timestamp>,
    /// Raised by every change of the spec; 1 at creation.
    pub generation: i64,
    /// The revision of the store that last changed it.
    pub resource_version: u64,
    /// Labels, annotations, owner references, finalizers; what stands above wins over its fields.
    pub metadata: Arc<ObjectMeta>,
    /// The spec, with what annotations add to it.
    pub spec: Arc<CronJobSpec>,
    /// The directory that relative references to modules are relative to. No
    /// client sees it.
    pub base: Arc<Path>,
    /// The status.
    pub status: CronJobStatus,
}

/// A CronJobSpec, defaulted and parsed once.
#[derive(Debug)]
pub struct CronJobSpec {
    /// The object as Kubernetes knows it, defaulted; the Job template is read from here.
    pub object: batch::CronJobSpec,
    /// `schedule`. One that does not parse is kept, as in Kubernetes, and never runs.
    pub schedule: Result<Schedule, ScheduleError>,
    /// `timeZone`; `None` is the zone of the host. An unknown one is kept, and never runs.
    pub zone: Result<Option<Zone>, UnknownZone>,
    /// `startingDeadlineSeconds`.
    pub starting_deadline: Option<Duration>,
    /// `concurrencyPolicy`.
    pub concurrency_policy: ConcurrencyPolicy,
    /// `suspend`.
    pub suspend: bool,
    /// `successfulJobsHistoryLimit`; `None` keeps them all.
    pub successful_jobs_history_limit: Option<usize>,
    /// `failedJobsHistoryLimit`; `None` keeps them all.
    pub failed_jobs_history_limit: Option<usize>,
    /// What the annotations `wasmjob.dev/…` ask for.
    pub options: CronJobOptions,
}

/// What happens when a run is due while another one is active.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConcurrencyPolicy {
    /// Both run.
    #[default]
    Allow,
    /// The new one does not start.
    Forbid,
    /// The old one is ended.
    Replace,
}

/// The status of a CronJob. All of it must be kept with the row; what clients see of the
/// last three fields is the annotation `wasmjob.dev/slots`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CronJobStatus {
    /// Jobs that have not finished, in the order in which they were created.
    pub active: Vec<JobReference>,
    /// The latest slot for which a Job was created. It never goes back.
    pub last_schedule_time: Option<Timestamp>,
    /// The latest completion of a Job of this CronJob.
    pub last_successful_time: Option<Timestamp>,
    /// What became of every slot. Ours alone.
    pub ledger: SlotLedger,
    /// What was told once and is not told again. Ours alone.
    pub told: Told,
}

/// A Job in `status.active`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobReference {
    /// Identity.
    pub uid: Uid,
    /// The name, in the namespace of the CronJob.
    pub name: Arc<str>,
}

/// What the controller does or says only once.
///
/// Kubernetes repeats such an event at every sync, and knows no start of the host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Told {
    /// The generation whose schedule or zone was found wanting.
    pub generation: Option<i64>,
    /// Unfinished Jobs that somebody else made in the name of the CronJob.
    pub unexpected: Vec<Uid>,
    /// The base from which there were too many missed slots.
    pub too_many: Option<Timestamp>,
    /// The start of the host for which `wasmjob.dev/reboot` made its Job.
    pub reboot: Option<Timestamp>,
}

impl CronJobSpec {
    /// Reads `object`, and from `annotations` what concerns us.
    ///
    /// The object should be defaulted and validated. One that is not is read as well as
    /// it goes: numbers are clamped into their range, what is missing gets Kubernetes'
    /// default, an annotation that says nothing is as good as none.
    #[must_use]
    pub fn parse(
        object: batch::CronJobSpec,
        annotations: Option<&BTreeMap<String, String>>,
    ) -> Self {
        let limit = |limit: Option<i32>| limit.map(|limit| usize::try_from(limit).unwrap_or(0));
        Self {
            schedule: Schedule::parse(&object.schedule),
            zone: zone(object.time_zone.as_deref()),
            starting_deadline: object
                .starting_deadline_seconds
                .map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            concurrency_policy: match object.concurrency_policy.as_deref() {
                Some("Forbid") => ConcurrencyPolicy::Forbid,
                Some("Replace") => ConcurrencyPolicy::Replace,
                _ => ConcurrencyPolicy::Allow,
            },
            suspend: object.suspend.unwrap_or(false),
            successful_jobs_history_limit: limit(object.successful_jobs_history_limit),
            failed_jobs_history_limit: limit(object.failed_jobs_history_limit),
            options: CronJobOptions::parse(annotations).0,
            object,
        }
    }
}

impl CronJob {
    /// A CronJob as it is right after its creation: generation 1 and an empty status.
    ///
    /// `object` should be defaulted and validated; see [`CronJobSpec::parse`].
    #[must_use]
    pub fn new(object: batch::CronJob, uid: Uid, created: Timestamp) -> Self {
        let metadata = object.metadata;
        let spec = CronJobSpec::parse(object.spec, metadata.annotations.as_ref());
        Self {
            uid,
            namespace: metadata.namespace.as_deref().unwrap_or("default").into(),
            name: metadata.name.as_deref().unwrap_or_default().into(),
            created,
            deletion: None,
            generation: 1,
            resource_version: 0,
            spec: Arc::new(spec),
            base: Arc::from(Path::new(".")),
            metadata: Arc::new(metadata),
            status: CronJobStatus::default(),
        }
    }
}

impl CronJobStatus {
    /// Whether the Job stands in `active`.
    #[must_use]
    pub fn is_active(&self, uid: Uid) -> bool {
        self.active.iter().any(|job| job.uid == uid)
    }
}

/// `Local` is the zone of the host, as is no name.
fn zone(name: Option<&str>) -> Result<Option<Zone>, UnknownZone> {
    match name {
        None | Some("Local") => Ok(None),
        Some(name) => Zone::load(name, &Zone::utc()).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::batch::v1 as batch;

    use super::{ConcurrencyPolicy, CronJobSpec};

    #[test]
    fn a_schedule_or_zone_that_does_not_parse_is_kept() {
        let spec = CronJobSpec::parse(
            batch::CronJobSpec {
                schedule: "61 * * * *".to_owned(),
                time_zone: Some("Mars/Base".to_owned()),
                ..batch::CronJobSpec::default()
            },
            None,
        );
        assert_eq!(
            spec.schedule.unwrap_err().to_string(),
            "end of range (61) above maximum (59): 61"
        );
        assert_eq!(
            spec.zone.unwrap_err().to_string(),
            "unknown time zone Mars/Base"
        );
        assert_eq!(spec.object.schedule, "61 * * * *");
    }

    #[test]
    fn what_is_missing_is_allowed_and_what_is_negative_is_none() {
        let spec = CronJobSpec::parse(batch::CronJobSpec::default(), None);
        assert_eq!(spec.concurrency_policy, ConcurrencyPolicy::Allow);
        assert_eq!(spec.successful_jobs_history_limit, None);
        assert!(!spec.suspend && spec.starting_deadline.is_none());
        let spec = CronJobSpec::parse(
            batch::CronJobSpec {
                starting_deadline_seconds: Some(-1),
                failed_jobs_history_limit: Some(-7),
                ..batch::CronJobSpec::default()
            },
            None,
        );
        assert_eq!(spec.starting_deadline, Some(Duration::ZERO));
        assert_eq!(spec.failed_jobs_history_limit, Some(0));
    }
}
