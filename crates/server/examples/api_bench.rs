//! What the API costs: a host in memory and its server in this process, clients over
//! the socket. `scripts/bench.sh` runs it; the figures are in BENCHMARKS.md.
#![expect(clippy::print_stdout, reason = "it prints its figures")]
#![expect(clippy::unwrap_used, reason = "a benchmark that fails should stop")]
#![expect(clippy::disallowed_methods, reason = "it measures with the real clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use wasmjob::Host;
use wasmjob_server::{Config, Server};

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(&mut self, method: &str, path: &str, body: String) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "wasmjob")
            .header("Content-Type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.0.ready().await.unwrap();
        let reply = self.0.send_request(request).await.unwrap();
        let code = reply.status();
        (code, reply.into_body().collect().await.unwrap().to_bytes())
    }

    async fn get(&mut self, path: &str) -> Bytes {
        let (code, bytes) = self.send("GET", path, String::new()).await;
        assert_eq!(code, 200);
        bytes
    }

    async fn create(&mut self, path: &str, object: &Value) {
        let (code, bytes) = self.send("POST", path, object.to_string()).await;
        assert_eq!(code, 201, "{}", String::from_utf8_lossy(&bytes));
    }

    /// Opens a watch, whose body is to be read piece by piece.
    async fn watch(&mut self, path: &str) -> hyper::body::Incoming {
        let request = Request::builder()
            .uri(path)
            .header("Host", "wasmjob")
            .body(Full::default())
            .unwrap();
        self.0.ready().await.unwrap();
        let reply = self.0.send_request(request).await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.into_body()
    }
}

fn map(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "key": "value" } })
}

fn job(name: &str, completions: u32, parallelism: u32) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "completions": completions,
            "parallelism": parallelism,
            "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "main", "image": "quick" }],
            }},
        },
    })
}

/// The middle, the 99th of a hundred and the last.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: f64| {
        let place = ((times.len() - 1) as f64 * part) as usize;
        format!("{:.2}", times[place].as_secs_f64() * 1e3)
    };
    format!("{} | {} | {}", at(0.5), at(0.99), at(1.0))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let digits: String = line.unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

async fn timed(n: usize, mut one: impl AsyncFnMut(usize)) -> (Vec<Duration>, f64) {
    let mut times = Vec::with_capacity(n);
    let begun = Instant::now();
    for place in 0..n {
        let at = Instant::now();
        one(place).await;
        times.push(at.elapsed());
    }
    (times, n as f64 / begun.elapsed().as_secs_f64())
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let module =
        wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))");
    let host = Host::builder()
        .module("quick", module.unwrap())
        .build()
        .unwrap();
    let config = Config {
        data_dir: dir.path().to_owned(),
        listen: None,
        names: Vec::new(),
        token_file: None,
    };
    let server = Server::start(Arc::new(host), config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(&dir.path().join("wasmjob.sock")));
    drop(server);
}

