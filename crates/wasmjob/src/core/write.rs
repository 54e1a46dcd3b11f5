//! What clients of an API ask: to create, replace and delete single objects.
//!
//! A change names the state that it was made from (the very row that the store
//! showed). If the object is another one by now, nothing happens and the client
//! is told; so no change is ever lost, and no lock is held while a client thinks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use wasmjob_api::k8s_openapi::api::{batch::v1 as batch, core::v1 as core};
use wasmjob_api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use wasmjob_api::manifest::Kept;
use wasmjob_api::{CronJob, CronJobSpec, CronJobStatus, Job, JobStatus, Pod, Uid};
use wasmjob_node::Clock as _;
use wasmjob_store::{GenericObject, Key, Kind, Object};

use super::commands::kind_name;
use super::policies::{QUOTAS, usage_of};
use super::turn::Turn;
use super::update::{Update, update_job};
use super::{Core, New};
use crate::job::Propagation;
use crate::objects::config_name;
use crate::{ApplyError, HostGone};

/// A change of one object.
pub enum Write {
    /// A new object. It is defaulted and valid, and has a name.
    Create(NewObject),
    /// Another state in the place of `seen`.
    Replace {
        /// The state that the change was made from.
        seen: Object,
        /// What it is to be.
        new: Replacement,
    },
    /// The object goes, once nothing holds it.
    Delete {
        /// Which.
        key: Key,
        /// The state that it must be in; `None` stands for any.
        seen: Option<Object>,
        /// What happens to what it owns; only for Jobs and CronJobs.
        propagation: Propagation,
        /// How long its containers may go on; `None` is what its spec says.
        grace: Option<Duration>,
    },
}

/// A new object.
pub enum NewObject {
    /// A Job.
    Job(Box<batch::Job>),
    /// A bare pod.
    Pod(Box<core::Pod>),
    /// A CronJob.
    CronJob(Box<batch::CronJob>),
    /// Any other.
    Generic(GenericObject),
}

/// What an object is to be. Parts that a client has no say in are left as they are.
pub enum Replacement {
    /// A Job's metadata and spec; and its status, where the client may set it.
    Job(Box<batch::Job>, Option<Box<JobStatus>>),
    /// A CronJob's metadata and spec; and its status, where the client may set it.
    CronJob(Box<batch::CronJob>, Option<Box<CronJobStatus>>),
    /// A pod's labels, annotations, owner references, finalizers and managed fields.
    PodMetadata(Box<ObjectMeta>),
    /// Any other object as a whole.
    Generic(GenericObject),
}

/// A change that is visible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// The object.
    pub key: Key,
    /// The revision; the object may be another one by now, or gone.
    pub revision: u64,
}

/// Why a change was not made. Nothing was changed, except perhaps where it is
/// [`Unavailable`](Self::Unavailable).
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is not in the state that the change was made from.
    #[error("the object has been modified")]
    Conflict,
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
    /// The name is taken.
    #[error("{0} already exists")]
    AlreadyExists(String),
    /// There is no such namespace.
    #[error("there is no namespace {0:?}")]
    NoNamespace(String),
    /// The namespace is being deleted.
    #[error("namespace {0:?} is being terminated")]
    Terminating(String),
    /// The object is not valid, in Kubernetes' words.
    #[error("{0}")]
    Invalid(String),
    /// The object may not come in, for this reason, in Kubernetes' words.
    #[error("{0}")]
    Forbidden(String),
    /// Nothing can be written at the moment. The text says whether nothing was changed,
    /// or the change waits: then it may still happen.
    #[error("nothing can be stored at the moment: {0}")]
    Unavailable(String),
    /// The host is gone.
    #[error(transparent)]
    Gone(#[from] HostGone),
}

