//! Guests that do not stop: T1 to T5, T13, T26, T27, T46.

use std::time::Duration;

use wasmjob_sandbox::{Exit, KillReason, Limits, Signal};

use crate::attack::{killed, killed_within, row, row_in, spin};
use crate::support::SLEEP_FOR_EVER;
use crate::wat::{LOOP, command, p1, p1_exits, wat};

#[test]
fn t01_a_loop_is_killed_at_its_deadline() {
    row(|sandbox| killed(sandbox, &wat(LOOP), |_| {}));
}

#[test]
fn t01_many_loops_are_killed_at_their_deadlines() {
    row(|sandbox| {
        let crowd: Vec<_> = (0..4).flat_map(|_| spin(sandbox)).collect();
        killed(sandbox, &wat(LOOP), |_| {});
        for guest in crowd {
            guest.handle.kill();
            assert_eq!(guest.wait().exit, Exit::Killed(KillReason::Requested));
        }
    });
}

#[test]
fn t02_a_loop_in_the_start_function_is_killed_at_its_deadline() {
    let wasm = wat("(module (func $s (loop (br 0))) (start $s) (func (export \"_start\")))");
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}

/// A component that asks for its arguments, so that the host calls `realloc`.
fn with_realloc(realloc: &str) -> Vec<u8> {
    command(
        &format!(
            r#"(import "wasi:cli/environment@0.2.0" (instance $env
                (export "get-arguments" (func (result (list string))))))
            (core module $Libc (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
            (core instance $libc (instantiate $Libc))
            (alias export $env "get-arguments" (func $get))
            (core func $get_core (canon lower (func $get)
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
            (core module $Main (import "env" "get" (func $get (param i32)))
                (func (export "run") (result i32) (call $get (i32.const 8)) (i32.const 0)))
            (core instance $main (instantiate $Main
                (with "env" (instance (export "get" (func $get_core))))))"#
        ),
        "",
    )
}

#[test]
fn t03_a_loop_in_realloc_is_killed_at_its_deadline() {
    // It is called, and arguments arrive, when it does its work.
    row(|sandbox| {
        let end = sandbox.run(&with_realloc("(i32.const 1024)"));
        assert_eq!(end.exit, Exit::Code(0));
        killed(sandbox, &with_realloc("(loop (br 0)) unreachable"), |_| {});
    });
}

#[test]
fn t03_a_loop_in_post_return_is_killed_at_its_deadline() {
    let wasm = command(
        r#"(core module $Main
            (func (export "run") (result i32) (i32.const 0))
            (func (export "post") (param i32) (loop (br 0))))
        (core instance $main (instantiate $Main))"#,
        "(post-return (core func $main \"post\"))",
    );
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}

#[test]
fn t03_a_loop_in_a_destructor_is_killed_at_its_deadline() {
    let wasm = command(
        r#"(core module $D (func (export "dtor") (param i32) (loop (br 0))))
        (core instance $d (instantiate $D))
        (type $r (resource (rep i32) (dtor (core func $d "dtor"))))
        (core func $new (canon resource.new $r))
        (core func $drop (canon resource.drop $r))
        (core module $Main
            (import "r" "new" (func $new (param i32) (result i32)))
            (import "r" "drop" (func $drop (param i32)))
            (func (export "run") (result i32)
                (call $drop (call $new (i32.const 1))) (i32.const 0)))
        (core instance $main (instantiate $Main (with "r" (instance
            (export "new" (func $new)) (export "drop" (func $drop))))))"#,
        "",
    );
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}

/// What is promised at a limit of `mib` MiB.
fn promised(mib: u64) -> Duration {
    Duration::from_millis(if mib <= 128 { 100 } else { 250 })
}

/// `instruction` again and again with all of `mib` MiB of memory, `BYTES` long,
/// which is no constant to the compiler.
fn bulk(mib: u64, bytes: u64, instruction: &str) -> String {
    let instruction = instruction.replace("BYTES", "(local.get $bytes)");
    format!(
        "(memory {}) (func $bulk (param $bytes i32) (loop {instruction} (br 0)))
        (func $start (export \"_start\") (call $bulk (i32.const {bytes})))",
        mib * 16,
    )
}

fn t04(mib: u64, module: &str) {
    let wasm = wat(module);
    row(|sandbox| {
        killed_within(promised(mib), sandbox, &wasm, |task| {
            task.memory_bytes_max = mib << 20;
        });
    });
}

#[test]
fn t04_a_bulk_fill_is_killed_within_what_is_promised() {
    for mib in [128, 256] {
        let fill = "(memory.fill (i32.const 0) (i32.const 1) BYTES)";
        t04(mib, &format!("(module {})", bulk(mib, mib << 20, fill)));
    }
}

#[test]
fn t04_a_bulk_copy_is_killed_within_what_is_promised() {
    for mib in [128, 256] {
        for (to, from) in [(64, 0), (0, 64)] {
            let copy = format!("(memory.copy (i32.const {to}) (i32.const {from}) BYTES)");
            t04(
                mib,
                &format!("(module {})", bulk(mib, (mib << 20) - 64, &copy)),
            );
        }
    }
}

#[test]
fn t04_a_bulk_fill_in_the_start_function_is_killed_within_what_is_promised() {
    let fill = "(memory.fill (i32.const 0) (i32.const 1) BYTES)";
    let body = bulk(256, 256 << 20, fill);
    t04(256, &format!("(module {body} (start $start))"));
}

#[test]
fn t04_a_bulk_copy_in_a_component_is_killed_within_what_is_promised() {
    let copy = "(memory.copy (i32.const 64) (i32.const 0) BYTES)";
    let wasm = command(
        &format!(
            "(core module $Main {} (func (export \"run\") (result i32) (call $start) (i32.const 0)))
            (core instance $main (instantiate $Main))",
            bulk(256, (256 << 20) - 64, copy)
        ),
        "",
    );
    row(|sandbox| killed_within(promised(256), sandbox, &wasm, |_| {}));
}

/// What one component gives another is copied by code that the compiler makes:
/// lists element by element, but a string in one call of the host, which takes
/// a third of a second for 80 MiB. That is later than promised.
#[test]
fn t04_what_components_copy_to_one_another_is_killed() {
    let second = Duration::from_secs(1);
    for (encoding, ty, bytes, elements, late) in [
        ("utf8", "string", 120 << 20, 120 << 20, second),
        ("utf16", "string", 80 << 20, 80 << 20, second),
        ("utf8", "(list u8)", 120 << 20, 120 << 20, promised(256)),
        ("utf8", "(list u64)", 120 << 20, 15 << 20, promised(256)),
    ] {
        let from = bytes / 65536 + 1;
        let to = (250u64 << 20) / 65536 - from;
        let wasm = wat(&format!(
            r#"(component
            (component $B
                (core module $M (memory (export "memory") {to})
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                    (func (export "take") (param i32 i32)))
                (core instance $m (instantiate $M))
                (func (export "take") (param "s" {ty}) (canon lift (core func $m "take")
                    (memory (core memory $m "memory")) (realloc (core func $m "realloc"))
                    string-encoding={encoding})))
            (instance $b (instantiate $B))
            (component $A
                (import "take" (func $take (param "s" {ty})))
                (core module $Mem (memory (export "memory") {from}))
                (core instance $mem (instantiate $Mem))
                (core func $t (canon lower (func $take) (memory (core memory $mem "memory"))))
                (core module $Main (import "m" "take" (func $take (param i32 i32)))
                    (func (export "run") (result i32)
                        (loop (call $take (i32.const 0) (i32.const {elements})) (br 0)) unreachable))
                (core instance $main (instantiate $Main (with "m" (instance (export "take" (func $t))))))
                (func (export "run") (result (result)) (canon lift (core func $main "run"))))
            (instance $a (instantiate $A (with "take" (func $b "take"))))
            (instance $i (export "run" (func $a "run")))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#
        ));
        row(|sandbox| killed_within(late, sandbox, &wasm, |_| {}));
    }
}

/// The segment is as long as a module may be, less what else is in it.
#[test]
fn t04_a_bulk_init_is_killed_within_what_is_promised() {
    let mib = 32;
    let data = "x".repeat(mib << 20);
    let bytes = mib as u64 * (1 << 20);
    let init = "(memory.init $d (i32.const 0) (i32.const 0) BYTES)";
    let module = format!("(module (data $d \"{data}\") {})", bulk(128, bytes, init));
    t04(128, &module);
}

#[test]
fn t05_table_fill_overruns_little() {
    let wasm = wat(r#"(module (table $t 1000000 funcref) (func $f)
        (elem declare func $f)
        (func (export "_start") (loop
            (table.fill $t (i32.const 0) (ref.func $f) (i32.const 1000000))
            (table.copy (i32.const 1) (i32.const 0) (i32.const 999999))
            (br 0))))"#);
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}

#[test]
fn t05_garbage_collected_arrays_are_refused() {
    let wasm = wat(
        "(module (type $a (array (mut i8))) (func (export \"_start\")
        (drop (array.new $a (i32.const 1) (i32.const 1000000)))))",
    );
    row(|sandbox| {
        assert!(
            sandbox
                .refused(&wasm)
                .starts_with("not a valid WebAssembly module")
        )
    });
}

#[test]
fn t13_a_loop_of_tail_calls_is_killed_at_its_deadline() {
    let wasm = wat("(module (func $f (return_call $f)) (func (export \"_start\") (call $f)))");
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}

#[test]
fn t13_exceptions_and_stack_switching_are_refused() {
    let throw = wat("(module (tag $e) (func (export \"_start\") (loop
        (block $h (try_table (catch $e $h) (throw $e))) (br 0))))");
    let cont = wat(
        "(module (type $f (func)) (type $c (cont $f)) (func $g) (elem declare func $g)
        (func (export \"_start\") (loop (drop (cont.new $c (ref.func $g))) (br 0))))",
    );
    row(|sandbox| {
        for wasm in [&throw, &cont] {
            let text = sandbox.refused(wasm);
            assert!(text.starts_with("not a valid WebAssembly module"), "{text}");
        }
    });
}

/// One relative (or, with flags 1, absolute) clock subscription at 0.
fn poll(clock: u32, timeout: &str, flags: u32, subscriptions: u32) -> Vec<u8> {
    p1_exits(
        1,
        "",
        &format!(
            "(block (result i32)
                (i32.store (i32.const 16) (i32.const {clock}))
                (i64.store (i32.const 24) (i64.const {timeout}))
                (i32.store16 (i32.const 40) (i32.const {flags}))
                (call $poll_oneoff (i32.const 0) (i32.const 104) (i32.const {subscriptions}) (i32.const 200)))"
        ),
    )
}

