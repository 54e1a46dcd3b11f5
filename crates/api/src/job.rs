//! Jobs: the spec parsed once, and the status as the controller keeps it.

mod again;
mod selects;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::{IndexSet, OwnerJob, PodTemplate, Uid};

/// A Job. Cheap to clone: a status change copies no spec.
#[derive(Clone, Debug)]
pub struct Job {
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
    /// The spec.
    pub spec: Arc<JobSpec>,
    /// The status.
    pub status: JobStatus,
}

/// Whether completions are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompletionMode {
    /// Any success counts.
    NonIndexed,
    /// Every index from 0 to completions − 1 needs one success.
    Indexed,
}

/// A JobSpec, defaulted and parsed once.
#[derive(Debug)]
pub struct JobSpec {
    /// The object as Kubernetes knows it, defaulted, but for its pod spec.
    object: batch::JobSpec,
    /// The pod spec of the object. That of the template may say more.
    pod_spec: Arc<PodSpec>,
    /// What its pods share.
    pub template: Arc<PodTemplate>,
    /// Pods at once.
    pub parallelism: u32,
    /// Successes wanted; `None` is a work queue.
    pub completions: Option<u32>,
    /// Whether completions are told apart.
    pub completion_mode: CompletionMode,
    /// Failures tolerated.
    pub backoff_limit: u32,
    /// Failures tolerated per index.
    pub backoff_limit_per_index: Option<u32>,
    /// Failed indexes tolerated.
    pub max_failed_indexes: Option<u32>,
    /// `activeDeadlineSeconds`.
    pub active_deadline: Option<Duration>,
    /// `ttlSecondsAfterFinished`.
    pub ttl_after_finished: Option<Duration>,
    /// `podReplacementPolicy: Failed`: replace a pod only once it is fully terminal.
    pub replace_only_failed: bool,
    /// `suspend`.
    pub suspend: bool,
    /// `restartPolicy: OnFailure` in the template.
    pub restart_on_failure: bool,
    /// `managedBy` names somebody else: hands off.
    pub managed_elsewhere: bool,
    /// `successPolicy.rules`, with their indexes read.
    pub success_rules: Vec<SuccessRule>,
}

/// One rule of `successPolicy`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SuccessRule {
    /// `succeededIndexes` below the completions; `None` stands for all indexes.
    pub indexes: Option<IndexSet>,
    /// `succeededCount`.
    pub count: Option<u32>,
}

/// The status of a Job.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct JobStatus {
    /// Conditions, in the order in which they appeared.
    pub conditions: Vec<JobCondition>,
    /// When the controller first saw it unsuspended (or resumed).
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub start_time: Option<Timestamp>,
    /// When it completed; only a Complete Job has one.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub completion_time: Option<Timestamp>,
    /// Pods Pending or Running and not being deleted.
    pub active: u32,
    /// Active pods that are Ready; `None` before the first sync.
    pub ready: Option<u32>,
    /// Pods Pending or Running and being deleted; `None` before the first sync.
    pub terminating: Option<u32>,
    /// Pods that succeeded.
    pub succeeded: u32,
    /// Pods that failed.
    pub failed: u32,
    /// Indexes that succeeded, of an Indexed Job.
    pub completed_indexes: IndexSet,
    /// Indexes that failed; only with `backoffLimitPerIndex`.
    pub failed_indexes: Option<IndexSet>,
    /// What the delay before a replacement pod is counted from. Ours alone: no
    /// client sees it, and it must be kept with the row.
    pub backoff: Backoff,
}

/// The failures that delay a replacement pod.
///
/// Kubernetes keeps this record (`backoffRecord` of the Job controller) in the
/// memory of its controller and forgets it on a restart. Here it is part of the
/// row and changes in the commit that counts the pods, so that a restart of the
/// host, or a pod that is deleted after it was counted, resets no delay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Backoff {
    /// Pods that failed since the last one that succeeded.
    pub failures: u32,
    /// When the last of them ended.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::optional")]
    pub last_failure: Option<Timestamp>,
}

/// The type of a Job's condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum JobConditionType {
    /// `spec.suspend` was seen.
    Suspended,
    /// Failure is decided; pods are being ended.
    FailureTarget,
    /// Failed, for ever.
    Failed,
    /// Success is decided; pods are being ended.
    SuccessCriteriaMet,
    /// Complete, for ever.
    Complete,
}

