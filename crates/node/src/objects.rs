//! What pods refer to: ConfigMaps, Secrets, claims of volumes and service accounts; and
//! what policies say of them.

use std::sync::Arc;

use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use wasmjob_api::k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::{PodToken, TokenWanted};

/// The objects that pods refer to, as they are now.
///
/// All answers come from memory and cost what their own objects cost, however many
/// others there are: the node asks on the thread that drives it. An object that cannot be
/// understood counts as one that is not there.
pub trait Objects: Send + Sync + 'static {
    /// The ConfigMap of that name.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;

    /// The Secret of that name. Its values must not be shown to anybody but the
    /// pods that refer to it.
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;

    /// The PersistentVolumeClaim of that name.
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>>;

    /// The NetworkPolicies of a namespace. One that cannot be understood must close what
    /// it may have meant to close.
    fn network_policies(&self, namespace: &str) -> Vec<Arc<NetworkPolicy>>;

    /// A new token of a pod's service account. Unlike the others, it may take a moment:
    /// it is asked for on a worker's thread.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    fn token(&self, wanted: &TokenWanted<'_>) -> Result<PodToken, String>;
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ConfigKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// A PersistentVolumeClaim.
    Claim,
    /// The NetworkPolicies of the namespace together; without a name.
    NetworkPolicies,
    /// A ServiceAccount, of which a pod has a token.
    Account,
}

/// What identifies one of them for those that refer to it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConfigName {
    /// Which of them it is.
    pub kind: ConfigKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}
