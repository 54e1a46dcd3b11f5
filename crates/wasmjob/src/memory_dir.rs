//! A directory in memory, for the files of Secrets: they must not reach a disk.
//!
//! It stands in `/dev/shm`, if that is in memory, under a name that nobody can guess.
//! A host that is killed leaves it there; who comes to its directory next finds it by a
//! link, and removes it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use wasmjob_node::remove_tree;

use crate::random::Random;

/// Where directories in memory are made.
const BASE: &str = "/dev/shm";

/// What their names begin with.
const PREFIX: &str = "wasmjob-";

/// The link in the host's directory.
const LINK: &str = "memory";

/// What `statfs` says of a file system in memory.
const TMPFS: i64 = 0x0102_1994;

/// The directory; it goes with us.
pub(crate) struct MemoryDir {
    dir: PathBuf,
    link: Option<PathBuf>,
}

impl MemoryDir {
    /// Finds a place for it, in which the node makes it when it is first needed; `None` if
    /// this system has none. `host_dir` is where the host keeps what is its own.
    pub(crate) fn find(host_dir: Option<&Path>) -> Option<Self> {
        if let Some(dir) = host_dir {
            remove_old(dir);
        }
        let link = host_dir.map(|dir| dir.join(LINK));
        let kind = rustix::fs::statfs(BASE).ok()?.f_type;
        #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
        if kind as i64 != TMPFS {
            return None;
        }
        // Not by the seed: nobody may guess it.
        let name = format!("{PREFIX}{}", Random::new(None).uid());
        let dir = Path::new(BASE).join(name);
        if let Some(link) = &link
            && let Err(error) = symlink(&dir, link)
        {
            tracing::warn!(link = %link.display(), %error, "files of Secrets stand on the disk");
            return None;
        }
        Some(Self { dir, link })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}

impl Drop for MemoryDir {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "failed to remove the files of Secrets");
        }
        if let Some(link) = &self.link {
            // The next start would find nothing behind it.
            let _ = fs::remove_file(link);
        }
    }
}

/// Removes what a host left that was killed, to which `host_dir` leads: only what is ours
/// and such a directory. Whether nothing of it is left.
pub(crate) fn remove_old(host_dir: &Path) -> bool {
    let link = &host_dir.join(LINK);
    let Ok(dir) = fs::read_link(link) else {
        return true;
    };
    let name = dir.file_name().and_then(|name| name.to_str());
    let is_such =
        dir.parent() == Some(Path::new(BASE)) && name.is_some_and(|name| name.starts_with(PREFIX));
    let is_ours = fs::symlink_metadata(&dir)
        .is_ok_and(|it| it.is_dir() && it.uid() == rustix::process::geteuid().as_raw());
    if is_such
        && is_ours
        && let Err(error) = remove_tree(&dir)
    {
        tracing::warn!(dir = %dir.display(), %error, "failed to remove files of Secrets");
        if dir.exists() {
            return false;
        }
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(link = %link.display(), %error, "failed to remove a link");
            false
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_host_left_goes_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let Some(first) = MemoryDir::find(Some(data.path())) else {
            return;
        };
        let left = first.path().to_owned();
        fs::create_dir(&left).unwrap();
        fs::write(left.join("secret"), "x").unwrap();
        std::mem::forget(first);
        let second = MemoryDir::find(Some(data.path())).unwrap();
        assert!(!left.exists());
        fs::create_dir(second.path()).unwrap();
        let place = second.path().to_owned();
        drop(second);
        assert!(!place.exists() && !data.path().join(LINK).exists());
        // A link to somewhere else is only a link.
        let other = data.path().join("wasmjob-other");
        fs::create_dir(&other).unwrap();
        symlink(&other, data.path().join(LINK)).unwrap();
        drop(MemoryDir::find(Some(data.path())));
        assert!(other.is_dir());
    }
}