/// A condition of a Job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobCondition {
    /// Which.
    pub condition_type: JobConditionType,
    /// True or False.
    pub status: bool,
    /// CamelCase reason.
    pub reason: Cow<'static, str>,
    /// Text for people.
    pub message: Cow<'static, str>,
    /// When it was last looked at.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub last_probe: Timestamp,
    /// When `status` last changed.
    #[serde(with = "jiff::fmt::serde::timestamp::nanosecond::required")]
    pub last_transition: Timestamp,
}

/// Whose Jobs this controller runs when `spec.managedBy` names somebody.
const JOB_CONTROLLER_NAME: &str = "kubernetes.io/job-controller";

/// Label and annotation that hold a pod's completion index.
const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";

impl JobSpec {
    /// [`JobSpec::parse_in`] the working directory.
    #[must_use]
    pub fn parse(object: batch::JobSpec, name: &Arc<str>, uid: Uid) -> Self {
        Self::parse_in(object, name, uid, &Arc::from(Path::new(".")))
    }

    /// Reads `object`, the spec of the Job `name` with identity `uid`, whose
    /// relative references to modules are relative to `base`.
    ///
    /// The object should be defaulted and validated. One that is not is read as
    /// well as it goes: numbers are clamped into their range, what is missing
    /// gets Kubernetes' default.
    #[must_use]
    pub fn parse_in(
        mut object: batch::JobSpec,
        name: &Arc<str>,
        uid: Uid,
        base: &Arc<Path>,
    ) -> Self {
        let pod_spec = object.template.spec.take().unwrap_or_default();
        Self::of_parts(object, Arc::new(pod_spec), name, uid, base)
    }

    /// Puts together what [`JobSpec::without_pod_spec`] and [`JobSpec::pod_spec`] gave.
    #[must_use]
    pub fn of_parts(
        object: batch::JobSpec,
        pod_spec: Arc<PodSpec>,
        name: &Arc<str>,
        uid: Uid,
        base: &Arc<Path>,
    ) -> Self {
        Self::assemble(object, pod_spec, None, name, uid, base)
    }

    /// `template_spec` is the pod spec of the template, if it is known already.
    fn assemble(
        object: batch::JobSpec,
        pod_spec: Arc<PodSpec>,
        template_spec: Option<&Arc<PodSpec>>,
        name: &Arc<str>,
        uid: Uid,
        base: &Arc<Path>,
    ) -> Self {
        let completion_mode = match object.completion_mode.as_deref() {
            Some("Indexed") => CompletionMode::Indexed,
            _ => CompletionMode::NonIndexed,
        };
        let completions = match (object.completions, object.parallelism, completion_mode) {
            (Some(completions), _, _) => Some(at_least_zero(completions)),
            (None, None, _) => Some(1),
            // Validation requires completions here; nothing to do is the harmless reading.
            (None, Some(_), CompletionMode::Indexed) => Some(0),
            (None, Some(_), CompletionMode::NonIndexed) => None,
        };
        let backoff_limit_per_index = object
            .backoff_limit_per_index
            .map(at_least_zero)
            .filter(|_| completion_mode == CompletionMode::Indexed);
        let default_backoff_limit = match backoff_limit_per_index {
            Some(_) => i32::MAX,
            None => 6,
        };
        Self {
            template: Arc::new(PodTemplate {
                metadata: object.template.metadata.clone().unwrap_or_default(),
                spec: match template_spec {
                    Some(known) => Arc::clone(known),
                    None => with_completion_index(&pod_spec, completion_mode),
                },
                owner: Some(OwnerJob {
                    name: Arc::clone(name),
                    uid,
                }),
                base: Arc::clone(base),
            }),
            parallelism: object.parallelism.map_or(1, at_least_zero),
            completions,
            completion_mode,
            backoff_limit: at_least_zero(object.backoff_limit.unwrap_or(default_backoff_limit)),
            backoff_limit_per_index,
            max_failed_indexes: object.max_failed_indexes.map(at_least_zero),
            active_deadline: object.active_deadline_seconds.map(seconds),
            ttl_after_finished: object.ttl_seconds_after_finished.map(|s| seconds(s.into())),
            replace_only_failed: object.pod_replacement_policy.as_deref() == Some("Failed")
                || object.pod_failure_policy.is_some(),
            suspend: object.suspend.unwrap_or(false),
            restart_on_failure: pod_spec.restart_policy.as_deref() == Some("OnFailure"),
            managed_elsewhere: object
                .managed_by
                .as_deref()
                .is_some_and(|manager| manager != JOB_CONTROLLER_NAME),
            success_rules: success_rules(&object, completions.unwrap_or(0)),
            object,
            pod_spec,
        }
    }

