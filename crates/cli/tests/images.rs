//! Images of registries, as `run`, `serve` and `image` meet them: the real binary and
//! Debian's docker-registry; a registry of our own where the real one is too honest.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    reason = "tests measure real time, and share what not all of them use"
)]

#[path = "../../image/tests/registry/debian.rs"]
mod debian;
#[path = "../../image/tests/registry/layers.rs"]
mod layers;
#[path = "../../image/tests/registry/server.rs"]
mod server;

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use crate::debian::Registry;
use crate::layers::{packed, refs, tar};
use crate::server::{GZIP, Server, Shelf};

/// Writes `hello`, and ends.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "hello\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 4)))))"#;

/// Directories of one user, and a module.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self { dir };
        std::fs::write(home.path("hello.wasm"), wat::parse_str(HELLO).unwrap()).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wasmjob"));
        command
            .args(args)
            .env("HOME", self.dir.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("WASMJOB_DATA_DIR", self.path("data"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("DOCKER_CONFIG")
            .env_remove("NOTIFY_SOCKET");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints that succeeds.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{args:?}: {out}\n{err}");
        out
    }

    /// The config file: the registry has no TLS, and a login if it asks.
    fn configure(&self, registry: &Registry, login: bool) {
        let mut text = format!("[images]\nplain-http = [\"{}\"]\n", registry.host);
        if login {
            self.put("docker.json", &registry.login());
            text.push_str("docker-config = \"../../docker.json\"\n");
        }
        std::fs::create_dir_all(self.path(".config/wasmjob")).unwrap();
        self.put(".config/wasmjob/config.toml", &text);
    }

    fn job(&self, image: &str, pod: &str) -> PathBuf {
        let text = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j}}, spec: {{backoffLimit: 0, template: {{{pod}, restartPolicy: Never, \
             containers: [{{name: c, image: '{image}'}}]}}}}}}}}"
        );
        self.put("job.yaml", &text)
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// A daemon; it ends with this.
struct Daemon<'a> {
    home: &'a Home,
    child: Child,
}

