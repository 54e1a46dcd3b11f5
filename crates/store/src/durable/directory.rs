//! A store's directory: its lock, its database, its mark.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, Medium, OpenError};

/// The file of the database.
const DATABASE: &str = "store.redb";
/// The file of a database that is being made.
const NEW_DATABASE: &str = "store.redb.new";
/// Held locked by the process that has the directory; says which one that is.
const LOCK: &str = "lock";
/// The last revision that was acknowledged.
const MARK: &str = "acknowledged";

/// A directory that this process has for itself until it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    mark: File,
    _lock: File,
}

impl Directory {
    /// Takes the directory `path`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`OpenError::Locked`] when another process has it, else what the system says.
    pub fn lock(path: &Path) -> Result<Self, OpenError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed(format!(
                "make the data directory `{}`",
                path.display()
            )))?;
        let lock = lock_file(path)?;
        let at = path.join(MARK);
        let mark = open(&at).map_err(failed(format!("open `{}`", at.display())))?;
        Ok(Self {
            path: path.to_owned(),
            mark,
            _lock: lock,
        })
    }

    /// Makes the names of its files durable, and its own and those of the
    /// directories above, some of which may be new.
    fn sync(&self) -> io::Result<()> {
        for dir in std::path::absolute(&self.path)?.ancestors() {
            match sync_dir(dir) {
                // One above that is not ours to read was there before.
                Err(error)
                    if error.kind() == io::ErrorKind::PermissionDenied && dir != self.path => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn failed(step: String) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { step, source }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn lock_file(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let step = || format!("lock the data directory with `{}`", path.display());
    let mut file = open(&path).map_err(failed(step()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only a hint: the lock itself is the kernel's.
            let _ = file.take(20).read_to_string(&mut holder);
            let holder = match holder.trim().parse::<u32>() {
                Ok(pid) => format!("process {pid}"),
                Err(_) => "another process".to_owned(),
            };
            return Err(OpenError::Locked {
                dir: dir.to_owned(),
                holder,
            });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(failed(step())(source)),
    }
    let write = |file: &mut File| -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    // On a full disk the lock holds as well; only its reader learns less.
    let _ = write(&mut file);
    Ok(file)
}

impl Disk for Directory {
    fn open(&self) -> Result<Option<Arc<dyn Medium>>, OpenError> {
        let path = self.path.join(DATABASE);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => {
                // The process that made it may have been killed before it could.
                self.sync()
                    .map_err(failed(format!("open the store `{}`", path.display())))?;
                Ok(Some(Arc::new(DiskFile(file))))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(format!("open the store `{}`", path.display()))(
                error,
            )),
        }
    }

    fn create(&self) -> Result<Arc<dyn Medium>, OpenError> {
        let path = self.path.join(NEW_DATABASE);
        let file = open(&path)
            .and_then(|file| file.set_len(0).map(|()| file))
            .map_err(failed(format!("make the store `{}`", path.display())))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn publish(&self) -> Result<(), OpenError> {
        let (from, to) = (self.path.join(NEW_DATABASE), self.path.join(DATABASE));
        File::open(&from)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&from, &to))
            .and_then(|()| self.sync())
            .map_err(failed(format!("make the store `{}`", to.display())))
    }

    fn mark(&self, revision: u64) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&revision.to_le_bytes());
        bytes[8..].copy_from_slice(&(!revision).to_le_bytes());
        // It only tells of damage; the revision itself is in the database.
        let _ = self.mark.write_all_at(&bytes, 0);
    }

    fn marked(&self) -> Option<u64> {
        let mut bytes = [0; 16];
        self.mark.read_exact_at(&mut bytes, 0).ok()?;
        let (revision, check) = bytes.split_at(8);
        let revision = u64::from_le_bytes(revision.try_into().ok()?);
        let check = u64::from_le_bytes(check.try_into().ok()?);
        (check == !revision).then_some(revision)
    }
}

/// A regular file.
#[derive(Debug)]
struct DiskFile(File);

impl Medium for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
