//! How much pods take of the disk, and of memory with files in it.
//!
//! Writes take room of quotas before they are made, so that a limit holds whatever
//! a guest does (`wasmjob_sandbox::Quota`). Looked at now and then is only what grows
//! otherwise: the logs, which count as scratch, and the memory of containers, with
//! which files in memory share a limit.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use wasmjob_api::Uid;
use wasmjob_sandbox::{Quota, taken_bytes};

/// Entries of a volume that a look at its size counts; a volume with more is over any limit.
const ENTRIES_MAX: u64 = 1_000_000;

/// Directories in one another that a look goes down; a volume with more is over any limit.
/// Each takes a descriptor.
const DEPTH_MAX: usize = 128;

/// Bytes that an entry takes at least, if only of the file system's own.
const ENTRY_BYTES: u64 = 1_024;

/// What a pod is limited to, and what becomes of it.
pub(crate) struct Limits {
    /// Bytes of scratch, if that is limited.
    pub(crate) scratch_bytes_max: Option<u64>,
    /// Bytes of memory of all containers.
    pub(crate) memory_bytes_max: u64,
    /// Evicts the pod, with a message.
    pub(crate) evict: Arc<dyn Fn(String) + Send + Sync>,
}

/// What of a pod is over its limit.
#[derive(Clone, Debug)]
pub(crate) struct Overrun {
    pub(crate) message: String,
}

/// A quota on what stands in some directories.
pub(crate) fn quota_of(limit: u64, dirs: Vec<PathBuf>) -> Quota {
    Quota::new(limit, move || sizes(&dirs))
}

/// The quotas of claimed volumes, which pods share.
#[derive(Debug, Default)]
pub(crate) struct ClaimQuotas(Mutex<HashMap<Uid, Weak<Quota>>>);

impl ClaimQuotas {
    /// That of a claim.
    pub(crate) fn of(&self, claim: Uid, limit: u64, dir: &Path) -> Arc<Quota> {
        // Nothing that can panic runs between two changes.
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(quota) = all.get(&claim).and_then(Weak::upgrade) {
            // Who has it mounted already goes by the new size, too.
            quota.set_limit(limit);
            return quota;
        }
        all.retain(|_, quota| quota.strong_count() > 0);
        let quota = Arc::new(quota_of(limit, vec![dir.to_owned()]));
        all.insert(claim, Arc::downgrade(&quota));
        quota
    }
}

/// What of a pod is looked at now and then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    scratch: Option<Scratch>,
    /// The quota of volumes in memory.
    memory: Option<Arc<Quota>>,
}

/// The pod's own on the disk, logs included.
#[derive(Clone, Debug)]
struct Scratch {
    quota: Arc<Quota>,
    log_bytes: Arc<AtomicU64>,
}

/// Bytes that a pod's containers hold, and what they may hold together with its volumes
/// in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    pub(crate) max: u64,
}

impl Watched {
    /// Limits the pod's scratch as a whole, if it is limited and has directories.
    pub(crate) fn limit_scratch(
        &mut self,
        limits: &Limits,
        dirs: Vec<PathBuf>,
    ) -> Option<Arc<Quota>> {
        let limit = limits.scratch_bytes_max.filter(|_| !dirs.is_empty())?;
        let log_bytes = Arc::new(AtomicU64::new(0));
        let logs = Arc::clone(&log_bytes);
        let evict = Arc::clone(&limits.evict);
        let look = move || sizes(&dirs).saturating_add(logs.load(Ordering::Acquire));
        let quota = Quota::new(limit, look).when_full(move || evict(scratch_full(limit)));
        let quota = Arc::new(quota);
        self.scratch = Some(Scratch {
            quota: Arc::clone(&quota),
            log_bytes,
        });
        Some(quota)
    }

    /// Limits the volumes in memory together, if there are any.
    pub(crate) fn limit_memory(
        &mut self,
        limits: &Limits,
        dirs: Vec<PathBuf>,
    ) -> Option<Arc<Quota>> {
        if dirs.is_empty() {
            return None;
        }
        let (limit, evict) = (limits.memory_bytes_max, Arc::clone(&limits.evict));
        let quota = quota_of(limit, dirs).when_full(move || evict(memory_full(limit)));
        self.memory = Some(Arc::new(quota));
        self.memory.clone()
    }

    /// The quota on scratch.
    pub(crate) fn scratch_quota(&self) -> Option<Arc<Quota>> {
        self.scratch.as_ref().map(|it| Arc::clone(&it.quota))
    }