impl<'a> Daemon<'a> {
    fn start(home: &'a Home) -> Self {
        let child = home
            .command(&["serve", "--listen", "none"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { home, child };
        daemon.wait(&["get", "namespaces", "default"], |_| true);
        daemon
    }

    /// What the command prints once it succeeds and that is so.
    #[track_caller]
    fn wait(&self, args: &[&str], so: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let output = self.home.run(args);
            let (out, err) = texts(&output);
            if output.status.success() && so(&out) {
                return out;
            }
            assert!(Instant::now() < until, "{args:?}: {out}\n{err}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first pod, once that is so.
    #[track_caller]
    fn pod(&self, so: impl Fn(&Value) -> bool) -> Value {
        let first = |text: &str| {
            let list: Value = serde_json::from_str(text).unwrap();
            list["items"][0].clone()
        };
        first(&self.wait(&["get", "pods", "-o", "json"], |text| so(&first(text))))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_module_is_pushed_run_listed_and_pruned() {
    let Some(registry) = Registry::start(true) else {
        return;
    };
    let home = Home::new();
    home.configure(&registry, true);
    let image = format!("{}/team/hello:1", registry.host);
    let module = home.path("hello.wasm");
    let pushed = home.ok(&["image", "push", module.to_str().unwrap(), &image]);
    let digest = pushed.split_whitespace().nth(2).unwrap();
    assert!(pushed.starts_with("1: digest: sha256:"), "{pushed}");
    let job = home.job(&image, "spec: {activeDeadlineSeconds: 60");
    let job = job.to_str().unwrap();
    let out = home.ok(&["run", job]);
    assert!(out.ends_with("hello\n"), "{out}");
    let out = home.ok(&["run", "-o", "json", job]);
    let id = format!("{}/team/hello@{digest}", registry.host);
    assert!(out.contains(&format!("\"imageID\": \"{id}\"")), "{out}");
    assert_eq!(
        home.ok(&["image", "pull", &image]),
        format!("Image is up to date for {id}\n")
    );
    let list = home.ok(&["image", "ls"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    let name = format!("{}/team/hello", registry.host);
    assert_eq!(row[..3], [name.as_str(), "1", &digest[7..20]], "{list}");
    assert_eq!(home.ok(&["image", "list", "-q"]), format!("{digest}\n"));
    let about: Value = serde_json::from_str(&home.ok(&["image", "inspect", &image])).unwrap();
    assert_eq!(about[0]["repoDigests"][0], id);
    let pruned = home.ok(&["image", "prune"]);
    assert!(!pruned.contains("Deleted"), "it has a name: {pruned}");
    let pruned = home.ok(&["image", "prune", "--all"]);
    assert!(pruned.contains(&image), "{pruned}");
    assert_eq!(home.ok(&["image", "ls", "-q"]), "");
}

#[test]
fn a_run_whose_image_cannot_be_had_runs_nothing() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let home = Home::new();
    home.configure(&registry, false);
    let check = |image: String, text: &str| {
        let job = home.job(&image, "spec: {activeDeadlineSeconds: 60");
        let output = home.run(&["run", job.to_str().unwrap()]);
        let (out, err) = texts(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(text), "{err}");
        assert!(
            err.contains("job.yaml:1:1: spec.template.spec.containers[c].image"),
            "{err}"
        );
    };
    check(format!("{}/none:1", registry.host), "not found");
    check(format!("{}/None:1", registry.host), "must be lowercase");
    check("127.0.0.1:1/x:1".to_owned(), "no connection to 127.0.0.1:1");
    let job = home.job(
        &format!("{}/none:1", registry.host),
        "spec: {activeDeadlineSeconds: 60",
    );
    let output = home.run(&["run", "--no-pull", job.to_str().unwrap()]);
    assert!(texts(&output).1.contains("pulls from no registry"));
}

#[test]
fn an_image_that_must_be_signed_is_not_run_unsigned() {
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wat::parse_str(HELLO).unwrap());
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let home = Home::new();
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    let key = home.put("key.pub", pem);
    let job = home.job(&server.image("x:1"), "spec: {activeDeadlineSeconds: 60");
    let rule = format!("{}={}", server.host, key.display());
    let run = |rule: &str| {
        let args = [
            "run",
            "--plain-http",
            &server.host,
            "--verify-key",
            rule,
            job.to_str().unwrap(),
        ];
        let output = home.run(&args);
        let (out, err) = texts(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{err}");
        err
    };
    let err = run(&rule);
    assert!(
        err.contains("is not signed by a key that counts for it"),
        "{err}"
    );
    let err = run(&format!("*={}", job.display()));
    assert!(
        err.contains("--verify-key *=") && err.contains("no public key"),
        "{err}"
    );
    home.ok(&["run", "--plain-http", &server.host, job.to_str().unwrap()]);
}

/// The private registry of the seeds (rows 42, 43): a secret of the namespace, and no login
/// of the host.
#[test]
fn a_pod_pulls_with_the_secret_of_its_namespace() {
    let Some(registry) = Registry::start(true) else {
        return;
    };
    let (home, operator) = (Home::new(), Home::new());
    operator.configure(&registry, true);
    let image = format!("{}/ppg007/cronjob-demo:1.0", registry.host);
    let module = operator.path("hello.wasm");
    operator.ok(&["image", "push", module.to_str().unwrap(), &image]);
    home.configure(&registry, false);
    let daemon = Daemon::start(&home);
    let job = home.job(&image, "spec: {imagePullSecrets: [{name: myali-docker}]");
    home.ok(&["apply", "-f", job.to_str().unwrap()]);
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    let pod = daemon.pod(|pod| waiting(pod)["reason"] == "ImagePullBackOff");
    let message = waiting(&pod)["message"].as_str().unwrap().to_owned();
    let begins = format!("Back-off pulling image \"{image}\": ErrImagePull: failed to pull image");
    assert!(message.starts_with(&begins), "{message}");
    assert!(message.contains("wants a user and a password"), "{message}");
    let told = daemon.wait(&["describe", "pods"], |text| text.contains("BackOff"));
    for text in [
        "FailedToRetrieveImagePullSecret",
        &format!("Pulling image \"{image}\""),
        &format!("Failed to pull image \"{image}\""),
        "Error: ErrImagePull",
        "Error: ImagePullBackOff",
    ] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "myali-docker"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": registry.login()}});
    let secret = home.put("secret.json", &secret.to_string());
    home.ok(&["apply", "-f", secret.to_str().unwrap()]);
    let pod = daemon.pod(|pod| pod["status"]["phase"] == "Succeeded");
    let id = pod["status"]["containerStatuses"][0]["imageID"]
        .as_str()
        .unwrap();
    assert!(
        id.starts_with(&format!("{}/ppg007/cronjob-demo@sha256:", registry.host)),
        "{id}"
    );
    let told = daemon.wait(&["describe", "pods"], |text| text.contains("Pulled"));
    assert!(
        told.contains(&format!("Successfully pulled image \"{image}\" in ")),
        "{told}"
    );
    // The image is here; a pod without the secret still does not get it.
    home.ok(&["delete", "job", "j"]);
    let job = home.job(&image, "spec: {terminationGracePeriodSeconds: 0");
    home.ok(&["apply", "-f", job.to_str().unwrap()]);
    daemon.pod(|pod| waiting(pod)["reason"] == "ImagePullBackOff");
    // It need not name the secret, where its service account does.
    home.ok(&["delete", "job", "j"]);
    let account = serde_json::json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "myali-docker"}]});
    let account = home.put("account.json", &account.to_string());
    home.ok(&["apply", "-f", account.to_str().unwrap()]);
    let job = home.job(&image, "spec: {serviceAccountName: puller");
    home.ok(&["apply", "-f", job.to_str().unwrap()]);
    let pod = daemon.pod(|pod| pod["status"]["phase"] == "Succeeded");
    assert_eq!(pod["spec"]["imagePullSecrets"][0]["name"], "myali-docker");
}

#[test]
fn policies_and_the_annotation_are_followed() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let home = Home::new();
    home.configure(&registry, false);
    let daemon = Daemon::start(&home);
    let image = format!("{}/none:1", registry.host);
    let apply = |pod: &str, image: &str| {
        let job = home.job(image, pod);
        home.run(&["delete", "job", "j"]);
        home.ok(&["apply", "-f", job.to_str().unwrap()]);
    };
    let annotated = "metadata: {annotations: {wasmjob.dev/image-pull-terminal: fail}}, spec: {dnsPolicy: Default";
    apply(annotated, &image);
    let pod = daemon.pod(|pod| pod["status"]["phase"] == "Failed");
    assert_eq!(pod["status"]["reason"], "ErrImagePull");
    let message = pod["status"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("container \"c\": failed to pull image"),
        "{message}"
    );
    daemon.wait(&["get", "jobs", "-o", "json"], |text| {
        text.contains("BackoffLimitExceeded")
    });

    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    apply(
        "spec: {dnsPolicy: Default",
        &format!("{}/None:1", registry.host),
    );
    let pod = daemon.pod(|pod| waiting(pod)["reason"] == "InvalidImageName");
    assert!(
        waiting(&pod)["message"]
            .as_str()
            .unwrap()
            .contains("must be lowercase")
    );
    home.ok(&["delete", "job", "j"]);
    let never = image.clone();
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: c, image: '{never}', imagePullPolicy: Never}}]}}}}"
    );
    let pod = home.put("pod.yaml", &text);
    home.ok(&["apply", "-f", pod.to_str().unwrap()]);
    let pod = daemon.pod(|pod| waiting(pod)["reason"] == "ErrImageNeverPull");
    assert_eq!(
        waiting(&pod)["message"],
        format!("Container image \"{never}\" is not present with pull policy of Never")
    );
}

