//! `wasmjob serve` as its operator meets it: the real binary, killed, stopped,
//! starved of room, and told what to do by files.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wasmjob::api::{CronJob, Job, Phase, Pod};
use wasmjob::{Directory, Kind, Store};

const QUICK: &str = "(module (func (export \"_start\")))";
const ENDLESS: &str = "(module (func (export \"_start\") (loop (br 0))))";

/// A directory for manifests and one for data.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        let place = Self { dir };
        place.put("quick.wasm", &wat::parse_str(QUICK).unwrap());
        place.put("endless.wasm", &wat::parse_str(ENDLESS).unwrap());
        place
    }

    fn manifests(&self) -> PathBuf {
        self.dir.path().join("manifests")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Moves a file in, as an editor or a package manager does.
    fn put(&self, name: &str, bytes: &[u8]) {
        let draft = self.dir.path().join("draft");
        std::fs::write(&draft, bytes).unwrap();
        std::fs::rename(draft, self.manifests().join(name)).unwrap();
    }

    fn job(&self, name: &str, image: &str, spec: &str) {
        let yaml = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{spec} template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: c, image: ./{image}.wasm}}]}}}}}}}}"
        );
        self.put(&format!("{name}.yaml"), yaml.as_bytes());
    }

    fn cron_job(&self, name: &str, image: &str, spec: &str) {
        let yaml = format!(
            "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{{spec} jobTemplate: {{spec: \
             {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: ./{image}.wasm}}]}}}}}}}}}}}}"
        );
        self.put(&format!("{name}.yaml"), yaml.as_bytes());
    }

    fn serve(&self) -> Served {
        Served::start(&self.data(), &self.manifests(), &[])
    }

    /// What the data directory holds, once nobody has it.
    fn objects(&self) -> Objects {
        Objects::read(&self.data())
    }
}

#[derive(Debug)]
struct Objects {
    jobs: Vec<Arc<Job>>,
    pods: Vec<Arc<Pod>>,
    cron_jobs: Vec<Arc<CronJob>>,
    events: Vec<String>,
}

impl Objects {
    fn read(dir: &Path) -> Self {
        let store = Store::open(Directory::lock(dir).unwrap()).unwrap();
        let list = |kind| store.list(kind, |_| true).1;
        let events = list(Kind::Event);
        Self {
            jobs: list(Kind::Job)
                .iter()
                .filter_map(|it| it.object.as_job().cloned())
                .collect(),
            pods: list(Kind::Pod)
                .iter()
                .filter_map(|it| it.object.as_pod().cloned())
                .collect(),
            cron_jobs: list(Kind::CronJob)
                .iter()
                .filter_map(|it| it.object.as_cron_job().cloned())
                .collect(),
            events: events
                .iter()
                .filter_map(|it| match &it.object {
                    wasmjob::Object::Event(event) => {
                        Some(format!("{} {}", event.name, event.event.reason))
                    }
                    _ => None,
                })
                .collect(),
        }
    }
}

/// A daemon and what it says.
struct Served {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Served {
    fn start(data: &Path, manifests: &Path, args: &[&str]) -> Self {
        Self::start_with(data, manifests, args, &[])
    }

