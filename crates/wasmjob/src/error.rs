//! What may go wrong at the host's surface.

use wasmjob_api::manifest::Problems;

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The WebAssembly engine could not be set up.
    #[error(transparent)]
    Engine(#[from] wasmjob_sandbox::EngineError),
    /// The directory for pods' scratch space could not be made.
    #[error("failed to make the scratch directory {dir}")]
    Scratch {
        /// The directory.
        dir: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The node could not be set up: its threads, or the directory of its logs.
    #[error(transparent)]
    Node(#[from] wasmjob_node::NodeError),
    /// The store could not be opened.
    #[cfg(feature = "durable")]
    #[error(transparent)]
    Store(#[from] wasmjob_store::OpenError),
    /// The key of Secrets could not be had.
    #[cfg(feature = "durable")]
    #[error(transparent)]
    Key(#[from] crate::SecretKeyError),
    /// A thread could not be started.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
}

/// Why objects were not taken on. Nothing was changed, except perhaps where it is
/// [`Unavailable`](Self::Unavailable).
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The manifest is not valid: everything that is wrong with it.
    #[error("{0}")]
    Manifest(#[from] Problems),
    /// An object is not valid, in Kubernetes' words.
    #[error("{0}")]
    Invalid(String),
    /// It may not come in: a limit, a quota or a class says so, in Kubernetes' words.
    #[error("{resource} {name:?} is forbidden: {why}")]
    Forbidden {
        /// Its plural and group.
        resource: String,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// There is one of that name already.
    #[error("{kind} {name:?} already exists in namespace {namespace:?}")]
    AlreadyExists {
        /// Its kind.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Nothing can be written at the moment. The text says whether nothing was changed,
    /// or the change waits: then it may still happen.
    #[error("nothing can be stored at the moment: {0}")]
    Unavailable(String),
    /// There is one of that name that is being deleted.
    #[error("{0} is being deleted; try again when it is gone")]
    Terminating(String),
    /// The host is gone.
    #[error(transparent)]
    Gone(#[from] HostGone),
}

/// Why an edit was refused. Nothing was changed, except perhaps where it is
/// [`Unavailable`](Self::Unavailable).
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The Job would not be valid, or something immutable would change.
    #[error("{0}")]
    Invalid(String),
    /// Nothing can be written at the moment. The text says whether nothing was changed,
    /// or the change waits: then it may still happen.
    #[error("nothing can be stored at the moment: {0}")]
    Unavailable(String),
    /// There is no such Job (any more).
    #[error("the Job is gone")]
    NotFound,
    /// The host is gone.
    #[error(transparent)]
    Gone(#[from] HostGone),
}

/// The host was dropped, or the object was deleted before it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the host was stopped, or the Job was deleted before it ended")]
pub struct HostGone;
