//! What containers wrote: bounded, byte-exact, followed without waiting.
//!
//! A log belongs to one run of one container. It keeps its newest bytes; what
//! was cut off is counted, and a reader is told. Readers and followers see a
//! [`LogBuffer`], wherever it is kept:
//!
//! - in memory (`memory`), for hosts that keep nothing;
//! - in a directory that all runs share (`spool`, `writer`), because a hundred
//!   thousand pods that print a line each must not be a hundred thousand files.
//!   Records of all runs are appended to *segments* (`record`, `disk`); the
//!   `index` says where each run's are; `compaction` gives back the disk of pods
//!   that are gone, and `recovery` finds everything again after a restart.
//!
//! In both a guest's write returns at once, whatever the disk and the readers do.

mod buffer;
mod compaction;
mod disk;
mod feed;
mod held;
mod index;
mod memory;
mod queue;
mod record;
mod recovery;
mod room;
mod spool;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use wasmjob_api::{ContainerState, Pod, Uid};

use crate::Clock;
use buffer::Kept;
pub(crate) use buffer::LogOutput;
pub use buffer::{LogBuffer, LogChunk, LogRead, lost_notice};
use disk::{Directory, Disk};
use feed::FeedQueue;
pub use feed::LogFeed;
use index::{Index, RunId};
use memory::MemoryLog;
use spool::{DiskLog, Spool};
pub(crate) use writer::LogWriter;

/// How much of the logs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one run of one container: 10Mi × 5 files, as with a kubelet.
    /// When there are more, the oldest fifth goes.
    pub run_bytes_max: usize,
    /// Bytes of all logs together that are kept in memory; those of pods that
    /// ended go first, oldest first.
    pub total_bytes_max: usize,
    /// The same for logs that are kept on a disk. It holds up to twice as much,
    /// and 8Mi, until what is gone has been cleared away.
    pub disk_bytes_max: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            run_bytes_max: 50 << 20,
            total_bytes_max: 256 << 20,
            disk_bytes_max: 4 << 30,
        }
    }
}

/// Bytes of a segment: what is read and copied at once when it is compacted.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// Pods that ended whose logs are kept at most in memory (Kubernetes keeps
/// 12,500 terminated pods). Those on a disk go with their pods.
const ENDED_PODS_MAX: usize = 12_500;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Appending bytes does not panic halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives a pod that exists.
pub type FindPod = Arc<dyn Fn(Uid) -> Option<Arc<Pod>> + Send + Sync>;

/// Where logs are kept from one process to the next.
#[derive(Clone)]
pub struct LogDir {
    /// A directory for logs alone, which no other process uses. It is made if it
    /// is not there.
    pub path: PathBuf,
    /// A random number that no guest knows. It is taken when the directory is
    /// new, and stays with it.
    pub secret: u64,
    /// The pods whose logs are to be kept. It is asked when logs are looked for,
    /// and for all that are found at the start.
    pub find_pod: FindPod,
}

/// What all logs share.
struct Shared {
    limits: LogLimits,
    clock: Arc<dyn Clock>,
    /// Bytes kept in memory in all.
    total: AtomicUsize,
    /// How many feeds there are: asked at every write, so not behind a lock.
    followers: AtomicUsize,
    feeds: Mutex<Vec<Arc<FeedQueue>>>,
}

/// The logs that are in memory, or not wholly on the disk.
#[derive(Default)]
struct Registry {
    pods: HashMap<Uid, PodLogs>,
    /// Pods that ended, in that order, if their logs are kept in memory.
    ended: VecDeque<Uid>,
}

#[derive(Default)]
struct PodLogs {
    /// Each run's own, oldest first.
    runs: Vec<Arc<LogBuffer>>,
    ended: bool,
}

impl Registry {
    /// Whether the pod goes on, or its end is still being written.
    fn is_live(&self, pod: Uid) -> bool {
        self.pods.contains_key(&pod)
    }

    /// A pod that ended and of which all is on the disk is in the index alone.
    fn settle(&mut self, pod: Uid) {
        let is_settled = |run: &Arc<LogBuffer>| match &run.kept {
            Kept::Memory(_) => false,
            Kept::Disk(log) => log.is_settled(),
        };
        if self
            .pods
            .get(&pod)
            .is_some_and(|logs| logs.ended && logs.runs.iter().all(is_settled))
        {
            self.pods.remove(&pod);
        }
    }
}

/// Logs in a directory.
#[derive(Clone)]
struct OnDisk {
    spool: Arc<Spool>,
    find_pod: FindPod,
}

