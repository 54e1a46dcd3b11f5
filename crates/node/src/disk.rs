//! How much pods take of the disk, and of memory with files in it.
//!
//! Writes take room of quotas before they are made, so that a limit holds whatever
//! a guest does (`wasmjob_sandbox::Quota`). Looked at now and then is only what grows
//! otherwise: the logs, which count as scratch, and the memory of containers, with
//! which files in memory share a limit.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmjob_api::Uid;
use wasmjob_sandbox::Quota;

/// Entries of a volume that a look at its size counts; a volume with more is over any limit.
const ENTRIES_MAX: u64 = 1_000_000;

/// Bytes of a block.
const BLOCK: u64 = 4_096;

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
        let known = all.get(&claim).and_then(Weak::upgrade);
        if let Some(quota) = known.filter(|quota| quota.limit() == limit) {
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
    memory_dirs: Vec<PathBuf>,
}

/// The pod's own on the disk, logs included.
#[derive(Clone, Debug)]
struct Scratch {
    quota: Arc<Quota>,
    dirs: Arc<[PathBuf]>,
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
        let (logs, looked) = (Arc::clone(&log_bytes), dirs.clone());
        let evict = Arc::clone(&limits.evict);
        let look = move || sizes(&looked).saturating_add(logs.load(Ordering::Acquire));
        let quota = Quota::new(limit, look).when_full(move || evict(scratch_full(limit)));
        let quota = Arc::new(quota);
        self.scratch = Some(Scratch {
            quota: Arc::clone(&quota),
            dirs: dirs.into(),
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
        self.memory_dirs.clone_from(&dirs);
        if dirs.is_empty() {
            return None;
        }
        let (limit, evict) = (limits.memory_bytes_max, Arc::clone(&limits.evict));
        let quota = quota_of(limit, dirs).when_full(move || evict(memory_full(limit)));
        Some(Arc::new(quota))
    }

    /// The quota on scratch.
    pub(crate) fn scratch_quota(&self) -> Option<Arc<Quota>> {
        self.scratch.as_ref().map(|it| Arc::clone(&it.quota))
    }

    /// Whether there is anything to look at, beside logs.
    pub(crate) fn is_needed(&self) -> bool {
        !self.memory_dirs.is_empty()
    }

    /// What is over a limit. `scratch_bytes_max` is the pod's limit on its
    /// scratch as a whole, of which its logs take `log_bytes`. Blocks.
    pub(crate) fn overrun(
        &self,
        scratch_bytes_max: Option<u64>,
        log_bytes: u64,
        memory: Memory,
    ) -> Option<Overrun> {
        if !self.memory_dirs.is_empty() {
            let used = memory.used.saturating_add(sizes(&self.memory_dirs));
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
            Some(scratch) => sizes(&scratch.dirs).saturating_add(log_bytes),
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
    let listed = dirs.iter().map(|dir| size(dir));
    let listed = listed.fold(0, u64::saturating_add);
    listed.saturating_add(unlinked(dirs))
}

/// Bytes that a directory's files take on disk. Iterative, follows no links.
fn size(dir: &Path) -> u64 {
    let (mut bytes, mut entries) = (0u64, 0u64);
    let mut linked = HashSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        // What vanishes while we look does not count.
        let Ok(listing) = std::fs::read_dir(&dir) else {
            continue;
        };
        for entry in listing.flatten() {
            entries += 1;
            if entries > ENTRIES_MAX {
                return u64::MAX;
            }
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                left.push(entry.path());
            } else if metadata.nlink() > 1 && !linked.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            bytes = bytes.saturating_add(taken(&metadata));
        }
    }
    bytes
}

/// Bytes that a file takes: without its holes, and without what a file system
/// reserves for one that grows.
fn taken(metadata: &Metadata) -> u64 {
    let blocks = metadata.blocks().saturating_mul(512);
    match metadata.is_file() {
        true => blocks.min(metadata.len().next_multiple_of(BLOCK)),
        false => blocks,
    }
}

/// Bytes of files that were removed from the directories and are still open: they
/// take their room until they are closed.
fn unlinked(dirs: &[PathBuf]) -> u64 {
    let roots: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| dir.canonicalize().ok())
        .collect();
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else {
        return 0;
    };
    let mut seen = HashSet::new();
    let mut bytes = 0u64;
    for descriptor in descriptors.flatten() {
        let path = descriptor.path();
        // The kernel says where it was, and that it is deleted.
        let Ok(target) = std::fs::read_link(&path) else {
            continue;
        };
        let is_deleted = target
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(b" (deleted)");
        if !is_deleted || !roots.iter().any(|root| target.starts_with(root)) {
            continue;
        }
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if metadata.nlink() == 0 && seen.insert((metadata.dev(), metadata.ino())) {
            bytes = bytes.saturating_add(taken(&metadata));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_removed_and_is_open_counts_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = [dir.path().to_owned()];
        let path = dir.path().join("hidden");
        let mut file = File::create(&path).unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        let listed = sizes(&dirs);
        assert!((100_000..110_000).contains(&listed), "{listed}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(size(dir.path()), 0);
        assert_eq!(sizes(&dirs), listed);
        drop(file);
        assert_eq!(sizes(&dirs), 0);
    }

    #[test]
    fn links_count_once_and_holes_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [1; 50_000]).unwrap();
        let once = size(dir.path());
        std::fs::hard_link(&path, dir.path().join("b")).unwrap();
        assert_eq!(size(dir.path()), once);
        File::create(dir.path().join("hole"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        assert_eq!(size(dir.path()), once);
    }

    #[test]
    fn pods_share_the_quota_of_a_claim() {
        let (all, claim) = (ClaimQuotas::default(), Uid::from_random(1));
        let dir = tempfile::tempdir().unwrap();
        let one = all.of(claim, 10, dir.path());
        assert!(Arc::ptr_eq(&one, &all.of(claim, 10, dir.path())));
        assert!(
            !Arc::ptr_eq(&one, &all.of(claim, 11, dir.path())),
            "it was made larger"
        );
        assert!(!Arc::ptr_eq(
            &one,
            &all.of(Uid::from_random(2), 10, dir.path())
        ));
    }
}