    /// The object as Kubernetes knows it, defaulted.
    #[must_use]
    pub fn to_object(&self) -> batch::JobSpec {
        let mut object = self.object.clone();
        object.template.spec = Some((*self.pod_spec).clone());
        object
    }

    /// That object with an empty pod spec.
    #[must_use]
    pub fn without_pod_spec(&self) -> &batch::JobSpec {
        &self.object
    }

    /// The pod spec of the object.
    #[must_use]
    pub fn pod_spec(&self) -> &Arc<PodSpec> {
        &self.pod_spec
    }

    /// `podFailurePolicy`.
    #[must_use]
    pub fn pod_failure_policy(&self) -> Option<&batch::PodFailurePolicy> {
        self.object.pod_failure_policy.as_ref()
    }

    /// Whether completions are told apart.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.completion_mode == CompletionMode::Indexed
    }
}

impl Job {
    /// [`Job::new_in`] the working directory.
    #[must_use]
    pub fn new(object: batch::Job, uid: Uid, created: Timestamp) -> Self {
        Self::new_in(object, uid, created, &Arc::from(Path::new(".")))
    }

    /// A Job as it is right after its creation: generation 1 and an empty status.
    /// Its relative references to modules are relative to `base`.
    ///
    /// `object` should be defaulted and validated; see [`JobSpec::parse_in`].
    #[must_use]
    pub fn new_in(object: batch::Job, uid: Uid, created: Timestamp, base: &Arc<Path>) -> Self {
        let metadata = object.metadata;
        let name: Arc<str> = metadata.name.as_deref().unwrap_or_default().into();
        let spec = object.spec.unwrap_or_default();
        Self {
            uid,
            namespace: metadata.namespace.as_deref().unwrap_or("default").into(),
            created,
            deletion: None,
            generation: 1,
            resource_version: 0,
            spec: Arc::new(JobSpec::parse_in(spec, &name, uid, base)),
            name,
            metadata: Arc::new(metadata),
            status: JobStatus::default(),
        }
    }

    /// The condition Complete or Failed that ended it, if it has ended.
    #[must_use]
    pub fn finished(&self) -> Option<&JobCondition> {
        self.status
            .condition(JobConditionType::Complete)
            .filter(|condition| condition.status)
            .or_else(|| {
                self.status
                    .condition(JobConditionType::Failed)
                    .filter(|condition| condition.status)
            })
    }
}

impl JobStatus {
    /// The condition of that type, be it True or False.
    #[must_use]
    pub fn condition(&self, condition_type: JobConditionType) -> Option<&JobCondition> {
        self.conditions
            .iter()
            .find(|condition| condition.condition_type == condition_type)
    }

    /// Whether it has the condition of that type with status True.
    #[must_use]
    pub fn is_true(&self, condition_type: JobConditionType) -> bool {
        self.condition(condition_type)
            .is_some_and(|condition| condition.status)
    }
}

impl JobConditionType {
    /// The word that Kubernetes uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "Suspended",
            Self::FailureTarget => "FailureTarget",
            Self::Failed => "Failed",
            Self::SuccessCriteriaMet => "SuccessCriteriaMet",
            Self::Complete => "Complete",
        }
    }
}

