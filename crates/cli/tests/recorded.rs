//! What kubectl was recorded to ask, 111 commands of it: `recorded/kubectl-1.33.tsv` and
//! `-1.36.tsv`. Each line is a status code, a method, a path, and the `Accept`,
//! `Content-Type` and body that came with it; each must get that code here too.
//!
//! The recordings were made against a mock; [`excused`] lists where that answered as no
//! server does that runs Jobs. What asks for another protocol (exec, attach, port-forward)
//! is left out, protobuf bodies stand as the JSON that they mean, and those that the
//! recorder had cut are completed.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
    application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const CRON_JOBS: &str = "/apis/batch/v1/namespaces/default/cronjobs";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Where the mock was wrong, and what is right.
fn excused(method: &str, path: &str, recorded: u16) -> Option<u16> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is = |start: &str| path.starts_with(start);
    match (method, recorded) {
        // It advertised all of Kubernetes; `get all` asks for what is advertised.
        ("GET", 200)
            if is("/apis/apps/")
                || is("/apis/autoscaling/")
                || path.ends_with("/replicationcontrollers") =>
        {
            Some(404)
        }
        // kubectl 1.36 asks without looking whether there are any.
        ("GET", 200) if is("/apis/resource.k8s.io/") => Some(404),
        // It knew no health, and its node held no lease.
        ("GET", 404) if path == "/healthz" || is("/apis/coordination.k8s.io/") => Some(200),
        // It noted that a client had gone away.
        ("GET", 499) if query.contains("watch=true") => Some(200),
        // It validated nothing: a Job's selector and template cannot be changed, …
        ("PUT", 200) if is(JOBS) => Some(422),
        ("PATCH", 200) if is(JOBS) && query == "fieldManager=kubectl-set" => Some(422),
        // … and it has no scale.
        ("PATCH", 200) if path.ends_with("/scale") => Some(404),
        _ => None,
    }
}

struct Serve {
    child: Child,
    dir: tempfile::TempDir,
}

