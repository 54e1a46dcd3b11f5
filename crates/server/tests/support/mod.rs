//! A host with its server, over the unix socket.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wasmjob::Host;
use wasmjob_server::{Config, Server};

pub struct Served {
    pub host: Arc<Host>,
    dir: tempfile::TempDir,
    _server: Server,
}

impl Served {
    /// Serves with these modules, given as text.
    pub fn start(modules: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Host::builder();
        for (name, text) in modules {
            builder = builder.module(name, wat::parse_str(text).unwrap());
        }
        let host = Arc::new(builder.build().unwrap());
        let config = Config {
            data_dir: dir.path().to_owned(),
            listen: None,
            names: Vec::new(),
            token_file: None,
        };
        let server = Server::start(Arc::clone(&host), config).unwrap();
        Self {
            host,
            dir,
            _server: server,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("wasmjob.sock")
    }

    /// The code and the body of an answer.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n{headers}\r\n",
            match headers.contains("Connection: ") {
                true => "",
                false => "Connection: close\r\n",
            },
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = Vec::new();
        if headers.contains("Connection: ") {
            // It stays open: a refusal is short, and whole once its last brace is there.
            let mut piece = [0; 4096];
            while !answer.ends_with(b"}") {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0);
                answer.extend_from_slice(&piece[..read]);
            }
        } else {
            stream.read_to_end(&mut answer).unwrap();
        }
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    pub fn get(&self, path: &str) -> String {
        let (code, body) = self.request("GET", path, "", "");
        assert_eq!(code, 200, "{path}: {body}");
        body
    }

    pub fn get_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).unwrap()
    }

    /// Creates an object given as YAML.
    pub fn create(&self, path: &str, yaml: &str) {
        let headers = "Content-Type: application/yaml\r\n";
        let (code, body) = self.request("POST", path, headers, yaml);
        assert_eq!(code, 201, "{path}: {body}");
    }

    /// A pod of one container `c` with the module `image`.
    pub fn pod(&self, name: &str, image: &str, more: &str) {
        self.create(
            "/api/v1/namespaces/default/pods",
            &format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, \
                 spec: {{restartPolicy: Never, containers: [{{name: c, image: {image}{more}}}]}}}}"
            ),
        );
    }

    #[track_caller]
    pub fn wait_for_phase(&self, pod: &str, phase: &str) {
        self.wait(|| {
            let pod = self.get_json(&format!("/api/v1/namespaces/default/pods/{pod}"));
            pod["status"]["phase"] == phase
        });
    }

    #[track_caller]
    pub fn wait(&self, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
