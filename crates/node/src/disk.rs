//! How much pods take of the disk, and of memory with files in it.
//!
//! Writes take room of quotas before they are made, so that a limit holds whatever
//! a guest does (`wasmjob_sandbox::Quota`). Looked at now and then is only what grows
//! otherwise: the logs, which count as scratch, and the memory of containers, with
//! which files in memory share a limit.

mod size;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmjob_api::Uid;
use wasmjob_sandbox::Quota;

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
        let look = move || Some(sizes(&dirs)?.saturating_add(logs.load(Ordering::Acquire)));
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

    /// What is over a limit, if that can be told. `scratch_bytes_max` is the pod's limit on its
    /// scratch as a whole, of which its logs take `log_bytes`. Blocks.
    pub(crate) fn overrun(
        &self,
        scratch_bytes_max: Option<u64>,
        log_bytes: u64,
        memory: Memory,
    ) -> Option<Overrun> {
        if let Some(files) = self.memory.as_ref().and_then(|it| it.measure()) {
            let used = memory.used.saturating_add(files);
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
            Some(scratch) => {
                let before = scratch.log_bytes.swap(log_bytes, Ordering::AcqRel);
                if before == log_bytes {
                    return None;
                }
                let Some(used) = scratch.quota.measure() else {
                    // They are news still.
                    scratch.log_bytes.store(before, Ordering::Release);
                    return None;
                };
                used
            }
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

/// Bytes that the files of some directories take, if that can be told. Blocks.
fn sizes(dirs: &[PathBuf]) -> Option<u64> {
    let mut bytes = 0u64;
    for dir in dirs {
        bytes = bytes.saturating_add(size::of(dir)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
