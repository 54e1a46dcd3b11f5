//! Where segments stand, so that a test can own the disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;

/// Segments by number. Everything may fail, and may block.
pub(super) trait Disk: Send + Sync + 'static {
    /// The segments that there are, in order.
    fn list(&self) -> io::Result<Vec<u32>>;
    /// Reads `len` bytes from `pos` on; fewer where the segment ends.
    fn read(&self, segment: u32, pos: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Writes at `pos`, into a new segment if there is none of that number.
    fn write(&self, segment: u32, pos: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a segment off after `len` bytes.
    fn cut(&self, segment: u32, len: u64) -> io::Result<()>;
    /// Makes durable what was written to a segment.
    fn sync(&self, segment: u32) -> io::Result<()>;
    /// Removes a segment.
    fn remove(&self, segment: u32) -> io::Result<()>;
}

/// A directory with a file for each segment.
pub(super) struct Directory {
    path: PathBuf,
    /// The segment that was written last. Others are opened when they are
    /// needed: a host's descriptors are for its guests.
    last: Mutex<Option<(u32, Arc<File>)>>,
    /// The directory itself has changed since it was synced.
    changed: AtomicBool,
}

impl Directory {
    /// Takes the directory `path`, which is made if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        Ok(Self {
            path: path.to_owned(),
            last: Mutex::default(),
            changed: AtomicBool::new(true),
        })
    }

    fn at(&self, segment: u32) -> PathBuf {
        self.path.join(format!("{segment:08}.log"))
    }

    /// The file of a segment, to be written to.
    fn file(&self, segment: u32) -> io::Result<Arc<File>> {
        let mut last = lock(&self.last);
        if let Some((number, file)) = &*last
            && *number == segment
        {
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.at(segment))?;
        let file = Arc::new(file);
        self.changed.store(true, Ordering::Release);
        *last = Some((segment, Arc::clone(&file)));
        Ok(file)
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<u32>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            // What somebody else put there is left alone.
            segments.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn read(&self, segment: u32, pos: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.at(segment))?;
        // The index may ask for more than a damaged file has.
        let there = file.metadata()?.len().saturating_sub(pos);
        let mut bytes = vec![0; len.min(usize::try_from(there).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < bytes.len() {
            match file.read_at(&mut bytes[filled..], pos + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write(&self, segment: u32, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(segment)?.write_all_at(bytes, pos)
    }

    fn cut(&self, segment: u32, len: u64) -> io::Result<()> {
        self.file(segment)?.set_len(len)
    }

    fn sync(&self, segment: u32) -> io::Result<()> {
        // Any descriptor will do, and the directory knows only what exists.
        File::open(self.at(segment))?.sync_data()?;
        if self.changed.swap(false, Ordering::AcqRel) {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }

    fn remove(&self, segment: u32) -> io::Result<()> {
        lock(&self.last).take_if(|(number, _)| *number == segment);
        std::fs::remove_file(self.at(segment))
    }
}
