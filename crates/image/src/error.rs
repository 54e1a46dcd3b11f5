//! Why an image is not there.

use crate::registry::{PullError, PullErrorKind};

/// Why an image cannot be had; [`ImageError::reason`] is the kubelet's word for it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference itself is wrong.
    #[error("{0}")]
    InvalidName(String),
    /// The reference names nothing that can be fetched.
    #[error("{0}")]
    Pull(String),
    /// Its registry did not give it.
    #[error("{0}")]
    Registry(PullError),
    /// It is not here, and may not be pulled.
    #[error("the image is not present with pull policy of Never")]
    NeverPull,
    /// There is a module, and it cannot be run.
    #[error("module {name:?} {text}")]
    Module {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        text: String,
    },
}

impl ImageError {
    /// The reason of a waiting container: `InvalidImageName`, `ErrImagePull`,
    /// `SignatureValidationFailed` or `ErrImageNeverPull`, and `StartError` for a module that cannot run.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "InvalidImageName",
            Self::Registry(error) if error.kind == PullErrorKind::Unsigned => {
                "SignatureValidationFailed"
            }
            Self::Pull(_) | Self::Registry(_) => "ErrImagePull",
            Self::NeverPull => "ErrImageNeverPull",
            Self::Module { .. } => "StartError",
        }
    }

    /// Whether trying again would come to the same, unless somebody changes something
    /// beside: the name is wrong, or the registry does not have the image, does not give
    /// it, or has one that cannot be used. What is missing on this machine may come.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::InvalidName(_) | Self::NeverPull | Self::Module { .. } => true,
            Self::Pull(_) => false,
            Self::Registry(error) => error.is_terminal(),
        }
    }

    /// What kind of failure of a registry it was, if it was one.
    #[must_use]
    pub fn kind(&self) -> Option<PullErrorKind> {
        match self {
            Self::Registry(error) => Some(error.kind),
            _ => None,
        }
    }
}
