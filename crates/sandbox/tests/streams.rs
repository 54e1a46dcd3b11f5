//! Guests that somebody feeds and watches, and guests beside others.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests measure real time"
)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Sandbox, wat};
use wasmjob_sandbox::{Exit, KillReason, Signal, Stream, input, output_pipe};

const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
      (loop $more
        (i32.store (i32.const 16) (i32.const 1024))
        (i32.store (i32.const 20) (i32.const 4096))
        (if (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)) (then unreachable))
        (if (i32.load (i32.const 24)) (then
          (i32.store (i32.const 20) (i32.load (i32.const 24)))
          (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 28)))
          (br $more))))))"#;

const ENDLESS_OUTPUT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\04\00\00\00\10\00\00")
    (func (export "_start")
      (loop $more
        (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 28)))
        (br $more))))"#;

/// Holds so many pages more at once, and so many once it hears a signal.
fn growing(now: u32, later: u32) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
            (import "wasmjob" "pending-signal" (func $signal (result i32)))
            (memory 1)
            (func (export "_start")
              (drop (memory.grow (i32.const {now})))
              (drop (call $sleep (i64.const 100000)))
              (drop (call $signal))
              (drop (memory.grow (i32.const {later})))
              (drop (call $sleep (i64.const 100000)))))"#
    ))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn wait(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_guest_reads_what_it_is_sent_to_the_end() {
    let sandbox = Sandbox::new();
    let (sender, stdin) = input();
    let run = sandbox.start(&wat(CAT), |task| task.input = Some(stdin));
    let large = Bytes::from(vec![b'x'; 2 << 20]);
    block_on(async {
        sender.send(Bytes::from_static(b"first")).await.unwrap();
        sender.send(Bytes::new()).await.unwrap();
        sender.send(large.clone()).await.unwrap();
    });
    drop(sender);
    let end = run.wait();
    assert_eq!(end.exit, Exit::Code(0));
    assert_eq!(end.stdout.len(), large.len() + 5);
    assert!(end.stdout.starts_with(b"firstxxx"));
}

#[test]
fn without_input_there_is_none_and_a_guest_that_waits_for_it_can_be_killed() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&wat(CAT)).exit, Exit::Code(0));
    let (sender, stdin) = input();
    let run = sandbox.start(&wat(CAT), |task| task.input = Some(stdin));
    std::thread::sleep(Duration::from_millis(20));
    run.handle.kill();
    assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
    assert!(block_on(sender.send(Bytes::from_static(b"x"))).is_err());
}

#[test]
fn a_guest_waits_for_who_reads_its_output_and_can_be_killed_meanwhile() {
    let sandbox = Sandbox::new();
    let (pipe, mut reader) = output_pipe();
    let run = sandbox.start(&wat(ENDLESS_OUTPUT), |task| task.output = pipe);
    // It comes to a stop.
    let mut before = Duration::MAX;
    wait(|| {
        std::thread::sleep(Duration::from_millis(20));
        let now = run.handle.usage().cpu;
        now == std::mem::replace(&mut before, now) && !now.is_zero()
    });
    let mut read = 0;
    block_on(async {
        while read < 8 << 20 {
            let (stream, bytes) = reader.next().await.unwrap();
            assert_eq!(stream, Stream::Stderr);
            assert!(bytes.len() <= 32 << 10);
            read += bytes.len();
        }
    });
    run.handle.kill();
    assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
    let mut left = 0;
    block_on(async {
        while let Some((_, bytes)) = reader.next().await {
            left += bytes.len();
        }
    });
    assert!(left <= 320 << 10, "{left}");
}

#[test]
fn output_that_nobody_reads_any_more_holds_nobody_up() {
    let sandbox = Sandbox::new();
    let (pipe, reader) = output_pipe();
    let run = sandbox.start(&wat(ENDLESS_OUTPUT), |task| task.output = pipe);
    std::thread::sleep(Duration::from_millis(20));
    drop(reader);
    let before = run.handle.usage().cpu;
    wait(|| run.handle.usage().cpu > before + Duration::from_millis(20));
    run.handle.kill();
    assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
}

#[test]
fn a_guest_beside_another_takes_what_that_one_leaves() {
    const PAGE: u64 = 65_536;
    let sandbox = Sandbox::new();
    let limit = 10 * PAGE;
    let main = sandbox.start(&growing(0, 8), |task| task.memory_bytes_max = limit);
    let beside = |now| {
        sandbox.start(&growing(now, 0), |task| {
            task.memory_bytes_max = limit;
            task.beside = Some(main.handle.clone());
        })
    };
    wait(|| main.handle.usage().memory_bytes == PAGE);
    let first = beside(5);
    wait(|| first.handle.usage().memory_bytes == 6 * PAGE);
    // Alone it would fit.
    let second = beside(5).wait();
    assert_eq!(
        second.exit,
        Exit::OutOfMemory {
            wanted_bytes: 6 * PAGE
        }
    );
    let third = beside(2);
    wait(|| third.handle.usage().memory_bytes == 3 * PAGE);
    // The one whose memory it is comes first.
    main.handle.signal(Signal::Term);
    assert_eq!(first.wait().exit, Exit::Killed(KillReason::Memory));
    assert_eq!(third.wait().exit, Exit::Killed(KillReason::Memory));
    wait(|| main.handle.usage().memory_bytes == 9 * PAGE);
    let fourth = beside(0);
    wait(|| fourth.handle.usage().memory_bytes == PAGE);
    main.handle.kill();
    assert_eq!(main.wait().exit, Exit::Killed(KillReason::Requested));
    fourth.handle.kill();
    fourth.wait();
}
