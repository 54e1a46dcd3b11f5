//! What containers wrote, in memory: bounded, byte-exact, followed without waiting.
//!
//! A log belongs to one run of one container. It keeps its newest bytes; what
//! was cut off is counted, and a reader is told. A follower has a place in the
//! log, not a queue: a slow one costs nothing and slows nobody down.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use wasmjob_api::Uid;
use wasmjob_sandbox::{Output, Stream};

use crate::Clock;

/// How much of the logs is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one run of one container: 10Mi × 5 files, as with a kubelet.
    pub run_bytes_max: usize,
    /// Bytes of all logs together; those of pods that ended go first, oldest first.
    pub total_bytes_max: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            run_bytes_max: 50 << 20,
            total_bytes_max: 256 << 20,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Appending bytes does not panic halfway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a stretch of a log came from.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Offset of its first byte since the beginning of the run.
    start: u64,
    stream: Stream,
    time: Timestamp,
}

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    marks: VecDeque<Mark>,
    /// Bytes cut off at the front.
    cut: u64,
    ended: bool,
}

/// A stretch of a log: bytes that were written to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Which stream.
    pub stream: Stream,
    /// When the first of the bytes were written (wall time).
    pub time: Timestamp,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a reader finds from its place on.
#[derive(Clone, Debug, Default)]
pub struct LogRead {
    /// Bytes between the place and what is kept, which are lost.
    pub lost: u64,
    /// What is kept.
    pub chunks: Vec<LogChunk>,
    /// The next place.
    pub next: u64,
    /// Nothing more will come.
    pub ended: bool,
}

/// The log of one run of one container.
pub struct LogBuffer {
    /// The pod.
    pub pod: Uid,
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's name.
    pub pod_name: Arc<str>,
    /// The container's name.
    pub container: Arc<str>,
    /// It is the pod's only container.
    pub only_container: bool,
    /// How often the container had been restarted before this run.
    pub restarts: u32,
    kept: Mutex<Kept>,
    /// It stands in the feed's queue.
    queued: AtomicBool,
    shared: Arc<Shared>,
}

impl LogBuffer {
    /// Reads from `place` on; 0 is the beginning.
    #[must_use]
    pub fn read(&self, place: u64) -> LogRead {
        let kept = lock(&self.kept);
        let end = kept.cut + kept.bytes.len() as u64;
        let start = place.max(kept.cut).min(end);
        let mut read = LogRead {
            lost: start.saturating_sub(place),
            chunks: Vec::new(),
            next: end,
            ended: kept.ended,
        };
        let first = kept
            .marks
            .partition_point(|mark| mark.start <= start)
            .saturating_sub(1);
        for n in first..kept.marks.len() {
            let mark = kept.marks[n];
            let from = mark.start.max(start);
            let to = kept.marks.get(n + 1).map_or(end, |next| next.start);
            if from < to {
                // Offsets within what is kept fit a usize.
                let range = (from - kept.cut) as usize..(to - kept.cut) as usize;
                let bytes = kept.bytes.range(range).copied().collect();
                read.chunks.push(LogChunk {
                    stream: mark.stream,
                    time: mark.time,
                    bytes,
                });
            }
        }
        read
    }

    /// The last lines, at most `lines` of them and `bytes` bytes, as text.
    #[must_use]
    pub fn tail(&self, lines: usize, bytes: usize) -> String {
        let kept = lock(&self.kept);
        let from = kept.bytes.len().saturating_sub(bytes);
        let tail: Vec<u8> = kept.bytes.range(from..).copied().collect();
        drop(kept);
        let text = String::from_utf8_lossy(&tail);
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).collect::<Vec<_>>().join("\n")
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        lock(&self.kept).bytes.len()
    }

    /// Nothing more will come.
    pub(crate) fn end(self: &Arc<Self>) {
        lock(&self.kept).ended = true;
        self.announce();
    }

    fn append(&self, stream: Stream, bytes: &[u8]) {
        let now = self.shared.clock.wall();
        let limit = self.shared.limits.run_bytes_max;
        let mut kept = lock(&self.kept);
        let start = kept.cut + kept.bytes.len() as u64;
        // One mark for a burst of writes to one stream.
        let continues = kept.marks.back().is_some_and(|last| {
            last.stream == stream && last.time.as_millisecond() == now.as_millisecond()
        });
        if !continues && !bytes.is_empty() {
            kept.marks.push_back(Mark {
                start,
                stream,
                time: now,
            });
        }
        kept.bytes.extend(bytes);
        self.shared.total.fetch_add(bytes.len(), Ordering::Relaxed);
        let over = kept.bytes.len().saturating_sub(limit);
        if over > 0 {
            // A fifth at a time, as if one of five files were rotated away.
            let cut = over.max(limit / 5).min(kept.bytes.len());
            kept.bytes.drain(..cut);
            kept.cut += cut as u64;
            while kept.marks.len() > 1 && kept.marks[1].start <= kept.cut {
                kept.marks.pop_front();
            }
            self.shared.total.fetch_sub(cut, Ordering::Relaxed);
        }
    }

    fn announce(self: &Arc<Self>) {
        if !self.shared.followed.load(Ordering::Acquire) {
            return;
        }
        if !self.queued.swap(true, Ordering::AcqRel) {
            lock(&self.shared.fresh).push(Arc::clone(self));
            self.shared.news.notify_one();
        }
    }
}

