//! What the database writes to, so that a test can own its disk.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use super::OpenError;

/// One file of bytes.
pub trait Medium: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    ///
    /// As [`Medium::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    ///
    /// When not all of it can be read.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes `bytes` at `offset`; they may be lost until [`Medium::sync`] returns.
    ///
    /// # Errors
    ///
    /// When not all of it can be written; some of it may be then.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sets the length; new bytes are 0.
    ///
    /// # Errors
    ///
    /// When there is no room.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes durable whatever was written before.
    ///
    /// # Errors
    ///
    /// When it cannot be known that it is durable. It is not tried again.
    fn sync(&self) -> io::Result<()>;
}

/// Where a store is kept: the file of its database, and its mark.
pub trait Disk: Send + Sync + 'static {
    /// Opens the database's file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    fn open(&self) -> Result<Option<Arc<dyn Medium>>, OpenError>;

    /// Makes an empty file beside the database's, in place of one that was left
    /// there.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    fn create(&self) -> Result<Arc<dyn Medium>, OpenError>;

    /// Lets the file that was made be the database's, durably: after a power cut
    /// it is there wholly or not at all.
    ///
    /// # Errors
    ///
    /// When that cannot be known.
    fn publish(&self) -> Result<(), OpenError>;

    /// The bytes that the journal may have before it is folded, four times as many in
    /// a rush of commits. All of it is in memory as well, and read again at opening.
    fn journal_bytes_max(&self) -> usize {
        8 << 20
    }

    /// Notes that `revision` was acknowledged. It need not be durable, and it is
    /// no error if it cannot be noted: the mark only tells of damage.
    fn mark(&self, revision: u64);

    /// The revision that was noted last, if it can be told.
    fn marked(&self) -> Option<u64>;
}

/// A medium as the database sees it.
#[derive(Debug)]
pub(crate) struct Backend {
    medium: Arc<dyn Medium>,
    /// Set when a sync failed.
    sync_failed: Arc<AtomicBool>,
}

impl Backend {
    pub(crate) fn new(medium: Arc<dyn Medium>, sync_failed: &Arc<AtomicBool>) -> Self {
        Self {
            medium,
            sync_failed: Arc::clone(sync_failed),
        }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.medium.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.medium.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.medium.sync().inspect_err(|_| {
            self.sync_failed.store(true, Ordering::Release);
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.medium.write(offset, data)
    }
}