    fn start_with(
        data: &Path,
        manifests: &Path,
        args: &[&str],
        environment: &[(&str, &Path)],
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .args([
                "serve",
                "--no-cache",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(data)
            .arg("--manifests")
            .arg(manifests)
            .args(args)
            .env_remove("NOTIFY_SOCKET")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (said, stderr) = (Arc::clone(&lines), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                said.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        self.wait_for_times(text, 1);
    }

    #[track_caller]
    fn wait_for_times(&mut self, text: &str, times: usize) {
        let begun = Instant::now();
        while self.said().matches(text).count() < times {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "it ended with {status} before it said {text:?}:\n{}",
                    self.said()
                );
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "no {text:?} in:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code, which comes within the time.
    #[track_caller]
    fn end(mut self, within: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                begun.elapsed() < within,
                "it goes on after {within:?}:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_come_change_and_go_with_their_objects() {
    let place = Place::new();
    place.job("first", "quick", "");
    let mut served = place.serve();
    served.wait_for("ready");
    served.wait_for("Job is Complete namespace=default name=first");
    place.cron_job("often", "quick", "schedule: '0 0 1 1 *',");
    served.wait_for("often.yaml\" created=1");
    place.cron_job("often", "quick", "schedule: '@every 1s',");
    served.wait_for("often.yaml\" created=0 configured=1");
    served.wait_for("Job is Complete namespace=default name=often-");
    // Half a file is no file.
    let half = place.manifests().join("half.yaml");
    let mut file = std::fs::File::create(&half).unwrap();
    std::io::Write::write_all(&mut file, b"{apiVersion: batch/v1, kind: Job, ").unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(!served.said().contains("half.yaml"), "{}", served.said());
    std::io::Write::write_all(&mut file, b"metadata: {name: half}, spec: {tempate: 1}}").unwrap();
    drop(file);
    served.wait_for("half.yaml:1:66: spec.tempate: unknown field");
    served.wait_for("did you mean `template`?");
    // What was valid stays while the file is not.
    place.put("often.yaml", b"kind: CronJob");
    served.wait_for("the file is not taken over");
    let before = served.said().matches("name=often-").count();
    served.wait_for_times("name=often-", before + 1);
    std::fs::remove_file(place.manifests().join("often.yaml")).unwrap();
    served.wait_for("the file is gone, and so are its objects");
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(10)), Some(0));
    let objects = place.objects();
    assert!(objects.cron_jobs.is_empty(), "{objects:?}");
    assert_eq!(objects.jobs.len(), 1, "{:?}", objects.jobs);
}

#[test]
fn a_file_that_a_quota_keeps_out_is_tried_again() {
    let place = Place::new();
    let mut served = place.serve();
    served.wait_for("ready");
    let quota = place.dir.path().join("quota.yaml");
    let apply = |jobs: u32| {
        let text = format!(
            "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q, namespace: default}}, \
             spec: {{hard: {{count/jobs.batch: {jobs}}}}}}}"
        );
        std::fs::write(&quota, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .args(["apply", "-f"])
            .arg(&quota)
            .env("WASMJOB_DATA_DIR", place.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    apply(0);
    place.job("kept", "missing", "");
    place.job("out", "missing", "");
    served.wait_for_times("exceeded quota: q", 2);
    served.wait_for_times("the file is not taken over", 2);
    let images = served.said().matches("missing.wasm").count();
    // Nothing is said of a look that finds the same.
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(served.said().matches("exceeded quota").count(), 2);
    assert_eq!(served.said().matches("missing.wasm").count(), images);
    apply(2);
    served.wait_for_times("created=1 configured=0", 2);
    // That is said of a file which is again what it was.
    let again = "the file is as it should be";
    assert!(!served.said().contains(again));
    let kept = place.dir.path().join("manifests/kept.yaml");
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, "{").unwrap();
    served.wait_for_times("the file is not taken over", 3);
    std::fs::write(&kept, text).unwrap();
    served.wait_for(again);
    served.kill();
}

#[test]
fn a_claim_of_a_file_is_kept_while_a_pod_uses_it() {
    let place = Place::new();
    let mut served = place.serve();
    served.wait_for("ready");
    let claims = || {
        let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .args(["get", "pvc"])
            .env("WASMJOB_DATA_DIR", place.data())
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let wait_for = |text: &str| {
        let begun = Instant::now();
        while !claims().contains(text) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", claims());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let claim = |metadata: &str, storage: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: c, {metadata}}}, spec: \
             {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: {storage}}}}}}}}}"
        );
        place.put("claim.yaml", text.as_bytes());
    };
    claim("", "1Gi");
    wait_for("Bound");
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: user}, spec: {template: {spec: \
               {restartPolicy: Never, terminationGracePeriodSeconds: 0, \
               volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], \
               containers: [{name: c, image: ./endless.wasm, volumeMounts: [{name: v, mountPath: /v}]}]}}}}";
    place.put("job.yaml", job.as_bytes());
    served.wait_for("job.yaml\" created=1");
    let dir = place.data().join("volumes");
    let volumes = || std::fs::read_dir(&dir).map_or(0, Iterator::count);
    let begun = Instant::now();
    while volumes() == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "it has no volume"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    claim("labels: {a: b}", "1Gi");
    served.wait_for("claim.yaml\" created=0 configured=1");
    assert!(claims().contains("Bound"), "{}", claims());
    claim("labels: {a: b}", "100Gi");
    served.wait_for("must support resize");
    std::fs::remove_file(place.manifests().join("claim.yaml")).unwrap();
    wait_for("Terminating");
    // One of that name has to wait for its end.
    claim("labels: {a: c}", "2Gi");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(claims().contains("Terminating"), "{}", claims());
    assert_eq!(volumes(), 1);
    std::fs::remove_file(place.manifests().join("job.yaml")).unwrap();
    served.wait_for_times("claim.yaml\" created=1", 2);
    wait_for("2Gi");
    wait_for("Bound");
    served.kill();
}

#[test]
fn the_kubeconfig_is_named_for_any_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(["serve", "--no-cache", "--listen", "127.0.0.1:0"])
        .args(["--data-dir", "it's my data"])
        .current_dir(dir.path())
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // As a shell reads it.
    let shell = Command::new("sh")
        .args(["-c", &format!("{line} printf %s \"$KUBECONFIG\"")])
        .output()
        .unwrap();
    let path = String::from_utf8(shell.stdout).unwrap();
    assert!(Path::new(&path).is_absolute(), "{line}");
    assert!(Path::new(&path).is_file(), "{line}");
}

#[test]
fn a_job_of_a_file_runs_once_also_when_it_is_gone() {
    let place = Place::new();
    place.job("once", "quick", "ttlSecondsAfterFinished: 0,");
    let mut served = place.serve();
    served.wait_for("Job is Complete namespace=default name=once");
    served.kill();
    let mut served = place.serve();
    served.wait_for("ready");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!served.said().contains("name=once"), "{}", served.said());
    // A file that changed is another one.
    place.job(
        "once",
        "quick",
        "ttlSecondsAfterFinished: 0, backoffLimit: 1,",
    );
    served.wait_for("Job is Complete namespace=default name=once");
    // One that went while nobody looked takes its objects along.
    place.job("stays", "endless", "");
    served.wait_for("stays.yaml\" created=1");
    served.kill();
    std::fs::remove_file(place.manifests().join("stays.yaml")).unwrap();
    let mut served = place.serve();
    served.wait_for("stays.yaml deleted=1");
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(10)), Some(0));
    assert!(place.objects().jobs.iter().all(|job| &*job.name != "stays"));
}

