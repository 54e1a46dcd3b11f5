//! What clients expect to find, and what nobody else here looks after: namespaces
//! and what belongs into each, the node, volumes for claims, and objects whose owners are
//! gone.
//!
//! One task follows the store's changes; its work is that of what changed.

mod bootstrap;
mod claims;
mod garbage;
mod namespaces;
mod node;
mod roles;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use wasmjob::api::Uid;
use wasmjob::{
    Change, GenericObject, Key, Kind, NewObject, Object, Propagation, Replacement, Watch, Write,
    WriteError,
};

use crate::api::Api;
use crate::housekeeping::claims::Claims;
use crate::housekeeping::garbage::Owners;
use crate::housekeeping::namespaces::Namespaces;
use crate::housekeeping::roles::Roles;
use crate::render::seconds;

pub(crate) use bootstrap::bootstrap;
pub(crate) use garbage::Dependents;
pub(crate) use node::renew_lease;

/// How long what could not be written waits until it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the changes for as long as the host is there.
pub(crate) struct Housekeeper {
    api: Arc<Api>,
    watch: Watch,
    namespaces: Namespaces,
    owners: Owners,
    roles: Roles,
    claims: Claims,
}

impl Housekeeper {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        let store = api.host.store();
        Self {
            watch: store.watch(store.revision()),
            namespaces: Namespaces::default(),
            owners: Owners::default(),
            roles: Roles::default(),
            claims: Claims::default(),
            api,
        }
    }

    pub(crate) async fn run(mut self) {
        self.relist().await;
        while !self.api.host.is_gone() {
            match self.watch.next().await {
                Ok(changes) => {
                    for (_, change) in changes {
                        self.look(&change);
                    }
                }
                Err(_) => self.relist().await,
            }
            self.act().await;
        }
    }

    /// Looks at everything as it is.
    async fn relist(&mut self) {
        let store = self.api.host.store().clone();
        self.watch = store.watch(store.revision());
        self.owners = Owners::default();
        self.namespaces = Namespaces::default();
        self.claims = Claims::default();
        for kind in [Kind::Generic, Kind::CronJob, Kind::Job, Kind::Pod] {
            for stored in store.list(kind, |_| true).1 {
                self.look(&Change::Added(stored.object));
            }
        }
        self.act().await;
    }

    fn look(&mut self, change: &Change) {
        self.namespaces.look(change);
        self.owners.look(&self.api, change);
        self.roles.look(change);
        self.claims.look(change);
    }

    /// Does what is to be done; what cannot be written now is tried again.
    async fn act(&mut self) {
        loop {
            let namespaces = self.namespaces.act(&self.api).await;
            let owners = self.owners.act(&self.api).await;
            let roles = self.roles.act(&self.api).await;
            let claims = self.claims.act(&self.api).await;
            let all = [namespaces, owners, roles, claims];
            if all.iter().all(Result::is_ok) || self.api.host.is_gone() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

impl Api {
    /// Creates a generic object, unless there is one of that name.
    pub(crate) async fn ensure(
        &self,
        resource: &str,
        namespace: &str,
        mut value: Value,
    ) -> Result<(), WriteError> {
        let name = crate::kinds::meta(&value, "name").to_owned();
        if self.cache.get(resource, namespace, &name).is_some() {
            return Ok(());
        }
        let stamp = self.stamp();
        let metadata = crate::kinds::metadata(&mut value);
        metadata.insert("uid".to_owned(), stamp.uid.to_string().into());
        metadata.insert("creationTimestamp".to_owned(), seconds(stamp.now).into());
        if !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        let object = generic(stamp.uid, resource, namespace, &name, &value);
        match self
            .host
            .write(Write::Create(NewObject::Generic(object)))
            .await
        {
            Ok(_) | Err(WriteError::AlreadyExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts `value` in the place of the generic object of the whole cluster with its
    /// name; nothing, if it has changed meanwhile.
    pub(crate) async fn replace(&self, resource: &str, value: &Value) -> Result<(), WriteError> {
        let name = crate::kinds::meta(value, "name");
        let Some(entry) = self.cache.get(resource, "", name) else {
            return Ok(());
        };
        let Object::Generic(seen) = &entry.object else {
            return Ok(());
        };
        let mut value = value.clone();
        crate::kinds::metadata(&mut value).remove("resourceVersion");
        match self.put(seen, &value).await {
            Err(WriteError::Conflict | WriteError::NotFound) => Ok(()),
            written => written,
        }
    }

    /// Puts `value` in the place of a generic object that was seen; somebody else may
    /// have been quicker.
    pub(crate) async fn put(
        &self,
        seen: &Arc<GenericObject>,
        value: &Value,
    ) -> Result<(), WriteError> {
        let new = generic(seen.uid, &seen.resource, &seen.namespace, &seen.name, value);
        let write = Write::Replace {
            seen: Object::Generic(Arc::clone(seen)),
            new: Replacement::Generic(new),
        };
        self.host.write(write).await.map(|_| ())
    }

    /// Deletes an object; one that is gone is deleted. What finalizers hold is only
    /// marked: it goes with the last of them.
    pub(crate) async fn remove(&self, key: Key) -> Result<(), WriteError> {
        let stored = self.host.store().get(key);
        if let Some(Object::Generic(generic)) = stored.map(|stored| stored.object)
            && let Some(marked) = self.marked(&generic)
        {
            return match self.put(&generic, &marked).await {
                // Somebody has changed it, which is looked at as well.
                Err(WriteError::Conflict | WriteError::NotFound) => Ok(()),
                written => written,
            };
        }
        let write = Write::Delete {
            key,
            seen: None,
            propagation: Propagation::Background,
            grace: None,
        };
        match self.host.write(write).await {
            Ok(_) | Err(WriteError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Api {
    /// A generic object that finalizers hold, marked as being deleted; none if nothing
    /// holds it.
    fn marked(&self, generic: &GenericObject) -> Option<Value> {
        let mut value: Value = serde_json::from_slice(&generic.json).ok()?;
        let some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
        let is_namespace = &*generic.resource == "namespaces";
        let is_held = some(&value["metadata"]["finalizers"])
            || is_namespace && some(&value["spec"]["finalizers"]);
        if !is_held {
            return None;
        }
        if is_namespace {
            value["status"]["phase"] = "Terminating".into();
        }
        let now = seconds(self.now());
        let metadata = crate::kinds::metadata(&mut value);
        if metadata.get("deletionTimestamp").is_none_or(Value::is_null) {
            metadata.insert("deletionTimestamp".to_owned(), now.into());
        }
        Some(value)
    }

    /// Deletes a generic object that nothing holds any more, as it was seen.
    async fn erase(&self, seen: &Arc<GenericObject>) -> Result<(), WriteError> {
        let object = Object::Generic(Arc::clone(seen));
        let write = Write::Delete {
            key: object.key(),
            seen: Some(object),
            propagation: Propagation::Background,
            grace: None,
        };
        match self.host.write(write).await {
            Ok(_) | Err(WriteError::Conflict | WriteError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn generic(uid: Uid, resource: &str, namespace: &str, name: &str, value: &Value) -> GenericObject {
    GenericObject {
        uid,
        resource: resource.into(),
        namespace: namespace.into(),
        name: name.into(),
        // A value always has a form as text.
        json: serde_json::to_vec(value).unwrap_or_default().into(),
    }
}
