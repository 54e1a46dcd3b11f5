//! What nobody should send: always an answer, and always a Status if it is a refusal;
//! never a panic, a dropped connection or memory without end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{Api, Client, block_on};

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Sends bytes as they stand, and reads what comes until the server closes or is silent.
fn raw(api: &Api, bytes: &[u8], silence: Duration) -> String {
    let mut stream = UnixStream::connect(&api.socket).unwrap();
    // A server that has heard enough may have closed already.
    let _ = stream.write_all(bytes);
    read(&mut stream, silence)
}

fn read(stream: &mut UnixStream, silence: Duration) -> String {
    stream.set_read_timeout(Some(silence)).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 65_536];
    while let Ok(read) = stream.read(&mut piece) {
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn code(answer: &str) -> u16 {
    let word = answer.split(' ').nth(1).unwrap_or_default();
    word.parse().unwrap_or(0)
}

/// The server is as well as before.
async fn is_well(client: &mut Client) {
    let answer = client.get("/readyz").await;
    assert_eq!((answer.code, answer.text().as_str()), (200, "ok"));
}

const QUIET: Duration = Duration::from_millis(300);

#[test]
fn bodies_end_at_their_limit() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let head =
            br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"data":{"a":""#;
        let mut body = head.to_vec();
        body.resize((3 << 20) + 1, b'x');
        // What the server says may be lost when it closes on bytes that it has not read.
        let mut answered = None;
        for _ in 0..20 {
            let headers = [("content-type", "application/json")];
            let tried = client.try_send("POST", CONFIGMAPS, &headers, body.clone());
            answered = tried.await.ok();
            if answered.is_some() {
                break;
            }
        }
        let answer = answered.unwrap();
        assert_eq!(answer.code, 413);
        let value = answer.json();
        assert_eq!(value["reason"], "RequestEntityTooLarge");
        assert_eq!(
            value["message"],
            "Request entity too large: limit is 3145728"
        );
        is_well(&mut client).await;
    });
    // Chunks without end: cut off at the limit, whatever comes behind.
    let mut stream = UnixStream::connect(&api.socket).unwrap();
    let head = format!(
        "POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += 0x10000;
    }
    let answer = read(&mut stream, Duration::from_secs(2));
    assert!(sent < 64 << 20, "the server went on reading");
    // What the server has said may be lost when it closes on bytes that it has not read.
    assert!(answer.is_empty() || code(&answer) == 413, "{answer}");
    block_on(async { is_well(&mut api.client()).await });
}

#[test]
fn lengths_that_lie_are_not_believed() {
    let api = Api::start();
    let post = |headers: &str, body: &str| {
        format!("POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}")
    };
    let object = r#"{"metadata":{"name":"lies"}}"#;
    for (headers, body, wanted) in [
        // Two lengths, or a length and chunks: whoever stands between reads another request.
        (
            "Content-Length: 5\r\nContent-Length: 28".to_owned(),
            object,
            400,
        ),
        ("Content-Length: -1".to_owned(), object, 400),
        (
            "Content-Length: 99999999999999999999".to_owned(),
            object,
            400,
        ),
        ("Content-Length: x".to_owned(), object, 400),
        (format!("Content-Length: {}", 4_u64 << 30), object, 413),
        ("Transfer-Encoding: chunked".to_owned(), "zz\r\n\r\n", 400),
        ("Transfer-Encoding: gzip".to_owned(), object, 400),
    ] {
        let answer = raw(&api, post(&headers, body).as_bytes(), QUIET);
        assert_eq!(code(&answer), wanted, "{headers}: {answer}");
    }
    // A length and chunks: the chunks count, and nothing is read behind them.
    let smuggled = "0\r\n\r\nGET /version HTTP/1.1\r\nHost: y\r\n\r\n";
    let headers = format!(
        "Content-Length: {}\r\nTransfer-Encoding: chunked",
        smuggled.len()
    );
    let answer = raw(&api, post(&headers, smuggled).as_bytes(), QUIET);
    assert!(!answer.contains("gitVersion"), "{answer}");
    // A body that ends before its time.
    let mut stream = UnixStream::connect(&api.socket).unwrap();
    let request = post("Content-Length: 1000", object);
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = read(&mut stream, QUIET);
    assert!(answer.is_empty() || code(&answer) == 400, "{answer}");
    block_on(async { is_well(&mut api.client()).await });
}