impl From<ApplyError> for WriteError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::AlreadyExists { kind, name, .. } => {
                Self::AlreadyExists(format!("{kind} {name:?}"))
            }
            ApplyError::Unavailable(reason) => Self::Unavailable(reason),
            ApplyError::Forbidden { why, .. } => Self::Forbidden(why),
            ApplyError::Gone(gone) => Self::Gone(gone),
            error => Self::Invalid(error.to_string()),
        }
    }
}

/// Resource, namespace and name of a generic object.
pub(super) type GenericNames = (Arc<str>, Arc<str>, Arc<str>);

/// The resource whose objects are namespaces.
const NAMESPACES: &str = "namespaces";

/// Annotation with the slots of a CronJob, which is rendered and never kept.
const SLOTS: &str = "wasmjob.dev/slots";

impl Core {
    pub(super) fn write(&mut self, turn: &mut Turn, write: Write) -> Result<Written, WriteError> {
        let key = match write {
            Write::Create(new) => self.write_new(turn, new)?,
            Write::Replace { seen, new } => {
                self.check_seen(&seen)?;
                self.replace(turn, seen, new)?
            }
            Write::Delete {
                key,
                seen,
                propagation,
                grace,
            } => {
                if let Some(seen) = &seen {
                    self.check_seen(seen)?;
                }
                self.write_delete(turn, key, propagation, grace)?;
                key
            }
        };
        // What is only being ended has no write yet, and nothing to be seen at this revision.
        let place = turn.transaction.place(key);
        let revision = match place {
            Some(place) => self.revision_at(place),
            None => self.store.last_revision() + turn.transaction.len() as u64,
        };
        Ok(Written { key, revision })
    }

    /// Whether an object may be created, and what a pod would come in as. Nothing happens.
    pub(super) fn review(&mut self, new: NewObject) -> Result<Option<Box<core::Pod>>, WriteError> {
        let here: Arc<Path> = Arc::from(Path::new("."));
        let now = self.clock.wall();
        let new = match new {
            NewObject::Generic(object) => {
                let checked = self.check_new_generic(&object);
                return checked.map(|()| None).map_err(WriteError::Forbidden);
            }
            NewObject::Pod(mut pod) => {
                self.admit_pod(&mut pod)?;
                let shown = pod.clone();
                let prepared = self.prepare(New::Pod(pod, here), now)?;
                self.check_newcomers([&prepared])?;
                return Ok(Some(shown));
            }
            NewObject::Job(job) => New::Job(job, here),
            NewObject::CronJob(cron_job) => New::CronJob(cron_job, here),
        };
        let prepared = self.prepare(new, now)?;
        self.check_newcomers([&prepared])?;
        Ok(None)
    }

    /// Whether a change could be made. Nothing happens.
    pub(super) fn review_write(&mut self, write: Write) -> Result<(), WriteError> {
        match write {
            Write::Create(new) => self.review(new).map(drop),
            Write::Replace { seen, new } => {
                self.check_seen(&seen)?;
                self.check_replacement(&seen, &new)?;
                if let (Object::Job(row), Replacement::Job(job, _)) = (&seen, new) {
                    update_job(row, *job, &row.spec.template.base)?;
                }
                Ok(())
            }
            Write::Delete { seen, .. } => match seen {
                Some(seen) => self.check_seen(&seen),
                None => Ok(()),
            },
        }
    }

    fn write_new(&mut self, turn: &mut Turn, new: NewObject) -> Result<Key, WriteError> {
        let here = || Arc::from(Path::new("."));
        let new = match new {
            NewObject::Job(job) => {
                let base = self.base_of_owner(&job).unwrap_or_else(here);
                New::Job(job, base)
            }
            NewObject::Pod(pod) => New::Pod(pod, here()),
            NewObject::CronJob(cron_job) => New::CronJob(cron_job, here()),
            NewObject::Generic(object) => return self.write_new_generic(turn, object),
        };
        if let Some((namespace, _)) = new.names() {
            self.check_namespace(&namespace)?;
        }
        let applied = self.apply(turn, vec![new])?;
        // One object was asked for, so one was made.
        applied
            .first()
            .map(|applied| applied.key)
            .ok_or(WriteError::NotFound)
    }

