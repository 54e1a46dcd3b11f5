//! Guests that behave, and the ways in which they may end.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod support;

use std::time::{Duration, Instant};

use support::{SLEEP_FOR_EVER, Sandbox, wat};
use wasmjob_sandbox::{Exit, KillReason};

#[test]
fn a_guest_that_returns_exits_with_0() {
    let end = Sandbox::new().run(&wat("(module (func (export \"_start\")))"));
    assert_eq!(end.exit, Exit::Code(0));
}

#[test]
fn every_exit_code_arrives_modulo_256() {
    let sandbox = Sandbox::new();
    for (code, expected) in [
        (0, 0),
        (1, 1),
        (125, 125),
        (126, 126),
        (255, 255),
        (256, 0),
        (-1, 255),
        (i32::MIN, 0),
    ] {
        let end = sandbox.run(&wat(&format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
               (func (export "_start") (call $exit (i32.const {code}))))"#
        )));
        assert_eq!(end.exit, Exit::Code(expected), "proc_exit({code})");
    }
}

#[test]
fn output_arrives_byte_for_byte() {
    let sandbox = Sandbox::new();
    let end = sandbox.run(&wat(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 8) "\10\00\00\00\05\00\00\00a\00\ff\1bz")
            (func (export "_start") (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))))"#,
    ));
    assert_eq!(end.exit, Exit::Code(0));
    assert_eq!(end.stdout, b"a\0\xff\x1bz");
    assert_eq!(end.stderr, b"");
}

#[test]
fn a_trap_has_its_name_and_its_frames() {
    let end = Sandbox::new().run(&wat(
        "(module (func $inner unreachable) (func (export \"_start\") call $inner))",
    ));
    let Exit::Trap(text) = end.exit else {
        panic!("{:?}", end.exit)
    };
    assert!(
        text.starts_with("wasm trap: wasm `unreachable` instruction executed\n"),
        "{text}"
    );
    assert!(text.contains("- inner"), "{text}");
}

#[test]
fn a_guest_killed_in_a_host_call_has_used_what_it_used() {
    let sandbox = Sandbox::new();
    let module = wasmjob_sandbox::Module::new(&sandbox.engine, &wat(SLEEP_FOR_EVER), true);
    let run = sandbox.start_module(module.expect("it compiles"), |task| task.fuel = Some(1_000));
    std::thread::sleep(Duration::from_millis(50));
    run.handle.kill();
    let end = run.wait();
    assert_eq!(end.exit, Exit::Killed(KillReason::Requested));
    assert_eq!(end.usage.memory_bytes_peak, 1 << 16);
    assert!(end.usage.fuel.is_some_and(|fuel| fuel > 0 && fuel < 100));
}

/// Where operators of that kind stand in `wasm`.
#[allow(clippy::unwrap_used, reason = "tests")]
fn offsets_of(wasm: &[u8], is_it: impl Fn(&wasmparser::Operator<'_>) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
            for operator in body
                .get_operators_reader()
                .unwrap()
                .into_iter_with_offsets()
            {
                let (operator, offset) = operator.unwrap();
                if is_it(&operator) {
                    found.push(offset);
                }
            }
        }
    }
    found
}