/// A registry that says nothing holds up its own pods: others run, a deadline comes, and the
/// daemon stops.
#[test]
fn a_registry_that_hangs_holds_up_nobody_else() {
    let server = Server::start(|_, _| std::thread::sleep(Duration::from_secs(100)));
    let home = Home::new();
    std::fs::create_dir_all(home.path(".config/wasmjob")).unwrap();
    let config = format!("[images]\nplain-http = [\"{}\"]\n", server.host);
    home.put(".config/wasmjob/config.toml", &config);
    let mut daemon = Daemon::start(&home);
    // More than there are threads for pulls.
    for n in 0..8 {
        let text = format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: held{n}}}, spec: {{activeDeadlineSeconds: {}, template: {{spec: \
             {{restartPolicy: Never, containers: [{{name: c, image: '{}'}}]}}}}}}}}",
            if n == 0 { 2 } else { 600 },
            server.image(&format!("x:{n}"))
        );
        let file = home.put("held.yaml", &text);
        home.ok(&["apply", "-f", file.to_str().unwrap()]);
    }
    let file = home.job("./hello.wasm", "spec: {activeDeadlineSeconds: 60");
    home.ok(&["apply", "-f", file.to_str().unwrap()]);
    daemon.wait(&["get", "job", "j", "-o", "json"], |text| {
        text.contains("\"Complete\"")
    });
    daemon.wait(&["get", "job", "held0", "-o", "json"], |text| {
        text.contains("DeadlineExceeded")
    });
    let began = Instant::now();
    let pid = rustix::process::Pid::from_child(&daemon.child);
    // Signals that come together are one, and the second means now.
    while daemon.child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_run_waits_for_a_registry_no_longer_than_it_may() {
    let server = Server::start(|_, _| std::thread::sleep(Duration::from_secs(100)));
    let home = Home::new();
    let job = home.job(&server.image("x:1"), "spec: {activeDeadlineSeconds: 60");
    let began = Instant::now();
    let args = [
        "run",
        "--timeout",
        "1s",
        "--plain-http",
        &server.host,
        job.to_str().unwrap(),
    ];
    let output = home.run(&args);
    let (out, err) = texts(&output);
    assert_eq!(
        (output.status.code(), out.as_str()),
        (Some(124), ""),
        "{err}"
    );
    assert!(
        err.contains(&format!("pulling {}", server.image("x:1"))),
        "{err}"
    );
    assert!(
        err.contains("not all images are here; nothing ran"),
        "{err}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
}

/// `kill -9` in the middle of a pull: what came is gone on with, and nothing is believed
/// that was not held against its digest.
#[test]
fn a_pull_that_was_killed_is_gone_on_with() {
    let module = {
        let text = "x".repeat(3 << 20);
        let text = format!(
            "(module (memory 64) (data (i32.const 0) \"{text}\") (func (export \"_start\")))"
        );
        wat::parse_str(text).unwrap()
    };
    let mut shelf = Shelf::default();
    shelf.wasm("1", &module);
    let half = module.len() / 2;
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |asked, to| {
        let is_first = || first.swap(false, std::sync::atomic::Ordering::Relaxed);
        if asked.path.contains("/blobs/") && is_first() {
            use std::io::Write as _;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                module.len()
            );
            let _ = to.write_all(head.as_bytes());
            let _ = to.write_all(&module[..half]);
            std::thread::sleep(Duration::from_secs(100));
        }
        shelf.serve(asked, to);
    });
    let home = Home::new();
    let image = server.image("x:1");
    let args = ["image", "pull", "--plain-http", &server.host, &image];
    let mut killed = home.command(&args).stdout(Stdio::null()).spawn().unwrap();
    let partial = home.path("cache/wasmjob/images/partial");
    let came = || {
        let entries = partial.read_dir().into_iter().flatten().flatten();
        entries
            .map(|entry| entry.metadata().unwrap().len())
            .sum::<u64>()
    };
    let until = Instant::now() + Duration::from_secs(60);
    while came() < half as u64 {
        assert!(Instant::now() < until, "{} of {half} bytes came", came());
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(home.ok(&["image", "ls", "-q"]), "", "nothing is there yet");
    home.ok(&args);
    let asked = server.asked();
    let last = asked
        .iter()
        .rfind(|asked| asked.path.contains("/blobs/"))
        .unwrap();
    assert_eq!(last.header("range"), format!("bytes={half}-"));
}