    /// Where the CronJob's template is from, which a Job that it controls was made of: its
    /// images may be relative to a manifest.
    fn base_of_owner(&self, job: &batch::Job) -> Option<Arc<Path>> {
        let owners = job.metadata.owner_references.as_deref()?;
        let controller = owners
            .iter()
            .find(|owner| owner.controller == Some(true) && owner.kind == "CronJob")?;
        let entry = self.cron_jobs.get(&controller.uid.parse().ok()?)?;
        Some(Arc::clone(&entry.cron_job.base))
    }

    fn write_new_generic(
        &mut self,
        turn: &mut Turn,
        object: GenericObject,
    ) -> Result<Key, WriteError> {
        if !object.namespace.is_empty() {
            self.check_namespace(&object.namespace)?;
        }
        let names = names(&object);
        if self.generic.contains_key(&names) {
            let text = format!("{} {:?}", object.resource, object.name);
            return Err(WriteError::AlreadyExists(text));
        }
        self.check_new_generic(&object)
            .map_err(WriteError::Forbidden)?;
        Ok(self.put_generic(turn, object))
    }

    pub(super) fn put_generic(&mut self, turn: &mut Turn, object: GenericObject) -> Key {
        let object = Arc::new(object);
        self.policies
            .charge_object(&object.namespace, object.uid, || Some(usage_of(&object)));
        self.know_generic(&object);
        turn.effects.configs.extend(config_name(&object));
        let key = Key {
            kind: Kind::Generic,
            uid: object.uid,
        };
        turn.transaction.put(Object::Generic(object));
        key
    }

    /// Removes an object; `false` if there is none.
    pub(super) fn delete_generic(&mut self, turn: &mut Turn, uid: Uid) -> bool {
        let names = self.generic_uids.remove(&uid);
        let Some(object) = names.and_then(|names| self.generic.remove(&names)) else {
            return false;
        };
        if &*object.resource == NAMESPACES {
            self.namespaces.remove(&object.name);
        }
        turn.effects.configs.extend(config_name(&object));
        self.policies.charge_object(&object.namespace, uid, || None);
        self.forget_policy(&object);
        turn.transaction.delete(Key {
            kind: Kind::Generic,
            uid,
        });
        true
    }

    /// The object of that resource, namespace and name.
    pub(super) fn generic_uid(&self, names: &GenericNames) -> Option<Uid> {
        self.generic.get(names).map(|object| object.uid)
    }

    pub(super) fn generic_object(&self, uid: Uid) -> Option<&Arc<GenericObject>> {
        self.generic.get(self.generic_uids.get(&uid)?)
    }

    /// The object, if finalizers hold it.
    pub(super) fn held_generic(&self, uid: Uid) -> Option<Arc<GenericObject>> {
        let object = self.generic_object(uid)?;
        let head: Head = serde_json::from_slice(&object.json).unwrap_or_default();
        let own = head.metadata.finalizers.unwrap_or_default();
        let spec = head.spec.filter(|_| &*object.resource == NAMESPACES);
        let of_namespace = spec.and_then(|spec| spec.finalizers);
        let is_held = !own.is_empty() || of_namespace.is_some_and(|all| !all.is_empty());
        is_held.then(|| Arc::clone(object))
    }

    pub(super) fn know_generic(&mut self, object: &Arc<GenericObject>) {
        if &*object.resource == NAMESPACES {
            let name = Arc::clone(&object.name);
            self.namespaces.insert(name, is_terminating(&object.json));
        }
        self.generic_uids.insert(object.uid, names(object));
        self.generic.insert(names(object), Arc::clone(object));
        self.know_policy(object);
    }

