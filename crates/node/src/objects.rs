//! What pods read of other objects: ConfigMaps and Secrets.

use std::sync::Arc;

use wasmjob_api::k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// The objects that pods refer to, as they are now.
///
/// Both answers come from memory and cost what one object costs, however many
/// there are: the node asks on the thread that drives it. An object that cannot be
/// understood counts as one that is not there.
pub trait Objects: Send + Sync + 'static {
    /// The ConfigMap of that name.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;

    /// The Secret of that name. Its values must not be shown to anybody but the
    /// pods that refer to it.
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ConfigKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// What identifies a ConfigMap or a Secret for those that refer to it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConfigName {
    /// Which of the two it is.
    pub kind: ConfigKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}
