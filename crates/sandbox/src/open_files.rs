//! Files that guests have open where their room is limited.
//!
//! A file that was removed takes its room until it is closed, and nobody can tell from
//! its descriptor where it stood: the kernel names no path that is too long, and guests
//! make such. So each file is remembered when it is opened, with the limits of the mount
//! through which it was, and is found here for as long as it is open.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{FileType, Stat, fstat};

/// Bytes that a file system gives to a file at least.
pub(crate) const BLOCK: u64 = 4_096;

/// Files that are remembered before anybody looks which of them are closed.
const CLOSED_MAX: usize = 64;

/// Times that somebody has begun to look for removed files, anywhere.
static LOOKS: AtomicU64 = AtomicU64::new(0);

/// The files that are open, or were.
#[derive(Default)]
pub(crate) struct OpenFiles(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    files: Vec<Weak<File>>,
    /// How many there are before those that are closed are forgotten.
    most: usize,
}

/// A file that is about to be opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    looks: u64,
}

impl Opening {
    pub(crate) fn begin() -> Self {
        Self {
            looks: LOOKS.load(Ordering::SeqCst),
        }
    }

    /// Whether `file` was removed by somebody else while it was opened, so that a look
    /// could find it neither in its directory nor here.
    pub(crate) fn may_have_been_missed(self, file: &File) -> bool {
        LOOKS.load(Ordering::SeqCst) != self.looks
            && fstat(file).is_ok_and(|found| found.st_nlink == 0)
    }
}

impl OpenFiles {
    /// Remembers a file.
    pub(crate) fn add(&self, file: &Arc<File>) {
        // Nothing that can panic runs between two changes.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.files.len() >= all.most {
            all.files.retain(|file| file.strong_count() > 0);
            all.most = (2 * all.files.len()).max(CLOSED_MAX);
        }
        all.files.push(Arc::downgrade(file));
    }

    /// Those that were removed and are still open, by device and number, and their bytes.
    pub(crate) fn removed(&self) -> HashMap<(u64, u64), u64> {
        LOOKS.fetch_add(1, Ordering::SeqCst);
        let open: Vec<Arc<File>> = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.files.iter().filter_map(Weak::upgrade).collect()
        };
        let found = open.iter().filter_map(|file| fstat(file).ok());
        found
            .filter(|found| found.st_nlink == 0)
            .map(|found| ((found.st_dev, found.st_ino), taken_bytes(&found)))
            .collect()
    }
}

/// Bytes that a file takes on disk: without its holes, and without what a file system
/// reserves for one that grows.
#[must_use]
pub fn taken_bytes(found: &Stat) -> u64 {
    let blocks = found.st_blocks.cast_unsigned().saturating_mul(512);
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            let length = found.st_size.cast_unsigned();
            blocks.min(length.checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX))
        }
        _ => blocks,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_removed_counts_once_until_it_is_closed() {
        let (dir, all) = (tempfile::tempdir().unwrap(), OpenFiles::default());
        let removed_bytes = || all.removed().values().sum::<u64>();
        let path = dir.path().join("hidden");
        let file = Arc::new(File::create(&path).unwrap());
        (&*file).write_all(&[1; 100_000]).unwrap();
        let again = Arc::new(File::open(&path).unwrap());
        for file in [&file, &again] {
            all.add(file);
        }
        assert_eq!(removed_bytes(), 0, "it is there");
        std::fs::remove_file(&path).unwrap();
        let bytes = removed_bytes();
        assert!((100_000..110_000).contains(&bytes), "{bytes}");
        drop(file);
        assert_eq!(removed_bytes(), bytes, "one descriptor is left");
        drop(again);
        assert_eq!(removed_bytes(), 0);
    }

    #[test]
    fn closed_files_are_forgotten() {
        let (dir, all) = (tempfile::tempdir().unwrap(), OpenFiles::default());
        let kept: Vec<_> = (0..1_000)
            .map(|n| {
                let file = Arc::new(File::create(dir.path().join("file")).unwrap());
                all.add(&file);
                (n % 100 == 0).then_some(file)
            })
            .collect();
        let remembered = all.0.lock().unwrap().files.len();
        assert!((10..=CLOSED_MAX).contains(&remembered), "{remembered}");
        drop(kept);
    }

    /// Between a look's begin and its end, others may open and remove.
    #[test]
    fn who_is_removed_while_it_is_opened_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let opening = Opening::begin();
        let file = File::create(&path).unwrap();
        OpenFiles::default().removed();
        assert!(!opening.may_have_been_missed(&file), "it is there");
        std::fs::remove_file(&path).unwrap();
        assert!(opening.may_have_been_missed(&file));
    }
}