    fn check_namespace(&self, namespace: &str) -> Result<(), WriteError> {
        match self.namespaces.get(namespace) {
            None => Err(WriteError::NoNamespace(namespace.to_owned())),
            Some(true) => Err(WriteError::Terminating(namespace.to_owned())),
            Some(false) => Ok(()),
        }
    }

    /// The object must be the very one that was seen.
    fn check_seen(&self, seen: &Object) -> Result<(), WriteError> {
        let uid = seen.key().uid;
        let is_same = match seen {
            Object::Job(seen) => {
                let entry = self.jobs.get(&uid).ok_or(WriteError::NotFound)?;
                Arc::ptr_eq(&entry.job, seen)
            }
            Object::CronJob(seen) => {
                let entry = self.cron_jobs.get(&uid).ok_or(WriteError::NotFound)?;
                Arc::ptr_eq(&entry.cron_job, seen)
            }
            Object::Pod(seen) => {
                let pod = self.pod(uid).ok_or(WriteError::NotFound)?;
                Arc::ptr_eq(pod, seen)
            }
            Object::Generic(seen) => {
                let object = self.generic.get(&names(seen));
                let object = object.ok_or(WriteError::NotFound)?;
                Arc::ptr_eq(object, seen) || differs_in_what_is_used(object, seen)
            }
            // Nobody changes these but the host.
            Object::Event(_) | Object::Manifest(_) => true,
        };
        is_same.then_some(()).ok_or(WriteError::Conflict)
    }

    fn replace(
        &mut self,
        turn: &mut Turn,
        seen: Object,
        new: Replacement,
    ) -> Result<Key, WriteError> {
        self.check_replacement(&seen, &new)?;
        let key = seen.key();
        match (seen, new) {
            (Object::Job(row), Replacement::Job(job, status)) => {
                let base = Arc::clone(&row.spec.template.base);
                let update = match (update_job(&row, *job, &base)?, status) {
                    (Update::Job(job), Some(status)) => Update::Job(Job {
                        status: *status,
                        ..job
                    }),
                    (Update::Same, Some(status)) if *status != row.status => Update::Job(Job {
                        status: *status,
                        ..(*row).clone()
                    }),
                    (update, _) => update,
                };
                self.update(turn, update);
                self.own_anew(row.uid);
            }
            (Object::CronJob(row), Replacement::CronJob(cron_job, status)) => {
                let update = match (update_cron_job(&row, *cron_job), status) {
                    (Update::CronJob(cron_job), Some(status)) => Update::CronJob(CronJob {
                        status: *status,
                        ..cron_job
                    }),
                    (Update::Same, Some(status)) if *status != row.status => {
                        Update::CronJob(CronJob {
                            status: *status,
                            ..(*row).clone()
                        })
                    }
                    (update, _) => update,
                };
                self.update(turn, update);
                self.sweep_cron_job(turn, row.uid);
            }
            (Object::Pod(row), Replacement::PodMetadata(metadata)) => {
                let metadata = Some(Arc::new(Pod::given_metadata(*metadata)));
                self.set_pod_metadata(turn, &row, metadata);
            }
            (Object::Generic(_), Replacement::Generic(new)) => {
                self.put_generic(turn, new);
            }
            (seen, _) => return Err(cannot_become(&seen)),
        }
        Ok(key)
    }

    /// Whether an object may become that.
    fn check_replacement(&self, seen: &Object, new: &Replacement) -> Result<(), WriteError> {
        match (seen, new) {
            (Object::Job(_), Replacement::Job(..))
            | (Object::CronJob(_), Replacement::CronJob(..))
            | (Object::Pod(_), Replacement::PodMetadata(_)) => Ok(()),
            (Object::Generic(old), Replacement::Generic(new)) => {
                if names(old) != names(new) || old.uid != new.uid {
                    return Err(WriteError::Invalid(
                        "an object's name and UID cannot change".to_owned(),
                    ));
                }
                self.check_changed_generic(old, new)
                    .map_err(WriteError::Forbidden)
            }
            (seen, _) => Err(cannot_become(seen)),
        }
    }

