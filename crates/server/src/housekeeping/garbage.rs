//! Objects whose owners are gone.
//!
//! The host itself looks after the pods of Jobs and the Jobs of CronJobs. All other
//! owner references are looked after here: an object goes when the last of its
//! owners has gone; an owner that is deleted in the foreground goes after them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use wasmjob::api::Uid;
use wasmjob::api::k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use wasmjob::{Change, GenericObject, Key, Kind, Object, Replacement, Store, Write, WriteError};

use crate::api::Api;
use crate::housekeeping::generic;

/// The finalizer of what is deleted in the foreground.
const FOREGROUND: &str = "foregroundDeletion";

/// How often a change is tried anew when the object has changed meanwhile.
const ATTEMPTS: usize = 10;

/// Who owns what, where the host does not know it itself.
#[derive(Default)]
pub(crate) struct Dependents {
    /// What each owner has.
    owned: HashMap<Uid, HashSet<Key>>,
    /// The owners of each.
    owners: HashMap<Key, Vec<Uid>>,
    /// Owners that are being deleted, and whose dependents are to stay.
    orphaning: HashSet<Uid>,
}

impl Dependents {
    /// Takes down the owners of an object; whether they are others than before.
    fn set(&mut self, key: Key, owners: Vec<Uid>) -> bool {
        let before = self.owners.get(&key).map_or(&[][..], Vec::as_slice);
        if before == owners {
            return false;
        }
        for owner in self.owners.remove(&key).unwrap_or_default() {
            if let Some(owned) = self.owned.get_mut(&owner) {
                owned.remove(&key);
                if owned.is_empty() {
                    self.owned.remove(&owner);
                }
            }
        }
        for owner in &owners {
            self.owned.entry(*owner).or_default().insert(key);
        }
        if !owners.is_empty() {
            self.owners.insert(key, owners);
        }
        true
    }

    /// What `owner` has, and who else has it.
    fn of(&self, owner: Uid) -> Vec<(Key, Vec<Uid>)> {
        let owned = self.owned.get(&owner).into_iter().flatten();
        let others = |key: &Key| {
            let owners = self.owners.get(key).into_iter().flatten();
            owners.copied().filter(|uid| *uid != owner).collect()
        };
        owned.map(|key| (*key, others(key))).collect()
    }
}

/// Owners that something is to be done about.
#[derive(Default)]
pub(super) struct Owners {
    /// Owners that are gone.
    gone: Vec<Uid>,
    /// Owners that wait for what they own.
    waiting: HashMap<Uid, Arc<GenericObject>>,
}

impl Owners {
    pub(super) fn look(&mut self, api: &Api, change: &Change) {
        let object = change.object();
        let key = object.key();
        if matches!(key.kind, Kind::Event | Kind::Manifest) {
            return;
        }
        if let Change::Deleted(_) = change {
            api.dependents().set(key, Vec::new());
            self.gone.push(key.uid);
            self.waiting.remove(&key.uid);
            return;
        }
        let owners = owners(object);
        if api.dependents().set(key, owners.clone()) {
            // One that went before its dependent came is told of by nothing else.
            let store = api.host.store();
            self.gone
                .extend(owners.into_iter().filter(|owner| !is_there(store, *owner)));
        }
        if let Object::Generic(generic) = object
            && waits(generic)
        {
            self.waiting.insert(key.uid, Arc::clone(generic));
        }
    }

