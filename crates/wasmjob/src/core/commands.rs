//! What callers ask: to take on new objects, and to delete some.
//!
//! A request is checked wholly before anything is changed.

use std::path::Path;
use std::sync::Arc;

use foldhash::HashSet;
use jiff::Timestamp;
use wasmjob_api::field::{ErrorList, aggregate};
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{CronJob, Job, Pod, PodTemplate, Uid, defaults, validation};
use wasmjob_controllers::admission::count_usage;
use wasmjob_node::Clock as _;
use wasmjob_store::{GenericObject, Key, Kind};

use super::pods::grace;
use super::turn::Turn;
use super::write::{marked, new_generic};
use super::{Applied, Core, New};
use crate::ApplyError;
use crate::cron::CronEntry;
use crate::job::{JobEntry, Propagation};

/// A new object that was checked.
pub(super) enum Prepared {
    Job(Job),
    Pod(Pod),
    CronJob(CronJob),
    Generic(GenericObject),
}

impl Prepared {
    pub(super) fn namespace(&self) -> &Arc<str> {
        match self {
            Self::Job(job) => &job.namespace,
            Self::Pod(pod) => &pod.namespace,
            Self::CronJob(cron_job) => &cron_job.namespace,
            Self::Generic(object) => &object.namespace,
        }
    }
}

/// Namespace and name.
pub(super) type Names = (Arc<str>, Arc<str>);

impl New {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Job(..) => Kind::Job,
            Self::Pod(..) => Kind::Pod,
            Self::CronJob(..) => Kind::CronJob,
            Self::Kept(_) => Kind::Generic,
        }
    }

    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Job(job, _) => &job.metadata,
            Self::Pod(pod, _) => &pod.metadata,
            Self::CronJob(cron_job, _) => &cron_job.metadata,
            Self::Kept(kept) => &kept.metadata,
        }
    }

    /// The plural of its kind, if that is not told by [`New::kind`].
    fn resource(&self) -> Option<&'static str> {
        match self {
            Self::Kept(kept) => Some(kept.resource),
            _ => None,
        }
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Kept(kept) => kept.kind,
            _ => kind_name(self.kind()),
        }
    }

    /// Its namespace and name, if it has one already.
    pub(super) fn names(&self) -> Option<Names> {
        let metadata = self.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        let name = metadata.name.as_deref()?;
        Some((namespace.into(), name.into()))
    }
}

impl Core {
    /// Takes on new objects: all or none.
    pub(super) fn apply(
        &mut self,
        turn: &mut Turn,
        new: Vec<New>,
    ) -> Result<Vec<Applied>, ApplyError> {
        let mut names = HashSet::default();
        for new in &new {
            let Some(key) = new.names() else { continue };
            let (kind, resource) = (new.kind(), new.resource());
            if self.named_as(new, &key).is_some() || !names.insert((kind, resource, key.clone())) {
                return Err(ApplyError::AlreadyExists {
                    kind: new.kind_name(),
                    namespace: key.0.to_string(),
                    name: key.1.to_string(),
                });
            }
        }
        let now = self.clock.wall();
        let prepared: Vec<_> = new
            .into_iter()
            .map(|new| self.prepare(new, now))
            .collect::<Result<_, _>>()?;
        self.check_newcomers(&prepared)?;
        let create = prepared.into_iter();
        Ok(create.map(|object| self.create(turn, object)).collect())
    }

    /// The object that has the place of `new`, whose names are `names`.
    pub(super) fn named_as(&self, new: &New, names: &Names) -> Option<Uid> {
        match new.resource() {
            None => self.named(new.kind(), names),
            Some(resource) => {
                let names = (resource.into(), Arc::clone(&names.0), Arc::clone(&names.1));
                self.generic_uid(&names)
            }
        }
    }

    /// The living object of that kind and name.
    pub(super) fn named(&self, kind: Kind, names: &Names) -> Option<Uid> {
        match kind {
            Kind::Job => self.job_names.get(names).copied(),
            Kind::Pod => self.pod_names.get(names).copied(),
            Kind::CronJob => self.cron_names.get(names).copied(),
            Kind::Event | Kind::Manifest | Kind::Generic => None,
        }
    }

    /// Gives a new object what creation adds, and validates it once more with that.
    pub(super) fn prepare(&mut self, new: New, now: Timestamp) -> Result<Prepared, ApplyError> {
        let uid = self.random.uid();
        match new {
            New::Job(mut job, base) => {
                self.generate_name(&mut job.metadata);
                defaults::prepare_job(&mut job, uid);
                let errors = validation::validate_job(&job);
                refuse("Job.batch", &job.metadata, &errors)?;
                Ok(Prepared::Job(Job::new_in(*job, uid, now, &base)))
            }
            New::Pod(mut pod, base) => {
                self.generate_name(&mut pod.metadata);
                defaults::prepare_pod(&mut pod, uid);
                self.admit_pod(&mut pod)?;
                Ok(Prepared::Pod(bare_pod(*pod, uid, now, base)))
            }
            New::CronJob(mut cron_job, base) => {
                self.generate_name(&mut cron_job.metadata);
                defaults::prepare_cron_job(&mut cron_job, uid);
                let errors = validation::validate_cron_job(&cron_job);
                refuse("CronJob.batch", &cron_job.metadata, &errors)?;
                let mut cron_job = CronJob::new(*cron_job, uid, now);
                cron_job.base = base;
                Ok(Prepared::CronJob(cron_job))
            }
            New::Kept(mut kept) => {
                self.generate_name(&mut kept.metadata);
                Ok(Prepared::Generic(new_generic(*kept, uid, now)))
            }
        }
    }

