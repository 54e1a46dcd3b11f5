//! Why an image could not be pulled.

/// What kind of failure it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullErrorKind {
    /// The registry has no such image.
    NotFound,
    /// The registry wants other credentials.
    Unauthorized,
    /// What came is not what was promised: a digest, a size, a format.
    Corrupt,
    /// It is an image, and none that can run here.
    Unsupported,
    /// It has no signature of a key that counts for it.
    Unsigned,
    /// A limit or a rule of this host stands against it.
    Refused,
    /// The registry cannot be reached, or has trouble of its own.
    Unavailable,
    /// The disk, or something else of this host.
    Host,
}

/// Why an image could not be pulled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text}")]
pub struct PullError {
    /// What kind of failure it was.
    pub kind: PullErrorKind,
    pub(crate) text: String,
}

impl PullError {
    pub(crate) fn new(kind: PullErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    pub(crate) fn corrupt(text: impl Into<String>) -> Self {
        Self::new(PullErrorKind::Corrupt, text)
    }

    pub(crate) fn unsupported(text: impl Into<String>) -> Self {
        Self::new(PullErrorKind::Unsupported, text)
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(PullErrorKind::Refused, text)
    }

    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self::new(PullErrorKind::Unavailable, text)
    }

    pub(crate) fn host(step: &str, error: &std::io::Error) -> Self {
        Self::new(PullErrorKind::Host, format!("{step}: {error}"))
    }

    /// Says of what the failure is.
    pub(crate) fn of(mut self, what: impl std::fmt::Display) -> Self {
        self.text = format!("{what}: {}", self.text);
        self
    }

    /// Says what may help.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.text.push_str(hint);
        self
    }

    /// Whether trying again would come to the same, unless somebody changes the image,
    /// the credentials or the rules.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !matches!(self.kind, PullErrorKind::Unavailable | PullErrorKind::Host)
    }
}
