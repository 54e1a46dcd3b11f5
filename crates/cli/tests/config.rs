//! ConfigMaps and Secrets in the real daemon: over its API, through restarts, and as
//! they stand on its disk.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A data directory, and what stands beside it.
struct Place(tempfile::TempDir);

/// A daemon that runs.
struct Daemon(Child);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let busybox = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../wasm-examples/busybox/busybox.wasm"
        );
        std::fs::copy(busybox, place.path("busybox.wasm")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command
            .args(["serve", "--listen", "none", "--data-dir"])
            .arg(self.path("data"))
            .args(more)
            .current_dir(self.0.path())
            .env("XDG_CONFIG_HOME", self.path("none"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    fn serve(&self, more: &[&str]) -> Daemon {
        let mut command = self.command(more);
        let daemon = Daemon(command.stderr(Stdio::null()).spawn().unwrap());
        self.until(&["get", "namespaces", "default"], |out| !out.is_empty());
        daemon
    }

    /// What a daemon says that does not start.
    #[track_caller]
    fn refused(&self, more: &[&str]) -> String {
        let output = self.command(more).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{text}");
        text
    }

    fn client(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command
            .args(args)
            .env("WASMJOB_DATA_DIR", self.path("data"));
        command.output().unwrap()
    }

    #[track_caller]
    fn apply(&self, text: &str) {
        let file = self.path("applied.yaml");
        std::fs::write(&file, text).unwrap();
        let output = self.client(&["apply", "-f", file.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Asks until what is printed is as it should be.
    #[track_caller]
    fn until(&self, args: &[&str], holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let output = self.client(args);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && holds(&text) {
                return text;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{args:?}: {output:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether the database's file holds these bytes.
    fn holds(&self, text: &str) -> bool {
        let bytes = std::fs::read(self.path("data/store.redb")).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

impl Daemon {
    fn end(mut self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Job that shows what it was given.
fn job(name: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      volumes:\n      - {{name: v, secret: {{secretName: key}}}}\n      \
         containers:\n      - name: c\n        image: ./busybox.wasm\n        \
         command: [sh, -c, 'echo \"$colour $(cat /v/password)\"']\n        \
         volumeMounts: [{{name: v, mountPath: /v}}]\n        \
         envFrom: [{{configMapRef: {{name: settings}}}}]\n"
    )
}

fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: key}}\nstringData: {{password: {password}}}\n"
    )
}

const SETTINGS: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}\n";

#[test]
fn a_job_waits_for_its_objects_through_a_restart() {
    let place = Place::new();
    let daemon = place.serve(&[]);
    place.apply(&format!("{}---\n{}", job("show"), secret("hunter2")));
    let waits = |out: &str| out.contains("CreateContainerConfigError");
    place.until(&["get", "pods"], waits);
    let described = place.until(&["describe", "pods"], |out| out.contains("Error: "));
    assert!(described.contains("configmap \"settings\" not found"));
    assert!(!described.contains("hunter2"));
    daemon.end(Signal::KILL);
    let daemon = place.serve(&[]);
    place.until(&["get", "pods"], waits);
    place.apply(SETTINGS);
    place.until(&["get", "job", "show"], |out| out.contains("Complete"));
    // The pod of before the restart has failed.
    let pods = place.until(&["get", "pods", "--no-headers"], |out| {
        out.contains("Completed")
    });
    let pod = pods.lines().find(|line| line.contains("Completed"));
    let name = pod.unwrap().split(' ').next().unwrap();
    place.until(&["logs", name], |out| out == "blue hunter2\n");
    daemon.end(Signal::TERM);
}

#[test]
fn files_of_secrets_stand_in_memory_and_do_not_outlive_a_daemon_that_is_killed() {
    let place = Place::new();
    let daemon = place.serve(&[]);
    let hold = job("hold").replace("echo ", "sleep 600; echo ");
    place.apply(&format!("{SETTINGS}---\n{}---\n{hold}", secret("hunter2")));
    place.until(&["get", "pods"], |out| out.contains("Running"));
    let link = place.path("data/memory");
    let Ok(memory) = std::fs::read_link(&link) else {
        // This system has no place in memory.
        return daemon.end(Signal::KILL);
    };
    let found = Command::new("grep")
        .args(["-rl", "hunter2"])
        .args([place.path("data/scratch"), memory.clone()])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert!(!found.is_empty());
    assert!(
        found
            .lines()
            .all(|line| line.starts_with(memory.to_str().unwrap())),
        "{found}"
    );
    daemon.end(Signal::KILL);
    assert!(memory.exists());
    let daemon = place.serve(&[]);
    assert!(!memory.exists());
    let memory = std::fs::read_link(&link).unwrap();
    daemon.end(Signal::TERM);
    assert!(!memory.exists() && std::fs::read_link(&link).is_err());
}

#[test]
fn secrets_are_encrypted_on_the_disk_with_a_key_that_stands_elsewhere() {
    let (first, second) = ("first-of-them", "second-of-them");
    let (first_64, second_64) = ("Zmlyc3Qtb2YtdGhlbQ==", "c2Vjb25kLW9mLXRoZW0=");
    let place = Place::new();
    let with_key = ["--secret-key-file", "secrets.key"];
    let daemon = place.serve(&[]);
    place.apply(&format!("{SETTINGS}---\n{}", secret(first)));
    daemon.end(Signal::TERM);
    assert!(place.holds(first_64));

    // What is there is taken over.
    let daemon = place.serve(&with_key);
    place.apply(&job("one"));
    place.until(&["logs", "job/one"], |out| out == format!("blue {first}\n"));
    place.apply(&secret(second));
    daemon.end(Signal::KILL);
    assert!(!place.holds(second_64));
    assert!(place.holds("blue"));

    let text = place.refused(&[]);
    assert!(text.contains("--secret-key-file"), "{text}");
    std::fs::rename(place.path("secrets.key"), place.path("kept")).unwrap();
    let text = place.refused(&with_key);
    assert!(text.contains("put it back"), "{text}");
    assert!(!place.path("secrets.key").exists());
    std::fs::write(place.path("other.key"), "00".repeat(32)).unwrap();
    let text = place.refused(&["--secret-key-file", "other.key"]);
    assert!(text.contains("can be read by anybody"), "{text}");
    let text = place.refused(&["--secret-key-file", "data/secrets.key"]);
    assert!(
        text.contains("must not stand in the data directory"),
        "{text}"
    );

    std::fs::rename(place.path("kept"), place.path("secrets.key")).unwrap();
    let daemon = place.serve(&with_key);
    let shown = place.until(&["get", "secret", "key", "-o", "yaml"], |out| {
        !out.is_empty()
    });
    assert!(shown.contains(second_64), "{shown}");
    place.apply(&job("two"));
    place.until(&["logs", "job/two"], |out| {
        out == format!("blue {second}\n")
    });
    daemon.end(Signal::TERM);
}
