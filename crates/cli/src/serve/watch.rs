//! Which files of a directory have changed, as soon as they are whole.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// What happened in the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// A file of this name came, changed or went.
    File(PathBuf),
    /// More than can be told: everything has to be looked at.
    All,
    /// The directory itself is gone.
    Gone,
}

/// A directory that is watched.
pub(super) struct Watch {
    inotify: AsyncFd<OwnedFd>,
    dir: PathBuf,
}

impl Watch {
    pub(super) fn start(dir: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // A file is whole when its writer closes it, or moves it here. Links are
        // there at once and are not written.
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::CREATE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, dir, flags)?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; an OwnedFd stays what it is as long as it is owned"
        )]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self {
            inotify,
            dir: dir.to_owned(),
        })
    }

    /// Waits for changes.
    pub(super) async fn next(&mut self) -> io::Result<Vec<Change>> {
        loop {
            let mut guard = self.inotify.readable().await?;
            let changes = read(guard.get_inner(), &self.dir)?;
            guard.clear_ready();
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

fn read(inotify: &OwnedFd, dir: &Path) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(inotify, &mut buffer);
    loop {
        let event = match events.next() {
            Ok(event) => event,
            Err(Errno::WOULDBLOCK) => return Ok(changes),
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let flags = event.events();
        if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED) {
            changes.push(Change::Gone);
        } else if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            changes.push(Change::All);
        } else if let Some(name) = event.file_name() {
            let name = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
            if flags.contains(ReadFlags::CREATE) && !is_link(&dir.join(&name)) {
                continue;
            }
            // `..data` is what a mounted ConfigMap swaps.
            let is_swap = name.as_os_str().as_bytes().starts_with(b"..");
            changes.push(if is_swap {
                Change::All
            } else {
                Change::File(name)
            });
        }
    }
}

/// Whether the file was whole before it got this name.
fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
}