#[test]
fn requests_that_are_none_are_refused() {
    let api = Api::start();
    let long = format!(
        "GET /version HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
        "a".repeat(20 << 10)
    );
    let many = format!("GET /version HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200));
    let longest = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000));
    for (request, wanted) in [
        (long.as_str(), &[431][..]),
        (many.as_str(), &[431][..]),
        (longest.as_str(), &[414, 431][..]),
        ("GET /version\r\n\r\n", &[400][..]),
        ("GET /version HTTP/9.9\r\n\r\n", &[400, 505][..]),
        ("\x00\x01\x02\r\n\r\n", &[400][..]),
        ("GET  /version HTTP/1.1\r\n\r\n", &[400][..]),
        ("GET /ver sion HTTP/1.1\r\n\r\n", &[400][..]),
        ("GET /version HTTP/1.1\r\nA b\r\n\r\n", &[400][..]),
        (
            "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            &[400, 404, 405][..],
        ),
        (
            "GET http://other/version HTTP/1.1\r\nHost: x\r\n\r\n",
            &[200, 400][..],
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
            &[400, 404, 405][..],
        ),
    ] {
        let answer = raw(&api, request.as_bytes(), QUIET);
        assert!(
            wanted.contains(&code(&answer)),
            "{}: {answer}",
            &request[..request.len().min(60)]
        );
    }
    block_on(async { is_well(&mut api.client()).await });
}

#[test]
fn an_upgrade_is_refused_where_there_is_none() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let headers = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for path in ["/version", "/api/v1/namespaces/default/pods/x/log"] {
            let answer = client.send("GET", path, &headers, "").await;
            assert!(matches!(answer.code, 200 | 404), "{path}: {}", answer.code);
        }
    });
}

/// A server for a property, and how many cases it gets.
fn property<T: std::fmt::Debug>(
    cases: u32,
    strategy: impl Strategy<Value = T>,
    check: impl AsyncFn(&mut Client, T),
) {
    let api = Api::start();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = std::cell::RefCell::new(api.client());
    runner
        .run(&strategy, |value| {
            let mut client = client.borrow_mut();
            runtime.block_on(check(&mut client, value));
            Ok(())
        })
        .unwrap();
    runtime.block_on(is_well(&mut api.client()));
}

/// An answer came, and is a Status if it is a refusal.
async fn is_answered(
    client: &mut Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) {
    let answer = client.try_send(method, path, headers, body).await;
    let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    let is_plain = answer.text() == "404 page not found\n";
    assert!(
        answer.code < 400 || answer.is_status() || is_plain,
        "{method} {path}: {} {}",
        answer.code,
        answer.text()
    );
    assert_ne!(answer.code, 500, "{method} {path}: {}", answer.text());
}

/// Values that look like objects, more or less.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9./-]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("metadata".to_owned()),
        Just("name".to_owned()),
        Just("spec".to_owned()),
        Just("template".to_owned()),
        Just("containers".to_owned()),
        Just("labels".to_owned()),
        Just("data".to_owned()),
        Just("managedFields".to_owned()),
        Just("finalizers".to_owned()),
        Just("ownerReferences".to_owned()),
        Just("$patch".to_owned()),
        Just("$retainKeys".to_owned()),
        Just("$setElementOrder/containers".to_owned()),
        Just("$deleteFromPrimitiveList/finalizers".to_owned()),
        "[a-zA-Z$/]{0,8}",
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn base(kind: &str) -> Value {
    let template =
        json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    match kind {
        "Job" => json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
            "spec": {"suspend": true, "template": template}}),
        "CronJob" => json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "x"},
            "spec": {"schedule": "0 0 1 1 *", "suspend": true,
                "jobTemplate": {"spec": {"template": template}}}}),
        kind => json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}),
    }
}

