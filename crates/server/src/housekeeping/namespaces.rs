//! Namespaces: what belongs into each, and their end.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmjob::{Change, GenericObject, Object, WriteError};

use crate::api::Api;

/// Namespaces that are to be looked at.
#[derive(Default)]
pub(super) struct Namespaces {
    /// Known to be there, with what belongs into them.
    settled: HashSet<Arc<str>>,
    /// Those in which a quota has no room for what belongs into them.
    lacking: HashSet<Arc<str>>,
    /// To be made, or to be filled.
    new: HashSet<Arc<str>>,
    /// Being deleted.
    ending: HashSet<Arc<str>>,
}

impl Namespaces {
    pub(super) fn look(&mut self, change: &Change) {
        let object = change.object();
        if let Object::Generic(generic) = object
            && &*generic.resource == "namespaces"
        {
            let name = Arc::clone(&generic.name);
            match change {
                Change::Deleted(_) => {
                    self.settled.remove(&name);
                    self.lacking.remove(&name);
                    self.new.remove(&name);
                    self.ending.remove(&name);
                }
                _ if is_ending(generic) => {
                    self.settled.insert(Arc::clone(&name));
                    self.lacking.remove(&name);
                    self.new.remove(&name);
                    self.ending.insert(name);
                }
                Change::Added(_) => {
                    self.new.insert(name);
                }
                Change::Modified(..) => {}
            }
            return;
        }
        // A manifest's object, or an embedder's, may be in a namespace that nobody made.
        let namespace = match object {
            Object::Job(job) => &job.namespace,
            Object::CronJob(cron_job) => &cron_job.namespace,
            Object::Pod(pod) => &pod.namespace,
            Object::Generic(generic) if &*generic.resource == "resourcequotas" => {
                if self.lacking.contains(&generic.namespace) && may_leave_room(change) {
                    self.new.insert(Arc::clone(&generic.namespace));
                }
                return;
            }
            // These two go with what belongs into every namespace.
            Object::Generic(generic) if matches!(change, Change::Deleted(_)) => {
                let belongs = matches!(
                    (&*generic.resource, &*generic.name),
                    ("serviceaccounts", "default") | ("configmaps", "kube-root-ca.crt")
                );
                if belongs && !self.ending.contains(&generic.namespace) {
                    self.new.insert(Arc::clone(&generic.namespace));
                }
                return;
            }
            _ => return,
        };
        if matches!(change, Change::Added(_)) && !self.settled.contains(namespace) {
            self.new.insert(Arc::clone(namespace));
        }
    }

    pub(super) async fn act(&mut self, api: &Arc<Api>) -> Result<(), WriteError> {
        for name in self.new.clone() {
            let is_whole = settle(api, &name).await?;
            self.new.remove(&name);
            match is_whole {
                true => self.lacking.remove(&name),
                false => self.lacking.insert(Arc::clone(&name)),
            };
            self.settled.insert(name);
        }
        for name in self.ending.clone() {
            if !end(api, &name).await? {
                self.ending.remove(&name);
            }
        }
        Ok(())
    }
}

fn is_ending(generic: &GenericObject) -> bool {
    let value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
    value["metadata"]
        .get("deletionTimestamp")
        .is_some_and(|at| !at.is_null())
}

/// Whether a quota may have room now for what belongs into its namespace. What pods use
/// changes all the time, and is not what that is counted with.
fn may_leave_room(change: &Change) -> bool {
    let (Object::Generic(new), Object::Generic(old)) = (match change {
        Change::Added(_) => return false,
        Change::Deleted(_) => return true,
        Change::Modified(new, old) => (new, old),
    }) else {
        return false;
    };
    let decisive = |generic: &GenericObject| {
        let value: Value = serde_json::from_slice(&generic.json).unwrap_or(Value::Null);
        let used = ["configmaps", "count/configmaps", "count/serviceaccounts"]
            .map(|name| value["status"]["used"][name].clone());
        (value["spec"].clone(), used)
    };
    decisive(new) != decisive(old)
}

/// Makes the namespace and what belongs into it, as far as it is not there; whether all of
/// that is there now.
pub(super) async fn settle(api: &Arc<Api>, name: &str) -> Result<bool, WriteError> {
    let mut is_whole = true;
    api.ensure("namespaces", "", namespace(name)).await?;
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": "default" },
    });
    let authority = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {
                "kubernetes.io/description": "Contains a CA bundle that can be used to verify the API server of this host.",
            },
        },
        "data": { "ca.crt": api.access.authority_pem() },
    });
    for (resource, object) in [("serviceaccounts", account), ("configmaps", authority)] {
        match api.ensure(resource, name, object).await {
            // It ended meanwhile.
            Ok(()) | Err(WriteError::NoNamespace(_) | WriteError::Terminating(_)) => {}
            // A quota has no room for it, which is its author's wish for now.
            Err(WriteError::Forbidden(why)) => {
                tracing::warn!(namespace = name, resource, why, "an object was not made");
                is_whole = false;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(is_whole)
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
        "spec": { "finalizers": ["kubernetes"] },
        "status": { "phase": "Active" },
    })
}

/// Deletes what is left in a namespace, and the namespace when nothing is. Whether it
/// is being deleted at all: meanwhile it may have gone, and another of its name be there.
async fn end(api: &Arc<Api>, name: &Arc<str>) -> Result<bool, WriteError> {
    let is_ending = || {
        let entry = api.cache.get("namespaces", "", name);
        entry.filter(|entry| entry.is_being_deleted())
    };
    if is_ending().is_none() {
        return Ok(false);
    }
    let left = api.cache.in_namespace(name);
    let mut waits = false;
    for entry in left {
        waits = true;
        if !entry.is_being_deleted() {
            api.remove(entry.object.key()).await?;
        }
    }
    if waits && !api.cache.in_namespace(name).is_empty() {
        // Told of it when the next of them goes.
        return Ok(true);
    }
    let Some(entry) = is_ending() else {
        return Ok(false);
    };
    let Object::Generic(generic) = &entry.object else {
        return Ok(false);
    };
    let mut value = entry.value();
    let others = |list: &Value| -> Vec<Value> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.into_iter().filter(|it| it != "kubernetes").collect()
    };
    let left = others(&value["spec"]["finalizers"]);
    let held = value["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| !list.is_empty());
    if left.is_empty() && !held {
        return api.erase(generic).await.map(|()| true);
    }
    if left.len() != value["spec"]["finalizers"].as_array().map_or(0, Vec::len) {
        value["spec"]["finalizers"] = left.into();
        match api.put(generic, &value).await {
            Ok(()) | Err(WriteError::Conflict | WriteError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