#[test]
fn tls_is_checked_against_what_the_machine_trusts() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = |label: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    };
    let certificate = pem("CERTIFICATE", made.cert.der());
    let key = pem("PRIVATE KEY", &made.signing_key.serialize_der());
    let Some(registry) = Registry::start_with(false, Some((&certificate, &key))) else {
        return;
    };
    let home = Home::new();
    let trusted = home.put("trusted.pem", &certificate);
    let image = format!("{}/team/hello:1", registry.host);
    let module = home.path("hello.wasm");
    let push = ["image", "push", module.to_str().unwrap(), &image];
    let output = home.run(&push);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""), "{err}");
    assert!(
        err.contains("certificate") && err.contains("UnknownIssuer"),
        "{err}"
    );
    let output = home
        .command(&push)
        .env("SSL_CERT_FILE", trusted)
        .output()
        .unwrap();
    let (out, err) = texts(&output);
    assert!(out.starts_with("1: digest: sha256:"), "{out}{err}");
}

/// A proxy that carries connections: it knows names that this machine does not.
#[test]
fn the_usual_variables_name_a_proxy() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut shelf = Shelf::default();
    shelf.wasm("1", &wat::parse_str(HELLO).unwrap());
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let behind = server.host.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let behind = behind.clone();
            std::thread::spawn(move || {
                let mut client = client.unwrap();
                let mut head = BufReader::new(client.try_clone().unwrap()).lines();
                let first = head.next().unwrap().unwrap();
                assert!(first.starts_with("CONNECT r.invalid:5000 "), "{first}");
                while !head.next().unwrap().unwrap().is_empty() {}
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let mut server = std::net::TcpStream::connect(behind).unwrap();
                let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
                let _ = std::io::copy(&mut client, &mut server);
            });
        }
    });
    let home = Home::new();
    let pull = |no_proxy: &str| {
        let args = [
            "image",
            "pull",
            "--plain-http",
            "r.invalid:5000",
            "r.invalid:5000/x:1",
        ];
        let mut command = home.command(&args);
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(name);
        }
        command
            .env_remove("no_proxy")
            .env("ALL_PROXY", &proxy)
            .env("NO_PROXY", no_proxy);
        texts(&command.output().unwrap())
    };
    let (out, err) = pull("localhost");
    assert!(
        out.starts_with("Image is up to date for r.invalid:5000/x@sha256:"),
        "{out}{err}"
    );
    let (out, err) = pull("r.invalid");
    assert!(
        out.is_empty() && err.contains("r.invalid:5000"),
        "{out}{err}"
    );
}

