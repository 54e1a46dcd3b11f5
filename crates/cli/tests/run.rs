//! The binary, as its users see it: output, exit codes, signals.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\0d\00\00\00hello\nw\1b[2Jld")
    (func (export "_start") (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))))"#;
const EXIT_3: &str = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (func (export "_start") (call $exit (i32.const 3))))"#;
const TRAP: &str = "(module (func $inner unreachable) (func (export \"_start\") call $inner))";
const LOOP: &str = r#"(module (func (export "_start") (loop (br 0))))"#;

/// A directory with modules and manifests.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        for (name, text) in [
            ("hello", HELLO),
            ("exit3", EXIT_3),
            ("trap", TRAP),
            ("loop", LOOP),
        ] {
            std::fs::write(
                dir.path(&format!("{name}.wasm")),
                wat::parse_str(text).unwrap(),
            )
            .unwrap();
        }
        std::fs::write(dir.path("text.wasm"), "#!/bin/sh\n").unwrap();
        dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A Job named after its image, with more of a spec.
    fn job(&self, image: &str, spec: &str) -> PathBuf {
        self.write(&format!("{image}.yaml"), &job(image, spec))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command
            .current_dir(self.0.path())
            .args(args)
            .env("XDG_CONFIG_HOME", self.path("none"));
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        Run(self.command(args).output().unwrap())
    }
}

fn job(image: &str, spec: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {image}}}\nspec:\n  {spec}\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n      - {{name: c, image: ./{image}.wasm}}\n"
    )
}

struct Run(Output);

impl Run {
    fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }
}