    /// Whether there is anything to look at, beside logs.
    pub(crate) fn is_needed(&self) -> bool {
        self.memory.is_some()
    }

    /// What is over a limit. `scratch_bytes_max` is the pod's limit on its
    /// scratch as a whole, of which its logs take `log_bytes`. Blocks.
    pub(crate) fn overrun(
        &self,
        scratch_bytes_max: Option<u64>,
        log_bytes: u64,
        memory: Memory,
    ) -> Option<Overrun> {
        if let Some(quota) = &self.memory {
            let used = memory.used.saturating_add(quota.measure());
            if used > memory.max {
                return Some(Overrun {
                    message: memory_full(memory.max),
                });
            }
        }
        let limit = scratch_bytes_max?;
        let used = match &self.scratch {
            None => log_bytes,
            // Files are written within the quota: only logs are news.
            Some(scratch) if scratch.log_bytes.swap(log_bytes, Ordering::AcqRel) == log_bytes => {
                return None;
            }
            Some(scratch) => scratch.quota.measure(),
        };
        (used > limit).then(|| Overrun {
            message: scratch_full(limit),
        })
    }
}

fn scratch_full(limit: u64) -> String {
    format!(
        "Pod ephemeral local storage usage exceeds the total limit of containers {}. ",
        human(limit)
    )
}

fn memory_full(limit: u64) -> String {
    format!(
        "Containers and volumes of medium Memory use more than the memory limit of the pod {}. ",
        human(limit)
    )
}

pub(crate) fn human(bytes: u64) -> String {
    for (unit, shift) in [("Gi", 30), ("Mi", 20), ("Ki", 10)] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// Bytes that the files of some directories take. Blocks.
fn sizes(dirs: &[PathBuf]) -> u64 {
    let sizes = dirs.iter().map(|dir| size(dir));
    sizes.fold(0, u64::saturating_add)
}

/// Bytes that a directory's files take on disk; what cannot be counted is over any limit.
fn size(dir: &Path) -> u64 {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut count = Count::default();
    match rustix::fs::open(dir, flags, Mode::empty()).and_then(Dir::new) {
        Ok(dir) => count.walk(dir).map_or(u64::MAX, |()| count.bytes),
        Err(Errno::NOENT) => 0,
        Err(_) => u64::MAX,
    }
}

#[derive(Default)]
struct Count {
    bytes: u64,
    entries: u64,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
}

impl Count {
    /// Goes down by descriptors: paths have a limit of their own, which guests can exceed.
    fn walk(&mut self, root: Dir) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut open = vec![root];
        loop {
            let depth = open.len();
            let Some(dir) = open.last_mut() else {
                return Ok(());
            };
            let Some(entry) = dir.next() else {
                open.pop();
                continue;
            };
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(Errno::OVERFLOW);
            }
            let at = dir.fd()?;
            // What vanishes while we look does not count.
            let Some(found) = there(statat(at, name, AtFlags::SYMLINK_NOFOLLOW))? else {
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
                if depth >= DEPTH_MAX {
                    return Err(Errno::OVERFLOW);
                }
                let below = openat(at, name, flags, Mode::empty()).and_then(Dir::new);
                open.extend(there(below)?);
            }
        }
    }
}

fn there<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

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
    }

    /// Guests open relative to directories, so their paths may be longer than any path.
    #[test]
    fn what_lies_deep_is_counted_or_over_any_limit() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        for depth in 1..=DEPTH_MAX {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
            at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
            if depth == 100 {
                let flags = OFlags::CREATE | OFlags::WRONLY;
                let file = openat(&at, "f", flags, Mode::RUSR).unwrap();
                rustix::io::write(&file, &[1; 50_000]).unwrap();
                assert!(size(dir.path()) >= 50_000);
            }
        }
        assert_eq!(size(dir.path()), u64::MAX);
        crate::remove_tree(dir.path()).unwrap();
        assert!(!dir.path().exists());
    }

    #[test]
    fn pods_share_the_quota_of_a_claim() {
        let (all, claim) = (ClaimQuotas::default(), Uid::from_random(1));
        let dir = tempfile::tempdir().unwrap();
        let one = all.of(claim, 10, dir.path());
        assert!(Arc::ptr_eq(&one, &all.of(claim, 10, dir.path())));
        assert!(
            Arc::ptr_eq(&one, &all.of(claim, 11, dir.path())),
            "it was made larger"
        );
        assert!(!Arc::ptr_eq(
            &one,
            &all.of(Uid::from_random(2), 10, dir.path())
        ));
    }
}
