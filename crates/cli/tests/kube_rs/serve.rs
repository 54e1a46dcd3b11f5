//! The server of a test, and the objects that tests begin with.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config, Error};
use serde_json::{Value, json};
use wasmjob::api::k8s_openapi::api::batch::v1::Job;
use wasmjob::api::k8s_openapi::api::core::v1::{ConfigMap, Pod};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A `wasmjob serve` with a data directory of its own. It ends with the value.
pub(crate) struct Serve {
    child: Child,
    dir: tempfile::TempDir,
}

impl Serve {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(dir.path(), "127.0.0.1:0");
        Self { child, dir }
    }

    /// Kills it, as a power cut does, and starts it again where clients know it.
    pub(crate) async fn restart(&mut self) {
        let address = self.config(None).await.cluster_url;
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let listen = format!("{}:{}", address.host().unwrap(), address.port().unwrap());
        self.child = spawn(self.dir.path(), &listen);
    }

    async fn config(&self, token: Option<&str>) -> Config {
        let file = self.dir.path().join("data/kubeconfig");
        let mut kubeconfig = Kubeconfig::read_from(file).unwrap();
        if let Some(token) = token {
            let user = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
            user.client_certificate_data = None;
            user.client_key_data = None;
            user.token = Some(token.to_owned().into());
        }
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        config.unwrap()
    }

    /// As its administrator.
    pub(crate) async fn client(&self) -> Client {
        Client::try_from(self.config(None).await).unwrap()
    }

    /// As who has that token.
    pub(crate) async fn client_with_token(&self, token: &str) -> Client {
        Client::try_from(self.config(Some(token)).await).unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server, and waits until it answers.
fn spawn(dir: &Path, listen: &str) -> Child {
    let busybox = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../wasm-examples/busybox/busybox.wasm")
        .canonicalize();
    let busybox: PathBuf = busybox.unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wasmjob"))
        .args(["serve", "--listen", listen, "--alias"])
        .arg(format!("busybox={}", busybox.display()))
        .arg("--data-dir")
        .arg(dir.join("data"))
        // A module is compiled once for all servers of a test.
        .arg("--cache-dir")
        .arg(dir.join("cache"))
        .env("HOME", dir)
        .env("XDG_CONFIG_HOME", dir)
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("export KUBECONFIG="), "{line:?}");
    child
}

/// A Job of one busybox script, with more fields of its spec.
pub(crate) fn job(name: &str, script: &str, spec: Value) -> Job {
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {"name": "main", "image": "busybox", "command": ["sh", "-c", script]}
                    ]
                }
            }
        }
    });
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    serde_json::from_value(job).unwrap()
}

/// A ConfigMap with one value.
pub(crate) fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("key".to_owned(), value.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// Creates a Job, and gives the first of its pods once that runs.
pub(crate) async fn running_pod(client: &Client, job: &Job) -> Pod {
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    jobs.create(&PostParams::default(), job).await.unwrap();
    let name = job.metadata.name.as_deref().unwrap();
    soon(async || {
        let pods = pods_of(client, name).await;
        let runs = |pod: &Pod| {
            pod.status
                .as_ref()?
                .phase
                .as_deref()
                .map(|it| it == "Running")
        };
        pods.into_iter().find(|pod| runs(pod) == Some(true))
    })
    .await
}

pub(crate) async fn pods_of(client: &Client, job: &str) -> Vec<Pod> {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let of_job = kube::api::ListParams::default().labels(&format!("job-name={job}"));
    pods.list(&of_job).await.unwrap().items
}

/// Asks until there is an answer.
pub(crate) async fn soon<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}

/// Why the server refused.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Box<Status> {
    match result {
        Err(Error::Api(status)) => status,
        other => panic!("it was not refused: {other:?}"),
    }
}