/// What a guest writes to: its log.
pub(crate) struct LogOutput(pub(crate) Arc<LogBuffer>);

impl Output for LogOutput {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.append(stream, bytes);
        self.0.announce();
    }
}

struct Shared {
    limits: LogLimits,
    clock: Arc<dyn Clock>,
    /// Bytes kept in all.
    total: AtomicUsize,
    /// Somebody follows all logs.
    followed: AtomicBool,
    /// Logs with news for the follower.
    fresh: Mutex<Vec<Arc<LogBuffer>>>,
    news: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pods: HashMap<Uid, Vec<Arc<LogBuffer>>>,
    /// Pods that ended, in that order.
    ended: VecDeque<Uid>,
}

/// The logs of all pods. Cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<Shared>);

impl Logs {
    /// Makes an empty collection.
    #[must_use]
    pub fn new(limits: LogLimits, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            limits,
            clock,
            total: AtomicUsize::new(0),
            followed: AtomicBool::new(false),
            fresh: Mutex::default(),
            news: Notify::new(),
            state: Mutex::default(),
        }))
    }

    /// The logs of a pod's containers: each run's own, oldest first. At most the
    /// current and the previous run of a container are kept.
    #[must_use]
    pub fn of(&self, pod: Uid) -> Vec<Arc<LogBuffer>> {
        lock(&self.0.state)
            .pods
            .get(&pod)
            .cloned()
            .unwrap_or_default()
    }

    /// Follows all logs from now on. There is one feed: a second call takes it over.
    #[must_use]
    pub fn feed(&self) -> LogFeed {
        self.0.followed.store(true, Ordering::Release);
        LogFeed {
            shared: Arc::clone(&self.0),
        }
    }

    /// Begins the log of a run.
    pub(crate) fn begin(
        &self,
        pod: &wasmjob_api::Pod,
        container: &Arc<str>,
        restarts: u32,
    ) -> Arc<LogBuffer> {
        let spec = &pod.template.spec;
        let buffer = Arc::new(LogBuffer {
            pod: pod.uid,
            namespace: Arc::clone(&pod.namespace),
            pod_name: Arc::clone(&pod.name),
            container: Arc::clone(container),
            only_container: spec.containers.len() == 1
                && spec.init_containers.as_ref().is_none_or(Vec::is_empty),
            restarts,
            kept: Mutex::default(),
            queued: AtomicBool::new(false),
            shared: Arc::clone(&self.0),
        });
        let mut state = lock(&self.0.state);
        let runs = state.pods.entry(pod.uid).or_default();
        if restarts > 1 {
            let old =
                |run: &Arc<LogBuffer>| run.container == *container && run.restarts + 1 < restarts;
            let freed: usize = runs
                .iter()
                .filter(|run| old(run))
                .map(|run| run.kept_bytes())
                .sum();
            runs.retain(|run| !old(run));
            self.0.total.fetch_sub(freed, Ordering::Relaxed);
        }
        runs.push(Arc::clone(&buffer));
        buffer
    }

    /// The pod has ended: its logs may go when memory is short.
    pub(crate) fn pod_ended(&self, pod: Uid) {
        let mut state = lock(&self.0.state);
        state.ended.push_back(pod);
        while self.0.total.load(Ordering::Relaxed) > self.0.limits.total_bytes_max {
            let Some(oldest) = state.ended.pop_front() else {
                break;
            };
            self.drop_logs(&mut state, oldest);
        }
    }

    /// Forgets the logs of a pod that is gone.
    pub fn remove(&self, pod: Uid) {
        let mut state = lock(&self.0.state);
        self.drop_logs(&mut state, pod);
    }

    fn drop_logs(&self, state: &mut State, pod: Uid) {
        let freed: usize = state
            .pods
            .remove(&pod)
            .iter()
            .flatten()
            .map(|run| run.kept_bytes())
            .sum();
        self.0.total.fetch_sub(freed, Ordering::Relaxed);
    }
}

/// Tells which logs have news.
pub struct LogFeed {
    shared: Arc<Shared>,
}

impl LogFeed {
    /// The logs with news since they were last handed out; read them from the
    /// place where you left off. Does not wait.
    #[must_use]
    pub fn try_next(&self) -> Vec<Arc<LogBuffer>> {
        let fresh = std::mem::take(&mut *lock(&self.shared.fresh));
        for buffer in &fresh {
            buffer.queued.store(false, Ordering::Release);
        }
        fresh
    }

    /// Waits until some log has news; [`LogFeed::try_next`] gives them.
    pub async fn ready(&self) {
        loop {
            let news = self.shared.news.notified();
            if !lock(&self.shared.fresh).is_empty() {
                return;
            }
            news.await;
        }
    }

    /// Waits for news.
    pub async fn next(&self) -> Vec<Arc<LogBuffer>> {
        loop {
            let news = self.shared.news.notified();
            let fresh = self.try_next();
            if !fresh.is_empty() {
                return fresh;
            }
            news.await;
        }
    }
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        self.shared.followed.store(false, Ordering::Release);
        lock(&self.shared.fresh).clear();
    }
}