    /// Another CronJob may control the Job now, or none.
    fn own_anew(&mut self, job: wasmjob_api::Uid) {
        let Some(entry) = self.jobs.get(&job) else {
            return;
        };
        let owner = self.controller_of(&entry.job);
        let Some(entry) = self.jobs.get_mut(&job) else {
            return;
        };
        let before = std::mem::replace(&mut entry.owner, owner);
        if before == owner {
            return;
        }
        if let Some(before) = before {
            if let Some(entry) = self.cron_jobs.get_mut(&before) {
                entry.jobs.remove(&job);
            }
            self.mark_cron(before);
        }
        if let Some(owner) = owner {
            if let Some(entry) = self.cron_jobs.get_mut(&owner) {
                entry.jobs.insert(job);
            }
            self.mark_cron(owner);
        }
    }

    fn set_pod_metadata(
        &mut self,
        turn: &mut Turn,
        row: &Arc<Pod>,
        metadata: Option<Arc<ObjectMeta>>,
    ) {
        let relabelled = (row.uid, metadata.clone());
        turn.effects.relabelled.push(relabelled);
        let owner = row.template.owner.as_ref().map(|owner| owner.uid);
        if let Some(owner) = self.owner_of(row.uid, owner) {
            self.change_pod(turn, owner, row.uid, |pod| pod.metadata = metadata);
            self.claim(turn, row.uid);
            // The last finalizer may be gone.
            return self.sweep(turn, owner);
        }
        let pod = Arc::new(Pod {
            metadata,
            ..(**row).clone()
        });
        if pod.deletion.is_some() && pod.status.phase.is_terminal() && !pod.is_held() {
            self.loose.remove(&pod.uid);
            return self.pod_gone(turn, &pod);
        }
        turn.put_pod(&pod);
        self.loose.insert(pod.uid, pod);
        self.claim(turn, row.uid);
    }

    fn write_delete(
        &mut self,
        turn: &mut Turn,
        key: Key,
        propagation: Propagation,
        grace: Option<Duration>,
    ) -> Result<(), WriteError> {
        match key.kind {
            Kind::Job if self.jobs.contains_key(&key.uid) => {
                self.delete_job(turn, key.uid, propagation);
            }
            Kind::CronJob if self.cron_jobs.contains_key(&key.uid) => {
                self.delete_cron_job(turn, key.uid, propagation);
            }
            Kind::Pod => {
                let pod = self.pod(key.uid).cloned().ok_or(WriteError::NotFound)?;
                let grace = grace.unwrap_or_else(|| super::pods::grace(&pod.template));
                let now = self.clock.wall();
                let owner = pod.template.owner.as_ref().map(|owner| owner.uid);
                match self.owner_of(key.uid, owner) {
                    Some(owner) => {
                        self.delete_pod(turn, owner, key.uid, grace, now);
                        self.sweep(turn, owner);
                    }
                    None => self.delete_loose(turn, &pod, grace, now),
                }
            }
            Kind::Generic => {
                if !self.delete_generic(turn, key.uid) {
                    return Err(WriteError::NotFound);
                }
            }
            Kind::Event => turn.transaction.delete(key),
            Kind::Job | Kind::CronJob | Kind::Manifest => return Err(WriteError::NotFound),
        }
        Ok(())
    }
}

fn cannot_become(seen: &Object) -> WriteError {
    let kind = kind_name(seen.key().kind);
    WriteError::Invalid(format!("{kind} cannot become that"))
}

