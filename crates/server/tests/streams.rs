//! `kubectl exec` and `attach`, as clients speak them.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use support::Served;
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// By the number of its arguments: says hello for ever; copies its input and exits
/// with 3; computes for ever; writes for ever; traps.
const TOOL: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
    (memory (export "memory") 2)
    (data (i32.const 200) "hello\n")
    (func $hello
      (loop $more
        (i32.store (i32.const 16) (i32.const 200))
        (i32.store (i32.const 20) (i32.const 6))
        (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
        (drop (call $sleep (i64.const 20)))
        (br $more)))
    (func $cat
      (loop $more
        (i32.store (i32.const 16) (i32.const 1024))
        (i32.store (i32.const 20) (i32.const 4096))
        (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
        (if (i32.load (i32.const 24)) (then
          (i32.store (i32.const 20) (i32.load (i32.const 24)))
          (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 28)))
          (br $more))))
      (call $exit (i32.const 3)))
    (func $flood
      (i32.store (i32.const 16) (i32.const 1024))
      (i32.store (i32.const 20) (i32.const 4096))
      (loop $more
        (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 24)))
        (br $more)))
    (func (export "_start") (local $count i32)
      (drop (call $args (i32.const 0) (i32.const 4)))
      (local.set $count (i32.load (i32.const 0)))
      (if (i32.eq (local.get $count) (i32.const 1)) (then (call $hello)))
      (if (i32.eq (local.get $count) (i32.const 2)) (then (call $cat)))
      (if (i32.eq (local.get $count) (i32.const 3)) (then (loop (br 0))))
      (if (i32.eq (local.get $count) (i32.const 4)) (then (call $flood)))
      unreachable))"#;

const QUICK: &str = "(module (func (export \"_start\")))";

type Socket = WebSocketStream<UnixStream>;

fn path(pod: &str, what: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{pod}/{what}")
}

async fn open(served: &Served, path: &str, protocol: &str) -> Result<Socket, Error> {
    let mut request = format!("ws://localhost{path}")
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    let stream = UnixStream::connect(served.socket()).await.unwrap();
    let (socket, answer) = client_async(request, stream).await?;
    let chosen = answer.headers()["sec-websocket-protocol"].to_str().unwrap();
    assert!(protocol.starts_with(chosen), "{chosen}");
    Ok(socket)
}

/// Everything up to the end: output, errors, and the Status that comes last.
async fn rest(socket: &mut Socket) -> (Vec<u8>, Vec<u8>, Value) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(message) = socket.next().await {
        let Message::Binary(bytes) = message.unwrap() else {
            continue;
        };
        match bytes[0] {
            1 => stdout.extend_from_slice(&bytes[1..]),
            2 => stderr.extend_from_slice(&bytes[1..]),
            3 => return (stdout, stderr, serde_json::from_slice(&bytes[1..]).unwrap()),
            channel => panic!("a message on channel {channel}"),
        }
    }
    panic!("no status came; before: {stdout:?} {stderr:?}");
}

async fn guests(served: &Served) -> usize {
    served.host.figures().await.unwrap().usage.guests
}

async fn wait_for_guests(served: &Served, count: usize) {
    for _ in 0..4_000 {
        if guests(served).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there are {} guests, not {count}", guests(served).await);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(future)
}

fn served() -> Served {
    let served = Served::start(&[("tool", TOOL), ("quick", QUICK)]);
    served.pod("p", "tool", "");
    served.wait_for_phase("p", "Running");
    served
}

#[test]
fn a_command_reads_writes_and_exits() {
    let served = served();
    block_on(async {
        let cat = path(
            "p",
            "exec?command=a&command=b&stdin=true&stdout=true&stderr=true",
        );
        let mut socket = open(&served, &cat, "v5.channel.k8s.io").await.unwrap();
        // The first message is empty, and says that all is there.
        let first = socket.next().await.unwrap().unwrap();
        assert_eq!(first, Message::Binary(b"\x01".to_vec().into()));
        let large = vec![b'x'; 300_000];
        for data in [b"hi ".as_slice(), &large] {
            let message = [b"\0", data].concat();
            socket.send(Message::Binary(message.into())).await.unwrap();
        }
        let resize = b"\x04{\"Width\":80,\"Height\":24}".to_vec();
        socket.send(Message::Binary(resize.into())).await.unwrap();
        let end = b"\xff\0".to_vec();
        socket.send(Message::Binary(end.into())).await.unwrap();
        let (stdout, stderr, status) = rest(&mut socket).await;
        assert_eq!(stdout.len(), large.len() + 3);
        assert!(stdout.starts_with(b"hi xxx") && stderr.is_empty());
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0]["reason"], "ExitCode");
        assert_eq!(status["details"]["causes"][0]["message"], "3");
        let closed = socket.next().await.unwrap().unwrap();
        assert!(matches!(closed, Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
        drop(socket);
        // Without an input it ends at once; version 4 does as well.
        let cat = path("p", "exec?command=a&command=b&stdout=true");
        let mut socket = open(&served, &cat, "v4.channel.k8s.io").await.unwrap();
        let (stdout, _, status) = rest(&mut socket).await;
        assert!(stdout.is_empty());
        assert_eq!(status["details"]["causes"][0]["message"], "3");
        drop(socket);
        // A trap says why.
        let trap = path(
            "p",
            "exec?command=a&command=b&command=c&command=d&command=e&stdout=true",
        );
        let mut socket = open(&served, &trap, "v4.channel.k8s.io").await.unwrap();
        let (_, _, status) = rest(&mut socket).await;
        assert_eq!(status["details"]["causes"][0]["message"], "134");
        assert!(
            status["message"].as_str().unwrap().contains("unreachable"),
            "{status}"
        );
        wait_for_guests(&served, 1).await;
    });
}

#[test]
fn a_command_ends_with_its_client_and_with_its_pod() {
    let served = served();
    block_on(async {
        let spin = path("p", "exec?command=a&command=b&command=c&stdout=true");
        let flood = path(
            "p",
            "exec?command=a&command=b&command=c&command=d&stderr=true",
        );
        let mut sockets = Vec::new();
        for n in 0..8 {
            let path = if n % 2 == 0 { &spin } else { &flood };
            sockets.push(open(&served, path, "v5.channel.k8s.io").await.unwrap());
        }
        wait_for_guests(&served, 9).await;
        // No more than eight; said where clients look for it.
        let mut ninth = open(&served, &spin, "v5.channel.k8s.io").await.unwrap();
        let (_, _, status) = rest(&mut ninth).await;
        assert_eq!(status["code"], 429, "{status}");
        sockets.truncate(4);
        wait_for_guests(&served, 5).await;
        let (code, _) = served.request(
            "DELETE",
            "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0",
            "",
            "",
        );
        assert_eq!(code, 200);
        wait_for_guests(&served, 0).await;
        for socket in &mut sockets {
            let (_, _, status) = rest(socket).await;
            assert_eq!(status["details"]["causes"][0]["message"], "137", "{status}");
        }
    });
}

#[test]
fn attached_clients_see_what_is_written_from_now_on() {
    let served = served();
    block_on(async {
        let attach = path("p", "attach?container=c&stdout=true&stderr=true&stdin=true");
        let mut socket = open(&served, &attach, "v4.channel.k8s.io").await.unwrap();
        let mut said = Vec::new();
        while said.len() < 12 {
            if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
                assert_eq!(bytes[0], 1);
                said.extend_from_slice(&bytes[1..]);
            }
        }
        assert!(said.starts_with(b"hello\nhello\n"));
        served.request(
            "DELETE",
            "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0",
            "",
            "",
        );
        let (_, _, status) = rest(&mut socket).await;
        assert_eq!(status["status"], "Success");
    });
}