/// A long bulk instruction runs in a function of ours, which is not shown.
#[test]
fn a_trap_in_a_bulk_instruction_is_told_as_its_author_wrote_it() {
    use wasmjob_sandbox::{Module, ModuleKind};
    use wasmparser::Operator;

    let module = |export: &str, result: &str, value: &str| {
        format!(
            "(memory 1)
            (func $other (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0)))
            (func $inner (param i32) nop (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))
            (func $outer (export \"{export}\") {result}
                (call $other (i32.const 9)) (call $inner (i32.const 65537)) {value})"
        )
    };
    let core = wat(&format!("(module {})", module("_start", "", "")));
    let component = wat(&format!(
        "(component (core module $Main {})
            (core instance $main (instantiate $Main))
            (func $run (result (result)) (canon lift (core func $main \"run\")))
            (instance $i (export \"run\" (func $run)))
            (export \"wasi:cli/run@0.2.0\" (instance $i)))",
        module("run", "(result i32)", "(i32.const 0)")
    ));
    let sandbox = Sandbox::new();
    for (kind, wasm) in [(ModuleKind::Core, core), (ModuleKind::Component, component)] {
        let fill = offsets_of(&wasm, |o| matches!(o, Operator::MemoryFill { .. }))[0];
        let call = offsets_of(&wasm, |o| matches!(o, Operator::Call { .. }))[1];
        let expected = format!(
            "wasm trap: out of bounds memory access\n   0: {fill:#8x} - inner\n   1: {call:#8x} - outer"
        );
        assert_eq!(sandbox.run(&wasm).exit, Exit::Trap(expected.clone()));
        let code = sandbox.engine.compile(&wasm, false).unwrap();
        #[expect(unsafe_code, reason = "it was compiled a line ago")]
        // SAFETY: this engine has just made it.
        let module = unsafe { Module::from_compiled(&sandbox.engine, kind, &code, false) };
        let end = sandbox.start_module(module.unwrap(), |_| {}).wait();
        assert_eq!(end.exit, Exit::Trap(expected), "from compiled code");
    }
}

/// The compiler is given other bytes than the author wrote; the errors are not.
#[test]
fn an_invalid_module_is_refused_at_its_own_offset() {
    let invalid = |length: &str| {
        wat(&format!(
            "(module (memory 1) (func (param i32)
                (memory.fill (i32.const 0) (i32.const 1) {length})
                (memory.fill (i32.const 0) (i32.const 1) {length}))
            (func (export \"_start\") i64.const 0 i32.eqz drop))"
        ))
    };
    let sandbox = Sandbox::new();
    let at = |wasm: &[u8]| offsets_of(wasm, |o| matches!(o, wasmparser::Operator::I32Eqz))[0];
    let wasm = invalid("(local.get 0)");
    let text = sandbox.refused(&wasm);
    assert!(
        text.contains(&format!("at offset {}:", at(&wasm))),
        "{text}"
    );
}

/// What the function in place of an instruction costs, beside the bytes.
#[test]
fn a_bulk_instruction_costs_a_fixed_amount_of_fuel() {
    let used = |bytes: u64, length: &str| {
        let wasm = wat(&format!(
            "(module (memory 64) (func $f (param $bytes i32)
                (memory.copy (i32.const 0) (i32.const 1) {length}))
            (func (export \"_start\") (call $f (i32.const {bytes}))))"
        ));
        let end = Sandbox::new().run_metered(&wasm, 1 << 30);
        assert_eq!(end.exit, Exit::Code(0));
        end.usage.fuel.unwrap()
    };
    let plain = used(0, "(i32.const 1000)");
    let ours = used(1000, "(local.get $bytes)");
    assert_eq!(ours - plain, 9);
    let long = used(1 << 20, "(local.get $bytes)");
    let longer = used(2 << 20, "(local.get $bytes)");
    assert_eq!((longer - long - (1 << 20), long - (1 << 20)), (2 * 19, 62));
}

#[test]
fn a_busy_guest_is_dead_soon_after_its_deadline() {
    let sandbox = Sandbox::new();
    for module in [
        "(module (func (export \"_start\") (loop (br 0))))",
        "(module (func $s (loop (br 0))) (start $s) (func (export \"_start\")))",
    ] {
        let begin = Instant::now();
        let end = sandbox.run_with(&wat(module), |task| {
            task.deadline = Some(Instant::now() + Duration::from_millis(100))
        });
        assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
        let took = begin.elapsed();
        assert!(
            took >= Duration::from_millis(100) && took < Duration::from_millis(350),
            "{took:?}"
        );
        // How much of the time it got depends on who else runs here.
        assert!(
            end.usage.cpu > Duration::from_millis(1) && end.usage.cpu <= took,
            "{:?}",
            end.usage
        );
    }
}

#[test]
fn a_sleeping_guest_is_dead_soon_after_its_deadline() {
    let end = Sandbox::new().run_with(&wat(support::SLEEP_FOR_EVER), |task| {
        task.deadline = Some(Instant::now() + Duration::from_millis(100));
    });
    assert_eq!(end.exit, Exit::Killed(KillReason::Deadline));
}

#[test]
fn growing_beyond_the_limit_is_out_of_memory() {
    let end = Sandbox::new().run_with(
        &wat("(module (memory 1) (func (export \"_start\") (loop (drop (memory.grow (i32.const 16))) (br 0))))"),
        |task| task.memory_bytes_max = 16 << 20,
    );
    assert!(
        matches!(end.exit, Exit::OutOfMemory { .. }),
        "{:?}",
        end.exit
    );
    assert!(end.usage.memory_bytes_peak <= 16 << 20 && end.usage.memory_bytes_peak > 14 << 20);
}

#[test]
fn a_module_that_starts_with_too_much_memory_cannot_start() {
    let end = Sandbox::new().run_with(
        &wat("(module (memory 65536) (func (export \"_start\")))"),
        |task| {
            task.memory_bytes_max = 64 << 20;
        },
    );
    assert_eq!(
        end.exit,
        Exit::Start("memory minimum size of 65536 pages exceeds memory limits".to_owned())
    );
}

#[test]
fn the_same_fuel_gives_the_same_end() {
    let sandbox = Sandbox::new();
    let module = "(module (func (export \"_start\") (local i32) (loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (i32.lt_u (local.get 0) (i32.const 1000))))))";
    let used: Vec<_> = (0..3)
        .map(|_| {
            let end = sandbox.run_metered(&wat(module), 1_000_000);
            assert_eq!(end.exit, Exit::Code(0));
            end.usage.fuel.unwrap()
        })
        .collect();
    assert!(
        used[0] > 1000 && used.iter().all(|fuel| *fuel == used[0]),
        "{used:?}"
    );
    // Fuel is looked at where loops and functions begin, so a budget that is
    // short by less than one round still lets the last round end.
    assert_eq!(
        sandbox.run_metered(&wat(module), used[0] / 2).exit,
        Exit::OutOfFuel
    );
    assert_eq!(
        sandbox.run_metered(&wat(module), used[0]).exit,
        Exit::Code(0)
    );
}

#[test]
fn unknown_imports_are_named_before_anything_runs() {
    let text = Sandbox::new().refused(&wat(
        "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))",
    ));
    assert!(text.contains("unknown import `env::system`; a module may import functions of `wasi_snapshot_preview1`"), "{text}");
}

#[test]
fn entry_points_are_checked() {
    let sandbox = Sandbox::new();
    assert!(
        sandbox
            .refused(&wat("(module)"))
            .contains("has no `_start`")
    );
    assert!(
        sandbox
            .refused(&wat("(module (func (export \"_initialize\")))"))
            .contains("reactor")
    );
    assert!(
        sandbox
            .refused(&wat("(module (func (export \"_start\") (param i32)))"))
            .contains("this one takes 1")
    );
    assert!(
        sandbox
            .refused(&wat("(component)"))
            .contains("wasi:cli/run")
    );
}

#[test]
fn a_kill_ends_a_blocked_guest_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    let run = sandbox.start(&wat(support::SLEEP_FOR_EVER), |_| {});
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(sandbox.engine.live(), 1);
    run.handle.kill();
    assert_eq!(run.wait().exit, Exit::Killed(KillReason::Requested));
    assert_eq!(sandbox.engine.live(), 0);
}

#[test]
fn a_guest_that_listens_hears_sigterm_in_its_sleep() {
    let sandbox = Sandbox::new();
    let run = sandbox.start(
        &wat(r#"(module
                (import "wasmjob" "pending-signal" (func $pending (result i32)))
                (import "wasmjob" "sleep-ms" (func $sleep (param i64) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (func (export "_start")
                    (drop (call $sleep (i64.const 60000)))
                    (call $exit (i32.add (i32.const 128) (call $pending)))))"#),
        |_| {},
    );
    std::thread::sleep(Duration::from_millis(30));
    run.handle.signal(wasmjob_sandbox::Signal::Term);
    assert_eq!(run.wait().exit, Exit::Code(143));
}

#[test]
fn what_a_guest_uses_can_be_told_while_it_computes() {
    let sandbox = Sandbox::new();
    let run = sandbox.start(
        &wat("(module (memory 2) (func (export \"_start\") (drop (memory.grow (i32.const 3))) (loop (br 0))))"),
        |_| {},
    );
    let begun = Instant::now();
    let two_pages = 2 * 65_536;
    while run.handle.usage().memory_bytes <= two_pages
        || run.handle.usage().cpu < Duration::from_millis(20)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            run.handle.usage()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    let live = run.handle.usage();
    assert_eq!(live.memory_bytes, 5 * 65_536);
    assert!(live.cpu <= begun.elapsed(), "{live:?}");
    let all = sandbox.engine.usage();
    assert!(
        all.cpu >= live.cpu && all.memory_bytes == live.memory_bytes,
        "{all:?}"
    );
    run.handle.kill();
    let handle = run.handle.clone();
    let end = run.wait();
    assert!(end.usage.cpu >= live.cpu, "{:?} {live:?}", end.usage);
    assert_eq!(handle.usage().memory_bytes, 0);
    // Those that have ended count on.
    let all = sandbox.engine.usage();
    assert_eq!((all.cpu, all.memory_bytes), (end.usage.cpu, 0));
}
