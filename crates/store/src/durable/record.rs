//! The form of rows on the disk.
//!
//! What is ours is written by postcard, field after field without names, so the
//! form is the order of fields here and in `api`; a change of either is a new
//! [`FORMAT`](super::FORMAT), and a test holds the bytes. What is Kubernetes'
//! (metadata, specs) is JSON inside, because its types say nothing of an order.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};
use wasmjob_api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{
    CronJob, CronJobSpec, Deletion, Event, Job, JobSpec, JobStatus, OwnerJob, Pod, PodTemplate, Uid,
};

use crate::{EventRecord, Key, Kind, ManifestRecord};

/// A row's key: what it is, and of which object.
pub(super) type RowKey = [u8; 17];

/// What a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Row {
    /// A template of pods, by a number of the store's own.
    Template,
    /// What of a Job changes seldom.
    Job,
    /// What of a Job changes often.
    JobStatus,
    Pod,
    Event,
    /// What of a CronJob changes seldom.
    CronJob,
    /// What of a CronJob changes with every run.
    CronJobStatus,
    Manifest,
    Generic,
    /// What somebody made of a pod's metadata; few pods have it.
    PodMetadata,
    /// The spec of pods that Jobs and templates share, by a number of the store's own.
    PodSpec,
}

impl Row {
    const ALL: [(Self, u8); 11] = [
        (Self::Template, b'T'),
        (Self::Job, b'J'),
        (Self::JobStatus, b'j'),
        (Self::Pod, b'P'),
        (Self::Event, b'E'),
        (Self::CronJob, b'C'),
        (Self::CronJobStatus, b'c'),
        (Self::Manifest, b'M'),
        (Self::Generic, b'G'),
        (Self::PodMetadata, b'p'),
        (Self::PodSpec, b'S'),
    ];

    pub(super) fn key(self, id: u128) -> RowKey {
        let mut key = [0; 17];
        for (row, byte) in Self::ALL {
            if row == self {
                key[0] = byte;
            }
        }
        key[1..].copy_from_slice(&id.to_be_bytes());
        key
    }

    /// What stands at `key`.
    pub(super) fn of(key: &[u8]) -> Option<(Self, u128)> {
        let (byte, id) = key.split_first()?;
        let id = u128::from_be_bytes(id.try_into().ok()?);
        let (row, _) = Self::ALL.into_iter().find(|(_, known)| known == byte)?;
        Some((row, id))
    }
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("a row cannot be read: {0}")]
    Form(#[from] postcard::Error),
    #[error("an object in a row cannot be read: {0}")]
    Object(#[from] serde_json::Error),
    #[error("a row is of an unknown kind")]
    Kind,
    #[error("{0} is missing")]
    Missing(String),
    #[error("the system gives no randomness to encrypt with")]
    Random,
    #[error("a row is encrypted, and there is no key")]
    NoKey,
    #[error("a row is encrypted with another key")]
    OtherKey,
}

pub(super) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, RowError> {
    Ok(postcard::to_stdvec(value)?)
}

pub(super) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    Ok(postcard::from_bytes(bytes)?)
}

/// One write of a commit in the journal. `R` is a reference or its owner, here and below.
#[derive(Serialize, Deserialize)]
pub(super) struct CommitRow<O> {
    pub(super) revision: u64,
    pub(super) changes: Vec<O>,
}

/// One row's change: its new value, or none if it goes.
#[derive(Serialize, Deserialize)]
pub(super) struct ChangeRow<B> {
    pub(super) key: RowKey,
    pub(super) value: Option<B>,
}

pub(super) type ChangeOut<'a> = ChangeRow<&'a Bytes>;
pub(super) type ChangeIn = ChangeRow<ByteBuf>;

/// A row that a number follows: that of the pod spec which is not in it. What was
/// written before format 3 has its pod spec inside, and no number.
fn numbered<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Option<u64>), RowError> {
    let (row, rest) = postcard::take_from_bytes(bytes)?;
    let number = (!rest.is_empty()).then(|| from_bytes(rest)).transpose()?;
    Ok((row, number))
}

