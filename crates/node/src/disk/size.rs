//! How much a directory's files take.
//!
//! Guests make directories as deep and as wide as they like, and paths longer than any
//! path may be. So a look goes from directory to directory, holding few descriptors
//! whatever there is: down by the names that it has read, and up by `..`.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;
use wasmjob_sandbox::taken_bytes;

/// Entries of a volume that a look counts; a volume with more is over any limit.
const ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of names that a look remembers; a volume in which it must remember more is over
/// any limit.
const NAMES_BYTES_MAX: usize = 32 << 20;

/// Bytes that an entry takes at least, if only of the file system's own.
const ENTRY_BYTES: u64 = 1_024;

/// How directories are opened.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Bytes that a directory's files take on disk; none if that cannot be told now. What is
/// too much to count is over any limit. Blocks.
pub(super) fn of(dir: &Path) -> Option<u64> {
    let counted = match rustix::fs::open(dir, FLAGS, Mode::empty()) {
        Ok(root) => Count::default().all(&root),
        // A directory that is not there holds nothing.
        Err(Errno::NOENT) => Ok(0),
        Err(error) => Err(error),
    };
    judged(counted)
}

fn judged(counted: Result<u64, Errno>) -> Option<u64> {
    match counted {
        Ok(bytes) => Some(bytes),
        // The host is short of something, which is not the pod's fault and will pass.
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR | Errno::AGAIN) => None,
        Err(_) => Some(u64::MAX),
    }
}

#[derive(Default)]
struct Count {
    bytes: u64,
    entries: u64,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
    /// Directories that were found on the way and not entered yet.
    ahead: Names,
    /// The way from the root.
    way: Names,
    /// The directories on the way, of which the root is the first.
    levels: Vec<Level>,
}

struct Level {
    /// Device and number.
    id: (u64, u64),
    /// How long `ahead` is once all below it is done.
    done: usize,
}

impl Count {
    fn all(mut self, root: &OwnedFd) -> Result<u64, Errno> {
        let mut here = openat(root, c".", FLAGS, Mode::empty())?;
        self.enter(&here)?;
        while let Some(level) = self.levels.last() {
            if self.ahead.0.len() > level.done
                && let Some(name) = self.ahead.pop()
            {
                if let Some(below) = there(openat(&here, &*name, FLAGS, Mode::empty()))? {
                    here = below;
                    self.way.push(&name);
                    self.enter(&here)?;
                }
                continue;
            }
            self.levels.pop();
            self.way.pop();
            if let Some(above) = self.levels.last() {
                here = match there(openat(&here, c"..", FLAGS, Mode::empty()))? {
                    Some(up) if id_of(&up)? == above.id => up,
                    _ => self.find_the_way(root)?,
                };
            }
        }
        Ok(self.bytes)
    }

    /// Counts what is in a directory, and notes which ones are below.
    fn enter(&mut self, here: &OwnedFd) -> Result<(), Errno> {
        self.levels.push(Level {
            id: id_of(here)?,
            done: self.ahead.0.len(),
        });
        for entry in Dir::read_from(here)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            let remembered = self.ahead.0.len() + self.way.0.len();
            if self.entries > ENTRIES_MAX || remembered > NAMES_BYTES_MAX {
                return Err(Errno::OVERFLOW);
            }
            let Some(found) = there(statat(here, name, AtFlags::SYMLINK_NOFOLLOW))? else {
                continue;
            };
            let is_dir = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            let id = (found.st_dev, found.st_ino);
            if !is_dir && found.st_nlink > 1 && !self.linked.insert(id) {
                self.bytes = self.bytes.saturating_add(ENTRY_BYTES);
                continue;
            }
            self.bytes = self
                .bytes
                .saturating_add(taken_bytes(&found).max(ENTRY_BYTES));
            if is_dir {
                self.ahead.push(name);
            }
        }
        Ok(())
    }

    /// Goes on where the way from the root still leads, if somebody has moved a directory
    /// while we were in it: those that are not where they were have vanished.
    fn find_the_way(&mut self, root: &OwnedFd) -> Result<OwnedFd, Errno> {
        let mut here = openat(root, c".", FLAGS, Mode::empty())?;
        let mut way = Names::default();
        let mut depth = 1;
        while let Some(name) = self.way.after(&way)
            && let Some(level) = self.levels.get(depth)
        {
            match there(openat(&here, name, FLAGS, Mode::empty()))? {
                Some(below) if id_of(&below)? == level.id => here = below,
                _ => break,
            }
            way.push(name);
            depth += 1;
        }
        if let Some(lost) = self.levels.get(depth) {
            self.ahead.0.truncate(lost.done);
        }
        self.levels.truncate(depth);
        self.way = way;
        Ok(here)
    }
}