    pub(super) async fn act(&mut self, api: &Arc<Api>) -> Result<(), WriteError> {
        while let Some(owner) = self.gone.last().copied() {
            let orphaning = api.dependents().orphaning.contains(&owner);
            let owned = api.dependents().of(owner);
            for (key, others) in owned {
                let stays = orphaning || others.iter().any(|uid| is_there(api.host.store(), *uid));
                match stays {
                    true => api.disown(key, owner).await?,
                    false => api.remove(key).await?,
                }
            }
            api.dependents().orphaning.remove(&owner);
            self.gone.pop();
        }
        for (uid, generic) in self.waiting.clone() {
            let owned = api.dependents().of(uid);
            if owned.is_empty() {
                release(api, &generic).await?;
                self.waiting.remove(&uid);
            }
            for (key, others) in owned {
                let store = api.host.store();
                let Some(stored) = store.get(key) else {
                    continue;
                };
                // Another owner that goes as well does not keep it.
                let keeps = |uid: &Uid| !self.waiting.contains_key(uid) && is_there(store, *uid);
                if others.iter().any(keeps) {
                    api.disown(key, uid).await?;
                } else if !is_being_deleted(&stored.object) {
                    api.remove(key).await?;
                }
            }
        }
        Ok(())
    }
}

impl Api {
    fn dependents(&self) -> MutexGuard<'_, Dependents> {
        // Nothing that can panic runs between two changes.
        self.dependents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What `owner` has is to stay when it goes.
    pub(crate) async fn orphan(&self, owner: Uid) -> Result<(), WriteError> {
        let owned = {
            let mut dependents = self.dependents();
            // For those that are not known yet.
            dependents.orphaning.insert(owner);
            dependents.of(owner)
        };
        for (key, _) in owned {
            self.disown(key, owner).await?;
        }
        Ok(())
    }

    /// It does not go after all.
    pub(crate) fn keep_dependents(&self, owner: Uid) {
        self.dependents().orphaning.remove(&owner);
    }