#[test]
fn a_complete_job_exits_with_0_and_its_output_is_ours_byte_for_byte() {
    let dir = Dir::new();
    dir.job("hello", "completions: 1");
    let run = dir.run(&["run", "--seed", "1", "hello.yaml"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let prefix = run.stdout().split(' ').next().unwrap().to_owned();
    assert!(
        prefix.starts_with("[hello-") && prefix.ends_with(']'),
        "{prefix}"
    );
    assert_eq!(
        run.stdout(),
        format!("{prefix} hello\n{prefix} w\x1b[2Jld\n")
    );
    assert!(
        run.stderr()
            .contains("job/hello: Complete, 1/1 completions"),
        "{}",
        run.stderr()
    );
    assert!(
        run.stderr()
            .contains("NAME        STATUS     COMPLETIONS   FAILED PODS   DURATION")
    );
    // A seed repeats names.
    assert_eq!(
        dir.run(&["run", "--seed", "1", "hello.yaml"]).stdout(),
        run.stdout()
    );
}

#[test]
fn config_maps_and_secrets_of_the_same_file_reach_the_job() {
    let dir = Dir::new();
    let busybox = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wasm-examples/busybox/busybox.wasm"
    );
    std::fs::copy(busybox, dir.path("busybox.wasm")).unwrap();
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: show}\nspec:\n  template:\n    spec:\n      \
        restartPolicy: Never\n      containers:\n      - name: c\n        image: ./busybox.wasm\n        \
        command: [sh, -c, 'echo \"$colour $PASSWORD\"']\n        \
        envFrom: [{configMapRef: {name: settings}}]\n        \
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: key, key: password}}}]\n";
    let text = format!(
        "{job}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{colour: blue}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{password: hunter2}}\n"
    );
    let file = dir.write("all.yaml", &text);
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(run.stdout().contains("blue hunter2"), "{}", run.stdout());
    assert!(!run.stderr().contains("hunter2"));
    let without = text.replace("name: settings}\ndata", "name: other}\ndata");
    let file = dir.write(
        "without.yaml",
        &without.replace("{password: hunter2}", "{user: me}"),
    );
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    let said = run.stderr();
    assert!(
        said.contains("ConfigMap default/settings is not in these files"),
        "{said}"
    );
    assert!(
        said.contains("Secret default/key has no key \"password\""),
        "{said}"
    );
    // To look at, it is valid: where `serve` runs, somebody else may hold them.
    let check = dir.run(&["check", file.to_str().unwrap()]);
    assert_eq!(check.code(), Some(0), "{}", check.stderr());
    for line in said.lines().filter_map(|line| line.strip_prefix("error: ")) {
        let warning = format!("warning: {line} (`run` refuses it)");
        assert!(check.stderr().contains(&warning), "{}", check.stderr());
    }
    let broken = text.replace("colour: blue", "colour: [1]");
    let file = dir.write("broken.yaml", &broken);
    let run = dir.run(&["check", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
}

#[test]
fn a_token_is_for_an_api_that_run_has_not() {
    let dir = Dir::new();
    let file = dir.write(
        "token.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: ./x.wasm}]\n  \
         volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: token}}]}}]\n",
    );
    let run = dir.run(&["check", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    let said = run.stderr();
    let wanted = "spec: a serviceAccountToken volume needs an API that takes the token, and `run` has none; use `wasmjob serve`";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn claims_of_the_same_file_are_directories_of_a_size() {
    let dir = Dir::new();
    let busybox = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wasm-examples/busybox/busybox.wasm"
    );
    std::fs::copy(busybox, dir.path("busybox.wasm")).unwrap();
    let text = |write: &str| {
        format!(
            "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec:\n  \
             accessModes: [ReadWriteOnce]\n  resources: {{requests: {{storage: 1Mi}}}}\n---\n\
             apiVersion: batch/v1\nkind: Job\nmetadata: {{name: keep}}\nspec:\n  backoffLimit: 0\n  template:\n    \
             spec:\n      restartPolicy: Never\n      initContainers:\n      - name: write\n        \
             image: ./busybox.wasm\n        command: [sh, -c, {write:?}]\n        \
             volumeMounts: [{{name: v, mountPath: /data}}]\n      containers:\n      - name: read\n        \
             image: ./busybox.wasm\n        command: [sh, -c, 'cat /data/x; echo no > /data/y || echo refused']\n        \
             volumeMounts: [{{name: v, mountPath: /data, readOnly: true}}]\n      \
             volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]\n"
        )
    };
    let file = dir.write("claim.yaml", &text("echo kept > /data/x"));
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(
        run.stdout().contains("kept") && run.stdout().contains("refused"),
        "{}",
        run.stdout()
    );
    // A claim that is full is a full disk.
    let much = "yes | head -c 300000 > /data/y; i=0; while [ $i -lt 5 ]; do cat /data/y >> /data/x; \
                i=$((i+1)); done; wc -c /data/x; rm /data/y; echo kept >> /data/x && echo again";
    let file = dir.write("much.yaml", &text(much));
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    let said = run.stdout() + &run.stderr();
    let size = said.split(" /data/x").next().unwrap();
    let size: u64 = size.rsplit(' ').next().unwrap().parse().unwrap();
    let room = (1 << 20) - 300_000;
    assert!((room - 16_384..=room + 4_096).contains(&size), "{said}");
    assert!(said.contains("again"), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    // What it asked for is what it has.
    let exact = "yes | head -c 1048576 > /data/x && wc -c /data/x";
    let file = dir.write("exact.yaml", &text(exact));
    let run = dir.run(&["run", "--quiet", file.to_str().unwrap()]);
    assert_eq!(
        (run.code(), run.stderr().contains("No space")),
        (Some(0), false),
        "{}",
        run.stderr()
    );
    assert!(run.stdout().contains("1048576 /data/x"), "{}", run.stdout());
    // Nobody else could make it.
    let file = dir.write("none.yaml", text("true").split_once("---\n").unwrap().1);
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    assert!(
        run.stderr()
            .contains("PersistentVolumeClaim default/data is not in these files"),
        "{}",
        run.stderr()
    );
    let file = dir.write(
        "wrong.yaml",
        &text("true").replace("ReadWriteOnce", "Sometimes"),
    );
    let run = dir.run(&["check", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    assert!(
        run.stderr()
            .contains("spec.accessModes: Unsupported value: \"Sometimes\""),
        "{}",
        run.stderr()
    );
}

#[test]
fn a_failed_job_exits_with_1_and_says_why() {
    let dir = Dir::new();
    dir.job("trap", "backoffLimit: 0");
    let run = dir.run(&["run", "trap.yaml"]);
    assert_eq!(run.code(), Some(1));
    let said = run.stderr();
    assert!(
        said.contains(
            "job/trap failed: BackoffLimitExceeded: Job has reached the specified backoff limit"
        ),
        "{said}"
    );
    assert!(
        said.contains("container c: exit code 134 (Error)"),
        "{said}"
    );
    assert!(
        said.contains("wasm trap: wasm `unreachable` instruction executed"),
        "{said}"
    );
    assert!(said.contains("- inner"), "{said}");
}

#[test]
fn a_file_that_is_no_module_makes_its_pod_fail_to_start() {
    let dir = Dir::new();
    dir.job("text", "backoffLimit: 0");
    let run = dir.run(&["run", "text.yaml"]);
    assert_eq!(run.code(), Some(1));
    let said = run.stderr();
    assert!(said.contains("exit code 128 (StartError)"), "{said}");
    assert!(
        said.contains(
            "module \"text.wasm\" is not WebAssembly: it starts with \"#!/b\", expected \"\\0asm\""
        ),
        "{said}"
    );
}

#[test]
fn invalid_manifests_exit_with_2_and_nothing_runs() {
    let dir = Dir::new();
    dir.job("hello", "completions: 1");
    dir.write(
        "bad.yaml",
        &job("hello", "completion: 3\n  parallelism: -1"),
    );
    let run = dir.run(&["run", "hello.yaml", "bad.yaml"]);
    assert_eq!(run.code(), Some(2));
    assert_eq!(run.stdout(), "");
    let said = run.stderr();
    assert!(
        said.contains("error: bad.yaml:5:3: spec.completion: unknown field"),
        "{said}"
    );
    assert!(said.contains("completions"), "{said}");
    assert!(
        said.contains("must be greater than or equal to 0"),
        "{said}"
    );
}

#[test]
fn a_missing_module_exits_with_2() {
    let dir = Dir::new();
    dir.job("nowhere", "completions: 1");
    let run = dir.run(&["run", "nowhere.yaml"]);
    assert_eq!(run.code(), Some(2));
    assert!(
        run.stderr()
            .contains("spec.template.spec.containers[c].image: failed to read module"),
        "{}",
        run.stderr()
    );
}

#[test]
fn an_image_that_nothing_maps_says_how_to_map_it() {
    let dir = Dir::new();
    dir.write(
        "b.yaml",
        &job("hello", "completions: 1").replace("./hello.wasm", "busybox:1.28"),
    );
    let run = dir.run(&["run", "b.yaml"]);
    assert_eq!(run.code(), Some(2));
    assert!(
        run.stderr().contains("--alias busybox:1.28=./module.wasm"),
        "{}",
        run.stderr()
    );
    assert_eq!(
        dir.run(&["run", "--alias", "busybox=hello.wasm", "b.yaml"])
            .code(),
        Some(0)
    );
    let config = dir.write("c.toml", "[aliases]\nbusybox = \"hello.wasm\"\n");
    assert_eq!(
        dir.run(&["run", "--config", config.to_str().unwrap(), "b.yaml"])
            .code(),
        Some(0)
    );
    dir.write("d.toml", "[alias]\nbusybox = \"hello.wasm\"\n");
    let run = dir.run(&["run", "--config", "d.toml", "b.yaml"]);
    assert_eq!(run.code(), Some(2));
    assert!(run.stderr().contains("d.toml"), "{}", run.stderr());
}

#[test]
fn cron_jobs_run_only_now() {
    let dir = Dir::new();
    let text = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec:\n  schedule: '0 3 * * *'\n  jobTemplate:\n    \
                spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: ./hello.wasm}]}}}\n";
    dir.write("cron.yaml", text);
    let run = dir.run(&["run", "cron.yaml"]);
    assert_eq!(run.code(), Some(2));
    assert!(
        run.stderr().contains("--now") && run.stderr().contains("wasmjob serve"),
        "{}",
        run.stderr()
    );
    let run = dir.run(&["run", "--now", "-o", "json", "cron.yaml"]);
    assert_eq!(run.code(), Some(0));
    assert!(
        run.stdout()
            .contains("\"cronjob.kubernetes.io/instantiate\": \"manual\""),
        "{}",
        run.stdout()
    );
}

#[test]
fn json_is_a_list_of_the_final_objects() {
    let dir = Dir::new();
    dir.job("exit3", "backoffLimit: 0");
    let run = dir.run(&["run", "-o", "json", "exit3.yaml"]);
    assert_eq!(run.code(), Some(1));
    let list: serde_json::Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&"v1".into(), &"List".into())
    );
    let (job, pod) = (&list["items"][0], &list["items"][1]);
    assert_eq!(
        (&job["kind"], &job["status"]["failed"]),
        (&"Job".into(), &1.into())
    );
    assert_eq!(pod["kind"], "Pod");
    let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&end["exitCode"], &end["reason"]),
        (&3.into(), &"Error".into())
    );
}

