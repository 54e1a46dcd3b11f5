//! The commands that speak to a daemon, as people type them: two real binaries, and a
//! socket between them.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\10\00\00\00\0a\00\00\00")
  (data (i32.const 16) "one\ntwo\n!\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))
    REST))"#;

/// A daemon, and a directory with modules.
struct Daemon {
    dir: tempfile::TempDir,
    child: Child,
}

impl Daemon {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        let put = |name: &str, rest: &str| {
            let module = wat::parse_str(HELLO.replace("REST", rest)).unwrap();
            std::fs::write(dir.path().join(name), module).unwrap();
        };
        put("hello.wasm", "");
        put("endless.wasm", "(loop (br 0))");
        let child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .args([
                "serve",
                "--no-cache",
                "--listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(dir.path().join("data"))
            .arg("--manifests")
            .arg(dir.path().join("manifests"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { dir, child };
        daemon.wait_for(&["get", "namespaces", "default"], |output| {
            output.status.success()
        });
        daemon
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A manifest of a Job with such a specification beside its template.
    fn job(&self, name: &str, module: &str, spec: &str) -> String {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  labels: {{own: {name}}}\nspec:\n{spec}  \
             template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 1\n      \
             containers: [{{name: c, image: ./{module}.wasm}}]\n"
        );
        self.put(&format!("{name}.yaml"), &text)
    }

    fn cron_job(&self, name: &str) -> String {
        let text = format!(
            "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{schedule: '0 0 1 1 *', \
             jobTemplate: {{metadata: {{labels: {{from: {name}}}}}, spec: {{template: {{spec: {{restartPolicy: \
             Never, containers: [{{name: c, image: ./hello.wasm}}]}}}}}}}}}}}}"
        );
        self.put(&format!("{name}.yaml"), &text)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command
            .args(args)
            .env("WASMJOB_DATA_DIR", self.path("data"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints that succeeds and says nothing on standard error.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = texts(&output);
        assert_eq!(
            (output.status.code(), err.as_str()),
            (Some(0), ""),
            "{args:?}: {out}"
        );
        out
    }

    /// What a command says that fails with that code and prints nothing.
    #[track_caller]
    fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.run(args);
        let (out, err) = texts(&output);
        assert_eq!(
            (output.status.code(), out.as_str()),
            (Some(code), ""),
            "{args:?}: {err}"
        );
        err
    }

    #[track_caller]
    fn wait_for(&self, args: &[&str], holds: impl Fn(&Output) -> bool) {
        let begun = Instant::now();
        loop {
            let output = self.run(args);
            if holds(&output) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{args:?}: {output:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for_job(&self, name: &str, status: &str) {
        let job = format!("job/{name}");
        self.wait_for(&["get", &job, "--no-headers"], |output| {
            texts(output).0.contains(status)
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// The first words of each line.
fn words(text: &str, count: usize) -> Vec<String> {
    let first = |line: &str| {
        line.split_whitespace()
            .take(count)
            .collect::<Vec<_>>()
            .join(" ")
    };
    text.lines().map(first).collect()
}

/// A command that goes on; killed at the end.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> (Self, BufReader<std::process::ChildStdout>) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        (Self(child), out)
    }

    #[track_caller]
    fn end(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn line(out: &mut impl std::io::BufRead) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line
}

#[test]
fn objects_are_applied_printed_and_deleted() {
    let daemon = Daemon::start();
    let nothing = daemon.run(&["get", "jobs"]);
    assert_eq!(
        texts(&nothing),
        (
            String::new(),
            "No resources found in default namespace.\n".to_owned()
        )
    );
    assert_eq!(nothing.status.code(), Some(0));
    let everywhere = daemon.run(&["get", "jobs", "-A"]);
    assert_eq!(texts(&everywhere).1, "No resources found\n");

    let report = daemon.job("report", "hello", "  suspend: true\n");
    assert_eq!(
        daemon.ok(&["apply", "-f", &report]),
        "job.batch/report created\n"
    );
    assert_eq!(
        daemon.ok(&["apply", "-f", &report]),
        "job.batch/report unchanged\n"
    );
    daemon.job("report", "hello", "  suspend: false\n");
    assert_eq!(
        daemon.ok(&["apply", "-f", &report]),
        "job.batch/report configured\n"
    );
    daemon.wait_for_job("report", "Complete");

    let table = daemon.ok(&["get", "jobs"]);
    assert_eq!(
        table.lines().next().unwrap(),
        "NAME     STATUS     COMPLETIONS   DURATION   AGE"
    );
    assert_eq!(words(&table, 3)[1..], ["report Complete 1/1"]);
    let wide = daemon.ok(&["get", "job", "report", "-o", "wide", "--show-labels"]);
    assert_eq!(
        words(&wide, 9)[0],
        "NAME STATUS COMPLETIONS DURATION AGE CONTAINERS IMAGES SELECTOR LABELS"
    );
    // The path in the manifest is relative to it.
    assert!(
        wide.contains(daemon.path("hello.wasm").to_str().unwrap()),
        "{wide}"
    );
    assert!(wide.ends_with("own=report\n"), "{wide}");
    let several = daemon.ok(&["get", "cj,jobs,po", "-A"]);
    let several = words(&several, 2);
    assert_eq!(several[..2], ["NAMESPACE NAME", "default job.batch/report"]);
    assert_eq!(several[2..4], ["", "NAMESPACE NAME"]);
    assert!(several[4].starts_with("default pod/report-"), "{several:?}");

    assert_eq!(
        daemon.ok(&["get", "jobs", "-o", "name"]),
        "job.batch/report\n"
    );
    assert_eq!(
        daemon.ok(&[
            "get",
            "job/report",
            "-o",
            "jsonpath={.status.succeeded}/{.spec.suspend}"
        ]),
        "1/false"
    );
    let yaml = daemon.ok(&["get", "job/report", "-o", "yaml"]);
    assert!(
        yaml.starts_with("apiVersion: batch/v1\nkind: Job\nmetadata:\n"),
        "{yaml}"
    );
    assert!(
        yaml.contains("\n      containers:\n      - image: "),
        "{yaml}"
    );
    assert!(!yaml.contains("managedFields"), "{yaml}");
    let fields = daemon.ok(&["get", "job/report", "-o", "yaml", "--show-managed-fields"]);
    assert!(fields.contains("manager: wasmjob\n"), "{fields}");
    let json = daemon.ok(&["get", "jobs", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kind"], "List");
    assert_eq!(json["items"][0]["kind"], "Job");

    assert_eq!(
        daemon.ok(&["delete", "job", "report"]),
        "job.batch \"report\" deleted from default namespace\n"
    );
    daemon.wait_for(&["get", "pods"], |output| output.stdout.is_empty());
}

#[test]
fn deleting_waits_until_objects_are_gone() {
    let daemon = Daemon::start();
    let (a, b) = (
        daemon.job("a", "endless", ""),
        daemon.job("b", "endless", ""),
    );
    let cron_job = daemon.cron_job("c");
    let applied = daemon.ok(&["apply", "-f", &a, &b, "-f", &cron_job]);
    assert_eq!(
        applied,
        "job.batch/a created\njob.batch/b created\ncronjob.batch/c created\n"
    );
    let deleted = "job.batch \"a\" deleted from default namespace\n";
    assert_eq!(
        daemon.ok(&["delete", "jobs", "-l", "own=a", "--cascade", "foreground"]),
        deleted
    );
    assert_eq!(
        words(&daemon.ok(&["get", "jobs", "--no-headers"]), 1),
        ["b"]
    );
    // Its pods have gone before it.
    let pods = daemon.ok(&["get", "pods", "-o", "name"]);
    assert!(
        pods.starts_with("pod/b-") && pods.lines().count() == 1,
        "{pods}"
    );
    daemon.ok(&["delete", "-f", &b, &cron_job, "--wait=false"]);
    let again = daemon.run(&["delete", "-f", &cron_job]);
    assert_eq!(
        texts(&again).1,
        format!(
            "Error from server (NotFound): error when deleting {cron_job:?}: cronjobs.batch \"c\" not found\n"
        )
    );
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(daemon.ok(&["delete", "cj/c", "--ignore-not-found"]), "");
    assert_eq!(
        texts(&daemon.run(&["delete", "cj", "--all"])).1,
        "No resources found\n"
    );
    let none = daemon.fails(&["delete", "jobs"], 2);
    assert!(
        none.contains("no name, label selector, or --all flag"),
        "{none}"
    );
}

#[test]
fn errors_are_those_of_kubectl() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.fails(&["get", "job", "nope"], 1),
        "Error from server (NotFound): jobs.batch \"nope\" not found\n"
    );
    assert_eq!(
        daemon.fails(&["get", "deployments"], 1),
        "error: the server doesn't have a resource type \"deployments\"\n"
    );
    assert_eq!(daemon.ok(&["get", "job", "nope", "--ignore-not-found"]), "");
    for usage in [
        &["get"][..],
        &["get", "jobs", "-o", "csv"],
        &["get", "job/x", "y"],
        &["get", "jobs", "x", "-A"],
        &["get", "jobs,pods", "-w"],
        &["apply"],
        &["logs", "secret/x"],
        &["suspend", "pod/x"],
        &["top", "jobs"],
    ] {
        let said = daemon.fails(usage, 2);
        assert!(said.starts_with("error: "), "{usage:?}: {said}");
    }
    // One that is there is printed, for all that another is not.
    let mixed = daemon.run(&["get", "ns", "default", "nope", "-o", "name"]);
    assert_eq!(
        texts(&mixed),
        (
            "namespace/default\n".to_owned(),
            "Error from server (NotFound): namespaces \"nope\" not found\n".to_owned()
        )
    );
    assert_eq!(mixed.status.code(), Some(1));
}

#[test]
fn manifests_that_are_wrong_keep_no_other_from_being_applied() {
    let daemon = Daemon::start();
    daemon.job("good", "hello", "");
    daemon.job("bad", "hello", "  parallelism: -1\n");
    let directory = daemon.dir.path().to_str().unwrap();
    let applied = daemon.run(&["apply", "-f", directory]);
    let (out, err) = texts(&applied);
    assert_eq!(
        (applied.status.code(), out.as_str()),
        (Some(1), "job.batch/good created\n")
    );
    assert!(
        err.starts_with("The Job \"bad\" is invalid: spec.parallelism: Invalid value: -1"),
        "{err}"
    );
    let mut piped = daemon
        .command(&["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: m}\n---\nkind: Foo\napiVersion: v1\n\
                ---\nkind: List\napiVersion: v1\nitems:\n- {kind: Namespace, apiVersion: v1, metadata: {name: sp}}\n";
    piped
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let (out, err) = texts(&piped.wait_with_output().unwrap());
    assert_eq!(out, "configmap/m created\nnamespace/sp created\n");
    assert!(
        err.contains("no matches for kind \"Foo\" in version \"v1\""),
        "{err}"
    );
    let twice = daemon.put("twice.yaml", "kind: Job\nkind: Job\n");
    let said = daemon.fails(&["apply", "-f", &twice], 1);
    assert!(
        said.contains("line 2: key \"kind\" stands there twice"),
        "{said}"
    );
    let number = daemon.put(
        "number.yaml",
        "{kind: Job, apiVersion: batch/v1, metadata: {name: 7}}",
    );
    let said = daemon.fails(&["apply", "-f", &number], 1);
    assert!(
        said.contains("metadata.name: expected a string, found 7"),
        "{said}"
    );
    daemon.fails(
        &["apply", "-f", daemon.path("none.yaml").to_str().unwrap()],
        1,
    );
}

#[test]
fn fields_of_others_are_taken_over_only_if_asked_for() {
    let daemon = Daemon::start();
    let job = daemon.job("j", "endless", "  suspend: false\n");
    daemon.ok(&["apply", "-f", &job]);
    assert_eq!(daemon.ok(&["suspend", "job/j"]), "job.batch/j suspended\n");
    assert_eq!(
        daemon.ok(&["suspend", "job", "j"]),
        "job.batch/j suspended (no change)\n"
    );
    let said = daemon.fails(&["apply", "-f", &job], 1);
    assert!(
        said.contains("Apply failed with 1 conflict: conflict with \"wasmjob-suspend\""),
        "{said}"
    );
    assert!(said.contains("--force-conflicts"), "{said}");
    assert_eq!(
        daemon.ok(&["apply", "-f", &job, "--force-conflicts"]),
        "job.batch/j configured\n"
    );
    assert_eq!(
        daemon.ok(&["resume", "job/j"]),
        "job.batch/j resumed (no change)\n"
    );
}

#[test]
fn logs_are_those_of_pods_jobs_and_cron_jobs() {
    let daemon = Daemon::start();
    let job = daemon.job("two", "hello", "  completions: 2\n  parallelism: 2\n");
    daemon.ok(&["apply", "-f", &job]);
    daemon.wait_for_job("two", "Complete");
    let first = daemon.run(&["logs", "job/two"]);
    let (out, err) = texts(&first);
    assert_eq!(out, "one\ntwo\n!\n");
    assert!(err.starts_with("Found 2 pods, using pod/two-"), "{err}");
    let all = daemon.ok(&["logs", "job/two", "--all-pods", "--tail", "1"]);
    assert_eq!(all.lines().count(), 2, "{all}");
    for line in all.lines() {
        assert!(
            line.starts_with("[pod/two-") && line.ends_with("/c] !"),
            "{line}"
        );
    }
    let pod = daemon.ok(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    let stamped = daemon.ok(&["logs", &pod, "--timestamps", "--since", "1h", "-c", "c"]);
    assert!(
        stamped.starts_with("20") && stamped.contains("Z one\n"),
        "{stamped}"
    );
    assert_eq!(
        daemon.ok(&["logs", &pod, "--prefix", "--all-containers", "--tail=1"]),
        format!("[pod/{pod}/c] !\n")
    );
    assert_eq!(
        daemon.fails(&["logs", &pod, "-c", "x"], 1),
        format!("error: container x is not valid for pod {pod}: it has c\n")
    );
    assert!(
        daemon
            .fails(&["logs", &pod, "-p"], 1)
            .contains("previous terminated container")
    );
    assert_eq!(
        daemon.fails(&["logs", "nope"], 1),
        "Error from server (NotFound): pods \"nope\" not found\n"
    );

    let cron_job = daemon.cron_job("c");
    daemon.ok(&["apply", "-f", &cron_job]);
    assert!(
        daemon
            .fails(&["logs", "cronjob/c"], 1)
            .contains("has no Jobs")
    );
    daemon.ok(&["trigger", "c", "--name", "now"]);
    daemon.wait_for_job("now", "Complete");
    assert_eq!(daemon.ok(&["logs", "cronjob/c", "--tail", "2"]), "two\n!\n");
}

#[test]
fn a_log_is_followed_until_the_container_ends() {
    let daemon = Daemon::start();
    let job = daemon.job("j", "endless", "  completions: 2\n  parallelism: 2\n");
    daemon.ok(&["apply", "-f", &job]);
    daemon.wait_for(&["logs", "job/j", "--all-pods"], |output| {
        texts(output).0.matches('!').count() == 2
    });
    let (one, mut out) = Running::start(daemon.command(&["logs", "-f", "job/j"]));
    assert_eq!(line(&mut out), "one\n");
    let (both, mut lines) = Running::start(daemon.command(&["logs", "-f", "job/j", "--all-pods"]));
    for _ in 0..6 {
        assert!(line(&mut lines).starts_with("[pod/j-"));
    }
    daemon.ok(&["delete", "job", "j"]);
    assert_eq!((one.end(), both.end()), (Some(0), Some(0)));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "two\n!\n");
}

#[test]
fn a_watch_prints_every_change() {
    let daemon = Daemon::start();
    let (watch, mut out) = Running::start(daemon.command(&["get", "jobs", "-w"]));
    let (names, mut named) = Running::start(daemon.command(&["get", "job", "-w", "-o", "name"]));
    let job = daemon.job("j", "hello", "");
    // Both watch by now, or will see it in their first list.
    daemon.ok(&["apply", "-f", &job]);
    let header = line(&mut out);
    assert_eq!(words(&header, 3), ["NAME STATUS COMPLETIONS"]);
    while !line(&mut out).starts_with("j      Complete") {}
    assert_eq!(line(&mut named), "job.batch/j\n");
    let (single, mut seen) =
        Running::start(daemon.command(&["get", "job/j", "-w", "--no-headers"]));
    assert_eq!(words(&line(&mut seen), 2), ["j Complete"]);
    let other = daemon.job("other", "hello", "  suspend: true\n");
    daemon.ok(&["apply", "-f", &other]);
    daemon.ok(&["delete", "job", "j"]);
    assert_eq!(words(&line(&mut seen), 1), ["j"]);
    drop((watch, names, single));
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let daemon = Daemon::start();
    let (watch, mut out) = Running::start(daemon.command(&["get", "ns", "-w"]));
    line(&mut out);
    drop(out);
    let namespace = daemon.put(
        "n.yaml",
        "{apiVersion: v1, kind: Namespace, metadata: {name: other}}",
    );
    daemon.ok(&["apply", "-f", &namespace]);
    assert_eq!(watch.end(), Some(0));
    let (list, out) = Running::start(daemon.command(&["describe", "ns"]));
    drop(out);
    assert_eq!(list.end(), Some(0));
}

#[test]
fn descriptions_tell_all_and_what_has_happened() {
    let daemon = Daemon::start();
    let job = daemon.job("report", "hello", "  activeDeadlineSeconds: 60\n");
    daemon.ok(&["apply", "-f", &job]);
    daemon.wait_for_job("report", "Complete");
    let told = daemon.ok(&["describe", "job", "report"]);
    for expected in [
        "Name:                     report\n",
        "Active Deadline Seconds:  60s\n",
        "Pods Statuses:            0 Active (0 Ready) / 1 Succeeded / 0 Failed\n",
        "Pod Template:\n  Labels:  ",
        "\n  Containers:\n   c:\n    Image:         ",
        "\nEvents:\n  Type    Reason            Age   From            Message\n",
    ] {
        assert!(told.contains(expected), "{expected:?} in {told}");
    }
    let created = told.find("Normal  SuccessfulCreate").unwrap();
    assert!(created < told.find("Normal  Completed").unwrap(), "{told}");
    // What a name begins with is enough.
    let pod = daemon.ok(&["describe", "pods", "rep"]);
    assert!(pod.contains("Controlled By:  Job/report\n"), "{pod}");
    assert!(
        pod.contains("      Reason:       Completed\n      Exit Code:    0\n"),
        "{pod}"
    );
    let cron_job = daemon.cron_job("c");
    daemon.ok(&["apply", "-f", &cron_job]);
    let told = daemon.ok(&["describe", "cj/c"]);
    assert!(
        told.contains("Schedule:                      0 0 1 1 *\n"),
        "{told}"
    );
    assert!(
        told.contains("Active Jobs:         <none>\nEvents:              <none>\n"),
        "{told}"
    );
    let secret = daemon.put(
        "s.yaml",
        "{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {key: aHVudGVyMg==}}",
    );
    daemon.ok(&["apply", "-f", &secret]);
    let told = daemon.ok(&["describe", "secret", "s"]);
    assert!(
        told.contains("key:  7 bytes\n") && !told.contains("aHVudGVyMg"),
        "{told}"
    );
    let limits = daemon.put(
        "l.yaml",
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: 4, memory: 1024Mi}, \
         scopes: [NotBestEffort]}}\n---\n{apiVersion: v1, kind: LimitRange, metadata: {name: l}, spec: {limits: [\
         {type: Container, max: {memory: 1Gi}, default: {cpu: 500m}}]}}",
    );
    daemon.ok(&["apply", "-f", &limits]);
    assert_eq!(
        daemon.ok(&["describe", "quota", "q"]),
        "Name:       q\nNamespace:  default\nScopes:     NotBestEffort\n \
         * Matches all pods that have at least one resource requirement set. These pods have a burstable or guaranteed quality of service.\n\
         Resource  Used  Hard\n--------  ----  ----\nmemory    0     1Gi\npods      0     4\n"
    );
    assert_eq!(
        daemon.ok(&["describe", "limits"]),
        "Name:       l\nNamespace:  default\n\
         Type        Resource  Min  Max  Default Request  Default Limit  Max Limit/Request Ratio\n\
         ----        --------  ---  ---  ---------------  -------------  -----------------------\n\
         Container   cpu       -    -    500m             500m           -\n\
         Container   memory    -    1Gi  1Gi              1Gi            -\n"
    );
    assert_eq!(
        daemon.fails(&["describe", "job", "x"], 1),
        "Error from server (NotFound): jobs.batch \"x\" not found\n"
    );
}

#[test]
fn cron_jobs_are_triggered_suspended_and_shown_as_trees() {
    let daemon = Daemon::start();
    let cron_job = daemon.cron_job("c");
    daemon.ok(&["apply", "-f", &cron_job]);
    let created = daemon.ok(&["trigger", "cronjob/c"]);
    assert!(created.starts_with("job.batch/c-manual-") && created.ends_with(" created\n"));
    assert_eq!(
        daemon.ok(&["trigger", "c", "--name", "now"]),
        "job.batch/now created\n"
    );
    assert_eq!(
        daemon.fails(&["trigger", "c", "--name", "now"], 1),
        "Error from server (AlreadyExists): jobs.batch \"now\" already exists\n"
    );
    daemon.wait_for_job("now", "Complete");
    let of_template = daemon.ok(&["get", "jobs", "-l", "from=c", "-o", "name"]);
    assert_eq!(of_template.lines().count(), 2);
    assert_eq!(
        daemon.ok(&["suspend", "cj", "c"]),
        "cronjob.batch/c suspended\n"
    );
    let table = daemon.ok(&["get", "cj", "--no-headers"]);
    assert!(table.contains("True"), "{table}");
    assert_eq!(
        daemon.ok(&["resume", "cronjob/c"]),
        "cronjob.batch/c resumed\n"
    );
    // The images of a CronJob that is a file of the daemon's are relative to that file.
    std::fs::copy(
        daemon.path("hello.wasm"),
        daemon.path("manifests/hello.wasm"),
    )
    .unwrap();
    std::fs::copy(
        daemon.cron_job("filed"),
        daemon.path("manifests/filed.yaml"),
    )
    .unwrap();
    daemon.wait_for(&["get", "cj", "filed"], |output| output.status.success());
    daemon.ok(&["trigger", "filed", "--name", "of-file"]);
    daemon.wait_for_job("of-file", "Complete");
    let tree = words(&daemon.ok(&["tree", "cj", "c"]), 3);
    assert_eq!(tree[0], "NAMESPACE NAME READY");
    assert_eq!(tree[1], "default CronJob/c -");
    assert!(tree[2].starts_with("default ├─Job/c-manual-"), "{tree:?}");
    assert!(tree[3].starts_with("default │ └─Pod/c-manual-"), "{tree:?}");
    assert_eq!(tree[4], "default └─Job/now -");
    assert!(tree[5].starts_with("default └─Pod/now-"), "{tree:?}");
    assert_eq!(
        words(&daemon.ok(&["tree", "job/now"]), 2)[1],
        "default Job/now"
    );
}

#[test]
fn what_is_not_measured_is_said_plainly() {
    let daemon = Daemon::start();
    let nodes = daemon.run(&["top", "nodes"]);
    let (out, err) = texts(&nodes);
    match nodes.status.code() {
        Some(0) => assert!(out.starts_with("NAME"), "{out}"),
        code => {
            assert_eq!(code, Some(1));
            assert!(err.starts_with("error: Metrics API not available"), "{err}");
        }
    }
}

#[test]
fn a_daemon_that_does_not_run_is_told_how_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let run = |dir: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        let output = command
            .args(["get", "jobs", "--data-dir"])
            .arg(dir)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        texts(&output).1
    };
    let expected = format!(
        "error: no daemon runs at {0}\nhint: start one with `wasmjob serve --data-dir {0}`",
        dir.path().display()
    );
    let said = run(dir.path());
    assert!(said.starts_with(&expected), "{said}");
    // A socket that a killed daemon has left.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("wasmjob.sock")).unwrap());
    let said = run(dir.path());
    assert!(said.starts_with(&expected), "{said}");
    assert!(
        !rustix::process::geteuid().is_root()
            || run(Path::new("/dev/null")).starts_with("error: failed to reach the daemon")
    );
}
