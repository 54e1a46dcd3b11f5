//! Claims of volumes, and the volumes that they get: directories of this machine.
//!
//! The host makes a claim's directory when a pod first mounts it. Here is what people
//! see of that, and the end of it: a claim is bound to a PersistentVolume as soon as it
//! is there, whatever its storage class is called (there is one kind of storage here),
//! unless it asks for none (`""`). A claim that pods use is kept until they have ended;
//! with it goes its directory, unless its volume's reclaim policy is Retain.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmjob::api::config::STORAGE_CLASS;
use wasmjob::{Change, GenericObject, Object, WriteError};

use crate::api::Api;
use crate::kinds::{meta, metadata};

const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";

/// What keeps a claim while pods use it.
const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// What the volume of a claim is called before the claim's UID.
const PREFIX: &str = "pvc-";

type Names = (Arc<str>, Arc<str>);

/// Claims and volumes that something is to be done about.
#[derive(Default)]
pub(super) struct Claims {
    /// To be bound, by namespace and name.
    new: HashSet<Names>,
    /// Being deleted, and perhaps in use.
    ending: HashSet<Names>,
    /// Volumes whose claims may be gone.
    volumes: HashSet<Arc<str>>,
}

impl Claims {
    pub(super) fn look(&mut self, change: &Change) {
        let Object::Generic(generic) = change.object() else {
            return;
        };
        let names = (Arc::clone(&generic.namespace), Arc::clone(&generic.name));
        let is_gone = matches!(change, Change::Deleted(_));
        match &*generic.resource {
            CLAIMS if is_gone => {
                self.new.remove(&names);
                self.ending.remove(&names);
                let volume = format!("{PREFIX}{}", generic.uid);
                self.volumes.insert(volume.into());
            }
            CLAIMS => {
                let value = value_of(generic);
                if !value["metadata"]["deletionTimestamp"].is_null() {
                    self.ending.insert(names);
                } else if value["status"]["phase"] != "Bound" {
                    self.new.insert(names);
                }
            }
            VOLUMES if !is_gone => {
                self.volumes.insert(names.1);
            }
            _ => {}
        }
    }

    pub(super) async fn act(&mut self, api: &Arc<Api>) -> Result<(), WriteError> {
        for names in self.new.clone() {
            match bind(api, &names).await {
                // Others must not wait for one that a quota keeps out.
                Err(WriteError::Forbidden(why)) => {
                    let (namespace, name) = &names;
                    tracing::warn!(%namespace, %name, why, "a claim cannot be bound");
                }
                bound => bound?,
            }
            self.new.remove(&names);
        }
        for names in self.ending.clone() {
            // The node knows before anybody can see it. A pod that it has not seen yet finds
            // that the claim is being deleted.
            if let Ok(false) = api.host.claim_in_use(&names.0, &names.1).await {
                release(api, &names).await?;
            }
        }
        for name in self.volumes.clone() {
            reclaim(api, &name).await?;
            self.volumes.remove(&name);
        }
        Ok(())
    }
}

fn value_of(generic: &GenericObject) -> Value {
    serde_json::from_slice(&generic.json).unwrap_or(Value::Null)
}