const KINDS: [(&str, &str); 6] = [
    ("Job", "/apis/batch/v1/namespaces/default/jobs"),
    ("CronJob", "/apis/batch/v1/namespaces/default/cronjobs"),
    ("ConfigMap", "/api/v1/namespaces/default/configmaps"),
    ("Secret", "/api/v1/namespaces/default/secrets"),
    ("Namespace", "/api/v1/namespaces"),
    ("Event", "/api/v1/namespaces/default/events"),
];

fn kind() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(&KINDS[..])
}

#[test]
fn any_bytes_as_a_body_are_answered() {
    let types = [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/cbor",
        "application/json-patch+json",
        "text/plain",
        "",
    ];
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(any::<u8>(), 0..200)
            .prop_map(|bytes| [b"k8s\0".as_slice(), &bytes].concat()),
        any::<String>().prop_map(String::into_bytes),
        "[\\[\\]{}:,\"a-z0-9&*!|> \\n-]{0,80}".prop_map(String::into_bytes),
    ];
    let strategy = (kind(), prop::sample::select(types.to_vec()), bytes);
    property(
        3_000,
        strategy,
        async |client, ((_, path), media, bytes)| {
            let headers = [("content-type", media)];
            is_answered(client, "POST", path, &headers, bytes).await;
        },
    );
}

#[test]
fn any_object_is_answered() {
    let strategy = (kind(), value(), any::<bool>(), any::<bool>());
    property(
        3_000,
        strategy,
        async |client, ((kind, path), value, strict, yaml)| {
            let mut object = base(kind);
            crate::support::merge(&mut object, &value);
            let query = if strict {
                "?fieldValidation=Strict"
            } else {
                ""
            };
            let media = if yaml {
                "application/yaml"
            } else {
                "application/json"
            };
            let headers = [("content-type", media)];
            let path = format!("{path}{query}");
            is_answered(client, "POST", &path, &headers, object.to_string()).await;
        },
    );
}

#[test]
fn protobuf_with_flipped_bits_is_answered() {
    let objects: Vec<(Vec<u8>, &str)> = KINDS
        .iter()
        .map(|(kind, path)| {
            let value = base(kind);
            let version = value["apiVersion"].as_str().unwrap();
            let bytes = wasmjob_machinery::proto::encode(version, kind, &value).unwrap();
            (bytes, *path)
        })
        .collect();
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let strategy = (
        prop::sample::select(objects),
        flips,
        any::<prop::sample::Index>(),
    );
    property(
        3_000,
        strategy,
        async |client, ((mut bytes, path), flips, end)| {
            for (place, flip) in flips {
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
            is_answered(client, "POST", path, &headers, bytes).await;
        },
    );
}

#[test]
fn any_patch_is_answered() {
    let types = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    let operation = (
        prop::sample::select(&["add", "remove", "replace", "move", "copy", "test", "x"][..]),
        "(/(metadata|spec|data|name|labels|-|0|99|~0|~1|~)){0,4}",
        "(/(metadata|spec|data|name|labels|-|0)){0,3}",
        value(),
    );
    let operation = operation.prop_map(
        |(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }),
    );
    let patch = prop_oneof![
        value(),
        prop::collection::vec(operation, 0..6).prop_map(Value::from),
    ];
    let strategy = (kind(), prop::sample::select(types.to_vec()), patch);
    property(
        3_000,
        strategy,
        async |client, ((kind, path), media, patch)| {
            let object = base(kind).to_string();
            let headers = [("content-type", "application/json")];
            is_answered(client, "POST", path, &headers, object).await;
            let headers = [("content-type", media)];
            let path = format!("{path}/x?fieldManager=m&force={}", media.contains("apply"));
            let path = match media.contains("apply") {
                true => path,
                false => path.replace("&force=false", ""),
            };
            is_answered(client, "PATCH", &path, &headers, patch.to_string()).await;
        },
    );
}

