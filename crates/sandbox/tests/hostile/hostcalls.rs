//! Guests that make the host work: T21 to T25, T38, T41, T43 to T45.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wasmjob_sandbox::{Engine, Exit, Limits, Output, Stream};

use crate::attack::{assert_trap, killed, resident_bytes, row, row_with};
use crate::files::Tree;
use crate::support::Sandbox;
use crate::wat::{command, p1, p1_exits, wat};

/// Memory of the host that an attack may take beside the guest's own.
const HOST_BYTES: usize = 32 << 20;

struct Nowhere;

impl Output for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

#[test]
fn t21_a_flood_of_output_costs_the_host_nothing() {
    let wasm = p1(
        2,
        r#"(data (i32.const 8) "\00\00\01\00\00\00\01\00") (func (export "_start")
            (loop (if (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))
                (then unreachable)) (br 0)))"#,
    );
    row(|sandbox| {
        let before = resident_bytes();
        killed(sandbox, &wasm, |task| task.output = Arc::new(Nowhere));
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

#[test]
fn t22_a_million_tiny_or_empty_writes_cost_the_host_nothing() {
    let tiny = p1(
        1,
        r#"(data (i32.const 8) "\00\01\00\00\01\00\00\00") (func (export "_start")
            (loop (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))) (br 0)))"#,
    );
    const ENOMEM: u8 = 48;
    // 16 MiB of empty vectors.
    let empty = p1_exits(
        257,
        "",
        "(call $fd_write (i32.const 1) (i32.const 65536) (i32.const 2097152) (i32.const 0))",
    );
    row(|sandbox| {
        let before = resident_bytes();
        killed(sandbox, &tiny, |task| task.output = Arc::new(Nowhere));
        assert_eq!(sandbox.run(&empty).exit, Exit::Code(ENOMEM));
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

#[test]
fn t23_output_is_stored_verbatim() {
    let bytes: Vec<u8> = (0..=255u8)
        .chain(
            b"\x1b]0;pwn\x07\x1b[2J\r2026-01-01T00:00:00Z stdout F forged\n"
                .iter()
                .copied(),
        )
        .collect();
    let wasm = p1(
        1,
        &format!(
            r#"(data (i32.const 8) "\00\04\00\00{}") (data (i32.const 1024) "{}")
            (func (export "_start")
                (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
                (drop (call $fd_write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0))))"#,
            crate::wat::data(&u32::try_from(bytes.len()).unwrap().to_le_bytes()),
            crate::wat::data(&bytes)
        ),
    );
    row(|sandbox| {
        let end = sandbox.run(&wasm);
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!((&end.stdout, &end.stderr), (&bytes, &bytes));
    });
}

#[test]
fn t24_random_numbers_are_rationed() {
    let once = p1(
        4097,
        "(func (export \"_start\") (drop (call $random_get (i32.const 0) (i32.const 268435456))))",
    );
    let endless = p1(
        17,
        "(func (export \"_start\") (loop (drop (call $random_get (i32.const 0) (i32.const 1048576))) (br 0)))",
    );
    row(|sandbox| {
        let before = resident_bytes();
        let more = |task: &mut wasmjob_sandbox::Task| task.memory_bytes_max = 1 << 30;
        assert_trap(sandbox.run_with(&once, more), "exceeds limit 1048576");
        killed(sandbox, &endless, |_| {});
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

#[test]
fn t25_a_million_subscriptions_are_refused() {
    row(|sandbox| {
        for (count, pages) in [(1_000u32, 2), (100_000, 128), (1_000_000, 1024)] {
            let wasm = p1_exits(
                pages + 64,
                "",
                &format!(
                    "(block (result i32) (loop
                        (i32.store (i32.add (i32.mul (local.get $n) (i32.const 48)) (i32.const 16)) (i32.const 1))
                        (i64.store (i32.add (i32.mul (local.get $n) (i32.const 48)) (i32.const 24))
                            (i64.extend_i32_u (local.get $n)))
                        (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                            (i32.const {count}))))
                    (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const {count}) (i32.const 48)))"
                ),
            );
            let before = resident_bytes();
            let exit = sandbox.run(&wasm).exit;
            assert!(
                matches!(&exit, Exit::Code(48))
                    || matches!(&exit, Exit::Trap(text) if text.contains("resource table has no free keys")),
                "{count}: {exit:?}"
            );
            assert!(resident_bytes() < before + HOST_BYTES, "{count}");
        }
    });
}

#[test]
fn t38_no_second_clock_can_be_built() {
    // A counter thread needs shared memory, atomics need the proposal.
    let atomic = wat("(module (memory 1) (func (export \"_start\")
        (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))");
    let tight = p1(
        1,
        "(func (export \"_start\") (loop (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8))) (br 0)))",
    );
    row(|sandbox| {
        assert!(
            sandbox
                .refused(&atomic)
                .starts_with("not a valid WebAssembly module")
        );
        killed(sandbox, &tight, |_| {});
    });
}

#[test]
fn t41_reading_a_large_directory_again_and_again_ends_at_the_deadline() {
    let tree = Tree::new();
    for n in 0..3_000 {
        std::fs::write(tree.rw().join(format!("file-{n}")), b"").unwrap();
    }
    let wasm = p1(
        2,
        "(func (export \"_start\") (loop (drop (call $fd_readdir (i32.const 3) (i32.const 1024)
            (i32.const 65536) (i64.const 2999) (i32.const 0))) (br 0)))",
    );
    row(|sandbox| {
        let before = resident_bytes();
        killed(sandbox, &wasm, |task| task.mounts = tree.mounts());
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

#[test]
fn t43_a_million_handles_are_refused() {
    let wasm = command(
        r#"(import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $p))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
        (core func $subscribe (canon lower (func $clock "subscribe-duration")))
        (core module $Main (import "c" "s" (func $s (param i64) (result i32)))
            (func (export "run") (result i32) (loop (drop (call $s (i64.const 1000000))) (br 0)) unreachable))
        (core instance $main (instantiate $Main (with "c" (instance (export "s" (func $subscribe))))))"#,
        "",
    );
    row(|sandbox| {
        let before = resident_bytes();
        assert_trap(sandbox.run(&wasm), "resource table has no free keys");
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

#[test]
fn t44_a_list_of_overlapping_strings_is_refused() {
    let wasm = command(
        r#"(import "test:bait/sink" (instance $s (export "take" (func (param "x" (list string))))))
        (core module $Libc (memory (export "memory") 256))
        (core instance $libc (instantiate $Libc))
        (core func $take (canon lower (func $s "take") (memory (core memory $libc "memory"))))
        (core module $Main (import "l" "memory" (memory 256))
            (import "s" "take" (func $take (param i32 i32)))
            (func (export "run") (result i32) (local $n i32)
                ;; a million times the same mebibyte
                (loop
                    (i32.store (i32.add (i32.const 2097152) (i32.mul (local.get $n) (i32.const 8))) (i32.const 0))
                    (i32.store (i32.add (i32.const 2097156) (i32.mul (local.get $n) (i32.const 8))) (i32.const 1048576))
                    (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))
                (call $take (i32.const 2097152) (i32.const 1000000)) (i32.const 0)))
        (core instance $main (instantiate $Main
            (with "l" (instance $libc)) (with "s" (instance (export "take" (func $take))))))"#,
        "",
    );
    let new = || Sandbox {
        engine: Engine::builder()
            .limits(Limits {
                guests: 64,
                ..Limits::default()
            })
            .component_interfaces(|linker| {
                linker
                    .instance("test:bait/sink")?
                    .func_wrap("take", |_, (_,): (Vec<String>,)| Ok(()))
            })
            .build()
            .unwrap(),
    };
    row_with(new, |sandbox| {
        let before = resident_bytes();
        assert_trap(
            sandbox.run(&wasm),
            "fuel allocated for hostcalls has been exhausted",
        );
        assert!(resident_bytes() < before + HOST_BYTES);
    });
}

/// Calls random functions of WASI 0.1 with random arguments, `rounds` times;
/// the seed is the first eight bytes of the value of the variable `S`.
fn bait(rounds: u32) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut arms = String::new();
    for (name, params) in crate::wat::P1 {
        let arguments: String = params
            .chars()
            .map(|c| {
                if c == 'i' {
                    "(i32.wrap_i64 (call $any))"
                } else {
                    "(call $any)"
                }
            })
            .collect();
        let result = if name == "proc_exit" { "" } else { "drop" };
        // proc_exit ends the game: only now and then.
        let when = if name == "proc_exit" {
            "(br_if $next (i64.ne (i64.rem_u (call $random) (i64.const 500)) (i64.const 0)))"
        } else {
            ""
        };
        writeln!(
            arms,
            ") {when} {arguments} (call ${name}) {result} (br $next)"
        )
        .unwrap();
    }
    let count = crate::wat::P1.len();
    let targets: String = (0..count).rev().map(|n| format!(" $f{n}")).collect();
    let opens: String = (0..count).map(|n| format!("(block $f{n} ")).collect();
    p1(
        4,
        &format!(
            r#"(global $seed (mut i64) (i64.const 88172645463325252))
            (func $random (result i64)
                (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 13))))
                (global.set $seed (i64.xor (global.get $seed) (i64.shr_u (global.get $seed) (i64.const 7))))
                (global.set $seed (i64.xor (global.get $seed) (i64.shl (global.get $seed) (i64.const 17))))
                (global.get $seed))
            ;; small numbers, aligned and odd addresses, the ends of the ranges, anything
            (func $any (result i64) (local $r i64)
                (local.set $r (call $random))
                (block $e (block $d (block $c (block $b (block $a
                    (br_table $a $a $a $b $b $c $d $e (i32.wrap_i64 (i64.and (local.get $r) (i64.const 7)))))
                    (return (i64.and (i64.shr_u (local.get $r) (i64.const 8)) (i64.const 7))))
                    (return (i64.and (i64.shr_u (local.get $r) (i64.const 8)) (i64.const 0x3fff8))))
                    (return (i64.and (i64.shr_u (local.get $r) (i64.const 8)) (i64.const 0x3ffff))))
                    (return (i64.sub (i64.const 0x100000000) (i64.and (i64.shr_u (local.get $r) (i64.const 8)) (i64.const 15)))))
                (local.get $r))
            (func (export "_start") (local $n i32)
                (drop (call $environ_get (i32.const 0) (i32.const 64)))
                (global.set $seed (i64.or (i64.load (i32.const 66)) (i64.const 1)))
                (loop $again
                    (block $next
                        {opens}
                        (br_table {targets} (i32.wrap_i64 (i64.rem_u (call $random) (i64.const {count}))))
                        {arms})
                    (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {rounds})))))"#
        ),
    )
}

#[test]
fn t45_random_calls_get_an_errno_or_a_trap() {
    // `WASMJOB_HOSTILE_CASES=100000` for a night's run.
    let cases = std::env::var("WASMJOB_HOSTILE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(1_000);
    let tree = Tree::new();
    let wasm = bait(2_000);
    row(|sandbox| {
        let module = sandbox.module(&wasm);
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        runner
            .run(&"[!-~]{8}", |seed| {
                let end = sandbox
                    .start_module(module.clone(), |task| {
                        task.mounts = tree.mounts();
                        task.env_own = vec![("S".to_owned(), seed)];
                        // Some of what it calls sleeps.
                        task.deadline = Some(std::time::Instant::now() + Duration::from_millis(25));
                    })
                    .wait();
                prop_assert!(
                    !matches!(end.exit, Exit::Host(_) | Exit::Start(_)),
                    "{:?}",
                    end.exit
                );
                Ok(())
            })
            .unwrap();
        tree.assert_untouched();
    });
}