/// A manifest's object as it is created.
pub(super) fn new_generic(mut kept: Kept, uid: Uid, now: Timestamp) -> GenericObject {
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let metadata = ObjectMeta {
        uid: Some(uid.to_string()),
        creation_timestamp: Some(Time(second)),
        ..kept.metadata
    };
    let namespace = metadata.namespace.as_deref().unwrap_or_default().into();
    let name = metadata.name.as_deref().unwrap_or_default().into();
    // What became of it is not for its author to say.
    if let Some(fields) = kept.json.as_object_mut() {
        fields.remove("status");
    }
    // These types always have a form as JSON.
    kept.json["metadata"] = serde_json::to_value(metadata).unwrap_or_default();
    GenericObject {
        uid,
        resource: kept.resource.into(),
        namespace,
        name,
        json: serde_json::to_vec(&kept.json).unwrap_or_default().into(),
    }
}

fn names(object: &GenericObject) -> GenericNames {
    (
        Arc::clone(&object.resource),
        Arc::clone(&object.namespace),
        Arc::clone(&object.name),
    )
}

/// Whether both are the same quota, but for its status: that is written here only, with each
/// turn in which something is used or freed, and whoever changes a quota means another part.
fn differs_in_what_is_used(object: &GenericObject, seen: &GenericObject) -> bool {
    if &*object.resource != QUOTAS || object.uid != seen.uid {
        return false;
    }
    let rest = |object: &GenericObject| {
        let mut json: serde_json::Value = serde_json::from_slice(&object.json).ok()?;
        json.as_object_mut()?.remove("status");
        Some(json)
    };
    matches!((rest(object), rest(seen)), (Some(object), Some(seen)) if object == seen)
}

/// What of an object says whether it goes, and what holds it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    metadata: Metadata,
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "deletionTimestamp")]
    deletion: Option<serde::de::IgnoredAny>,
    finalizers: Option<Vec<String>>,
}

/// Only namespaces have finalizers here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    finalizers: Option<Vec<String>>,
}

/// Whether the object in `json` is being deleted.
pub(super) fn is_terminating(json: &[u8]) -> bool {
    serde_json::from_slice::<Head>(json).is_ok_and(|head| head.metadata.deletion.is_some())
}

/// The object as one that is being deleted; none if it is that already.
pub(super) fn marked(object: &GenericObject, now: Timestamp) -> Option<GenericObject> {
    if is_terminating(&object.json) {
        return None;
    }
    let mut json: serde_json::Value = serde_json::from_slice(&object.json).ok()?;
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let metadata = json.get_mut("metadata")?.as_object_mut()?;
    // A time always has a form as JSON.
    let at = serde_json::to_value(Time(second)).unwrap_or_default();
    metadata.insert("deletionTimestamp".to_owned(), at);
    metadata.insert("deletionGracePeriodSeconds".to_owned(), 0.into());
    if &*object.resource == NAMESPACES {
        if !json["status"].is_object() {
            json["status"] = serde_json::json!({});
        }
        json["status"]["phase"] = "Terminating".into();
    }
    Some(GenericObject {
        json: serde_json::to_vec(&json).unwrap_or_default().into(),
        ..object.clone()
    })
}

/// The CronJob with the metadata and spec of `new`, which is valid.
fn update_cron_job(row: &CronJob, new: batch::CronJob) -> Update {
    let mut given = new.metadata;
    if let Some(annotations) = &mut given.annotations {
        annotations.remove(SLOTS);
    }
    let metadata = ObjectMeta {
        labels: given.labels,
        annotations: given.annotations.filter(|all| !all.is_empty()),
        finalizers: given.finalizers,
        owner_references: given.owner_references,
        managed_fields: given.managed_fields,
        ..(*row.metadata).clone()
    };
    let has_changed = new.spec != row.spec.object;
    if !has_changed && metadata == *row.metadata {
        return Update::Same;
    }
    let spec = CronJobSpec::parse(new.spec, metadata.annotations.as_ref());
    Update::CronJob(CronJob {
        generation: row.generation + i64::from(has_changed),
        spec: Arc::new(spec),
        metadata: Arc::new(metadata),
        ..row.clone()
    })
}