/// Writes what was made of an object; nothing, if it has changed meanwhile, which is
/// looked at as well.
async fn put(api: &Arc<Api>, seen: &Arc<GenericObject>, value: &Value) -> Result<(), WriteError> {
    match api.put(seen, value).await {
        Ok(()) | Err(WriteError::Conflict | WriteError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a claim its volume.
async fn bind(api: &Arc<Api>, (namespace, name): &Names) -> Result<(), WriteError> {
    let Some(entry) = api.cache.get(CLAIMS, namespace, name) else {
        return Ok(());
    };
    let Object::Generic(seen) = &entry.object else {
        return Ok(());
    };
    let mut claim = value_of(seen);
    let class = claim["spec"]["storageClassName"]
        .as_str()
        .unwrap_or(STORAGE_CLASS);
    if class.is_empty() || claim["status"]["phase"] == "Bound" {
        return Ok(());
    }
    let class = class.to_owned();
    let uid = seen.uid.to_string();
    let volume = format!("{PREFIX}{uid}");
    let capacity = json!({ "storage": claim["spec"]["resources"]["requests"]["storage"] });
    let modes = claim["spec"]["accessModes"].clone();
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume,
            "annotations": { "pv.kubernetes.io/provisioned-by": "wasmjob.dev/local" },
        },
        "spec": {
            "capacity": capacity,
            "accessModes": modes,
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": class,
            "volumeMode": "Filesystem",
            "local": { "path": api.host.claims_dir().join(&uid) },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
        },
        "status": { "phase": "Bound" },
    });
    api.ensure(VOLUMES, "", object).await?;
    claim["spec"]["storageClassName"] = class.into();
    claim["spec"]["volumeName"] = volume.into();
    claim["status"] = json!({ "phase": "Bound", "accessModes": modes, "capacity": capacity });
    let fields = metadata(&mut claim);
    let annotations = fields.entry("annotations").or_insert_with(|| json!({}));
    annotations["pv.kubernetes.io/bind-completed"] = "yes".into();
    annotations["pv.kubernetes.io/bound-by-controller"] = "yes".into();
    let finalizers = fields.entry("finalizers").or_insert_with(|| json!([]));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|it| it == PROTECTION)
    {
        finalizers.push(PROTECTION.into());
    }
    put(api, seen, &claim).await
}

/// Lets a claim go that nobody uses any more.
async fn release(api: &Arc<Api>, (namespace, name): &Names) -> Result<(), WriteError> {
    let Some(entry) = api.cache.get(CLAIMS, namespace, name) else {
        return Ok(());
    };
    let Object::Generic(seen) = &entry.object else {
        return Ok(());
    };
    let mut claim = value_of(seen);
    let fields = metadata(&mut claim);
    if fields.get("deletionTimestamp").is_none_or(Value::is_null) {
        // Another one, of the same name.
        return Ok(());
    }
    let finalizers = fields.entry("finalizers").or_insert_with(|| json!([]));
    let Some(finalizers) = finalizers.as_array_mut() else {
        return api.erase(seen).await;
    };
    let before = finalizers.len();
    finalizers.retain(|finalizer| finalizer != PROTECTION);
    if finalizers.is_empty() {
        return api.erase(seen).await;
    }
    if finalizers.len() == before {
        return Ok(());
    }
    put(api, seen, &claim).await
}

/// Does with a volume, and with its directory, what its policy says once its claim is gone.
async fn reclaim(api: &Arc<Api>, name: &Arc<str>) -> Result<(), WriteError> {
    let Some(entry) = api.cache.get(VOLUMES, "", name) else {
        return Ok(());
    };
    let Object::Generic(seen) = &entry.object else {
        return Ok(());
    };
    let mut volume = value_of(seen);
    let claim = &volume["spec"]["claimRef"];
    let uid = claim["uid"].as_str().unwrap_or_default().to_owned();
    // Those of others are none of our business.
    if **name != *format!("{PREFIX}{uid}") {
        return Ok(());
    }
    let namespace = claim["namespace"].as_str().unwrap_or_default();
    let bound = api.cache.get(CLAIMS, namespace, meta_name(claim));
    if bound.is_some_and(|bound| meta(&bound.value(), "uid") == uid) {
        return Ok(());
    }
    if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain" {
        if volume["status"]["phase"] == "Released" {
            return Ok(());
        }
        volume["status"]["phase"] = "Released".into();
        return put(api, seen, &volume).await;
    }
    // The claim's UID is a UID, so it is a plain file name.
    if let Ok(uid) = uid.parse::<wasmjob::api::Uid>() {
        let dir = api.host.claims_dir().join(uid.to_string());
        let shown = dir.display().to_string();
        let removed = tokio::task::spawn_blocking(move || wasmjob::remove_tree(&dir)).await;
        match removed {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(dir = shown, %error, "failed to remove a volume");
                return Ok(());
            }
            _ => {}
        }
    }
    api.erase(seen).await
}

fn meta_name(reference: &Value) -> &str {
    reference["name"].as_str().unwrap_or_default()
}
