//! Tests of logs, wherever they are kept, and what they share.

mod compaction;
mod damage;
mod faults;
mod kill;
mod many;
mod memory;
mod model;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wasmjob_api::{ContainerStatus, OwnerJob, Pod, PodStatus, PodTemplate, Uid, k8s_openapi};
use wasmjob_sandbox::Stream;

use super::disk::{Directory, Disk};
use super::{LogBuffer, LogDir, LogLimits, LogRead, LogWriter, Logs, lock};
use crate::{Clock, SystemClock};

/// A pod with one container, `c`, of the Job with that number.
fn pod_of(n: u128, job: Option<u128>) -> Pod {
    let mut spec = k8s_openapi::api::core::v1::PodSpec::default();
    spec.containers.push(k8s_openapi::api::core::v1::Container {
        name: "c".to_owned(),
        ..Default::default()
    });
    let template = PodTemplate {
        metadata: Default::default(),
        spec: Arc::new(spec),
        owner: job.map(|n| OwnerJob {
            name: Arc::from("j"),
            uid: Uid::from_random(n),
        }),
        base: Arc::from(Path::new(".")),
    };
    Pod {
        metadata: None,
        uid: Uid::from_random(n),
        namespace: Arc::from("default"),
        name: Arc::from(format!("p{n}")),
        template: Arc::new(template),
        index: None,
        index_failure_count: None,
        index_ignored_failure_count: None,
        created: Timestamp::UNIX_EPOCH,
        deletion: None,
        tracked: false,
        status: PodStatus::default(),
    }
}

fn now() -> Instant {
    SystemClock.monotonic()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn bytes(read: &LogRead) -> Vec<u8> {
    let chunks = read.chunks.iter();
    chunks.flat_map(|chunk| chunk.bytes.clone()).collect()
}

type Pods = Arc<Mutex<HashMap<Uid, Arc<Pod>>>>;

const LIMITS: LogLimits = LogLimits {
    run_bytes_max: 20_000,
    total_bytes_max: 1 << 20,
    disk_bytes_max: 1 << 30,
};

/// Logs in a directory, and the pods that exist.
struct Host {
    dir: std::path::PathBuf,
    pods: Pods,
    limits: LogLimits,
    segment_bytes_max: u64,
    is_patient: bool,
    logs: Logs,
    writer: Option<LogWriter>,
}

impl Host {
    /// Its guests wait for the disk, however busy the machine is.
    fn new(dir: &Path, limits: LogLimits, segment_bytes_max: u64) -> Self {
        let disk = Box::new(Directory::open(dir).unwrap());
        Self::on(dir, disk, limits, segment_bytes_max, Pods::default()).patient()
    }

    /// With a disk that may be slow, for which guests wait no longer than ever.
    fn on(
        dir: &Path,
        disk: Box<dyn Disk>,
        limits: LogLimits,
        segment_bytes_max: u64,
        pods: Pods,
    ) -> Self {
        let known = Arc::clone(&pods);
        let log_dir = LogDir {
            path: dir.to_owned(),
            secret: 0x5eed_5eed_5eed_5eed,
            find_pod: Arc::new(move |uid| lock(&known).get(&uid).cloned()),
        };
        let clock = Arc::new(SystemClock);
        let (logs, writer) =
            Logs::open_on(disk, segment_bytes_max, limits, clock, log_dir).unwrap();
        Self {
            dir: dir.to_owned(),
            pods,
            limits,
            segment_bytes_max,
            is_patient: false,
            logs,
            writer: Some(writer),
        }
    }

    fn patient(mut self) -> Self {
        self.logs.on_disk.as_ref().unwrap().spool.room.be_patient();
        self.is_patient = true;
        self
    }

    /// Stops, and starts again with the same pods.
    fn again(mut self) -> Self {
        self.writer = None;
        let disk = Box::new(Directory::open(&self.dir).unwrap());
        let (limits, segment) = (self.limits, self.segment_bytes_max);
        let again = Self::on(&self.dir, disk, limits, segment, Arc::clone(&self.pods));
        match self.is_patient {
            true => again.patient(),
            false => again,
        }
    }

    fn begin(&self, n: u128, restarts: u32) -> Arc<LogBuffer> {
        let mut pod = pod_of(n, None);
        pod.status.containers.push(ContainerStatus {
            restarts,
            ..ContainerStatus::default()
        });
        let pod = Arc::new(pod);
        lock(&self.pods).insert(pod.uid, Arc::clone(&pod));
        self.logs.begin(&pod, &Arc::from("c"), restarts)
    }

    fn end(&self, log: &Arc<LogBuffer>) {
        log.end();
        self.logs.pod_ended(log.pod);
    }

    /// A pod with that output, which has ended.
    fn pod(&self, n: u128, output: &[u8]) -> Uid {
        let log = self.begin(n, 0);
        log.append(Stream::Stdout, output);
        self.end(&log);
        log.pod
    }

    fn forget(&self, pod: Uid) {
        lock(&self.pods).remove(&pod);
        self.logs.forget(pod);
    }

    /// Waits until everything is on the disk that pods wrote which have ended.
    fn settle(&self) {
        wait_until("everything is written", || {
            lock(&self.logs.registry).pods.is_empty()
        });
    }

    fn output(&self, pod: Uid) -> Vec<u8> {
        let logs = self.logs.of(pod);
        logs.iter().flat_map(|log| bytes(&log.read(0))).collect()
    }

    fn size(&self) -> u64 {
        size(&self.dir)
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Bytes of all segments.
fn size(dir: &Path) -> u64 {
    let sizes = files(dir).into_iter();
    // One may go while we look.
    sizes
        .filter_map(|file| Some(file.metadata().ok()?.len()))
        .sum()
}

/// Bytes that tell where they were written.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|n| ((n as u32).wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}