#[test]
fn t26_odd_polls_are_answered() {
    const EINVAL: u8 = 28;
    row(|sandbox| {
        let exit = |wasm: &[u8]| sandbox.run(wasm).exit;
        assert_eq!(exit(&poll(0, "1", 0, 0)), Exit::Code(EINVAL), "nothing");
        assert_eq!(exit(&poll(1, "1", 1, 1)), Exit::Code(0), "the past");
        assert_eq!(exit(&poll(1, "0", 0, 1)), Exit::Code(0), "at once");
        let clock = exit(&poll(99, "1", 0, 1));
        assert!(
            matches!(clock, Exit::Trap(_) | Exit::Code(EINVAL)),
            "{clock:?}"
        );
        for timeout in ["-1", "9223372036854775807", "-9223372036854775808"] {
            killed(sandbox, &poll(1, timeout, 0, 1), |_| {});
            killed(sandbox, &poll(0, timeout, 0, 1), |_| {});
            killed(sandbox, &poll(1, timeout, 1, 1), |_| {});
        }
    });
}

#[test]
fn t27_an_endless_sleep_is_killed_at_its_deadline() {
    row(|sandbox| killed(sandbox, &wat(SLEEP_FOR_EVER), |_| {}));
}

#[test]
fn t27_a_sleeping_crowd_is_killed_and_leaves_nothing() {
    row_in(
        || Limits {
            guests: 256,
            ..Limits::default()
        },
        |sandbox| {
            let module = sandbox.module(&wat(SLEEP_FOR_EVER));
            let runs: Vec<_> = (0..48)
                .map(|_| sandbox.start_module(module.clone(), |_| {}))
                .collect();
            for run in &runs {
                run.handle.kill();
            }
            for run in runs {
                assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
            }
        },
    );
}

#[test]
fn t46_a_guest_that_ignores_sigterm_is_killed() {
    let deaf = wat(LOOP);
    // It imports signals, and sleeps on whatever it hears.
    let stubborn = wat(r#"(module
        (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
        (func (export "_start") (loop (drop (call $sleep (i64.const 9223372036854775807))) (br 0))))"#);
    row(|sandbox| {
        for wasm in [&deaf, &stubborn] {
            let run = sandbox.start(wasm, |_| {});
            run.handle.signal(Signal::Term);
            std::thread::sleep(std::time::Duration::from_millis(30));
            assert!(sandbox.engine.live() > 0);
            run.handle.kill();
            assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
        }
    });
}

#[test]
fn t46_sched_yield_does_not_keep_a_guest_alive() {
    let wasm = p1(
        1,
        "(func (export \"_start\") (loop (drop (call $sched_yield)) (br 0)))",
    );
    row(|sandbox| killed(sandbox, &wasm, |_| {}));
}
