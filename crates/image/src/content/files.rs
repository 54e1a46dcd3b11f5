//! Files and locks of the store of images.

use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{
    FlockOperation, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens,
};

/// How often it is looked whether a lock is free: its holder may be another process.
const LOCK_EVERY: Duration = Duration::from_millis(20);

pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn options() -> OpenOptions {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.custom_flags(flags).mode(0o600);
    options
}

pub(super) fn open_read(path: &Path) -> io::Result<File> {
    options().read(true).open(path)
}

pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Shares a lock, and waits for whoever has it alone, which is never for long.
pub(super) fn lock_shared(file: &File) -> io::Result<()> {
    Ok(flock(file, FlockOperation::LockShared)?)
}

/// Takes a lock alone, if nobody else has it.
pub(super) fn lock_now(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Whether nobody has the lock.
pub(super) fn is_lockable(file: &File) -> bool {
    let free = lock_now(file);
    if free {
        let _ = flock(file, FlockOperation::Unlock);
    }
    free
}

/// Whether `file` is what stands at `path`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |a: std::fs::Metadata, b: std::fs::Metadata| a.ino() == b.ino() && a.dev() == b.dev();
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(file), Ok(path)) => same(file, path),
        _ => false,
    }
}

/// Whether a file was written to within the last hour.
pub(super) fn is_fresh(path: &Path) -> bool {
    let modified = path.metadata().and_then(|metadata| metadata.modified());
    // One of the future, after the clock was set, is not.
    modified.is_ok_and(|at| {
        at.elapsed()
            .is_ok_and(|age| age < Duration::from_secs(3600))
    })
}

/// Says that a file was used now.
pub(super) fn touch(file: &File) {
    let time = |nanoseconds| Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    // Costs only the order in which images go.
    let _ = futimens(file, &times);
}

/// A file that this alone writes.
pub(crate) struct Locked {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Locked {
    /// Opens or makes `path`, and waits until nobody else writes it. `None` if `give_up`
    /// says so meanwhile.
    pub(crate) fn wait(path: PathBuf, give_up: impl Fn() -> bool) -> io::Result<Option<Self>> {
        loop {
            let file = open_lock(&path)?;
            while !lock_now(&file) {
                if give_up() {
                    return Ok(None);
                }
                std::thread::sleep(LOCK_EVERY);
            }
            // Whoever had it may have moved or removed it.
            if is_at(&file, &path) {
                return Ok(Some(Self { file, path }));
            }
        }
    }

    /// Publishes it at `to`, whole.
    pub(crate) fn publish(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, to)?;
        sync_parent(to)
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// A name below `aside` that nobody else uses.
pub(super) fn unused(aside: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Process numbers repeat: in containers that share the directory all may be 1.
    static OURS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    aside.join(format!("{:016x}-{count}", *OURS))
}

/// Writes `bytes` to `to`, so that either is there whole: what was, or these.
pub(super) fn write_whole(aside: &Path, to: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = unused(aside);
    let written = options()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&path, to))
        .and_then(|()| sync_parent(to));
    if written.is_err() {
        let _ = std::fs::remove_file(&path);
    }
    written
}

/// Writes a file unless there is one: the first of several writers wins.
pub(super) fn write_new(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = to.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&aside);
    options()
        .write(true)
        .create_new(true)
        .open(&aside)?
        .write_all(bytes)?;
    let linked = std::fs::hard_link(&aside, to);
    std::fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// What is in a directory; nothing, if it is not there.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    listing.map(|entry| Ok(entry?.path())).collect()
}

/// Removes a file, or a directory with all that is in it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