/// Programs beside docker's file say who we are.
#[test]
fn a_credential_helper_is_asked_and_is_bounded() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(registry) = Registry::start(true) else {
        return;
    };
    let home = Home::new();
    home.configure(&registry, false);
    let helper = |script: &str| {
        let path = home.put("docker-credential-test", &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let config = format!("{{\"credHelpers\": {{\"{}\": \"test\"}}}}", registry.host);
    let config = home.put("docker.json", &config);
    let image = format!("{}/team/hello:1", registry.host);
    let push = || {
        let module = home.path("hello.wasm");
        let path = format!(
            "{}:{}",
            home.dir.path().display(),
            std::env::var("PATH").unwrap()
        );
        let args = [
            "image",
            "push",
            "--docker-config",
            config.to_str().unwrap(),
            module.to_str().unwrap(),
            &image,
        ];
        texts(&home.command(&args).env("PATH", path).output().unwrap())
    };
    helper("read server; [ \"$1 $server\" = \"get $EXPECTED\" ] || exit 1");
    assert!(
        push()
            .1
            .contains("docker-credential-test: it ended with exit status: 1")
    );
    helper(&format!(
        "read server; [ \"$1 $server\" = \"get {}\" ] && echo '{{\"Username\": \"robot\", \"Secret\": \"hunter2\"}}'",
        registry.host
    ));
    let (out, err) = push();
    assert!(out.starts_with("1: digest: sha256:"), "{out}{err}");
    // One that floods, and one that knows nothing.
    helper("yes hunter2");
    let (_, err) = push();
    assert!(
        err.contains("docker-credential-test") && !err.contains("hunter2"),
        "{err}"
    );
    helper("echo credentials not found in native keychain; exit 1");
    let (_, err) = push();
    assert!(err.contains("none are known for it"), "{err}");
}

/// Prints its arguments, its environment, and what is in `conf` of its working directory;
/// ends with 1 if it can make a file there.
const LOOKER: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "conf")
  (data (i32.const 80) "new")
  (func $print (param $at i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $bytes))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "_start")
    (drop (call $args_sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 1024) (i32.const 4096)))
    (call $print (i32.const 4096) (i32.load (i32.const 20)))
    (drop (call $env_sizes (i32.const 16) (i32.const 20)))
    (drop (call $env (i32.const 1024) (i32.const 4096)))
    (call $print (i32.const 4096) (i32.load (i32.const 20)))
    ;; The root is 3, the working directory 4.
    (if (call $open (i32.const 4) (i32.const 1) (i32.const 64) (i32.const 4) (i32.const 0)
          (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 24))
      (then (call $exit (i32.const 2))))
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.const 1000))
    (drop (call $read (i32.load (i32.const 24)) (i32.const 0) (i32.const 1) (i32.const 28)))
    (call $print (i32.const 4096) (i32.load (i32.const 28)))
    (if (i32.eqz (call $open (i32.const 4) (i32.const 1) (i32.const 80) (i32.const 3) (i32.const 1)
          (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 24)))
      (then (call $exit (i32.const 1))))))"#;