#[test]
fn a_file_that_is_renamed_or_emptied_changes_nothing() {
    let place = Place::new();
    place.job("b", "quick", "");
    place.cron_job("often", "quick", "schedule: '@every 1s',");
    let mut served = place.serve();
    served.wait_for("Job is Complete namespace=default name=b");
    let rename = |from: &str, to: &str| {
        let dir = place.manifests();
        std::fs::rename(dir.join(from), dir.join(to)).unwrap();
    };
    rename("b.yaml", "z.yaml");
    served.wait_for("b.yaml to=z.yaml");
    rename("z.yaml", "a.yaml");
    served.wait_for("z.yaml to=a.yaml");
    served.kill();
    rename("a.yaml", "y.yaml");
    let mut served = place.serve();
    served.wait_for("a.yaml to=y.yaml");
    served.wait_for("ready");
    // As a copy to a full disk leaves it.
    std::fs::write(place.manifests().join("often.yaml"), "").unwrap();
    served.wait_for("often.yaml: it holds no objects any more");
    let before = served.said().matches("name=often-").count();
    served.wait_for_times("name=often-", before + 1);
    // An object that moves from one file to another stays, too.
    let cron = |name: &str| {
        format!(
            "---\n{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{schedule: '0 0 1 1 *', jobTemplate: \
         {{spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: ./quick.wasm}}]}}}}}}}}}}}}\n"
        )
    };
    place.put("one.yaml", (cron("x") + &cron("moves")).as_bytes());
    served.wait_for("one.yaml\" created=2");
    place.put("two.yaml", cron("moves").as_bytes());
    served.wait_for("is defined in `one.yaml` already");
    place.put("one.yaml", cron("x").as_bytes());
    served.wait_for("two.yaml\" created=1");
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(10)), Some(0));
    let objects = place.objects();
    assert_eq!(
        objects.jobs.iter().filter(|job| &*job.name == "b").count(),
        1
    );
    let runs = objects
        .events
        .iter()
        .filter(|event| *event == "b SuccessfulCreate");
    assert_eq!(runs.count(), 1, "it ran again");
    let names: BTreeSet<_> = objects
        .cron_jobs
        .iter()
        .map(|row| row.name.to_string())
        .collect();
    assert_eq!(names, ["moves", "often", "x"].map(str::to_owned).into());
}