#[derive(Serialize, Deserialize)]
struct TemplateRow<O, B> {
    owner: O,
    base: B,
    metadata: B,
    /// Empty where a number follows.
    spec: B,
}

pub(super) fn template_to_bytes(
    template: &PodTemplate,
    pod_spec: u64,
) -> Result<Vec<u8>, RowError> {
    let metadata = serde_json::to_vec(&template.metadata)?;
    let row = TemplateRow {
        owner: &template.owner,
        base: Bytes::new(template.base.as_os_str().as_bytes()),
        metadata: Bytes::new(&metadata),
        spec: Bytes::new(&[]),
    };
    to_bytes(&(row, pod_spec))
}

/// A template, and the number of its pod spec if it has one.
pub(super) fn template_from_bytes(
    bytes: &[u8],
    specs: &PodSpecs,
) -> Result<(PodTemplate, Option<u64>), RowError> {
    let (row, number): (TemplateRow<Option<OwnerJob>, ByteBuf>, _) = numbered(bytes)?;
    let template = PodTemplate {
        owner: row.owner,
        base: path(&row.base),
        metadata: serde_json::from_slice(&row.metadata)?,
        spec: match number {
            Some(number) => pod_spec(specs, number)?,
            None => Arc::new(serde_json::from_slice(&row.spec)?),
        },
    };
    Ok((template, number))
}

/// Pod specs by their numbers.
pub(super) type PodSpecs = HashMap<u64, Arc<PodSpec>>;

fn pod_spec(specs: &PodSpecs, number: u64) -> Result<Arc<PodSpec>, RowError> {
    let missing = || RowError::Missing(format!("pod spec {number}"));
    specs.get(&number).cloned().ok_or_else(missing)
}

fn path(bytes: &[u8]) -> Arc<Path> {
    Arc::from(Path::new(OsStr::from_bytes(bytes)))
}

#[derive(Serialize, Deserialize)]
struct JobRow<S, B> {
    namespace: S,
    name: S,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    created: Timestamp,
    generation: i64,
    base: B,
    metadata: B,
    spec: B,
}

pub(super) fn job_to_bytes(job: &Job, pod_spec: u64) -> Result<Vec<u8>, RowError> {
    let metadata = serde_json::to_vec(&*job.metadata)?;
    let spec = serde_json::to_vec(job.spec.without_pod_spec())?;
    let row = JobRow {
        namespace: &*job.namespace,
        name: &*job.name,
        created: job.created,
        generation: job.generation,
        base: Bytes::new(job.spec.template.base.as_os_str().as_bytes()),
        metadata: Bytes::new(&metadata),
        spec: Bytes::new(&spec),
    };
    to_bytes(&(row, pod_spec))
}

#[derive(Serialize, Deserialize)]
struct JobStatusRow<S> {
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    deletion: Option<Timestamp>,
    status: S,
}

pub(super) fn job_status_to_bytes(job: &Job) -> Result<Vec<u8>, RowError> {
    to_bytes(&JobStatusRow {
        deletion: job.deletion,
        status: &job.status,
    })
}

/// A Job of its two rows, the second of which was written at `revision`; and the
/// number of its pod spec if it has one.
pub(super) fn job_from_bytes(
    uid: Uid,
    job: &[u8],
    status: &[u8],
    revision: u64,
    specs: &PodSpecs,
) -> Result<(Job, Option<u64>), RowError> {
    let (row, number): (JobRow<Arc<str>, ByteBuf>, _) = numbered(job)?;
    let JobStatusRow::<JobStatus> { deletion, status } = from_bytes(status)?;
    let (spec, base) = (serde_json::from_slice(&row.spec)?, path(&row.base));
    let spec = match number {
        Some(number) => {
            let pod_spec = pod_spec(specs, number)?;
            JobSpec::of_parts(spec, pod_spec, &row.name, uid, &base)
        }
        None => JobSpec::parse_in(spec, &row.name, uid, &base),
    };
    let job = Job {
        uid,
        namespace: row.namespace,
        name: row.name,
        created: row.created,
        deletion,
        generation: row.generation,
        resource_version: revision,
        metadata: Arc::new(serde_json::from_slice(&row.metadata)?),
        spec: Arc::new(spec),
        status,
    };
    Ok((job, number))
}

