//! The store on a disk: a journal of commits, folded into a table of objects.
//!
//! Underneath is one redb database, with two tables that matter. A batch of
//! commits is one row of `journal`, keyed by its last revision, and one
//! transaction of the database: it is there wholly or not at all. Each batch
//! also folds some of the objects that earlier ones changed into `objects`, and
//! drops the rows of the journal that are folded wholly; so no commit waits for
//! a large clean-up, and an object that lives shortly is never folded at all.
//!
//! All objects are in memory; the disk is read once, when the store is opened.
//! What is read then is the table, with the journal applied on top.
//!
//! What is promised:
//!
//! - A commit is shown, and its revision counted as visible, only after `fsync`
//!   returned for it (the database's own commit does that).
//! - A write that fails changes nothing: the batch is kept and tried again, with
//!   the database opened anew, until there is room. A failed `fsync` is never
//!   tried again, because the kernel may have dropped what it could not write:
//!   the store [fails](crate::Health::Failed) and must be opened anew.
//! - Every page has a checksum, all of which are verified at opening. Beside the
//!   database stands a mark, the last revision that was acknowledged; a database
//!   that does not reach it is damaged and is refused.
//! - Whoever holds the directory holds a lock.
//!
//! The form of rows is [`FORMAT`]. A newer one is refused; an older one is taken
//! over at opening, in one commit of the database, and not given back.

mod directory;
mod disk;
mod journal;
mod load;
mod record;
mod rows;
mod seal;

pub use directory::Directory;
pub use disk::{Disk, Medium};
pub use seal::SecretKey;

pub(crate) use journal::JournalThread;
pub(crate) use load::load;

use redb::TableDefinition;

/// The version of the form of rows.
///
/// Format 2 knows generic objects, the metadata of single pods, and events that
/// count; format 3 has a pod spec once, however many Jobs and templates have it; in format 4
/// Secrets may be encrypted; format 5 knows how much a container has written; format 6
/// knows what a file gave of its pods.
/// What older ones wrote can be read, and is written anew when it changes.
pub(crate) const FORMAT: u64 = 6;

/// What describes the store itself.
pub(crate) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
/// Batches of commits, by their last revision.
pub(crate) const JOURNAL: TableDefinition<'static, u64, &'static [u8]> =
    TableDefinition::new("journal");
/// Rows of objects, by numbers in the order in which they were first folded: what
/// is new goes to one end of the tree, where a key by UID would touch a page each.
/// The value is a revision, the key that the journal knows, and the row.
pub(crate) const OBJECTS: TableDefinition<'static, u64, &'static [u8]> =
    TableDefinition::new("objects");

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data directory `{dir}` is locked by {holder}; stop that process or choose another --data-dir"
    )]
    Locked {
        /// The directory.
        dir: std::path::PathBuf,
        /// Who has it: `process 123`, as far as is known.
        holder: String,
    },
    /// It was written by a newer version.
    #[error(
        "the store was written in format {found} by a newer wasmjob; this one knows formats up to {known}"
    )]
    Newer {
        /// The format found.
        found: u64,
        /// The newest known.
        known: u64,
    },
    /// What is there is not what was written. Nothing was changed.
    #[error(
        "the store is damaged: {0}; restore the whole data directory from a copy, or move it away to begin anew"
    )]
    Damaged(String),
    /// Its Secrets are encrypted. Nothing was changed.
    #[error(
        "the Secrets in the store are encrypted: name the file of their key with --secret-key-file"
    )]
    NoKey,
    /// Its Secrets are encrypted otherwise. Nothing was changed.
    #[error("the Secrets in the store are encrypted with another key than the one that is given")]
    OtherKey,
    /// The system refused.
    #[error("failed to {step}")]
    Io {
        /// What was tried.
        step: String,
        /// What the system said.
        source: std::io::Error,
    },
}