#[test]
fn what_is_no_regular_file_or_no_directory_holds_nothing_up() {
    let place = Place::new();
    let fifo = place.manifests().join("a.yaml");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    std::fs::create_dir(place.manifests().join("dir.yaml")).unwrap();
    place.job("b", "quick", "");
    let mut served = place.serve();
    served.wait_for("a.yaml: not a regular file");
    served.wait_for("Job is Complete namespace=default name=b");
    served.wait_for("ready");
    // The directory goes and comes back, with a file more.
    let away = place.dir.path().join("away");
    std::fs::rename(place.manifests(), &away).unwrap();
    served.wait_for("what it stood for stays");
    std::fs::rename(&away, place.manifests()).unwrap();
    place.job("c", "quick", "");
    served.wait_for("Job is Complete namespace=default name=c");
    served.kill();
    // An empty one is taken for a mount that is missing.
    std::fs::rename(place.manifests(), &away).unwrap();
    std::fs::create_dir(place.manifests()).unwrap();
    let mut served = place.serve();
    served.wait_for("SIGHUP says that it is meant so");
    served.wait_for("ready");
    served.signal(Signal::HUP);
    served.wait_for_times("the file is gone, and so are its objects", 2);
}

fn end_with_a_queue(is_killed: bool) {
    let place = Place::new();
    // More pods than backoffLimit at once, of which memory admits one.
    place.put(
        "queue.yaml",
        b"{apiVersion: batch/v1, kind: Job, metadata: {name: queue}, spec: {completions: 12, parallelism: 12, backoffLimit: 2, \
          template: {spec: {restartPolicy: Never, containers: [{name: c, image: ./endless.wasm, \
          resources: {limits: {memory: 40Mi}}}]}}}}",
    );
    let args = ["--memory", "64Mi", "--drain-timeout", "1s"];
    let mut served = Served::start(&place.data(), &place.manifests(), &args);
    served.wait_for("ready");
    served.wait_for("0/1 nodes are available: 1 Insufficient memory");
    std::thread::sleep(Duration::from_millis(100));
    let live = |objects: &Objects| {
        let pods = objects.pods.iter();
        pods.filter(|pod| !pod.status.phase.is_terminal()).count()
    };
    if is_killed {
        served.kill();
        // The queue is in the store, and none of it has failed.
        assert_eq!(live(&place.objects()), 12);
    } else {
        let begun = Instant::now();
        served.signal(Signal::TERM);
        assert_eq!(served.end(Duration::from_secs(10)), Some(0));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert_eq!(live(&place.objects()), 1);
    }
    let mut served = Served::start(&place.data(), &place.manifests(), &args);
    served.wait_for("ready");
    std::thread::sleep(Duration::from_millis(300));
    served.kill();
    let job = Arc::clone(&place.objects().jobs[0]);
    // Of all that queued none is counted.
    assert!(
        job.finished().is_none() && job.status.failed == 1,
        "{:?}",
        job.status
    );
}

#[test]
fn draining_begins_nothing_and_a_restart_counts_no_pod_that_queued() {
    end_with_a_queue(false);
}

#[test]
fn a_kill_counts_no_pod_that_queued() {
    end_with_a_queue(true);
}