/// An image as it is built for containers: entry point, environment, working directory and
/// files are its own, and the container's command picks another program.
#[test]
fn an_image_of_layers_brings_its_files_and_its_ways() {
    let looker = wat::parse_str(LOOKER).unwrap();
    let layer = packed(
        GZIP,
        &tar(&[
            ("bin/looker", &looker),
            ("app/conf", b"from the image\n"),
            ("app/hello", &wat::parse_str(HELLO).unwrap()),
        ]),
    );
    let mut shelf = Shelf::default();
    let run = serde_json::json!({"Entrypoint": ["/bin/looker", "-e"], "Cmd": ["cmd"],
        "WorkingDir": "/app", "Env": ["A=image", "B=image"]});
    shelf.image("1", &run, &refs(&[layer]));
    let server = Server::start(move |asked, to| shelf.serve(asked, to));
    let home = Home::new();
    let run = |container: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{restartPolicy: Never, \
             containers: [{{name: c, image: '{}', {container}}}]}}}}",
            server.image("x:1")
        );
        let pod = home.put("pod.yaml", &text);
        let args = [
            "run",
            "--plain-http",
            &server.host,
            "-q",
            pod.to_str().unwrap(),
        ];
        let output = home.run(&args);
        let (out, err) = texts(&output);
        (output.status.code(), out.replace('\0', "|"), err)
    };
    let (code, out, err) = run("env: [{name: B, value: own}]");
    assert_eq!(code, Some(0), "{out}{err}");
    for text in [
        "/bin/looker|-e|cmd|",
        "A=image|",
        "B=own|",
        "from the image",
    ] {
        assert!(out.contains(text), "{text}: {out}");
    }
    assert!(!out.contains("B=image"), "{out}");
    let (code, out, err) = run("args: [mine]");
    assert!(out.contains("/bin/looker|-e|mine|"), "{code:?} {out}{err}");
    // A relative command, as in the seeds' `./tencent-sms`.
    let (code, out, err) = run("command: [./hello]");
    assert!(code == Some(0) && out.contains("hello"), "{out}{err}");
    let (code, _, err) = run("command: [/bin/sh, -c, date]");
    assert_eq!(code, Some(1), "{err}");
}

/// Go and Python, as scripts/fetch-toolchains.sh fetches their tool chains.
fn toolchains() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let place = target.join("toolchains");
    if !place.join("wit").is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "there are no tool chains: scripts/fetch-toolchains.sh fetches them"
        );
        println!("skipped: there are no tool chains");
        return None;
    }
    Some(place.canonicalize().unwrap())
}

/// Programs in other languages, built as their users do.
#[test]
fn guests_of_public_toolchains_are_pushed_pulled_and_run() {
    let (Some(tools), Some(registry)) = (toolchains(), Registry::start(false)) else {
        return;
    };
    let home = Home::new();
    home.configure(&registry, false);
    let build = |command: &mut Command| {
        let output = command
            .env("HOME", home.path("build"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/toolchains"))
            .output()
            .unwrap();
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{out}\n{err}");
    };
    let (go, python) = (home.path("go.wasm"), home.path("python.wasm"));
    build(
        Command::new(tools.join("bin/go"))
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
            .arg(&go)
            .arg("hello.go"),
    );
    build(
        Command::new(tools.join("bin/componentize-py"))
            .arg("-d")
            .arg(tools.join("wit"))
            .args(["-w", "wasi:cli/command", "componentize", "app", "-o"])
            .arg(&python),
    );
    let mut text = String::from(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: hello}}\n",
    );
    for (name, module) in [("go", &go), ("python", &python)] {
        let image = format!("{}/guests/{name}:1", registry.host);
        home.ok(&["image", "push", module.to_str().unwrap(), &image]);
        std::fs::remove_file(module).unwrap();
        text += &format!(
            "---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{backoffLimit: 0, template: {{spec: {{\
             restartPolicy: Never, containers: [{{name: c, image: '{image}', args: [a, b], \
             env: [{{name: COLOUR, value: red}}], volumeMounts: [{{name: g, mountPath: /etc/greeting}}]}}], \
             volumes: [{{name: g, configMap: {{name: greeting}}}}]}}}}}}}}\n"
        );
    }
    let file = home.put("guests.yaml", &text);
    let out = home.ok(&["run", file.to_str().unwrap()]);
    for said in ["go: a+b red hello\n", "python: a+b red hello\n"] {
        assert!(out.contains(said), "{out}");
    }
}
