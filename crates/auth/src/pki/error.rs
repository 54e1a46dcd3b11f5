//! Why the keys of an installation cannot be used.

use std::io;
use std::path::PathBuf;

use crate::disk;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("failed to {step} `{}`", path.display())]
    Disk {
        /// What was tried.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// A file that clients rely on is gone, while others are there.
    #[error(
        "`{}` is missing; restore it from a backup, or move `{}` away to make new \
         authorities, which no client trusts until it gets the new kubeconfig",
        path.display(), disk::parent(path).display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file that clients rely on cannot be used.
    #[error(
        "`{}` cannot be used: {detail}; restore it from a backup, or move `{}` away to make new \
         authorities, which no client trusts until it gets the new kubeconfig",
        path.display(), disk::parent(path).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong; it shows nothing of a key.
        detail: String,
    },
    /// A name was asked for that no certificate can have.
    #[error("`{0}` is neither a DNS name nor an IP address")]
    Name(String),
    /// The cryptography library refuses.
    #[error("failed to make {what}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// The refusal.
        source: rcgen::Error,
    },
    /// The key of the server certificate is of no use for TLS.
    #[error("failed to use the key of the server certificate")]
    ServerKey(#[source] rustls::Error),
}