#[test]
fn any_query_is_answered() {
    let names = [
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "resourceVersionMatch",
        "sendInitialEvents",
        "allowWatchBookmarks",
        "timeoutSeconds",
        "dryRun",
        "fieldManager",
        "fieldValidation",
        "propagationPolicy",
        "gracePeriodSeconds",
        "orphanDependents",
        "includeObject",
        "tailLines",
        "sinceTime",
    ];
    let text = prop_oneof![
        any::<String>(),
        "[a-z0-9=!,() <>/.-]{0,30}",
        // Not so large that the server waits for a version to come.
        "-?[0-9]{0,2}",
        "-?[0-9]{20,40}",
        Just("true".to_owned()),
        Just("eyJydiI6MSwibGlzdCI6MSwib2YiOiIiLCJzZWVuIjoxfQ".to_owned()),
    ];
    let pairs = prop::collection::vec((prop::sample::select(names.to_vec()), text), 0..5);
    let methods = prop::sample::select(&["GET", "DELETE", "PUT", "POST"][..]);
    let strategy = (kind(), methods, pairs);
    property(
        3_000,
        strategy,
        async |client, ((_, path), method, pairs)| {
            let escape = |text: &str| -> String {
                text.bytes().map(|byte| format!("%{byte:02X}")).collect()
            };
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{name}={}", escape(value)))
                .collect();
            let path = format!("{path}?{}", pairs.join("&"));
            is_answered(client, method, &path, &[], "").await;
        },
    );
}

#[test]
fn any_path_and_any_header_is_answered() {
    let path = prop_oneof![
        "(/(api|apis|v1|batch|namespaces|default|jobs|pods|x|log|status|\\.\\.|\\.|%2F|%00|%ff|;|%2e%2e|watch)){0,9}/?",
        "/[!-~&&[^#\\\\\"<>^`{|}]]{0,60}",
    ];
    let names = prop::sample::select(
        &[
            "accept",
            "content-type",
            "authorization",
            "impersonate-user",
            "impersonate-extra-a%2",
            "if-none-match",
            "accept-encoding",
        ][..],
    );
    let headers = prop::collection::vec((names, "[ -~]{0,40}"), 0..3);
    let methods =
        prop::sample::select(&["GET", "HEAD", "DELETE", "PUT", "POST", "PATCH", "FOO"][..]);
    property(
        3_000,
        (path, headers, methods),
        async |client, (path, headers, method)| {
            if path.is_empty() || path.parse::<hyper::Uri>().is_err() || method == "HEAD" {
                return;
            }
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.trim()))
                .collect();
            is_answered(client, method, &path, &headers, "").await;
        },
    );
}

#[test]
fn long_selectors_cost_little() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        for index in 0..50 {
            let object = json!({"metadata": {"name": format!("c{index}"), "labels": {"a": "b"}}});
            client.json("POST", CONFIGMAPS, &object).await;
        }
        // As many terms as a request line may have.
        let terms: Vec<String> = (0..2_000).map(|index| format!("v{index}")).collect();
        for selector in [
            format!("a%20in%20({})", terms.join(",")),
            terms.join(","),
            terms
                .iter()
                .map(|term| format!("{term}!%3Dx"))
                .collect::<Vec<_>>()
                .join(","),
            "(".repeat(10_000),
            "a".repeat(15_000),
            "!".repeat(10_000),
        ] {
            let began = Instant::now();
            let path = format!("{CONFIGMAPS}?labelSelector={selector}");
            let answer = client.get(&path).await;
            assert!(
                matches!(answer.code, 200 | 400 | 414 | 431),
                "{}",
                answer.code
            );
            assert!(began.elapsed() < Duration::from_secs(2));
        }
    });
}