#[test]
fn junit_has_a_case_for_each_index() {
    let dir = Dir::new();
    dir.job(
        "exit3",
        "backoffLimitPerIndex: 0\n  completions: 2\n  parallelism: 2\n  completionMode: Indexed",
    );
    let run = dir.run(&["run", "-o", "junit", "exit3.yaml"]);
    assert_eq!(run.code(), Some(1));
    let report = run.stdout();
    assert!(report.starts_with("<?xml"), "{report}");
    for text in [
        "name=\"exit3-0\"",
        "name=\"exit3-1\"",
        "type=\"FailedIndexes\"",
        "exit code 3",
    ] {
        assert!(report.contains(text), "{text} is missing in {report}");
    }
}

#[test]
fn a_timeout_exits_with_124() {
    let dir = Dir::new();
    dir.job("loop", "completions: 1");
    let begin = Instant::now();
    let run = dir.run(&["run", "--timeout", "300ms", "loop.yaml"]);
    assert_eq!(run.code(), Some(124), "{}", run.stderr());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn fail_fast_stops_the_others() {
    let dir = Dir::new();
    dir.job("loop", "completions: 1");
    dir.job("exit3", "backoffLimit: 0");
    let begin = Instant::now();
    assert_eq!(
        dir.run(&["run", "--fail-fast", "loop.yaml", "exit3.yaml"])
            .code(),
        Some(1)
    );
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[test]
fn signals_stop_cleanly() {
    let dir = Dir::new();
    dir.job("loop", "completions: 1");
    for (signal, code) in [
        (rustix::process::Signal::INT, 130),
        (rustix::process::Signal::TERM, 143),
        (rustix::process::Signal::HUP, 129),
    ] {
        // Whoever runs the tests may ignore SIGHUP, which is handed down.
        let mut child = Command::new("env")
            .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_wasmjob")])
            .args(["run", "loop.yaml"])
            .current_dir(dir.0.path())
            .env("XDG_CONFIG_HOME", dir.path("none"))
            .env("XDG_CACHE_HOME", dir.path("cache"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Until it says that the Job runs, the signal might come too early.
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        while !said.contains("Running") {
            said.clear();
            assert!(std::io::BufRead::read_line(&mut stderr, &mut said).unwrap() > 0);
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_suspended_job_cannot_end_and_that_is_said() {
    let dir = Dir::new();
    dir.job("hello", "suspend: true");
    let run = dir.run(&["run", "hello.yaml"]);
    assert_eq!(run.code(), Some(1));
    assert!(
        run.stderr()
            .contains("job/hello is not run: it is suspended"),
        "{}",
        run.stderr()
    );
}

#[test]
fn manifests_come_from_standard_input_and_directories() {
    let dir = Dir::new();
    let mut child = dir
        .command(&["run", "--quiet", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = job("hello", "completions: 1");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("hello"));

    std::fs::create_dir(dir.path("many")).unwrap();
    dir.write(
        "many/a.yaml",
        &job("hello", "completions: 1").replace("./hello", "../hello"),
    );
    dir.write("many/b.json", r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "../hello.wasm"}]}}"#);
    let run = dir.run(&["run", "many"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert!(
        run.stderr().contains("pod/p: Succeeded"),
        "{}",
        run.stderr()
    );
    std::fs::create_dir(dir.path("empty")).unwrap();
    assert_eq!(dir.run(&["run", "empty"]).code(), Some(2));
}

#[test]
fn check_validates_and_runs_nothing() {
    let dir = Dir::new();
    dir.job("loop", "completions: 1");
    let run = dir.run(&["check", "loop.yaml"]);
    assert_eq!(
        (run.code(), run.stdout().as_str()),
        (Some(0), "loop.yaml:1:1: Job default/loop is valid\n")
    );
    dir.write("bad.yaml", "apiVersion: batch/v1\nkind: Jobb\n");
    assert_eq!(dir.run(&["check", "bad.yaml"]).code(), Some(2));
}

#[test]
fn compiled_code_is_kept_and_believed_only_under_its_mac() {
    let dir = Dir::new();
    dir.job("hello", "completions: 1");
    assert_eq!(dir.run(&["run", "-q", "hello.yaml"]).code(), Some(0));
    let cache = dir.path("cache/wasmjob");
    let entry = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap() != "key")
        .expect("compiled code is kept");
    let mut code = std::fs::read(&entry).unwrap();
    let last = code.len() - 1;
    code[last] ^= 1;
    std::fs::write(&entry, code).unwrap();
    let run = dir.run(&["run", "hello.yaml"]);
    assert_eq!(run.code(), Some(0));
    assert!(run.stderr().contains("does not verify"), "{}", run.stderr());
}

#[test]
fn version_and_help_name_what_they_are_about() {
    let dir = Dir::new();
    assert!(dir.run(&["--version"]).stdout().contains("wasmtime 48."));
    let help = dir.run(&["run", "--help"]).stdout();
    for flag in [
        "--now",
        "--alias",
        "--config",
        "--allow-host-path",
        "--timeout",
        "--fail-fast",
        "--output",
        "--logs",
        "--quiet",
        "--color",
        "--seed",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    assert!(
        dir.run(&["completions", "bash"])
            .stdout()
            .contains("_wasmjob")
    );
    assert_eq!(dir.run(&["run"]).code(), Some(2));
}

#[test]
fn a_pod_that_does_not_fit_says_so_while_it_waits_and_one_that_never_would_is_refused() {
    let dir = Dir::new();
    let spins = |resources: &str| {
        let busybox = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../wasm-examples/busybox/busybox.wasm"
        );
        job("hello", "completions: 2\n  parallelism: 2").replace(
            "./hello.wasm}",
            &format!(
                "{busybox:?}, command: [sleep, '60'], resources: {{requests: {{{resources}}}}}}}"
            ),
        )
    };
    dir.write("big.yaml", &spins("memory: 40Mi"));
    let run = dir.run(&["run", "--memory=64Mi", "--timeout", "2s", "big.yaml"]);
    let said = run.stderr();
    assert_eq!(run.code(), Some(124), "{said}");
    let why = "0/1 nodes are available: 1 Insufficient memory.";
    assert!(said.contains(&format!("waits: {why}")), "{said}");
    for (resources, why) in [
        (
            "memory: 65Mi",
            "it asks for 65Mi of memory, and all pods together have 64Mi",
        ),
        ("cpu: 9000", "it asks for 9000000m of cpu"),
    ] {
        dir.write("big.yaml", &spins(resources));
        let run = dir.run(&["run", "--memory=64Mi", "big.yaml"]);
        let said = run.stderr();
        assert_eq!(run.code(), Some(2), "{said}");
        assert!(said.contains("big.yaml:") && said.contains(why), "{said}");
    }
}

#[test]
fn a_host_path_that_is_not_allowed_is_refused_before_anything_runs() {
    let dir = Dir::new();
    dir.job("hello", "completions: 1");
    let text = job("hello", "completions: 1").replace(
        "containers:",
        "volumes: [{name: v, hostPath: {path: /etc}}]\n      containers:",
    );
    dir.write("path.yaml", &text);
    let run = dir.run(&["run", "path.yaml"]);
    assert_eq!(run.code(), Some(2), "{}", run.stderr());
    let why = "volume \"v\": hostPath /etc is not allowed";
    assert!(run.stderr().contains(why), "{}", run.stderr());
    let run = dir.run(&["run", "--allow-host-path", "/etc", "path.yaml"]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
}

/// Many pods that wait leave at once.
#[test]
fn a_wide_job_ends_when_its_time_is_over() {
    let dir = Dir::new();
    dir.job("hello", "completions: 10000000\n  parallelism: 100000");
    let began = std::time::Instant::now();
    let run = dir.run(&["run", "-q", "--timeout", "2s", "hello.yaml"]);
    assert_eq!(run.code(), Some(124), "{}", run.stderr());
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_reader_that_has_gone_changes_no_exit_code() {
    let dir = Dir::new();
    dir.job("hello", "completions: 1");
    let mut child = dir
        .command(&["run", "-q", "-o", "json", "hello.yaml"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Pods that would fall over each other share a claim that one pod may have.
#[test]
fn a_claim_for_one_pod_keeps_the_others_waiting() {
    let dir = Dir::new();
    let busybox = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../wasm-examples/busybox/busybox.wasm"
    );
    std::fs::copy(busybox, dir.path("busybox.wasm")).unwrap();
    let script = "if [ -f /data/lock ]; then echo together; exit 1; fi; echo > /data/lock; sleep 1; rm /data/lock; echo alone";
    let text = format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec:\n  \
         accessModes: [ReadWriteOncePod]\n  resources: {{requests: {{storage: 1Mi}}}}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {{name: turns}}\nspec:\n  backoffLimit: 0\n  \
         completions: 3\n  parallelism: 3\n  template:\n    spec:\n      restartPolicy: Never\n      \
         containers:\n      - name: c\n        image: ./busybox.wasm\n        command: [sh, -c, {script:?}]\n        \
         volumeMounts: [{{name: v, mountPath: /data}}]\n      \
         volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]\n"
    );
    let file = dir.write("turns.yaml", &text);
    let began = std::time::Instant::now();
    let run = dir.run(&["run", file.to_str().unwrap()]);
    assert_eq!(run.code(), Some(0), "{}", run.stderr());
    assert_eq!(run.stdout().matches("alone").count(), 3, "{}", run.stdout());
    // The next one goes on when it can, not when it is looked at again.
    assert!(began.elapsed() < std::time::Duration::from_secs(25));
}