/// The logs of all pods. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    shared: Arc<Shared>,
    registry: Arc<Mutex<Registry>>,
    on_disk: Option<OnDisk>,
}

impl Logs {
    /// Makes an empty collection, in memory.
    #[must_use]
    pub fn new(limits: LogLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                clock,
                total: AtomicUsize::new(0),
                followers: AtomicUsize::new(0),
                feeds: Mutex::default(),
            }),
            registry: Arc::default(),
            on_disk: None,
        }
    }

    /// Opens a directory, and starts the thread that writes to it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read, is of another format, or the
    /// thread cannot be started. Damage in it is no error.
    pub(crate) fn open(
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        dir: LogDir,
    ) -> io::Result<(Self, LogWriter)> {
        let disk = Box::new(Directory::open(&dir.path)?);
        Self::open_on(disk, SEGMENT_BYTES_MAX, limits, clock, dir)
    }

    fn open_on(
        disk: Box<dyn Disk>,
        segment_bytes_max: u64,
        limits: LogLimits,
        clock: Arc<dyn Clock>,
        dir: LogDir,
    ) -> io::Result<(Self, LogWriter)> {
        let mut index = Index::new(index::Limits {
            run_bytes_max: limits.run_bytes_max as u64,
            extent_bytes_max: spool::record_bytes_max(limits.run_bytes_max) as u32,
        });
        let find_pod = |pod| (dir.find_pod)(pod);
        let found = recovery::recover(&*disk, &mut index, dir.secret, segment_bytes_max, find_pod)?;
        let mut logs = Self::new(limits, Arc::clone(&clock));
        let spool = Spool::new(disk, index, found.mark, &limits, segment_bytes_max, clock);
        let spool = Arc::new(spool);
        let registry = Arc::clone(&logs.registry);
        let writer = LogWriter::start(Arc::clone(&spool), registry, found.active, found.next)?;
        spool.tidy_soon();
        logs.on_disk = Some(OnDisk {
            spool,
            find_pod: dir.find_pod,
        });
        Ok((logs, writer))
    }

    /// The logs of a pod's containers: each run's own, oldest first. At most the
    /// current and the previous run of a container are kept.
    #[must_use]
    pub fn of(&self, pod: Uid) -> Vec<Arc<LogBuffer>> {
        if let Some(logs) = lock(&self.registry).pods.get(&pod) {
            return logs.runs.clone();
        }
        self.on_disk
            .as_ref()
            .and_then(|on_disk| {
                let pod = (on_disk.find_pod)(pod)?;
                Some(self.written(&on_disk.spool, &pod))
            })
            .unwrap_or_default()
    }

    /// Bytes of a pod's logs that go with the pod: those on a disk, written or on
    /// their way. In memory, logs have a limit of their own.
    #[must_use]
    pub fn bytes(&self, pod: Uid) -> u64 {
        let Some(on_disk) = &self.on_disk else {
            return 0;
        };
        let runs = lock(&self.registry)
            .pods
            .get(&pod)
            .map(|logs| logs.runs.clone());
        match runs {
            Some(runs) => runs.iter().map(|run| run.kept_bytes() as u64).sum(),
            None => {
                let runs = lock(&on_disk.spool.index).runs(pod);
                runs.iter().map(index::Run::bytes).sum()
            }
        }
    }

    /// The logs of a pod that ended.
    fn written(&self, spool: &Arc<Spool>, pod: &Pod) -> Vec<Arc<LogBuffer>> {
        let mut runs: Vec<(RunId, u64)> = lock(&spool.index)
            .runs(pod.uid)
            .iter()
            .map(|run| {
                let id = RunId {
                    pod: pod.uid,
                    slot: run.slot,
                    restarts: run.restarts,
                };
                (id, run.end)
            })
            .collect();
        // Of a run that wrote nothing nothing is kept; it has a log nevertheless.
        let states = pod.status.init_containers.iter();
        for (slot, status) in states.chain(&pod.status.containers).enumerate() {
            let id = RunId {
                pod: pod.uid,
                slot: slot as u16,
                restarts: status.restarts,
            };
            let ran = matches!(status.state, ContainerState::Terminated(_));
            if ran && !runs.iter().any(|(run, _)| *run == id) {
                runs.push((id, 0));
            }
        }
        runs.sort_by_key(|(id, _)| (id.slot, id.restarts));
        runs.into_iter()
            .map(|(id, end)| {
                let kept = Kept::Disk(Arc::new(DiskLog::ended(id, end, spool)));
                Arc::new(self.buffer(pod, container(pod, id.slot), id.restarts, kept))
            })
            .collect()
    }

    /// Follows the logs of all pods from now on, or of one Job's.
    #[must_use]
    pub fn feed(&self, job: Option<Uid>) -> LogFeed {
        LogFeed::new(&self.shared, job)
    }

    /// Begins the log of a run.
    pub(crate) fn begin(&self, pod: &Pod, container: &Arc<str>, restarts: u32) -> Arc<LogBuffer> {
        let slot = slot(pod, container);
        let kept = match &self.on_disk {
            None => Kept::Memory(MemoryLog::default()),
            Some(on_disk) => {
                let id = RunId {
                    pod: pod.uid,
                    slot,
                    restarts,
                };
                Kept::Disk(Arc::new(DiskLog::begin(id, &on_disk.spool)))
            }
        };
        let buffer = Arc::new(self.buffer(pod, Arc::clone(container), restarts, kept));
        let mut registry = lock(&self.registry);
        let runs = &mut registry.pods.entry(pod.uid).or_default().runs;
        if restarts > 1 {
            let is_old =
                |run: &Arc<LogBuffer>| run.container == *container && run.restarts + 1 < restarts;
            let old: Vec<_> = runs.extract_if(.., |run| is_old(run)).collect();
            self.discard(&old);
            if let Some(on_disk) = &self.on_disk {
                lock(&on_disk.spool.index).remove_runs(pod.uid, |run| {
                    run.slot == slot && run.restarts + 1 < restarts
                });
            }
        }
        runs.push(Arc::clone(&buffer));
        buffer
    }

    fn buffer(&self, pod: &Pod, container: Arc<str>, restarts: u32, kept: Kept) -> LogBuffer {
        let spec = &pod.template.spec;
        LogBuffer {
            pod: pod.uid,
            namespace: Arc::clone(&pod.namespace),
            pod_name: Arc::clone(&pod.name),
            job: pod.template.owner.as_ref().map(|job| job.uid),
            container,
            only_container: spec.containers.len() == 1
                && spec.init_containers.as_ref().is_none_or(Vec::is_empty),
            restarts,
            kept,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The pod has ended: its logs may go when there is no room.
    pub(crate) fn pod_ended(&self, pod: Uid) {
        let mut registry = lock(&self.registry);
        if let Some(logs) = registry.pods.get_mut(&pod) {
            logs.ended = true;
        }
        if self.on_disk.is_some() {
            return registry.settle(pod);
        }
        registry.ended.push_back(pod);
        // By count too: logs that hold little still hold something.
        while self.shared.total.load(Ordering::Relaxed) > self.shared.limits.total_bytes_max
            || registry.ended.len() > ENDED_PODS_MAX
        {
            let Some(oldest) = registry.ended.pop_front() else {
                break;
            };
            let logs = registry.pods.remove(&oldest).unwrap_or_default();
            self.discard(&logs.runs);
        }
    }

    /// The pod is gone: on a disk, its logs go as well. In memory they stay as
    /// long as there is room for them, so that what a Job's controller removes at
    /// once can still be shown.
    pub fn forget(&self, pod: Uid) {
        let Some(on_disk) = &self.on_disk else { return };
        let logs = lock(&self.registry).pods.remove(&pod).unwrap_or_default();
        self.discard(&logs.runs);
        let mut index = lock(&on_disk.spool.index);
        index.remove(pod);
        let died = index.died;
        drop(index);
        if died {
            on_disk.spool.tidy_soon();
        }
    }

    /// Lets go of what runs have in memory.
    fn discard(&self, runs: &[Arc<LogBuffer>]) {
        for run in runs {
            match &run.kept {
                Kept::Memory(log) => {
                    let freed = log.kept_bytes();
                    self.shared.total.fetch_sub(freed, Ordering::Relaxed);
                }
                Kept::Disk(log) => log.forget(),
            }
        }
    }
}

/// The names of a pod's containers, by slot.
fn containers(pod: &Pod) -> impl Iterator<Item = &String> {
    let spec = &pod.template.spec;
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers)
        .map(|container| &container.name)
}

fn container(pod: &Pod, slot: u16) -> Arc<str> {
    let name = containers(pod).nth(usize::from(slot));
    Arc::from(name.map_or("", String::as_str))
}

/// The place of a container among its pod's.
fn slot(pod: &Pod, container: &str) -> u16 {
    let place = containers(pod).position(|name| name == container);
    // A pod has far fewer.
    place.unwrap_or_default() as u16
}