fn at_least_zero(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn seconds(number: i64) -> Duration {
    Duration::from_secs(u64::try_from(number).unwrap_or(0))
}

fn success_rules(object: &batch::JobSpec, completions: u32) -> Vec<SuccessRule> {
    let rules = object.success_policy.as_ref().map(|policy| &policy.rules);
    rules
        .into_iter()
        .flatten()
        .map(|rule| SuccessRule {
            indexes: rule
                .succeeded_indexes
                .as_deref()
                .map(|text| IndexSet::parse_lenient(text, completions)),
            count: rule.succeeded_count.map(at_least_zero),
        })
        .collect()
}

/// The pod spec with, for an Indexed Job, the variable `JOB_COMPLETION_INDEX` in
/// every container that does not define it.
fn with_completion_index(spec: &Arc<PodSpec>, completion_mode: CompletionMode) -> Arc<PodSpec> {
    if completion_mode == CompletionMode::NonIndexed {
        return Arc::clone(spec);
    }
    let mut spec = (**spec).clone();
    let containers = spec.init_containers.iter_mut().flatten();
    for container in containers.chain(&mut spec.containers) {
        add_completion_index_env(container);
    }
    Arc::new(spec)
}

fn add_completion_index_env(container: &mut Container) {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let env = container.env.get_or_insert_default();
    if env.iter().all(|variable| variable.name != NAME) {
        env.push(EnvVar {
            name: NAME.to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: format!("metadata.labels['{COMPLETION_INDEX}']"),
                }),
                ..EnvVarSource::default()
            }),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;
    use k8s_openapi::api::batch::v1 as batch;
    use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, PodTemplateSpec};

    use super::{CompletionMode, Job, JobSpec};
    use crate::Uid;

    fn parse(object: batch::JobSpec) -> JobSpec {
        JobSpec::parse(object, &Arc::from("a"), Uid::from_random(1))
    }

    #[test]
    fn an_empty_spec_is_one_pod_with_the_usual_limits() {
        let spec = parse(batch::JobSpec::default());
        assert_eq!((spec.parallelism, spec.completions), (1, Some(1)));
        assert_eq!(
            (spec.backoff_limit, spec.backoff_limit_per_index),
            (6, None)
        );
        assert!(!spec.replace_only_failed && !spec.suspend && !spec.managed_elsewhere);
    }

    #[test]
    fn parallelism_alone_makes_a_work_queue() {
        let spec = parse(batch::JobSpec {
            parallelism: Some(3),
            ..batch::JobSpec::default()
        });
        assert_eq!((spec.parallelism, spec.completions), (3, None));
    }

    #[test]
    fn numbers_that_validation_refuses_are_clamped() {
        let spec = parse(batch::JobSpec {
            parallelism: Some(-1),
            completions: Some(i32::MIN),
            backoff_limit: Some(-7),
            active_deadline_seconds: Some(i64::MIN),
            ttl_seconds_after_finished: Some(-1),
            ..batch::JobSpec::default()
        });
        assert_eq!((spec.parallelism, spec.completions), (0, Some(0)));
        assert_eq!(spec.backoff_limit, 0);
        assert_eq!(spec.active_deadline, Some(Duration::ZERO));
        assert_eq!(spec.ttl_after_finished, Some(Duration::ZERO));
    }

    #[test]
    fn an_indexed_job_tells_its_containers_their_index_unless_they_know() {
        let own = EnvVar {
            name: "JOB_COMPLETION_INDEX".to_owned(),
            value: Some("mine".to_owned()),
            value_from: None,
        };
        let spec = parse(batch::JobSpec {
            completion_mode: Some("Indexed".to_owned()),
            completions: Some(2),
            template: PodTemplateSpec {
                metadata: None,
                spec: Some(PodSpec {
                    containers: vec![
                        Container::default(),
                        Container {
                            env: Some(vec![own.clone()]),
                            ..Container::default()
                        },
                    ],
                    init_containers: Some(vec![Container::default()]),
                    ..PodSpec::default()
                }),
            },
            ..batch::JobSpec::default()
        });
        assert_eq!(spec.completion_mode, CompletionMode::Indexed);
        let pod = &spec.template.spec;
        let path = |container: &Container| {
            let source = container.env.as_ref()?.first()?.value_from.clone();
            source?.field_ref.map(|field| field.field_path)
        };
        let wanted = Some("metadata.labels['batch.kubernetes.io/job-completion-index']".to_owned());
        assert_eq!(path(&pod.containers[0]), wanted);
        assert_eq!(path(&pod.init_containers.as_ref().unwrap()[0]), wanted);
        assert_eq!(pod.containers[1].env, Some(vec![own]));
    }

    #[test]
    fn a_new_job_has_an_empty_status() {
        let job = Job::new(
            batch::Job::default(),
            Uid::from_random(1),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            (&*job.name, &*job.namespace, job.generation),
            ("", "default", 1)
        );
        assert!(job.finished().is_none() && job.status.conditions.is_empty());
    }
}
