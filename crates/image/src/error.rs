//! Why an image is not there.

/// Why an image cannot be had; [`ImageError::reason`] is the kubelet's word for it.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference itself is wrong.
    #[error("{0}")]
    InvalidName(String),
    /// The reference names nothing that can be fetched.
    #[error("{0}")]
    Pull(String),
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
    /// The reason of a waiting container: `InvalidImageName` or `ErrImagePull`,
    /// and `StartError` for a module that cannot run.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidName(_) => "InvalidImageName",
            Self::Pull(_) => "ErrImagePull",
            Self::Module { .. } => "StartError",
        }
    }
}
