//! Objects whose owners are gone.
//!
//! The host itself looks after the pods of Jobs and the Jobs of CronJobs. All other
//! owner references are looked after here: an object goes when the last of its
//! owners has gone; an owner that is deleted in the foreground goes after them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use wasmjob::api::Uid;
use wasmjob::api::k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use wasmjob::{Change, GenericObject, Key, Kind, Object, Store, WriteError};

use crate::api::Api;

/// The finalizer of what is deleted in the foreground.
const FOREGROUND: &str = "foregroundDeletion";

/// Who owns what, where the host does not know it itself.
#[derive(Default)]
pub(super) struct Owners {
    /// What each owner has.
    owned: HashMap<Uid, HashSet<Key>>,
    /// The owners of each.
    owners: HashMap<Key, Vec<Uid>>,
    /// Owners that are gone.
    gone: Vec<Uid>,
    /// Owners that wait for what they own.
    waiting: HashMap<Uid, Arc<GenericObject>>,
}

impl Owners {
    pub(super) fn look(&mut self, change: &Change) {
        let object = change.object();
        let key = object.key();
        if matches!(key.kind, Kind::Event | Kind::Manifest) {
            return;
        }
        if let Change::Deleted(_) = change {
            self.forget(key);
            self.gone.push(key.uid);
            self.waiting.remove(&key.uid);
            return;
        }
        let owners = owners(object);
        if owners.is_empty() {
            self.forget(key);
        } else if self.owners.get(&key) != Some(&owners) {
            self.forget(key);
            for owner in &owners {
                self.owned.entry(*owner).or_default().insert(key);
            }
            self.owners.insert(key, owners);
        }
        if let Object::Generic(generic) = object
            && waits(generic)
        {
            self.waiting.insert(key.uid, Arc::clone(generic));
        }
    }

    fn forget(&mut self, key: Key) {
        for owner in self.owners.remove(&key).unwrap_or_default() {
            if let Some(owned) = self.owned.get_mut(&owner) {
                owned.remove(&key);
                if owned.is_empty() {
                    self.owned.remove(&owner);
                }
            }
        }
    }

    /// Owners that were gone before anybody looked.
    pub(super) fn look_for_lost(&mut self, store: &Store) {
        let kinds = [Kind::Job, Kind::CronJob, Kind::Pod, Kind::Generic];
        let is_there = |uid: Uid| {
            let mut keys = kinds.iter().map(|kind| Key { kind: *kind, uid });
            keys.any(|key| store.get(key).is_some())
        };
        let lost = self.owned.keys().copied().filter(|uid| !is_there(*uid));
        self.gone = lost.collect();
    }

    pub(super) async fn act(&mut self, api: &Arc<Api>) -> Result<(), WriteError> {
        while let Some(owner) = self.gone.last().copied() {
            let owned = self.owned.get(&owner).cloned().unwrap_or_default();
            for key in owned {
                let others = self.owners.get(&key).map_or(&[][..], Vec::as_slice);
                let store = api.host.store();
                let is_there = |uid: &Uid| {
                    *uid != owner
                        && [Kind::Job, Kind::CronJob, Kind::Pod, Kind::Generic]
                            .iter()
                            .any(|kind| {
                                store
                                    .get(Key {
                                        kind: *kind,
                                        uid: *uid,
                                    })
                                    .is_some()
                            })
                };
                if !others.iter().any(is_there) {
                    api.remove(key).await?;
                }
            }
            self.owned.remove(&owner);
            self.gone.pop();
        }
        for (uid, generic) in self.waiting.clone() {
            let owned = self.owned.get(&uid).cloned().unwrap_or_default();
            for key in &owned {
                api.remove(*key).await?;
            }
            if owned.is_empty() {
                release(api, &generic).await?;
                self.waiting.remove(&uid);
            }
        }
        Ok(())
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
    let result = match finalizers.is_empty() {
        true => {
            api.remove(Key {
                kind: Kind::Generic,
                uid: generic.uid,
            })
            .await
        }
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