#[test]
fn killed_again_and_again_it_runs_no_slot_twice_and_forgets_none() {
    let place = Place::new();
    place.cron_job(
        "tick",
        "quick",
        "schedule: '@every 1s', successfulJobsHistoryLimit: 1000, failedJobsHistoryLimit: 1000,",
    );
    place.cron_job(
        "alone",
        "endless",
        "concurrencyPolicy: Forbid, schedule: '@every 1s',",
    );
    let mut seen = BTreeSet::new();
    let mut latest = None;
    for round in 0..8 {
        let mut served = place.serve();
        served.wait_for("ready");
        // Across slots, and within one.
        std::thread::sleep(Duration::from_millis(700 + 173 * round));
        served.kill();
        let objects = place.objects();
        let names: BTreeSet<_> = objects
            .jobs
            .iter()
            .map(|job| job.name.to_string())
            .collect();
        assert_eq!(names.len(), objects.jobs.len());
        // Nothing that was there is gone.
        assert!(
            names.is_superset(&seen),
            "{seen:?} were there, {names:?} are"
        );
        seen = names;
        let row = objects
            .cron_jobs
            .iter()
            .find(|row| &*row.name == "tick")
            .unwrap();
        assert!(row.status.last_schedule_time >= latest);
        latest = row.status.last_schedule_time;
        let active = objects
            .jobs
            .iter()
            .filter(|job| job.name.starts_with("alone-"));
        assert!(active.filter(|job| job.finished().is_none()).count() <= 1);
    }
    assert!(seen.len() > 8, "{seen:?}");
    let objects = place.objects();
    // Each Job has one pod that ran, or pods that a kill has failed.
    for job in objects
        .jobs
        .iter()
        .filter(|job| job.name.starts_with("tick-"))
    {
        let pods = objects.pods.iter().filter(|pod| {
            pod.template
                .owner
                .as_ref()
                .is_some_and(|owner| owner.uid == job.uid)
        });
        let succeeded = pods
            .filter(|pod| pod.status.phase == Phase::Succeeded)
            .count();
        assert!(succeeded <= 1, "{} succeeded {succeeded} times", job.name);
    }
    let killed = objects
        .events
        .iter()
        .filter(|event| event.starts_with("alone-") && event.ends_with(" NodeRestart"))
        .count();
    // Its back-off of ten seconds holds across the kills.
    assert!((1..=3).contains(&killed), "{:?}", objects.events);
}

#[test]
fn the_end_waits_for_what_runs_but_not_for_ever() {
    let place = Place::new();
    place.job("long", "endless", "");
    let mut served = Served::start(
        &place.data(),
        &place.manifests(),
        &["--drain-timeout", "1s"],
    );
    served.wait_for("long.yaml\" created=1");
    let begun = Instant::now();
    served.signal(Signal::TERM);
    served.wait_for("running pods are ended");
    assert!(begun.elapsed() > Duration::from_millis(900));
    assert_eq!(served.end(Duration::from_secs(5)), Some(0));

    let mut served = Served::start(
        &place.data(),
        &place.manifests(),
        &["--drain-timeout", "1h"],
    );
    served.wait_for("ready");
    served.signal(Signal::TERM);
    served.wait_for("stopping: running pods may end");
    served.signal(Signal::INT);
    assert_eq!(served.end(Duration::from_secs(5)), Some(0));
    let pods = place.objects().pods;
    assert!(!pods.is_empty());
}

/// A library that lets no sync return while a file is there.
const HANG: &str = r#"
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int fd) {
    while (access(getenv("HANG"), F_OK) == 0) pause();
    return syscall(SYS_fdatasync, fd);
}
"#;

