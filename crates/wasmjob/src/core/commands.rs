//! What callers ask: to take on, to change, to delete.

use std::sync::Arc;

use foldhash::HashSet;
use jiff::Timestamp;
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use wasmjob_api::{Job, Pod, PodTemplate, Uid, defaults, validation};
use wasmjob_node::Clock as _;
use wasmjob_store::{Key, Kind, Object};

use super::pods::grace;
use super::turn::Turn;
use super::{Applied, Core, EditFn, New};
use crate::job::{JobEntry, Propagation};
use crate::{ApplyError, EditError};

impl Core {
    pub(super) fn apply(
        &mut self,
        turn: &mut Turn,
        new: Vec<New>,
    ) -> Result<Vec<Applied>, ApplyError> {
        // All or nothing: first everything is checked.
        let mut names = HashSet::default();
        for new in &new {
            let (kind, metadata) = match new {
                New::Job(job, _) => ("Job", &job.metadata),
                New::Pod(pod, _) => ("Pod", &pod.metadata),
            };
            let Some(name) = &metadata.name else { continue };
            let namespace = metadata.namespace.as_deref().unwrap_or("default");
            let key = (Arc::from(namespace), Arc::from(name.as_str()));
            let taken = match kind {
                "Job" => self.job_names.contains_key(&key),
                _ => self.pod_names.contains(&key),
            };
            if taken || !names.insert((kind, key)) {
                let (namespace, name) = (namespace.to_owned(), name.clone());
                return Err(ApplyError::AlreadyExists {
                    kind,
                    namespace,
                    name,
                });
            }
        }
        let now = self.clock.wall();
        let prepared: Vec<_> = new
            .into_iter()
            .map(|new| self.prepare(new, now))
            .collect::<Result<_, _>>()?;
        let mut applied = Vec::with_capacity(prepared.len());
        for prepared in prepared {
            applied.push(self.create(turn, prepared));
        }
        Ok(applied)
    }

    /// Gives a new object what creation adds, and validates it once more with that.
    fn prepare(&mut self, new: New, now: Timestamp) -> Result<Prepared, ApplyError> {
        let uid = self.random.uid();
        match new {
            New::Job(mut job, base) => {
                self.generate_name(&mut job.metadata);
                defaults::prepare_job(&mut job, uid);
                let errors = validation::validate_job(&job);
                if !errors.is_empty() {
                    let name = job.metadata.name.unwrap_or_default();
                    return Err(ApplyError::Invalid(format!(
                        "Job.batch {name:?} is invalid: {}",
                        wasmjob_api::field::aggregate(&errors)
                    )));
                }
                Ok(Prepared::Job(Job::new_in(*job, uid, now, &base)))
            }
            New::Pod(mut pod, base) => {
                self.generate_name(&mut pod.metadata);
                defaults::prepare_pod(&mut pod, uid);
                let template = PodTemplate {
                    spec: pod.spec.take().unwrap_or_default(),
                    owner: None,
                    metadata: pod.metadata.clone(),
                    base,
                };
                let metadata = pod.metadata;
                Ok(Prepared::Pod(Pod {
                    uid,
                    namespace: metadata.namespace.as_deref().unwrap_or("default").into(),
                    name: metadata.name.as_deref().unwrap_or_default().into(),
                    template: Arc::new(template),
                    index: None,
                    index_failure_count: None,
                    index_ignored_failure_count: None,
                    created: now,
                    deletion: None,
                    tracked: false,
                    status: wasmjob_api::PodStatus::default(),
                }))
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
            if !self.job_names.contains_key(&key) && !self.pod_names.contains(&key) {
                break name;
            }
        });
    }

    fn create(&mut self, turn: &mut Turn, prepared: Prepared) -> Applied {
        match prepared {
            Prepared::Job(job) => {
                let uid = job.uid;
                let applied = Applied {
                    key: Key {
                        kind: Kind::Job,
                        uid,
                    },
                    namespace: Arc::clone(&job.namespace),
                    name: Arc::clone(&job.name),
                };
                self.job_names
                    .insert((Arc::clone(&job.namespace), Arc::clone(&job.name)), uid);
                let job = self.put_job(turn, job);
                self.jobs.insert(uid, JobEntry::new(job));
                self.mark(uid);
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
                self.pod_names
                    .insert((Arc::clone(&pod.namespace), Arc::clone(&pod.name)));
                self.loose.insert(pod.uid, Arc::clone(&pod));
                turn.put_pod(&pod);
                turn.effects.start.push(pod);
                applied
            }
        }
    }

    /// Puts a Job into the transaction, with the revision that it will have.
    pub(super) fn put_job(&self, turn: &mut Turn, mut job: Job) -> Arc<Job> {
        // This thread is the only one that commits.
        job.resource_version = self.store.last_revision() + 1;
        let job = Arc::new(job);
        turn.transaction.put(Object::Job(Arc::clone(&job)));
        job
    }

    pub(super) fn edit(
        &mut self,
        turn: &mut Turn,
        uid: Uid,
        edit: EditFn,
    ) -> Result<(), EditError> {
        let entry = self.jobs.get_mut(&uid).ok_or(EditError::NotFound)?;
        let old = entry.job.to_object();
        let mut new = old.clone();
        edit(new.spec.get_or_insert_default());
        if new.spec == old.spec {
            return Ok(());
        }
        let errors = validation::validate_job_update(&new, &old);
        if !errors.is_empty() {
            return Err(EditError::Invalid(format!(
                "Job.batch {:?} is invalid: {}",
                &*entry.job.name,
                wasmjob_api::field::aggregate(&errors)
            )));
        }
        let old = &entry.job;
        let base = &old.spec.template.base;
        let spec =
            wasmjob_api::JobSpec::parse_in(new.spec.unwrap_or_default(), &old.name, uid, base);
        let job = Job {
            spec: Arc::new(spec),
            generation: old.generation + 1,
            ..(**old).clone()
        };
        let job = self.put_job(turn, job);
        if let Some(entry) = self.jobs.get_mut(&uid) {
            entry.job = job;
        }
        self.mark(uid);
        Ok(())
    }

    pub(super) fn delete(&mut self, turn: &mut Turn, key: Key) {
        match key.kind {
            Kind::Job => self.delete_job(turn, key.uid, Propagation::Background),
            Kind::Pod => {
                let now = self.clock.wall();
                let Some(pod) = self.pod(key.uid).cloned() else {
                    return;
                };
                let grace = grace(&pod.template);
                let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
                if let Some(owner) = owner.filter(|owner| self.jobs.contains_key(owner)) {
                    return self.delete_pod(turn, owner, key.uid, grace, now);
                }
                self.delete_loose(turn, &pod, grace, now);
            }
            Kind::Event => turn.transaction.delete(key),
        }
    }
}

enum Prepared {
    Job(Job),
    Pod(Pod),
}