impl Serve {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let busybox =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasm-examples/busybox/busybox.wasm");
        let child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
            .args(["serve", "--no-cache", "--listen", "none", "--alias"])
            .arg(format!("busybox={}", busybox.display()))
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .env("HOME", dir.path())
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let serve = Self { child, dir };
        soon(|| UnixStream::connect(serve.socket()).is_ok());
        serve
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("data/wasmjob.sock")
    }

    /// Asks, and gives the code, and the body unless that goes on for ever.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut socket = UnixStream::connect(self.socket()).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let code = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Vec::new();
        if !path.contains("watch=true") && !path.contains("follow=true") {
            reader.read_to_end(&mut answer).unwrap();
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned());
        (code, body.unwrap_or_default())
    }

    fn get(&self, path: &str) -> Value {
        let (code, body) = self.ask("GET", path, &[], "");
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn create(&self, path: &str, object: &Value) {
        let headers = [("Content-Type", "application/json")];
        let (code, body) = self.ask("POST", path, &headers, &object.to_string());
        assert_eq!(code, 201, "{path}: {body}");
    }

    /// What the mock was asked about.
    fn prepare(&self) {
        let spec = |containers: Value| json!({"restartPolicy": "Never", "containers": containers});
        let echo = json!([{"name": "echo", "image": "busybox", "command": ["echo", "Hello, Job"]}]);
        self.create(
            JOBS,
            &json!({
                "metadata": {"name": "job-echo"},
                "spec": {"completions": 2, "template": {"spec": spec(echo.clone())}}
            }),
        );
        let template = json!({"spec": {"template": {"spec": spec(json!([{"name": "h", "image": "busybox"}]))}}});
        self.create(
            CRON_JOBS,
            &json!({
                "metadata": {"name": "hello"},
                "spec": {"schedule": "0 3 * * *", "jobTemplate": template}
            }),
        );
        self.create(
            PODS,
            &json!({
                "metadata": {"name": "job-echo-vcphr", "labels": {"job-name": "job-echo"}},
                "spec": spec(echo)
            }),
        );
        // One of its containers fails once, so that there is a log of before.
        let script = "[ -e /w/x ] && exec sleep 600; touch /w/x; exit 1";
        let mounts = json!([{"name": "w", "mountPath": "/w"}]);
        let mut two = spec(json!([
            {"name": "a", "image": "busybox", "command": ["sh", "-c", script], "volumeMounts": mounts},
            {"name": "b", "image": "busybox", "command": ["sleep", "600"]}
        ]));
        two["restartPolicy"] = "OnFailure".into();
        two["volumes"] = json!([{"name": "w", "emptyDir": {}}]);
        self.create(PODS, &json!({"metadata": {"name": "p2"}, "spec": two}));
        soon(|| {
            let pod = self.get(&format!("{PODS}/p2"));
            let containers = pod["status"]["containerStatuses"].as_array();
            containers.is_some_and(|containers| {
                containers
                    .iter()
                    .all(|it| it["state"].get("running").is_some())
                    && containers[0]["restartCount"] == 1
            })
        });
        soon(|| self.get(&format!("{JOBS}/job-echo"))["status"]["succeeded"] == 2);
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn soon(is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "it never was");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn replay(recording: &str) {
    let serve = Serve::start();
    serve.prepare();
    let node = serve.get("/api/v1/nodes")["items"][0]["metadata"]["name"].clone();
    let node = node.as_str().unwrap();
    let (mut command, mut wrong) = ("", Vec::new());
    let (mut created, mut deleted) = (HashSet::new(), HashSet::new());
    for line in recording.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            command = text;
            continue;
        }
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        let (code, method, path) = (field().parse().unwrap(), field(), field());
        let (accept, content_type, body) = (field(), field(), field());
        let accept = match accept {
            "TABLE" => TABLE,
            "AGG" => AGGREGATED,
            other => other,
        };
        let asked = at_version(&serve, &path.replace("wasm-1", node));
        let headers = [("Accept", accept), ("Content-Type", content_type)];
        let (answer, said) = serve.ask(method, &asked, &headers, body);
        let mut expected = excused(method, path, code).unwrap_or(code);
        let name = path.split('?').next().unwrap_or_default();
        // The mock took its time to delete, and let a name be taken twice.
        if method == "GET" && deleted.contains(name) && answer == 404 {
            expected = 404;
        }
        // The mock ran nothing; here the Job may have ended by now, and nothing of an
        // ended Job is active.
        let is_status = method == "PATCH" && name.ends_with("/status");
        if is_status && said.contains("active>0 is invalid for finished job") {
            expected = 422;
        }
        if method == "POST" && path.starts_with("/apis/batch/") {
            let object: Value = serde_json::from_str(body).unwrap();
            if !created.insert(object["metadata"]["name"].to_string()) {
                expected = 409;
            }
        }
        if method == "DELETE" {
            deleted.insert(name);
        }
        if answer != expected {
            wrong.push(format!(
                "{command}: {method} {asked}: {answer}, not {expected}: {said}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Versions are those of another server: a watch begins now instead.
fn at_version(serve: &Serve, path: &str) -> String {
    let Some((before, rest)) = path.split_once("resourceVersion=") else {
        return path.to_owned();
    };
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    if &rest[..digits] == "0" {
        return path.to_owned();
    }
    let list = serve.get("/api/v1/namespaces");
    let now = list["metadata"]["resourceVersion"].as_str().unwrap();
    format!("{before}resourceVersion={now}{}", &rest[digits..])
}

#[test]
fn what_kubectl_1_33_asked_is_answered() {
    replay(include_str!("recorded/kubectl-1.33.tsv"));
}

#[test]
fn what_kubectl_1_36_asked_is_answered() {
    replay(include_str!("recorded/kubectl-1.36.tsv"));
}
