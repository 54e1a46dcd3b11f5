//! CronJobs: many at once, and many that wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use wasmjob::api::manifest::{Source, read};
use wasmjob::{Change, Host, Object};

use crate::durable::directory;
use crate::measure::{cpu_time, percentiles, status_kib};

fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap()
}

fn apply(host: &Host, count: usize, schedule: &str) {
    // Some hundred a commit, as files would come.
    for first in (0..count).step_by(500) {
        let yaml: String = (first..count.min(first + 500))
            .map(|n| {
                format!(
                    "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: c{n}}}\nspec:\n  schedule: \"{schedule}\"\n  jobTemplate: {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: mark}}]}}}}}}}}\n"
                )
            })
            .collect();
        let source = Source {
            name: "bench.yaml",
            bytes: yaml.as_bytes(),
        };
        host.apply(read(&source).unwrap()).unwrap();
    }
}

/// 10,000 CronJobs due at the same second: how late are their Jobs and guests?
pub(crate) fn thundering_herd() {
    const COUNT: usize = 10_000;
    let dir = directory();
    let marks: Arc<Mutex<Vec<Timestamp>>> = Arc::default();
    let marking = Arc::clone(&marks);
    let module = wat::parse_str(
        "(module (import \"bench\" \"mark\" (func $m)) (func (export \"_start\") call $m))",
    )
    .unwrap();
    let host = Host::builder()
        .module("mark", module)
        .core_functions(move |linker| {
            let marks = Arc::clone(&marking);
            linker.func_wrap("bench", "mark", move || marks.lock().unwrap().push(now()))?;
            Ok(())
        })
        .data_dir(dir.path())
        .build()
        .unwrap();
    apply(&host, COUNT, "* * * * *");
    // The next minute whose beginning is far enough away.
    let minute = (now().as_second() / 60 + 1) * 60;
    let minute = if minute - now().as_second() < 3 {
        minute + 60
    } else {
        minute
    };
    println!("\n{COUNT} CronJobs due at the same second, on a disk; after that second, in ms:");
    for (which, minute) in [("the first time", minute), ("the next time", minute + 60)] {
        one_herd(&host, &marks, COUNT, which, minute);
    }
}

/// Waits for the Jobs and guests of the minute that begins then.
fn one_herd(host: &Host, marks: &Mutex<Vec<Timestamp>>, count: usize, which: &str, minute: i64) {
    let slot = Timestamp::from_second(minute).unwrap();
    let store = host.store().clone();
    let mut watch = store.watch(store.revision());
    // When everybody can see them, which is after they are on the disk.
    let seen = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut seen = Vec::new();
        while seen.len() < count {
            let changes = runtime.block_on(watch.next()).unwrap();
            let at = now();
            let jobs = changes.iter().filter(|(_, change)| {
                matches!(change, Change::Added(Object::Job(_))) && at >= slot
            });
            seen.extend(jobs.map(|_| at));
        }
        seen
    });
    let begun = || {
        marks
            .lock()
            .unwrap()
            .iter()
            .filter(|at| **at >= slot)
            .count()
    };
    while begun() < count {
        std::thread::sleep(Duration::from_millis(50));
        assert!(now().as_second() < minute + 50, "not all of them ran");
    }
    let late = |at: Timestamp| at.duration_since(slot).max(SignedDuration::ZERO);
    let jobs: Vec<_> = seen.join().unwrap().into_iter().map(late).collect();
    let guests: Vec<_> = marks
        .lock()
        .unwrap()
        .iter()
        .filter(|at| **at >= slot)
        .map(|at| late(*at))
        .collect();
    for (what, late) in [("its Job is there", jobs), ("its guest begins", guests)] {
        let (p50, p99, max) = percentiles(late);
        let ms = |d: SignedDuration| d.as_secs_f64() * 1e3;
        println!(
            "- {which}, {what}: p50 {:.0}, p99 {:.0}, max {:.0}",
            ms(p50),
            ms(p99),
            ms(max)
        );
    }
}

/// 100,000 CronJobs that wait for next year.
pub(crate) fn idle() {
    const COUNT: usize = 100_000;
    const SPAN: Duration = Duration::from_secs(60);
    let dir = directory();
    let module = wat::parse_str("(module (func (export \"_start\")))").unwrap();
    let host = Host::builder()
        .module("mark", module)
        .data_dir(dir.path())
        .build()
        .unwrap();
    let before = status_kib("VmRSS:");
    apply(&host, COUNT, "0 0 1 1 *");
    std::thread::sleep(Duration::from_secs(2));
    let after = status_kib("VmRSS:");
    let (cpu, switches) = (cpu_time(), switches());
    std::thread::sleep(SPAN);
    println!(
        "{COUNT} idle CronJobs: {:.2} KiB each; in {} s {:.3} ms of CPU ({:.5} %) and {} wake-ups of the host's threads",
        after.saturating_sub(before) as f64 / COUNT as f64,
        SPAN.as_secs(),
        (cpu_time() - cpu).as_secs_f64() * 1e3,
        (cpu_time() - cpu).as_secs_f64() / SPAN.as_secs_f64() * 100.0,
        // The sleep of this thread is one.
        crate::cron::switches().saturating_sub(switches + 1),
    );
}

/// Voluntary context switches of all threads.
fn switches() -> u64 {
    let of = |path: std::path::PathBuf| -> Option<u64> {
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| of(task.ok()?.path())).sum()
}