#[test]
fn a_disk_that_does_not_answer_does_not_hold_up_the_end_for_ever() {
    let place = Place::new();
    let (source, library) = (
        place.data().with_extension("c"),
        place.data().with_extension("so"),
    );
    std::fs::write(&source, HANG).unwrap();
    let mut compiler = Command::new("cc");
    let compiled = compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    assert!(compiled.status().unwrap().success());
    let hang = place.data().with_extension("hang");
    let environment = [("LD_PRELOAD", library.as_path()), ("HANG", hang.as_path())];
    let start = || {
        Served::start_with(
            &place.data(),
            &place.manifests(),
            &["--drain-timeout", "1s"],
            &environment,
        )
    };
    let mut served = start();
    served.wait_for("ready");
    place.job("kept", "quick", "");
    served.wait_for("kept.yaml\" created=1");
    std::fs::write(&hang, "").unwrap();
    place.job("lost", "quick", "");
    // Until the sync hangs, of which nobody says anything.
    std::thread::sleep(Duration::from_secs(1));
    served.signal(Signal::TERM);
    served.wait_for("the disk does not answer");
    assert_eq!(served.end(Duration::from_secs(5)), Some(3));
    // Nothing that was acknowledged is lost.
    std::fs::remove_file(&hang).unwrap();
    // What was written and not synced is there as well, or its file makes it anew.
    let mut served = start();
    served.wait_for("name=lost succeeded=1");
    // What it had begun may be done before it listens to signals.
    served.wait_for("ready");
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(40)), Some(0));
    assert!(place.objects().jobs.len() == 2);
}

#[test]
fn one_directory_has_one_daemon_and_says_who() {
    let place = Place::new();
    let mut served = place.serve();
    served.wait_for("ready");
    let second = place.serve();
    let lines = Arc::clone(&second.lines);
    assert_eq!(second.end(Duration::from_secs(10)), Some(3));
    let wanted = format!(
        "is locked by process {}; stop that process",
        served.child.id()
    );
    let begun = Instant::now();
    while !lines.lock().unwrap().join("\n").contains(&wanted) {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            lines.lock().unwrap()
        );
    }
    served.signal(Signal::HUP);
    served.wait_for("reading the manifests again");
}

#[test]
fn diagnostics_are_json_where_asked_and_flags_come_from_the_config_too() {
    let place = Place::new();
    let config = place.dir.path().join("config.toml");
    std::fs::write(
        &config,
        "memory = \"64Mi\"\nno-cache = true\n[serve]\ndata-dir = \"elsewhere\"\nmanifests = \"manifests\"\nzone = \"Asia/Tokyo\"\nlisten = \"127.0.0.1:0\"\nlog-format = \"json\"\nverbose = 1\n",
    )
    .unwrap();
    place.job("once", "quick", "");
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(["serve", "--config"])
        .arg(&config)
        .env("XDG_CACHE_HOME", place.dir.path().join("cache"))
        // Nobody listens there, which only `verbose` tells.
        .env("NOTIFY_SOCKET", place.dir.path().join("nowhere"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let message = line["message"].as_str().unwrap_or_default().to_owned();
        said.push(line);
        if message.starts_with("Job is Complete") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The keys of the API come first.
    let first = said
        .iter()
        .find(|line| line["zone"] != serde_json::Value::Null);
    let first = first.unwrap();
    assert!(said.iter().any(|line| line["level"] == "DEBUG"), "{said:?}");
    assert!(!place.dir.path().join("cache").exists());
    assert_eq!(first["zone"], "Asia/Tokyo");
    assert_eq!(first["level"], "INFO");
    assert!(place.dir.path().join("elsewhere/store.redb").exists());
    std::fs::write(&config, "[serve]\nzone = \"Mars/Base\"\n").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(["serve", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("unknown time zone Mars/Base"), "{text}");
}

/// A small file system of its own.
struct Small(PathBuf);

impl Small {
    /// `None` where this user may not mount one.
    fn mount(at: &Path, bytes: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_nothing_for_good() {
    let place = Place::new();
    let Some(_small) = Small::mount(&place.data(), "4m") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI may mount file systems"
        );
        eprintln!("skipped: only root may mount a file system");
        return;
    };
    place.cron_job("tick", "quick", "schedule: '@every 1s',");
    let mut served = place.serve();
    served.wait_for("Job is Complete namespace=default name=tick-");
    // All the room is taken, also what the database has reserved and not used.
    let filler = place.data().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let block = vec![1; 4096];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    drop(file);
    // Each run takes new pages sooner or later.
    place.job(
        "big",
        "quick",
        &format!("completions: 50, parallelism: 50, backoffLimit: {},", 6),
    );
    served.wait_for("nothing can be written; it will be tried again");
    // A file that comes now has to wait; nobody turns meanwhile.
    place.job("waits", "quick", "");
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.child.id())).unwrap();
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse().unwrap())
            .collect();
        fields.iter().sum::<u64>()
    };
    let before = spent();
    let stalled = served.said().matches("Job is Complete").count();
    std::thread::sleep(Duration::from_millis(1500));
    let later = served.said().matches("Job is Complete").count();
    assert!(
        later <= stalled + 2,
        "it went on without a disk:\n{}",
        served.said()
    );
    // In ticks of 10 ms; the reopening of the store is most of it.
    let spent = spent() - before;
    assert!(spent < 75, "{spent} of 150 ticks");
    std::fs::remove_file(&filler).unwrap();
    served.wait_for("the store can be written again");
    served.wait_for("Job is Complete namespace=default name=waits");
    served.wait_for("name=big");
    served.wait_for_times("name=tick-", 3);
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(10)), Some(0));
    let objects = place.objects();
    let big = objects.jobs.iter().find(|job| &*job.name == "big").unwrap();
    assert_eq!(big.status.succeeded, 50);
}