/// Names one after another, of which the last one comes first.
#[derive(Default)]
struct Names(Vec<u8>);

impl Names {
    fn push(&mut self, name: &CStr) {
        self.0.extend(name.to_bytes_with_nul());
    }

    fn pop(&mut self) -> Option<CString> {
        let end = self.0.len().checked_sub(1)?;
        let before = self.0[..end].iter().rposition(|byte| *byte == 0);
        let name = self.0.split_off(before.map_or(0, |at| at + 1));
        CString::from_vec_with_nul(name).ok()
    }

    /// The name that comes after those of `first`, with which these begin.
    fn after(&self, first: &Self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(self.0.get(first.0.len()..)?).ok()
    }
}

fn id_of(dir: impl AsFd) -> Result<(u64, u64), Errno> {
    let found = fstat(dir)?;
    Ok((found.st_dev, found.st_ino))
}

/// What vanishes while we look, or becomes something else, does not count.
fn there<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn size(dir: &Path) -> u64 {
        of(dir).unwrap()
    }

    #[test]
    fn links_count_once_and_holes_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [1; 50_000]).unwrap();
        let once = size(dir.path());
        assert!((50_000..60_000).contains(&once), "{once}");
        std::fs::hard_link(&path, dir.path().join("b")).unwrap();
        assert_eq!(size(dir.path()), once + ENTRY_BYTES);
        File::create(dir.path().join("hole"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        assert_eq!(size(dir.path()), once + 2 * ENTRY_BYTES);
        assert_eq!(size(&dir.path().join("gone")), 0);
    }

    /// Every directory is counted with what is in it, on the way down and up.
    #[test]
    fn what_stands_beside_one_another_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["a/b/c", "a/d", "e/b/c", "e/f/g"] {
            let sub = dir.path().join(sub);
            std::fs::create_dir_all(&sub).unwrap();
            std::fs::write(sub.join("file"), [1; 50_000]).unwrap();
        }
        std::fs::write(dir.path().join("e/file"), [1; 50_000]).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("a/up")).unwrap();
        let all = size(dir.path());
        assert!((250_000..330_000).contains(&all), "{all}");
        assert!(size(&dir.path().join("a")) < all / 2);
    }

    /// Guests open relative to directories, so their paths may be longer than any path.
    #[test]
    fn what_lies_deep_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let root = rustix::fs::open(dir.path(), FLAGS, Mode::empty()).unwrap();
        let name = "d".repeat(200);
        let mut at = openat(&root, c".", FLAGS, Mode::empty()).unwrap();
        for _ in 0..2_000 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = openat(&at, name.as_str(), FLAGS, Mode::empty()).unwrap();
        }
        let without = size(dir.path());
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = openat(&at, "f", flags, Mode::RUSR).unwrap();
        rustix::io::write(&file, &[1; 50_000]).unwrap();
        let with = size(dir.path());
        assert!((50_000..60_000).contains(&(with - without)), "{with}");
        crate::remove_tree(dir.path()).unwrap();
    }

    #[test]
    fn what_is_moved_away_under_us_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for sub in ["root/a/b/c", "root/a/x", "away"] {
            std::fs::create_dir_all(at(sub)).unwrap();
        }
        let open = |path: &str| rustix::fs::open(at(path), FLAGS, Mode::empty()).unwrap();
        let root = open("root");
        let mut count = Count::default();
        for (name, dir) in [
            (None, "root"),
            (Some(c"a"), "root/a"),
            (Some(c"b"), "root/a/b"),
        ] {
            count.ahead.pop();
            if let Some(name) = name {
                count.way.push(name);
            }
            count.enter(&open(dir)).unwrap();
        }
        // The way to `b` leads to another one now.
        std::fs::rename(at("root/a/b"), at("away/b")).unwrap();
        std::fs::create_dir(at("root/a/b")).unwrap();
        let here = count.find_the_way(&root).unwrap();
        assert_eq!(id_of(&here).unwrap(), id_of(open("root/a")).unwrap());
        assert_eq!(
            (count.levels.len(), count.way.0.as_slice()),
            (2, &b"a\0"[..])
        );
        assert!(count.ahead.0.len() <= 2, "one of the two in `a` is ahead");
    }

    #[test]
    fn what_the_host_is_short_of_is_no_fault_of_a_pod() {
        for error in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert_eq!(judged(Err(error)), None, "{error}");
        }
        assert_eq!(judged(Err(Errno::OVERFLOW)), Some(u64::MAX));
    }
}
