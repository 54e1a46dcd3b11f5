//! Removes directories that guests have filled, whatever they made of them.
//!
//! A guest can nest directories as deep as it likes: neither the stack nor the
//! descriptors nor the length of paths may depend on that, as they do in the standard
//! library's own removal. What lies deep is moved up and removed from there.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// Directories in one another that are open at a time.
const DEPTH_MAX: usize = 32;

/// Removes the directory `root` with all that is in it; links are not followed. Blocks.
///
/// # Errors
///
/// When something cannot be removed, or `root` is not there.
pub fn remove_tree(root: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root, flags, Mode::empty())?;
    let mut removal = Removal {
        root: opened.as_fd(),
        moved: 0,
    };
    // Once more if something was moved up, where the look at the root may have been already.
    while removal.empty(opened.as_fd(), 0)? {}
    std::fs::remove_dir(root)
}

struct Removal<'a> {
    root: BorrowedFd<'a>,
    /// Directories that were moved up.
    moved: u64,
}

impl Removal<'_> {
    /// Removes what is in a directory; whether something was moved up. Recursive, no deeper
    /// than [`DEPTH_MAX`].
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut moved = false;
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
            if depth == DEPTH_MAX {
                self.move_up(dir, name)?;
                moved = true;
                continue;
            }
            let below = openat(dir, name, flags, Mode::empty())?;
            moved |= self.empty(below.as_fd(), depth + 1)?;
            unlinkat(dir, name, AtFlags::REMOVEDIR)?;
        }
        Ok(moved)
    }

    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        loop {
            let up = format!(".removed-{}", self.moved);
            self.moved += 1;
            match renameat_with(dir, name, self.root, up, RenameFlags::NOREPLACE) {
                // Somebody has called a file so.
                Err(Errno::EXIST) => {}
                done => return Ok(done?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_any_depth_goes_and_links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for dir in [&root, &outside] {
            std::fs::create_dir(dir).unwrap();
        }
        std::fs::write(outside.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::fs::write(root.join(".removed-0"), "").unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(&root, flags, Mode::empty()).unwrap();
        let name = "d".repeat(100);
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            openat(&at, "f", OFlags::CREATE, Mode::RUSR).unwrap();
            rustix::fs::symlinkat("../..", &at, "up").unwrap();
            at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
        }
        drop(at);
        remove_tree(&root).unwrap();
        assert!(!root.exists() && outside.join("kept").exists());
        assert_eq!(
            remove_tree(&root).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