    fn generate_name(&mut self, metadata: &mut ObjectMeta) {
        let Some(prefix) = metadata
            .generate_name
            .as_ref()
            .filter(|_| metadata.name.is_none())
        else {
            return;
        };
        let namespace: Arc<str> = Arc::from(metadata.namespace.as_deref().unwrap_or("default"));
        metadata.name = Some(loop {
            let mut suffix = String::new();
            self.random.append_suffix(&mut suffix);
            let name = defaults::generated_name(prefix, &suffix);
            let key = (Arc::clone(&namespace), Arc::from(name.as_str()));
            let kinds = [Kind::Job, Kind::Pod, Kind::CronJob];
            // The names of others are not looked at: a suffix is drawn from millions,
            // and one that is taken is refused as any other.
            if kinds.iter().all(|kind| self.named(*kind, &key).is_none()) {
                break name;
            }
        });
    }

    pub(super) fn create(&mut self, turn: &mut Turn, prepared: Prepared) -> Applied {
        match prepared {
            Prepared::Job(job) => {
                let job = self.put_job(turn, job);
                let applied = Applied {
                    key: Key {
                        kind: Kind::Job,
                        uid: job.uid,
                    },
                    namespace: Arc::clone(&job.namespace),
                    name: Arc::clone(&job.name),
                };
                self.know_job(JobEntry::new(Arc::clone(&job)));
                self.policies
                    .charge_object(&job.namespace, job.uid, || Some(count_usage("jobs.batch")));
                self.adopt_all(turn, &job);
                applied
            }
            Prepared::Pod(pod) => {
                let pod = Arc::new(pod);
                let applied = Applied {
                    key: Key {
                        kind: Kind::Pod,
                        uid: pod.uid,
                    },
                    namespace: Arc::clone(&pod.namespace),
                    name: Arc::clone(&pod.name),
                };
                self.know_pod_name(&pod);
                self.charge_new_pod(&pod, None);
                self.loose.insert(pod.uid, Arc::clone(&pod));
                turn.put_pod(&pod);
                turn.effects.start.push(pod);
                self.claim(turn, applied.key.uid);
                applied
            }
            Prepared::CronJob(cron_job) => {
                let cron_job = self.put_cron_job(turn, cron_job);
                let applied = Applied {
                    key: Key {
                        kind: Kind::CronJob,
                        uid: cron_job.uid,
                    },
                    namespace: Arc::clone(&cron_job.namespace),
                    name: Arc::clone(&cron_job.name),
                };
                self.policies
                    .charge_object(&cron_job.namespace, cron_job.uid, || {
                        Some(count_usage("cronjobs.batch"))
                    });
                self.know_cron_job(CronEntry::new(cron_job));
                applied
            }
            Prepared::Generic(object) => {
                let (namespace, name) = (Arc::clone(&object.namespace), Arc::clone(&object.name));
                Applied {
                    key: self.put_generic(turn, object),
                    namespace,
                    name,
                }
            }
        }
    }

    /// Deletes an object; one that is not there is deleted already.
    pub(super) fn delete(&mut self, turn: &mut Turn, key: Key, propagation: Propagation) {
        match key.kind {
            Kind::Job => self.delete_job(turn, key.uid, propagation),
            Kind::CronJob => self.delete_cron_job(turn, key.uid, propagation),
            Kind::Pod => {
                let now = self.clock.wall();
                let Some(pod) = self.pod(key.uid).cloned() else {
                    return;
                };
                let grace = grace(&pod.template);
                let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
                if let Some(owner) = self.owner_of(key.uid, owner) {
                    return self.delete_pod(turn, owner, key.uid, grace, now);
                }
                self.delete_loose(turn, &pod, grace, now);
            }
            Kind::Generic => match self.held_generic(key.uid) {
                None => {
                    self.delete_generic(turn, key.uid);
                }
                Some(held) => {
                    if let Some(marked) = marked(&held, self.clock.wall()) {
                        self.put_generic(turn, marked);
                    }
                }
            },
            Kind::Event | Kind::Manifest => turn.transaction.delete(key),
        }
    }
}

fn bare_pod(
    mut pod: wasmjob_api::k8s_openapi::api::core::v1::Pod,
    uid: Uid,
    now: Timestamp,
    base: Arc<Path>,
) -> Pod {
    let metadata = pod.metadata;
    Pod {
        metadata: None,
        uid,
        namespace: metadata.namespace.as_deref().unwrap_or("default").into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
        template: Arc::new(PodTemplate {
            spec: Arc::new(pod.spec.take().unwrap_or_default()),
            owner: None,
            metadata,
            base,
        }),
        index: None,
        index_failure_count: None,
        index_ignored_failure_count: None,
        created: now,
        deletion: None,
        tracked: false,
        status: wasmjob_api::PodStatus::default(),
    }
}

/// Kubernetes' word for an object that breaks rules.
pub(super) fn refuse(
    kind: &str,
    metadata: &ObjectMeta,
    errors: &ErrorList,
) -> Result<(), ApplyError> {
    if errors.is_empty() {
        return Ok(());
    }
    let name = metadata.name.as_deref().unwrap_or_default();
    Err(ApplyError::Invalid(format!(
        "{kind} {name:?} is invalid: {}",
        aggregate(errors)
    )))
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Job => "Job",
        Kind::Pod => "Pod",
        Kind::CronJob => "CronJob",
        Kind::Event => "Event",
        Kind::Manifest => "manifest",
        Kind::Generic => "object",
    }
}