#[test]
fn what_cannot_be_is_refused_before_the_upgrade() {
    let served = served();
    block_on(async {
        served.pod("done", "quick", "");
        served.wait_for_phase("done", "Succeeded");
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n";
        let spdy = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
        let refused = |method: &str, path: &str, headers: &str| {
            let (code, body) = served.request(method, path, headers, "");
            let status: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(status["code"], code, "{status}");
            (code, status["message"].as_str().unwrap().to_owned())
        };
        let ls = "exec?command=ls&stdout=true";
        assert_eq!(
            refused("GET", &path("done", ls), upgrade),
            (
                400,
                "cannot exec into a container in a completed pod; current phase is Succeeded"
                    .to_owned()
            )
        );
        assert_eq!(refused("GET", &path("none", ls), upgrade).0, 404);
        let (code, text) = refused("GET", &path("p", "exec?stdout=true"), upgrade);
        assert!(
            code == 400 && text.contains("at least one command"),
            "{text}"
        );
        let (code, text) = refused("GET", &path("p", "exec?command=ls"), upgrade);
        assert!(
            code == 400 && text.contains("at least 1 of stdin, stdout, stderr"),
            "{text}"
        );
        let (code, text) = refused(
            "GET",
            &path("p", "exec?command=ls&container=x&stdout=1"),
            upgrade,
        );
        assert!(
            code == 400 && text == "container x is not valid for pod p",
            "{text}"
        );
        let (code, text) = refused("POST", &path("p", ls), spdy);
        assert!(
            code == 400 && text.contains("WebSockets, not SPDY"),
            "{text}"
        );
        // Who falls back to SPDY is told what really is the matter.
        let (_, text) = refused("POST", &path("done", ls), spdy);
        assert!(text.contains("completed pod"), "{text}");
        assert_eq!(refused("GET", &path("p", ls), "").0, 400);
        let (code, text) = refused("GET", &path("p", "portforward"), upgrade);
        assert!(code == 400 && text.contains("listens on no port"), "{text}");
    });
}

#[test]
fn a_terminal_shows_what_is_typed_and_interrupts() {
    let served = served();
    block_on(async {
        let cat = path(
            "p",
            "exec?command=a&command=b&stdin=true&stdout=true&tty=true",
        );
        let mut socket = open(&served, &cat, "v4.channel.k8s.io").await.unwrap();
        let keys = b"\0lz\x7fs\r\x04".to_vec();
        socket.send(Message::Binary(keys.into())).await.unwrap();
        let (stdout, _, status) = rest(&mut socket).await;
        assert_eq!(stdout, b"lz\x08 \x08s\r\nls\r\n");
        assert_eq!(status["details"]["causes"][0]["message"], "3");
        let spin = path(
            "p",
            "exec?command=a&command=b&command=c&stdin=true&stdout=true&tty=true",
        );
        let mut socket = open(&served, &spin, "v5.channel.k8s.io").await.unwrap();
        wait_for_guests(&served, 2).await;
        socket
            .send(Message::Binary(b"\0\x03".to_vec().into()))
            .await
            .unwrap();
        let (stdout, _, status) = rest(&mut socket).await;
        assert_eq!(stdout, b"^C\r\n");
        assert_eq!(status["details"]["causes"][0]["message"], "130", "{status}");
    });
}
