//! What containers wrote, in memory: bounded, byte-exact, followed without waiting.
//!
//! A log belongs to one run of one container. It keeps its newest bytes; what
//! was cut off is counted, and a reader is told. A follower has a place in the
//! log, not a queue: a slow one costs nothing and slows nobody down.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
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

/// Pods that ended whose logs are kept at most (Kubernetes keeps 12,500
/// terminated pods).
const ENDED_PODS_MAX: usize = 12_500;

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
    /// The Job that controls the pod, if one does.
    pub job: Option<Uid>,
    /// The container's name.
    pub container: Arc<str>,
    /// It is the pod's only container.
    pub only_container: bool,
    /// How often the container had been restarted before this run.
    pub restarts: u32,
    kept: Mutex<Kept>,
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
        if self.shared.followers.load(Ordering::Acquire) == 0 {
            return;
        }
        for queue in lock(&self.shared.feeds).iter() {
            if queue.job.is_none() || queue.job == self.job {
                queue.push(self);
            }
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
    /// How many feeds there are: asked at every write, so not behind a lock.
    followers: AtomicUsize,
    feeds: Mutex<Vec<Arc<FeedQueue>>>,
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
            followers: AtomicUsize::new(0),
            feeds: Mutex::default(),
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

    /// Follows the logs of all pods from now on, or of one Job's.
    #[must_use]
    pub fn feed(&self, job: Option<Uid>) -> LogFeed {
        let queue = Arc::new(FeedQueue {
            job,
            fresh: Mutex::default(),
            news: Notify::new(),
        });
        lock(&self.0.feeds).push(Arc::clone(&queue));
        self.0.followers.fetch_add(1, Ordering::AcqRel);
        LogFeed {
            shared: Arc::clone(&self.0),
            queue,
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
            job: pod.template.owner.as_ref().map(|job| job.uid),
            container: Arc::clone(container),
            only_container: spec.containers.len() == 1
                && spec.init_containers.as_ref().is_none_or(Vec::is_empty),
            restarts,
            kept: Mutex::default(),
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
        // By count too: logs that hold little still hold something.
        while self.0.total.load(Ordering::Relaxed) > self.0.limits.total_bytes_max
            || state.ended.len() > ENDED_PODS_MAX
        {
            let Some(oldest) = state.ended.pop_front() else {
                break;
            };
            self.drop_logs(&mut state, oldest);
        }
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

/// What one follower has not been told yet. It holds a log once, however much
/// was written to it, so a slow follower costs no more than there are logs.
struct FeedQueue {
    job: Option<Uid>,
    fresh: Mutex<Fresh>,
    news: Notify,
}

#[derive(Default)]
struct Fresh {
    logs: Vec<Arc<LogBuffer>>,
    /// Addresses of `logs`.
    known: HashSet<usize>,
}

impl FeedQueue {
    fn push(&self, log: &Arc<LogBuffer>) {
        let mut fresh = lock(&self.fresh);
        if fresh.known.insert(Arc::as_ptr(log).addr()) {
            fresh.logs.push(Arc::clone(log));
            drop(fresh);
            self.news.notify_one();
        }
    }
}

/// Tells which logs have news.
pub struct LogFeed {
    shared: Arc<Shared>,
    queue: Arc<FeedQueue>,
}

impl LogFeed {
    /// The logs with news since they were last handed out; read them from the
    /// place where you left off. Does not wait.
    #[must_use]
    pub fn try_next(&self) -> Vec<Arc<LogBuffer>> {
        std::mem::take(&mut *lock(&self.queue.fresh)).logs
    }

    /// Waits until some log has news; [`LogFeed::try_next`] gives them.
    pub async fn ready(&self) {
        while lock(&self.queue.fresh).logs.is_empty() {
            // A notification that came before we wait is kept.
            self.queue.news.notified().await;
        }
    }

    /// Waits for news.
    pub async fn next(&self) -> Vec<Arc<LogBuffer>> {
        self.ready().await;
        self.try_next()
    }
}

impl Drop for LogFeed {
    fn drop(&mut self) {
        lock(&self.shared.feeds).retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.shared.followers.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    fn log(logs: &Logs, job: Option<u128>) -> Arc<LogBuffer> {
        let template = wasmjob_api::PodTemplate {
            metadata: Default::default(),
            spec: Default::default(),
            owner: job.map(|n| wasmjob_api::OwnerJob {
                name: Arc::from("j"),
                uid: Uid::from_random(n),
            }),
            base: Arc::from(std::path::Path::new(".")),
        };
        let pod = wasmjob_api::Pod {
            uid: Uid::from_random(9),
            namespace: Arc::from("default"),
            name: Arc::from("p"),
            template: Arc::new(template),
            index: None,
            index_failure_count: None,
            index_ignored_failure_count: None,
            created: Timestamp::UNIX_EPOCH,
            deletion: None,
            tracked: false,
            status: wasmjob_api::PodStatus::default(),
        };
        logs.begin(&pod, &Arc::from("c"), 0)
    }

    fn logs(run_bytes_max: usize) -> Logs {
        Logs::new(
            LogLimits {
                run_bytes_max,
                total_bytes_max: 1 << 20,
            },
            Arc::new(SystemClock),
        )
    }

    fn bytes(read: &LogRead) -> Vec<u8> {
        read.chunks
            .iter()
            .flat_map(|chunk| chunk.bytes.clone())
            .collect()
    }

    #[test]
    fn a_reader_gets_every_byte_once_with_its_stream() {
        let log = log(&logs(100), None);
        log.append(Stream::Stdout, b"out");
        log.append(Stream::Stderr, b"err");
        let read = log.read(0);
        assert_eq!(bytes(&read), b"outerr");
        assert_eq!(
            read.chunks.iter().map(|c| c.stream).collect::<Vec<_>>(),
            [Stream::Stdout, Stream::Stderr]
        );
        log.append(Stream::Stdout, b"more");
        let read = log.read(read.next);
        assert_eq!((bytes(&read), read.lost), (b"more".to_vec(), 0));
        assert!(log.read(read.next).chunks.is_empty());
        assert_eq!(bytes(&log.read(4)), b"rrmore");
    }

    #[test]
    fn beyond_its_limit_a_log_keeps_the_newest_and_says_what_is_lost() {
        let all = logs(100);
        let log = log(&all, None);
        for n in 0..100u8 {
            log.append(Stream::Stdout, &[n; 7]);
        }
        let read = log.read(0);
        assert!(
            log.kept_bytes() <= 100 && log.kept_bytes() >= 80,
            "{}",
            log.kept_bytes()
        );
        assert_eq!(read.lost + bytes(&read).len() as u64, 700);
        assert_eq!(bytes(&read).last(), Some(&99));
        assert_eq!(all.0.total.load(Ordering::Relaxed), log.kept_bytes());
        // More than fits at once.
        log.append(Stream::Stdout, &[1; 1000]);
        assert!(log.kept_bytes() <= 100);
    }

    #[test]
    fn a_feed_names_a_log_once_until_it_is_taken() {
        let all = logs(100);
        let (mine, other) = (log(&all, Some(1)), log(&all, Some(2)));
        let (everything, one) = (all.feed(None), all.feed(Some(Uid::from_random(1))));
        for log in [&mine, &mine, &other] {
            LogOutput(Arc::clone(log)).write(Stream::Stdout, b"x");
        }
        assert_eq!((everything.try_next().len(), one.try_next().len()), (2, 1));
        assert!(everything.try_next().is_empty());
        drop(one);
        mine.end();
        assert!(everything.try_next()[0].read(0).ended);
        assert_eq!(lock(&all.0.feeds).len(), 1);
    }
}