pub(super) fn cron_job_to_bytes(cron_job: &CronJob) -> Result<Vec<u8>, RowError> {
    let metadata = serde_json::to_vec(&*cron_job.metadata)?;
    let spec = serde_json::to_vec(&cron_job.spec.object)?;
    to_bytes(&JobRow {
        namespace: &*cron_job.namespace,
        name: &*cron_job.name,
        created: cron_job.created,
        generation: cron_job.generation,
        base: Bytes::new(cron_job.base.as_os_str().as_bytes()),
        metadata: Bytes::new(&metadata),
        spec: Bytes::new(&spec),
    })
}

/// The status is JSON: it is small, changes with a run, and has the form that
/// clients see in the annotation of slots.
pub(super) fn cron_job_status_to_bytes(cron_job: &CronJob) -> Result<Vec<u8>, RowError> {
    let status = serde_json::to_vec(&cron_job.status)?;
    to_bytes(&JobStatusRow {
        deletion: cron_job.deletion,
        status: Bytes::new(&status),
    })
}

/// A CronJob of its two rows, the second of which was written at `revision`.
pub(super) fn cron_job_from_bytes(
    uid: Uid,
    cron_job: &[u8],
    status: &[u8],
    revision: u64,
) -> Result<CronJob, RowError> {
    let row: JobRow<Arc<str>, ByteBuf> = from_bytes(cron_job)?;
    let JobStatusRow::<ByteBuf> { deletion, status } = from_bytes(status)?;
    let metadata: ObjectMeta = serde_json::from_slice(&row.metadata)?;
    let spec = serde_json::from_slice(&row.spec)?;
    Ok(CronJob {
        uid,
        namespace: row.namespace,
        name: row.name,
        created: row.created,
        deletion,
        generation: row.generation,
        resource_version: revision,
        spec: Arc::new(CronJobSpec::parse(spec, metadata.annotations.as_ref())),
        base: path(&row.base),
        metadata: Arc::new(metadata),
        status: serde_json::from_slice(&status)?,
    })
}

#[derive(Serialize, Deserialize)]
pub(super) struct PodRow<S, T> {
    namespace: S,
    name: S,
    /// The number of its template.
    pub(super) template: u64,
    index: Option<u32>,
    index_failure_count: Option<u32>,
    index_ignored_failure_count: Option<u32>,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    created: Timestamp,
    deletion: Option<Deletion>,
    tracked: bool,
    status: T,
}

pub(super) type PodIn = PodRow<Arc<str>, wasmjob_api::PodStatus>;

pub(super) fn pod_to_bytes(pod: &Pod, template: u64) -> Result<Vec<u8>, RowError> {
    to_bytes(&PodRow {
        namespace: &*pod.namespace,
        name: &*pod.name,
        template,
        index: pod.index,
        index_failure_count: pod.index_failure_count,
        index_ignored_failure_count: pod.index_ignored_failure_count,
        created: pod.created,
        deletion: pod.deletion,
        tracked: pod.tracked,
        status: &pod.status,
    })
}

impl PodIn {
    pub(super) fn into_pod(
        self,
        uid: Uid,
        template: Arc<PodTemplate>,
        metadata: Option<Arc<ObjectMeta>>,
    ) -> Pod {
        Pod {
            uid,
            namespace: self.namespace,
            name: self.name,
            template,
            metadata,
            index: self.index,
            index_failure_count: self.index_failure_count,
            index_ignored_failure_count: self.index_ignored_failure_count,
            created: self.created,
            deletion: self.deletion,
            tracked: self.tracked,
            status: self.status,
        }
    }
}

/// A file's record, and behind it what was given of each of its objects. What was written
/// before format 6 ends with the record.
pub(super) fn manifest_to_bytes(record: &ManifestRecord) -> Result<Vec<u8>, RowError> {
    let objects = record.objects.iter();
    let given: Vec<_> = objects.map(|object| object.given).collect();
    to_bytes(&(record, given))
}