#[test]
fn a_watch_that_is_not_read_is_let_go_and_holds_nobody_up() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let path = format!("{CONFIGMAPS}?watch=1&resourceVersion=0");
        // Many that never read, on connections of their own.
        let mut stalled = Vec::new();
        for _ in 0..401 {
            let mut stream = UnixStream::connect(&api.socket).unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            stalled.push(stream);
        }
        // One that reads.
        let mut sender = client.connect().await;
        let request = hyper::Request::get(&path).header("host", "x");
        let request = request
            .body(http_body_util::Full::new(Bytes::new()))
            .unwrap();
        let mut followed = sender.send_request(request).await.unwrap().into_body();
        let read = tokio::spawn(async move {
            let mut seen = 0;
            while let Some(Ok(frame)) = followed.frame().await {
                let bytes = frame.into_data().unwrap_or_default();
                seen += bytes.iter().filter(|byte| **byte == b'\n').count();
                if seen >= 1_500 {
                    return seen;
                }
            }
            seen
        });
        let before = memory();
        let began = Instant::now();
        let filler = "x".repeat(1_000);
        for index in 0..1_500 {
            let object = json!({
                "metadata": { "name": format!("c{index}") }, "data": { "a": filler },
            });
            let answer = client.json("POST", CONFIGMAPS, &object).await;
            assert_eq!(answer.code, 201, "{}", answer.text());
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{:?}",
            began.elapsed()
        );
        let seen = tokio::time::timeout(Duration::from_secs(30), read).await;
        assert!(seen.unwrap().unwrap() >= 1_500);
        // All events of all stalled watches would be 700 MB.
        let grown = memory().saturating_sub(before);
        assert!(grown < 300 << 20, "{} MiB more", grown >> 20);
        is_well(&mut client).await;
        drop(stalled);
    });
}

/// Bytes of memory that this process has.
fn memory() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// Writes 50,000 lines of 100 bytes.
const TALKER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $line i32)
    (memory.fill (i32.const 64) (i32.const 120) (i32.const 99))
    (i32.store8 (i32.const 163) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 100))
    (loop $more
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
      (local.set $line (i32.add (local.get $line) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $line) (i32.const 50000))))))"#;

#[test]
fn a_log_that_is_not_read_slows_nobody() {
    let module = wat::parse_str(TALKER).unwrap();
    let api = Api::start_with(wasmjob::Host::builder().module("talker", module));
    block_on(async {
        let mut client = api.client();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "talker" },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "c", "image": "talker", "imagePullPolicy": "Never" }],
            },
        });
        let pods = "/api/v1/namespaces/default/pods";
        let answer = client.json("POST", pods, &pod).await;
        assert_eq!(answer.code, 201, "{}", answer.text());
        let before = memory();
        let mut stalled = Vec::new();
        let mut phase = Value::Null;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if stalled.len() < 200 {
                let mut stream = UnixStream::connect(&api.socket).unwrap();
                let request =
                    format!("GET {pods}/talker/log?follow=true HTTP/1.1\r\nHost: x\r\n\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                stalled.push(stream);
            }
            let answer = client.get(&format!("{pods}/talker")).await.json();
            phase = answer["status"]["phase"].clone();
            if phase == "Succeeded" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(phase, "Succeeded");
        assert!(!stalled.is_empty());
        // Whoever reads gets the end of it.
        let path = format!("{pods}/talker/log?tailLines=10&follow=true");
        let answer = client.get(&path).await;
        assert_eq!((answer.code, answer.body.len()), (200, 1_000));
        let grown = memory().saturating_sub(before);
        assert!(grown < 300 << 20, "{} MiB more", grown >> 20);
        for query in [
            "tailLines=9223372036854775807",
            "limitBytes=1",
            "sinceSeconds=9223372036854775807",
            "sinceTime=0001-01-01T00:00:00Z",
            "sinceTime=9999-12-30T00:00:00Z",
            "timestamps=true&tailLines=1",
        ] {
            let answer = client.get(&format!("{pods}/talker/log?{query}")).await;
            assert_eq!(answer.code, 200, "{query}: {}", answer.text());
        }
        is_well(&mut client).await;
    });
}