    /// Takes `owner` away from an object's owners.
    async fn disown(&self, key: Key, owner: Uid) -> Result<(), WriteError> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.host.store().get(key) else {
                return Ok(());
            };
            let Some(new) = without(&stored.object, owner) else {
                return Ok(());
            };
            let write = Write::Replace {
                seen: stored.object,
                new,
            };
            match self.host.write(write).await {
                Ok(_) | Err(WriteError::NotFound) => return Ok(()),
                Err(WriteError::Conflict) => {
                    let changed = self.host.store().changed(stored.revision);
                    let _ = tokio::time::timeout(Duration::from_secs(2), changed).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(WriteError::Conflict)
    }
}

/// The object without one of its owners; none if it has not that one.
fn without(object: &Object, owner: Uid) -> Option<Replacement> {
    let is_it = |reference: &OwnerReference| reference.uid.parse() == Ok(owner);
    let strip = |references: &mut Option<Vec<OwnerReference>>| {
        let references = references.as_mut()?;
        let before = references.len();
        references.retain(|reference| !is_it(reference));
        (references.len() < before).then_some(())
    };
    match object {
        Object::Job(job) => {
            let mut job = job.to_object();
            strip(&mut job.metadata.owner_references)?;
            Some(Replacement::Job(Box::new(job), None))
        }
        Object::CronJob(cron_job) => {
            let mut cron_job = cron_job.to_object();
            strip(&mut cron_job.metadata.owner_references)?;
            Some(Replacement::CronJob(Box::new(cron_job), None))
        }
        Object::Pod(pod) => {
            let given = pod.metadata.as_deref();
            let mut metadata = given.unwrap_or(&pod.template.metadata).clone();
            strip(&mut metadata.owner_references)?;
            Some(Replacement::PodMetadata(Box::new(metadata)))
        }
        Object::Generic(old) => {
            let mut value: Value = serde_json::from_slice(&old.json).ok()?;
            let references = value["metadata"]["ownerReferences"].as_array_mut()?;
            let before = references.len();
            references.retain(|reference| {
                let uid = reference["uid"].as_str().and_then(|uid| uid.parse().ok());
                uid != Some(owner)
            });
            let (is_other, is_empty) = (references.len() < before, references.is_empty());
            if is_empty {
                crate::kinds::metadata(&mut value).remove("ownerReferences");
            }
            let new = generic(old.uid, &old.resource, &old.namespace, &old.name, &value);
            is_other.then_some(Replacement::Generic(new))
        }
        Object::Event(_) | Object::Manifest(_) => None,
    }
}

fn is_there(store: &Store, uid: Uid) -> bool {
    [Kind::Job, Kind::CronJob, Kind::Pod, Kind::Generic]
        .into_iter()
        .any(|kind| store.get(Key { kind, uid }).is_some())
}

fn is_being_deleted(object: &Object) -> bool {
    match object {
        Object::Job(job) => job.deletion.is_some(),
        Object::CronJob(cron_job) => cron_job.deletion.is_some(),
        Object::Pod(pod) => pod.deletion.is_some(),
        Object::Generic(generic) => {
            let value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
            let at = value["metadata"].get("deletionTimestamp");
            at.is_some_and(|at| !at.is_null())
        }
        Object::Event(_) | Object::Manifest(_) => false,
    }
}

/// Lets an owner go that has waited for what it owned.
async fn release(api: &Arc<Api>, generic: &Arc<GenericObject>) -> Result<(), WriteError> {
    let mut value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
    let finalizers = value["metadata"]["finalizers"].as_array_mut();
    let Some(finalizers) = finalizers else {
        return Ok(());
    };
    finalizers.retain(|finalizer| finalizer != FOREGROUND);
    let is_free = finalizers.is_empty();
    let spec = value["spec"]["finalizers"].as_array();
    let is_held = &*generic.resource == "namespaces" && spec.is_some_and(|list| !list.is_empty());
    let result = match is_free && !is_held {
        true => api.erase(generic).await,
        false => api.put(generic, &value).await,
    };
    match result {
        Ok(()) | Err(WriteError::Conflict | WriteError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

fn waits(generic: &GenericObject) -> bool {
    // Most objects are held by nothing.
    let has = |text: &[u8]| generic.json.windows(text.len()).any(|it| it == text);
    if !has(FOREGROUND.as_bytes()) {
        return false;
    }
    let value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
    let metadata = &value["metadata"];
    let finalizers = metadata["finalizers"].as_array();
    metadata
        .get("deletionTimestamp")
        .is_some_and(|at| !at.is_null())
        && finalizers.is_some_and(|list| list.iter().any(|it| it == FOREGROUND))
}

/// The owners that the host does not look after.
fn owners(object: &Object) -> Vec<Uid> {
    let uid = |owner: &OwnerReference| owner.uid.parse().ok();
    match object {
        Object::Job(job) => {
            let owners = job.metadata.owner_references.iter().flatten();
            let own =
                |owner: &&OwnerReference| owner.kind != "CronJob" || owner.controller != Some(true);
            owners.filter(own).filter_map(uid).collect()
        }
        Object::CronJob(cron_job) => {
            let owners = cron_job.metadata.owner_references.iter().flatten();
            owners.filter_map(uid).collect()
        }
        Object::Pod(pod) => {
            let given = pod.metadata.as_deref();
            if pod.template.owner.is_some() && given.is_none() {
                return Vec::new();
            }
            let job = pod.template.owner.as_ref().map(|owner| owner.uid);
            let metadata = given.unwrap_or(&pod.template.metadata);
            let owners = metadata.owner_references.iter().flatten();
            owners
                .filter_map(uid)
                .filter(|uid| Some(*uid) != job)
                .collect()
        }
        Object::Generic(generic) => {
            // Parsing all of it would cost more than most objects are worth.
            let has = |text: &[u8]| generic.json.windows(text.len()).any(|it| it == text);
            if !has(b"\"ownerReferences\"") {
                return Vec::new();
            }
            let value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
            let owners = value["metadata"]["ownerReferences"].as_array();
            owners
                .into_iter()
                .flatten()
                .filter_map(|owner| owner["uid"].as_str()?.parse().ok())
                .collect()
        }
        Object::Event(_) | Object::Manifest(_) => Vec::new(),
    }
}
