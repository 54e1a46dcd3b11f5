//! The database backup of the seeds, as wasm: a CronJob that asks a real Redis over TCP,
//! with a password from a Secret, and writes to a claimed volume that outlives the daemon.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GUEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../wasm-examples/redis-backup/redis-backup.wasm"
);
const PASSWORD: &str = "opensesame";
const PATIENCE: Duration = Duration::from_secs(150);

/// Ends a process that a test that fails would leave.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where Redis is; `None`, with a notice, where there is none. In CI there must be one.
fn redis() -> Option<PathBuf> {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/redis/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([fetched])
        .find(|dir| dir.join("redis-server").is_file() && dir.join("redis-cli").is_file());
    if found.is_none() {
        let is_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(
            !is_ci,
            "redis-server is missing: scripts/fetch-redis.sh fetches it"
        );
        println!("skipped: redis-server is not there; scripts/fetch-redis.sh fetches it");
    }
    found
}

struct Redis {
    bin: PathBuf,
    port: u16,
    _dir: tempfile::TempDir,
    _child: Running,
}

impl Redis {
    fn start(bin: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new(bin.join("redis-server"))
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--requirepass",
                PASSWORD,
            ])
            .args(["--port", &port.to_string(), "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self {
            bin: bin.to_owned(),
            port,
            _dir: dir,
            _child: Running(child),
        };
        wait("redis answers", || redis.ask(&["PING"]).contains("PONG"));
        redis
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.bin.join("redis-cli"));
        command
            .args(["-p", &self.port.to_string()])
            .env("REDISCLI_AUTH", PASSWORD);
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = self.command().args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Plays a dump back.
    fn restore(&self, dump: &Path) {
        let mut child = self
            .command()
            .arg("--pipe")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&std::fs::read(dump).unwrap()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("errors: 0"), "{said}");
    }
}

#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A daemon on `dir`, ready.
fn serve(dir: &Path, port: u16) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args([
            "serve",
            "--no-cache",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
        ])
        .arg(dir.join("data"))
        .args(["--allow-net", &format!("tcp:127.0.0.1:{port}")])
        .env("XDG_CONFIG_HOME", dir)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let mut line = String::new();
    let mut said = BufReader::new(child.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("export KUBECONFIG="), "{line}");
    child
}

/// What a command says that speaks to the daemon.
fn ask(dir: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(args)
        .env("WASMJOB_DATA_DIR", dir.join("data"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap()
}

fn manifest(redis: &Redis) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: redis}}
stringData: {{password: {PASSWORD}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: redis-backup-data}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 64Mi}}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: redis-backup}}
spec:
  schedule: "* * * * *"
  successfulJobsHistoryLimit: 10
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        metadata:
          labels: {{app: backup}}
          annotations: {{wasmjob.dev/allow-net: "tcp:127.0.0.1:{}"}}
        spec:
          restartPolicy: Never
          containers:
            - name: backup
              image: {GUEST}
              env:
                - {{name: REDIS_HOST, value: 127.0.0.1}}
                - {{name: REDIS_PORT, value: "{}"}}
                - name: REDIS_PASSWORD
                  valueFrom: {{secretKeyRef: {{name: redis, key: password}}}}
              volumeMounts: [{{name: data, mountPath: /backup}}]
          volumes:
            - name: data
              persistentVolumeClaim: {{claimName: redis-backup-data}}
"#,
        redis.port, redis.port
    )
}

/// The dumps in the daemon's volumes, oldest first.
fn dumps(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.join("data/volumes")];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|it| it == "resp") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_database_is_backed_up_by_schedule_and_through_a_restart() {
    let Some(bin) = redis() else { return };
    let (source, target) = (Redis::start(&bin), Redis::start(&bin));
    for words in [
        &["SET", "greeting", "hello\r\nworld"][..],
        &["RPUSH", "list", "a", "b", "c"],
        &["HSET", "hash", "field", "value"],
        &["ZADD", "scores", "1.5", "one"],
        &["SET", "binary", "\u{1}\u{2}\u{fffd}"],
        &["SET", "lasts", "a while", "EX", "10000"],
    ] {
        source.ask(words);
    }
    let filler: Vec<String> = (0..500).map(|n| format!("key:{n} value-{n}")).collect();
    let words: Vec<&str> = filler.iter().flat_map(|pair| pair.split(' ')).collect();
    source.ask(&[&["MSET"], words.as_slice()].concat());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.yaml");
    std::fs::write(&file, manifest(&source)).unwrap();
    let daemon = serve(dir.path(), source.port);
    let said = ask(dir.path(), &["apply", "-f", file.to_str().unwrap()]);
    assert!(
        said.contains("cronjob.batch/redis-backup created"),
        "{said}"
    );
    // By the clock, within a minute.
    wait("a backup is there", || !dumps(dir.path()).is_empty());
    wait("it says so", || {
        ask(dir.path(), &["logs", "cronjob/redis-backup"]).contains("506 keys, ")
    });
    let claim = ask(dir.path(), &["get", "pvc", "redis-backup-data"]);
    assert!(claim.contains("Bound"), "{claim}");

    // The daemon is killed; what it held is there, and the schedule goes on.
    let before = dumps(dir.path());
    drop(daemon);
    let _daemon = serve(dir.path(), source.port);
    assert_eq!(dumps(dir.path()), before);
    ask(dir.path(), &["trigger", "cronjob/redis-backup"]);
    wait("another backup is there", || {
        dumps(dir.path()).len() > before.len()
    });

    target.restore(dumps(dir.path()).last().unwrap());
    assert_eq!(target.ask(&["DBSIZE"]), source.ask(&["DBSIZE"]));
    for words in [
        &["GET", "greeting"][..],
        &["LRANGE", "list", "0", "-1"],
        &["HGETALL", "hash"],
        &["ZRANGE", "scores", "0", "-1", "WITHSCORES"],
        &["GET", "binary"],
        &["GET", "key:499"],
    ] {
        assert_eq!(target.ask(words), source.ask(words), "{words:?}");
    }
    let ttl = target.ask(&["TTL", "lasts"]);
    assert!((1..=10_000).contains(&ttl.trim().parse().unwrap()), "{ttl}");
    // No secret is said anywhere that a reader of logs or objects sees.
    let pods = ask(dir.path(), &["get", "pods", "-o", "yaml"]);
    assert!(!pods.contains(PASSWORD), "{pods}");
}