#[test]
fn five_thousand_objects_are_deleted_at_once() {
    let api = Api::start();
    block_on(async {
        let create = async |from: usize| {
            let mut client = api.client();
            for index in from..from + 1_250 {
                let object =
                    json!({"metadata": {"name": format!("c{index}"), "labels": {"a": "b"}}});
                let answer = client.json("POST", CONFIGMAPS, &object).await;
                assert_eq!(answer.code, 201, "{}", answer.text());
            }
        };
        futures_util::future::join4(create(0), create(1_250), create(2_500), create(3_750)).await;
        let mut client = api.client();
        let path = format!("{CONFIGMAPS}?labelSelector=a%3Db");
        // Others are answered meanwhile.
        let other = async {
            let mut client = api.client();
            for _ in 0..20 {
                is_well(&mut client).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (answer, ()) =
            futures_util::future::join(client.send("DELETE", &path, &[], ""), other).await;
        assert_eq!(answer.code, 200);
        assert_eq!(answer.json()["items"].as_array().unwrap().len(), 5_000);
        let left = client.get(&path).await.json();
        assert_eq!(left["items"].as_array().unwrap().len(), 0);
    });
}

#[test]
fn more_requests_than_there_is_room_for_are_told_to_come_again() {
    let api = Api::start();
    block_on(async {
        // Bodies that do not come keep their places among the changes.
        let mut waiting = Vec::new();
        for _ in 0..260 {
            let mut stream = UnixStream::connect(&api.socket).unwrap();
            let request =
                format!("POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            waiting.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut client = api.client();
        let object = json!({"metadata": {"name": "late"}});
        let answer = client.json("POST", CONFIGMAPS, &object).await;
        assert_eq!(answer.code, 429, "{}", answer.text());
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(answer.is_status());
        assert_eq!(answer.json()["reason"], "TooManyRequests");
        // Reading has room of its own.
        assert_eq!(client.get(CONFIGMAPS).await.code, 200);
        drop(waiting);
        let mut code = 429;
        for _ in 0..100 {
            code = client.json("POST", CONFIGMAPS, &object).await.code;
            if code == 201 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(code, 201);
    });
}

#[test]
fn slow_requests_are_not_waited_for() {
    let api = Api::start();
    let mut headers = UnixStream::connect(&api.socket).unwrap();
    headers
        .write_all(b"GET /version HTTP/1.1\r\nHost: x\r\n")
        .unwrap();
    let mut body = UnixStream::connect(&api.socket).unwrap();
    let request = format!("POST {CONFIGMAPS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{{");
    body.write_all(request.as_bytes()).unwrap();
    let began = Instant::now();
    let patience = Duration::from_secs(30);
    let answers = (read(&mut headers, patience), read(&mut body, patience));
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    assert!(
        answers.0.is_empty() || code(&answers.0) == 408,
        "{answers:?}"
    );
    assert!(matches!(code(&answers.1), 408 | 504), "{answers:?}");
    block_on(async { is_well(&mut api.client()).await });
}

#[test]
fn credentials_of_every_odd_form_are_refused() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let long = format!("Bearer {}", "x".repeat(12_000));
        // {"alg":"none"}.{"sub":"system:serviceaccount:default:default"}.
        let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6ZGVmYXVsdDpkZWZhdWx0In0.";
        for text in [
            "Bearer",
            "Bearer ",
            "Bearer wrong",
            "Basic YTpi",
            "Digest x",
            "admin-token",
            unsigned,
            long.as_str(),
            "Bearer a b",
            "Bearer admin-token x",
        ] {
            let answer = client
                .send("GET", "/version", &[("authorization", text)], "")
                .await;
            assert_eq!(answer.code, 401, "{text}");
            assert!(answer.is_status());
        }
        let twice = [
            ("authorization", "Bearer admin-token"),
            ("authorization", "Bearer admin-token"),
        ];
        assert_eq!(client.send("GET", "/version", &twice, "").await.code, 401);
        for (name, value) in [
            ("impersonate-group", "system:masters"),
            ("impersonate-uid", "1"),
            ("impersonate-extra-x", "y"),
        ] {
            let headers = [(name, value), ("authorization", "Bearer nobody-token")];
            let answer = client.send("GET", CONFIGMAPS, &headers, "").await;
            assert!(matches!(answer.code, 400 | 403), "{name}: {}", answer.code);
        }
    });
}
