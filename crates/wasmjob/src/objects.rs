//! ConfigMaps, Secrets and what else the node reads of the store; and tokens, by whoever
//! makes them.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashMap;
use serde::de::DeserializeOwned;
use wasmjob_api::Uid;
use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use wasmjob_api::k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use wasmjob_api::network_policy::RESOURCE as POLICIES;
use wasmjob_node::{ConfigKind, ConfigName, Objects, PodToken, TokenWanted};
use wasmjob_store::{GenericObject, Store, Stored};

const CONFIG_MAPS: &str = "configmaps";
const SECRETS: &str = "secrets";
const CLAIMS: &str = "persistentvolumeclaims";
pub(crate) const ACCOUNTS: &str = "serviceaccounts";

/// Objects of each kind that are kept as they were last read, so that the pods of a
/// Job do not read the same JSON each. Beyond that it begins anew.
const READ_MAX: usize = 64;

/// Reads the objects of a store.
pub(crate) struct StoreObjects {
    store: Store,
    config_maps: Read<ConfigMap>,
    secrets: Read<Secret>,
    claims: Read<PersistentVolumeClaim>,
    policies: Read<NetworkPolicy>,
    tokens: TokenMaker,
}

/// Makes the tokens of service accounts that pods get.
pub trait PodTokens: Send + Sync + 'static {
    /// A new token.
    ///
    /// # Errors
    ///
    /// Why there is none, for people: `serviceaccounts "x" not found`.
    fn token(&self, wanted: &TokenWanted<'_>) -> Result<PodToken, String>;
}

/// Who makes tokens, once there is somebody.
pub(crate) type TokenMaker = Arc<Mutex<Option<Arc<dyn PodTokens>>>>;

/// What was read lately, with the revision that it was read at.
type Read<T> = Mutex<HashMap<Uid, (u64, Arc<T>)>>;

impl StoreObjects {
    pub(crate) fn new(store: Store, tokens: TokenMaker) -> Self {
        Self {
            tokens,
            store,
            config_maps: Mutex::default(),
            secrets: Mutex::default(),
            claims: Mutex::default(),
            policies: Mutex::default(),
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        read: &Read<T>,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<T>> {
        Self::parsed(read, &self.store.named(resource, namespace, name)?)
    }

    fn parsed<T: DeserializeOwned>(read: &Read<T>, stored: &Stored) -> Option<Arc<T>> {
        let object = stored.object.as_generic()?;
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((revision, known)) = read.get(&object.uid)
            && *revision == stored.revision
        {
            return Some(Arc::clone(known));
        }
        let parsed = match serde_json::from_slice::<T>(&object.json) {
            Ok(parsed) => Arc::new(parsed),
            Err(error) => {
                // Where it is wrong, not what stands there: it may be a secret.
                tracing::error!(
                    resource = &*object.resource,
                    namespace = &*object.namespace,
                    name = &*object.name,
                    line = error.line(),
                    column = error.column(),
                    "an object in the store is not understood"
                );
                return None;
            }
        };
        if read.len() >= READ_MAX {
            read.clear();
        }
        read.insert(object.uid, (stored.revision, Arc::clone(&parsed)));
        Some(parsed)
    }
}

impl Objects for StoreObjects {
    fn token(&self, wanted: &TokenWanted<'_>) -> Result<PodToken, String> {
        // Not for as long as a token is made: others want one, too.
        let maker = {
            let maker = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            maker.clone()
        };
        match maker {
            Some(maker) => maker.token(wanted),
            None => Err("there is no API here that takes tokens".to_owned()),
        }
    }

    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
        self.read(&self.config_maps, CONFIG_MAPS, namespace, name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        self.read(&self.secrets, SECRETS, namespace, name)
    }

    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        self.read(&self.claims, CLAIMS, namespace, name)
    }

    fn network_policies(&self, namespace: &str) -> Vec<Arc<NetworkPolicy>> {
        let stored = self.store.of_namespace(POLICIES, namespace);
        let policy = |stored| Self::parsed(&self.policies, stored);
        let policies = stored.iter().map(|it| policy(it).unwrap_or_else(closed));
        policies.collect()
    }
}

/// The policy that closes all.
fn closed() -> Arc<NetworkPolicy> {
    Arc::new(NetworkPolicy {
        spec: Some(NetworkPolicySpec {
            policy_types: Some(vec!["Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
        ..NetworkPolicy::default()
    })
}

/// What pods call the object, if it is one that they may refer to.
pub(crate) fn config_name(object: &GenericObject) -> Option<ConfigName> {
    let kind = match &*object.resource {
        CONFIG_MAPS => ConfigKind::ConfigMap,
        SECRETS => ConfigKind::Secret,
        CLAIMS => ConfigKind::Claim,
        POLICIES => ConfigKind::NetworkPolicies,
        ACCOUNTS => ConfigKind::Account,
        _ => return None,
    };
    let name = match kind {
        ConfigKind::NetworkPolicies => Arc::from(""),
        _ => Arc::clone(&object.name),
    };
    Some(ConfigName {
        kind,
        namespace: Arc::clone(&object.namespace),
        name,
    })
}

#[cfg(test)]
mod tests {
    use wasmjob_store::{Object, Transaction};

    use super::*;

    fn put(store: &Store, n: u128, resource: &str, name: &str, json: &str) {
        let mut transaction = Transaction::default();
        transaction.put(Object::Generic(Arc::new(GenericObject {
            uid: Uid::from_random(n),
            resource: resource.into(),
            namespace: "shop".into(),
            name: name.into(),
            json: json.as_bytes().into(),
        })));
        store.commit(transaction);
    }

    #[test]
    fn objects_are_read_by_name_and_read_anew_when_they_change() {
        let store = Store::new();
        let objects = StoreObjects::new(store.clone(), TokenMaker::default());
        let value = || {
            let map = objects.config_map("shop", "a")?;
            map.data.as_ref()?.get("k").cloned()
        };
        assert_eq!(value(), None);
        put(&store, 1, CONFIG_MAPS, "a", r#"{"data":{"k":"one"}}"#);
        assert_eq!(value().as_deref(), Some("one"));
        put(&store, 1, CONFIG_MAPS, "a", r#"{"data":{"k":"two"}}"#);
        assert_eq!(value().as_deref(), Some("two"));
        assert!(objects.secret("shop", "a").is_none());
        assert!(objects.config_map("other", "a").is_none());
        put(
            &store,
            2,
            SECRETS,
            "a",
            r#"{"type":"Opaque","data":{"k":"b25l"}}"#,
        );
        let secret = objects.secret("shop", "a").unwrap();
        assert_eq!(secret.data.as_ref().unwrap()["k"].0, b"one");
        put(&store, 2, SECRETS, "a", "[");
        assert!(objects.secret("shop", "a").is_none());
    }
}