async fn run(socket: &Path) {
    println!("| request, one client | p50 ms | p99 ms | max ms | per second |");
    println!("|---|---|---|---|---|");
    let mut client = Client::connect(socket).await;
    let row = |what: &str, (times, rate): (Vec<Duration>, f64)| {
        println!("| {what} | {} | {rate:.0} |", spread(times));
    };
    let created = timed(2_000, async |n| {
        client.create(MAPS, &map(&format!("m{n}"))).await
    })
    .await;
    row("create a ConfigMap", created);
    let got = timed(5_000, async |_| {
        client.get(&format!("{MAPS}/m7")).await;
    });
    row("get a ConfigMap", got.await);
    let patched = timed(2_000, async |n| {
        let request = Request::builder()
            .method("PATCH")
            .uri(format!("{MAPS}/m7"))
            .header("Host", "wasmjob")
            .header("Content-Type", "application/merge-patch+json")
            .body(Full::new(Bytes::from(format!(
                "{{\"data\":{{\"n\":\"{n}\"}}}}"
            ))))
            .unwrap();
        client.0.ready().await.unwrap();
        let reply = client.0.send_request(request).await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.into_body().collect().await.unwrap();
    });
    row("patch a ConfigMap", patched.await);
    let jobs = timed(1_000, async |n| {
        client.create(JOBS, &job(&format!("j{n}"), 0, 0)).await
    });
    row("create a Job of no pods", jobs.await);

    // From POST to Complete as a watcher sees it.
    let mut ends = Vec::new();
    for n in 0..500 {
        let mut watcher = Client::connect(socket).await;
        let path = format!("{JOBS}?watch=1&fieldSelector=metadata.name%3Dend{n}");
        let mut body = watcher.watch(&path).await;
        let at = Instant::now();
        client.create(JOBS, &job(&format!("end{n}"), 1, 1)).await;
        let mut seen = String::new();
        while !seen.contains("\"type\":\"Complete\"") {
            let frame = body.frame().await.unwrap().unwrap();
            seen.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
        }
        ends.push(at.elapsed());
    }
    println!(
        "| POST of a one-pod Job to Complete at a watcher | {} | |",
        spread(ends)
    );

    client.create(JOBS, &job("many", 10_000, 64)).await;
    loop {
        let many: Value =
            serde_json::from_slice(&client.get(&format!("{JOBS}/many")).await).unwrap();
        if many["status"]["succeeded"] == 10_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let at = Instant::now();
    let bytes = client.get(PODS).await.len();
    let first = at.elapsed();
    let (listed, _) = timed(10, async |_| {
        client.get(PODS).await;
    })
    .await;
    println!(
        "| list of 10,000 pods, {:.1} MB; the first took {:.0} ms | {} | |",
        bytes as f64 / 1e6,
        first.as_secs_f64() * 1e3,
        spread(listed)
    );
    watchers(socket, &mut client).await;
    idle(socket).await;
}

/// A thousand watchers, each of which gets a thousand events.
async fn watchers(socket: &Path, client: &mut Client) {
    let mut reading = JoinSet::new();
    for _ in 0..1_000 {
        let mut watcher = Client::connect(socket).await;
        let path = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Dhot");
        let mut body = watcher.watch(&path).await;
        reading.spawn(async move {
            let _open = watcher;
            let mut lines = 0;
            while lines < 1_000 {
                let Some(Ok(frame)) = body.frame().await else {
                    return lines;
                };
                let data = frame.into_data().unwrap();
                lines += data.iter().filter(|byte| **byte == b'\n').count();
            }
            lines
        });
    }
    let at = Instant::now();
    client.create(MAPS, &map("hot")).await;
    for n in 1..1_000 {
        let mut object = map("hot");
        object["data"]["n"] = n.to_string().into();
        let (code, _) = client
            .send("PUT", &format!("{MAPS}/hot"), object.to_string())
            .await;
        assert_eq!(code, 200);
    }
    let written = at.elapsed();
    let (mut all, mut cut) = (0usize, 0);
    while let Some(lines) = reading.join_next().await {
        let lines = lines.unwrap();
        all += lines;
        cut += usize::from(lines < 1_000);
    }
    let took = at.elapsed();
    println!(
        "\n1,000 watchers × 1,000 events: written in {:.2} s, all delivered after {:.2} s, \
         {:.0} events/s; {cut} watchers were cut off",
        written.as_secs_f64(),
        took.as_secs_f64(),
        all as f64 / took.as_secs_f64()
    );
}

/// What watches cost on which nothing happens.
async fn idle(socket: &Path) {
    let before = resident_kib();
    let mut open = Vec::new();
    for _ in 0..10_000 {
        let mut watcher = Client::connect(socket).await;
        let path =
            format!("{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
        let body = watcher.watch(&path);
        let Ok(body) = tokio::time::timeout(Duration::from_secs(5), body).await else {
            break;
        };
        open.push((watcher, body));
    }
    let each = (resident_kib() - before) as f64 / open.len() as f64;
    println!(
        "\n{} idle watches: {each:.1} KiB each, both ends in this process",
        open.len()
    );
}