/// A file system on a disk in a file, which can break.
struct Breakable {
    at: PathBuf,
    image: PathBuf,
}

impl Breakable {
    /// `None` where this user may not mount one, or the system has no such disks.
    fn mount(at: &Path, image: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        std::fs::File::create(image)
            .unwrap()
            .set_len(32 << 20)
            .unwrap();
        let it = Self {
            at: at.to_owned(),
            image: image.to_owned(),
        };
        (run("mkfs.ext4", &["-q"], &[image]) && it.mount_again()).then_some(it)
    }

    fn mount_again(&self) -> bool {
        run("mount", &["-o", "loop"], &[&self.image, &self.at])
    }

    /// As the kernel does with `errors=remount-ro` when it finds damage. It does
    /// not do it otherwise, as long as somebody may write to a file.
    fn break_it(&self) {
        assert!(run("mount", &["-o", "remount,abort"], &[&self.at]));
    }

    fn mend(&self) {
        assert!(run("umount", &[], &[&self.at]));
        // It says 1 when it has mended something.
        run("e2fsck", &["-p"], &[&self.image]);
        assert!(self.mount_again());
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        run("umount", &["-l"], &[&self.at]);
    }
}

/// Runs a command; whether it said that all is well.
fn run(command: &str, args: &[&str], paths: &[&Path]) -> bool {
    let mut command = Command::new(command);
    command.args(args).args(paths);
    let output = command.stdout(Stdio::null()).stderr(Stdio::null());
    output.status().is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_becomes_read_only_stops_what_is_new_and_loses_nothing() {
    let place = Place::new();
    let image = place.dir.path().join("disk");
    let Some(disk) = Breakable::mount(&place.data(), &image) else {
        eprintln!("skipped: only root may mount a file system, where there are loop devices");
        return;
    };
    let socket = place.dir.path().join("notify");
    let told = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let until_told = |text: &str| {
        let mut message = [0; 1024];
        loop {
            let bytes = told.recv(&mut message).expect(text);
            if String::from_utf8_lossy(&message[..bytes]).contains(text) {
                return;
            }
        }
    };
    let notified = [("NOTIFY_SOCKET", socket.as_path())];
    place.job("before", "quick", "");
    let mut served = Served::start_with(&place.data(), &place.manifests(), &[], &notified);
    served.wait_for("Job is Complete namespace=default name=before");
    until_told("STATUS=serving");
    disk.break_it();
    place.job("waits", "quick", "");
    served.wait_for("nothing can be written; it will be tried again");
    served.wait_for("Read-only file system");
    until_told("STATUS=nothing can be stored: ");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!served.said().contains("name=waits"), "{}", served.said());
    served.kill();
    // The kernel gives it back only to who mounts it anew.
    disk.mend();
    let mut served = place.serve();
    served.wait_for("Job is Complete namespace=default name=waits");
    assert!(
        !served.said().contains("name=before"),
        "it ran twice:\n{}",
        served.said()
    );
    served.signal(Signal::TERM);
    assert_eq!(served.end(Duration::from_secs(10)), Some(0));
    assert_eq!(place.objects().jobs.len(), 2);
}