pub(super) fn manifest_from_bytes(bytes: &[u8]) -> Result<ManifestRecord, RowError> {
    let (mut record, rest) = postcard::take_from_bytes::<ManifestRecord>(bytes)?;
    if !rest.is_empty() {
        let given: Vec<Option<[u8; 32]>> = from_bytes(rest)?;
        for (object, given) in record.objects.iter_mut().zip(given) {
            object.given = given;
        }
    }
    Ok(record)
}

#[derive(Serialize, Deserialize)]
struct EventRow<S, E> {
    regarding: (Kind, Uid),
    namespace: S,
    name: S,
    event: E,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    time: Timestamp,
    source: S,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    first: Timestamp,
    count: u32,
    field_path: Option<S>,
}

/// An event of format 1, which was about one time.
#[derive(Deserialize)]
struct EventRow1 {
    regarding: (Kind, Uid),
    namespace: Arc<str>,
    name: Arc<str>,
    event: Event,
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    time: Timestamp,
    source: Arc<str>,
}

pub(super) fn event_to_bytes(event: &EventRecord) -> Result<Vec<u8>, RowError> {
    to_bytes(&EventRow {
        regarding: (event.regarding.kind, event.regarding.uid),
        namespace: &*event.namespace,
        name: &*event.name,
        event: &event.event,
        time: event.time,
        source: &*event.source,
        first: event.first,
        count: event.count,
        field_path: event.event.field_path.as_deref(),
    })
}

