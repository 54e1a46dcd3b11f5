//! What pods refer to: ConfigMaps, Secrets, claims of volumes and service accounts.

use std::sync::Arc;

use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};

use crate::{PodToken, TokenWanted};

/// The objects that pods refer to, as they are now.
///
/// All answers come from memory and cost what one object costs, however many
/// there are: the node asks on the thread that drives it. An object that cannot be
/// understood counts as one that is not there.
pub trait Objects: Send + Sync + 'static {
    /// The ConfigMap of that name.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;

    /// The Secret of that name. Its values must not be shown to anybody but the
    /// pods that refer to it.
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;

    /// The PersistentVolumeClaim of that name.
    fn claim(&self, namespace: &str, name: &str) -> Option<Arc<PersistentVolumeClaim>>;

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