pub(super) fn event_from_bytes(uid: Uid, bytes: &[u8]) -> Result<EventRecord, RowError> {
    let row = match from_bytes::<EventRow<Arc<str>, Event>>(bytes) {
        Ok(row) => row,
        // One of format 1 ends before the new fields, so it never reads as a new one.
        Err(_) => {
            let old: EventRow1 = from_bytes(bytes)?;
            EventRow {
                regarding: old.regarding,
                namespace: old.namespace,
                name: old.name,
                event: old.event,
                time: old.time,
                source: old.source,
                first: old.time,
                count: 1,
                field_path: None,
            }
        }
    };
    let (kind, regarding) = row.regarding;
    Ok(EventRecord {
        uid,
        regarding: Key {
            kind,
            uid: regarding,
        },
        namespace: row.namespace,
        name: row.name,
        event: Event {
            field_path: row.field_path,
            ..row.event
        },
        time: row.time,
        first: row.first,
        count: row.count,
        source: row.source.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasmjob_api::k8s_openapi::api::batch::v1 as batch;
    use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use wasmjob_api::{
        Backoff, ContainerState, ContainerStatus, Disruption, JobCondition, JobConditionType,
        Phase, PodStatus, Terminated, Usage,
    };

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn job() -> Job {
        let object = batch::Job {
            metadata: ObjectMeta {
                name: Some("j".to_owned()),
                ..ObjectMeta::default()
            },
            ..batch::Job::default()
        };
        let mut job = Job::new(object, Uid::from_random(1), at(1));
        job.deletion = Some(at(2));
        job.status = JobStatus {
            conditions: vec![JobCondition {
                condition_type: JobConditionType::Failed,
                status: true,
                reason: "R".into(),
                message: "M".into(),
                last_probe: at(3),
                last_transition: at(4),
            }],
            start_time: Some(at(5)),
            completion_time: None,
            active: 1,
            ready: Some(2),
            terminating: Some(3),
            succeeded: 4,
            failed: 5,
            completed_indexes: wasmjob_api::IndexSet::parse("1,3-5", 9).unwrap(),
            failed_indexes: Some(wasmjob_api::IndexSet::new()),
            backoff: Backoff {
                failures: 6,
                last_failure: Some(at(7)),
            },
        };
        job
    }

    fn pod() -> Pod {
        let status = ContainerStatus {
            state: ContainerState::Terminated(Box::new(Terminated {
                exit_code: 137,
                reason: "OOMKilled".into(),
                message: "m".into(),
                started: at(1),
                finished: at(2),
                usage: Usage {
                    cpu: Duration::from_millis(3),
                    fuel: Some(4),
                    memory_bytes_peak: 5,
                    written_bytes: 0,
                },
            })),
            last_terminated: None,
            restarts: 6,
            ready: true,
            started: false,
            image_id: Some("sha256:0".into()),
        };
        let waiting = ContainerStatus::default();
        let running = ContainerStatus {
            state: ContainerState::Running { started: at(9) },
            ..ContainerStatus::default()
        };
        Pod {
            uid: Uid::from_random(2),
            namespace: "n".into(),
            name: "p".into(),
            template: Arc::clone(&job().spec.template),
            metadata: None,
            index: Some(1),
            index_failure_count: Some(2),
            index_ignored_failure_count: None,
            created: at(3),
            deletion: Some(Deletion {
                at: at(4),
                grace: Duration::from_secs(30),
            }),
            tracked: true,
            status: PodStatus {
                phase: Phase::Failed,
                scheduled: Some(at(5)),
                started: None,
                ready: false,
                ready_transition: Some(at(6)),
                reason: Some("Evicted".into()),
                message: Some("full".into()),
                disruption: Some(Box::new(Disruption {
                    reason: "D".into(),
                    message: "d".into(),
                    at: at(7),
                })),
                containers: vec![status, waiting, running],
                init_containers: Vec::new(),
            },
        }
    }

    fn manifest() -> ManifestRecord {
        ManifestRecord {
            uid: Uid::from_random(5),
            file: "f".into(),
            digest: "d".into(),
            objects: vec![crate::ManifestObject {
                key: Key {
                    kind: Kind::Pod,
                    uid: Uid::from_random(2),
                },
                namespace: "n".into(),
                name: "p".into(),
                given: Some([7; 32]),
            }],
        }
    }

    fn event() -> EventRecord {
        EventRecord {
            uid: Uid::from_random(3),
            regarding: Key {
                kind: Kind::Pod,
                uid: Uid::from_random(2),
            },
            namespace: "n".into(),
            name: "p".into(),
            event: Event::warning("R", "text"),
            time: at(8),
            first: at(8),
            count: 1,
            source: "kubelet".into(),
        }
    }

    #[test]
    fn rows_read_back_as_they_were() {
        let (job, pod, event) = (job(), pod(), event());
        let (seldom, often) = (
            job_to_bytes(&job, 7).unwrap(),
            job_status_to_bytes(&job).unwrap(),
        );
        let specs = PodSpecs::from_iter([(7, Arc::clone(job.spec.pod_spec()))]);
        let (mut read, number) = job_from_bytes(job.uid, &seldom, &often, 0, &specs).unwrap();
        assert_eq!(number, Some(7));
        assert_eq!(format!("{read:?}"), format!("{job:?}"));
        read.status.active += 1;
        assert_ne!(format!("{read:?}"), format!("{job:?}"));
        let bytes = template_to_bytes(&pod.template, 7).unwrap();
        let (template, number) = template_from_bytes(&bytes, &specs).unwrap();
        assert_eq!((&template, number), (&*pod.template, Some(7)));
        assert!(template_from_bytes(&bytes, &PodSpecs::default()).is_err());
        let row: PodIn = from_bytes(&pod_to_bytes(&pod, 7).unwrap()).unwrap();
        assert_eq!(row.template, 7);
        let read = row.into_pod(pod.uid, Arc::clone(&pod.template), None);
        assert_eq!(format!("{read:?}"), format!("{pod:?}"));
        let read = event_from_bytes(event.uid, &event_to_bytes(&event).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        let mut event = event;
        event.event = event.event.about("spec.containers{c}".to_owned());
        let read = event_from_bytes(event.uid, &event_to_bytes(&event).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
    }

    /// When this fails, disks that were written before cannot be read: raise
    /// `FORMAT`, and read the older one.
    #[test]
    fn the_form_of_rows_is_that_of_format_6() {
        assert_eq!(super::super::FORMAT, 6);
        let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let generic = crate::GenericObject {
            uid: Uid::from_random(4),
            resource: "r".into(),
            namespace: "".into(),
            name: "g".into(),
            json: b"{}".to_vec().into(),
        };
        let writer = Usage {
            written_bytes: 9,
            fuel: Some(4),
            ..Usage::default()
        };
        let rows = [
            hex(job_to_bytes(&job(), 7).unwrap()),
            hex(job_status_to_bytes(&job()).unwrap()),
            hex(template_to_bytes(&pod().template, 7).unwrap()),
            hex(pod_to_bytes(&pod(), 7).unwrap()),
            hex(to_bytes(&writer).unwrap()),
            hex(event_to_bytes(&event()).unwrap()),
            hex(to_bytes(&generic).unwrap()),
            hex(manifest_to_bytes(&manifest()).unwrap()),
        ];
        insta::assert_snapshot!(rows.join("\n"), @"
        0764656661756c74016a80a8d6b90702012e0c7b226e616d65223a226a227d0f7b2274656d706c617465223a7b7d7d07
        0180d0acf30e0102010152014d80f882ad1680a0d9e61d0180c8afa02500010102010304050201010305010006018098dc9334
        01016a818080808080808080818002012e027b7d0007
        016e017007010101020080f882ad160180a0d9e61d1e0001030180c8afa02500000180f085da2c010745766963746564010466756c6c01014401648098dc9334030289094f4f4d4b696c6c6564016d80a8d6b90780d0acf30e00c08db7010104050006010001087368613235363a300011436f6e7461696e65724372656174696e670000000000000180e8888743000000000000
        000003040900
        01828080808080808080818002016e017001015202047465787480c0b2cd3b076b7562656c657480c0b2cd3b0100
        8480808080808080808180020172000167027b7d
        858080808080808080818002016601640101828080808080808080818002016e017001010707070707070707070707070707070707070707070707070707070707070707
        ");
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// What format 1 wrote for the same event.
    #[test]
    fn an_event_of_format_1_happened_once() {
        let bytes =
            bytes("01828080808080808080818002016e017001015202047465787480c0b2cd3b076b7562656c6574");
        let read = event_from_bytes(event().uid, &bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", event()));
        assert!(event_from_bytes(event().uid, &bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_file_of_format_5_says_nothing_of_what_was_given() {
        let mut manifest = manifest();
        let read = manifest_from_bytes(&manifest_to_bytes(&manifest).unwrap()).unwrap();
        assert_eq!(read, manifest);
        let old = to_bytes(&manifest).unwrap();
        manifest.objects[0].given = None;
        assert_eq!(manifest_from_bytes(&old).unwrap(), manifest);
        assert!(manifest_from_bytes(&old[..old.len() - 1]).is_err());
    }

    /// What format 2 wrote for the same Job and template.
    #[test]
    fn a_job_and_a_template_of_format_2_have_their_pod_spec_inside() {
        let seldom = bytes(
            "0764656661756c74016a80a8d6b90702012e0c7b226e616d65223a226a227d0f7b2274656d706c617465223a7b7d7d",
        );
        let specs = PodSpecs::default();
        let often = job_status_to_bytes(&job()).unwrap();
        let (read, number) = job_from_bytes(job().uid, &seldom, &often, 0, &specs).unwrap();
        assert_eq!(number, None);
        assert_eq!(format!("{read:?}"), format!("{:?}", job()));
        let template =
            bytes("01016a818080808080808080818002012e027b7d117b22636f6e7461696e657273223a5b5d7d");
        let (read, number) = template_from_bytes(&template, &specs).unwrap();
        assert_eq!((&read, number), (&*pod().template, None));
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let whole = pod_to_bytes(&pod(), 7).unwrap();
        for end in 0..whole.len() {
            assert!(from_bytes::<PodIn>(&whole[..end]).is_err());
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = from_bytes::<PodIn>(&bytes);
            }
        }
        assert_eq!(Row::of(&Row::Pod.key(5)), Some((Row::Pod, 5)));
        assert_eq!(Row::of(b"?"), None);
    }
}
