//! Guests that want memory: T6 to T12, T18.

use wasmjob_sandbox::{Exit, Module};

use crate::attack::{assert_trap, resident_bytes, row};
use crate::wat::{command, wat};

const MIB: u64 = 1 << 20;

#[test]
fn t06_growing_without_end_is_out_of_memory() {
    let wasm = wat("(module (memory 1) (func (export \"_start\")
        (loop (drop (memory.grow (i32.const 1))) (br 0))))");
    row(|sandbox| {
        let before = resident_bytes();
        for _ in 0..20 {
            let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = 64 * MIB);
            assert_eq!(
                end.exit,
                Exit::OutOfMemory {
                    wanted_bytes: 64 * MIB + 65536
                }
            );
            assert_eq!(end.usage.memory_bytes_peak, 64 * MIB);
        }
        assert!(
            resident_bytes() < before + (64 << 20),
            "untouched memory costs nothing"
        );
    });
}

#[test]
fn t06_growing_beyond_the_modules_own_maximum_is_refused_by_the_specification() {
    let wasm = wat("(module (memory 1 2) (func (export \"_start\")
        (if (i32.ne (memory.grow (i32.const 5)) (i32.const -1)) (then unreachable))))");
    row(|sandbox| {
        let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = MIB / 4);
        assert_eq!(end.exit, Exit::Code(0));
    });
}

#[test]
fn t06_growing_in_the_start_function_is_bounded_too() {
    let wasm = wat("(module (memory 1) (func $s
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)
        (start $s) (func (export \"_start\")))");
    row(|sandbox| {
        let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = 16 * MIB);
        assert!(
            matches!(end.exit, Exit::OutOfMemory { .. }),
            "{:?}",
            end.exit
        );
        assert_eq!(end.usage.memory_bytes_peak, 16 * MIB);
    });
}

#[test]
fn t07_a_large_initial_memory_cannot_start() {
    let wasm = wat("(module (memory 65536) (func (export \"_start\")))");
    row(|sandbox| {
        let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = 64 * MIB);
        assert_eq!(
            end.exit,
            Exit::Start("memory minimum size of 65536 pages exceeds memory limits".to_owned())
        );
    });
}

/// Touches every page of what it may have; that all guests together stay within
/// the node is the node's to see to (`crates/wasmjob/tests/hostile.rs`).
#[test]
fn t08_touched_memory_is_given_back() {
    let wasm = wat("(module (memory 1) (func (export \"_start\") (local $a i32)
        (drop (memory.grow (i32.const 511)))
        (loop (i64.store (local.get $a) (i64.const -1))
            (br_if 0 (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 4096)))
                (i32.const 33554432))))))");
    row(|sandbox| {
        let module = sandbox.module(&wasm);
        let touch =
            || sandbox.start_module(module.clone(), |task| task.memory_bytes_max = 32 * MIB);
        for _ in 0..8 {
            let runs: Vec<_> = (0..8).map(|_| touch()).collect();
            for run in runs {
                assert_eq!(run.wait().exit, Exit::Code(0));
            }
        }
    });
}

#[test]
fn t09_memories_beyond_32_bits_many_and_shared_are_refused() {
    let many = format!(
        "(module {} (func (export \"_start\")))",
        "(memory 65536) ".repeat(100)
    );
    row(|sandbox| {
        for text in [
            "(module (memory i64 2097152) (func (export \"_start\")))",
            "(module (memory 1 1 shared) (func (export \"_start\")))",
            "(module (memory 1 (pagesize 1)) (func (export \"_start\")))",
        ] {
            let text = sandbox.refused(&wat(text));
            assert!(text.starts_with("not a valid WebAssembly module"), "{text}");
        }
        let text = sandbox.refused(&wat(&many));
        assert!(
            text.starts_with("too many memories in a module: 100, at most 1 allowed"),
            "{text}"
        );
        let imported =
            "(module (import \"a\" \"b\" (memory 1)) (memory 1) (func (export \"_start\")))";
        let text = sandbox.refused(&wat(imported));
        assert!(
            text.starts_with("too many memories in a module: 2"),
            "{text}"
        );
    });
}

#[test]
fn t09_the_memories_of_a_component_have_one_limit_together() {
    // Two memories that fit one by one.
    let wasm = command(
        r#"(core module $M (memory (export "memory") 192))
        (core instance (instantiate $M)) (core instance (instantiate $M))
        (core module $Main (func (export "run") (result i32) (i32.const 0)))
        (core instance $main (instantiate $Main))"#,
        "",
    );
    row(|sandbox| {
        let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = 16 * MIB);
        assert_eq!(
            end.exit,
            Exit::Start("memory minimum size of 192 pages exceeds memory limits".to_owned())
        );
        let end = sandbox.run_with(&wasm, |task| task.memory_bytes_max = 24 * MIB);
        assert_eq!(
            (end.exit, end.usage.memory_bytes_peak),
            (Exit::Code(0), 24 * MIB)
        );
    });
}

#[test]
fn t09_more_memories_than_allowed_cannot_start() {
    let wasm = command(
        &format!(
            r#"(core module $M (memory 1)) {}
            (core module $Main (func (export "run") (result i32) (i32.const 0)))
            (core instance $main (instantiate $Main))"#,
            "(core instance (instantiate $M))".repeat(5)
        ),
        "",
    );
    row(|sandbox| match Module::new(&sandbox.engine, &wasm, false) {
        Err(error) => assert!(error.to_string().contains("memories"), "{error}"),
        Ok(_) => panic!("five memories were accepted"),
    });
}

#[test]
fn t10_tables_are_bounded_and_counted_as_memory() {
    row(|sandbox| {
        let start = |text: &str| match Module::new(&sandbox.engine, &wat(text), false) {
            Err(error) => error.to_string(),
            Ok(module) => match sandbox
                .start_module(module, |task| task.memory_bytes_max = 16 * MIB)
                .wait()
                .exit
            {
                Exit::Start(text) => text,
                exit => panic!("{exit:?}"),
            },
        };
        let large = start("(module (table 10000000 funcref) (func (export \"_start\")))");
        assert!(large.contains("exceeds"), "{large}");
        // RUSTSEC-2026-0114: refused before anything overflows.
        let overflow =
            start("(module (table i64 0x2000000000000000 funcref) (func (export \"_start\")))");
        assert!(
            overflow.starts_with("not a valid WebAssembly module"),
            "{overflow}"
        );
        let several = format!(
            "(module {} (func (export \"_start\")))",
            "(table 1000000 funcref)".repeat(3)
        );
        let several = start(&several);
        assert!(several.contains("exceeds table limits"), "{several}");
        let grow = wat("(module (table 1 funcref) (func (export \"_start\")
            (if (i32.ne (table.grow (ref.null func) (i32.const 10000000)) (i32.const -1))
                (then unreachable))
            (loop (drop (table.grow (ref.null func) (i32.const 100000))) (br 0))))");
        // One table ends at its own limit, -1 for ever; with little memory, at that.
        let end = sandbox.run_with(&grow, |task| task.memory_bytes_max = 4 * MIB);
        assert!(
            matches!(end.exit, Exit::OutOfMemory { .. }),
            "{:?}",
            end.exit
        );
    });
}

#[test]
fn t11_recursion_ends_in_a_trap() {
    let plain = "(module (func $f (param i64 i64) (call $f (local.get 1) (local.get 0)))
        (func (export \"_start\") (call $f (i64.const 1) (i64.const 2))))";
    let indirect = "(module (type $t (func)) (table 2 funcref) (elem (i32.const 0) $a $b)
        (func $a (call_indirect (type $t) (i32.const 1)))
        (func $b (call_indirect (type $t) (i32.const 0)))
        (func (export \"_start\") (call $a)))";
    // Frames as large as the limits allow: every local lives across the call.
    let locals = 10_000;
    let wide = format!(
        "(module (global $g (mut i64) (i64.const 1)) (func $f (local{}) {} (call $f) {})
            (func (export \"_start\") (call $f)))",
        " i64".repeat(locals),
        (0..locals)
            .map(|n| format!("(local.set {n} (global.get $g))"))
            .collect::<String>(),
        (0..locals)
            .map(|n| format!("(global.set $g (local.get {n}))"))
            .collect::<String>(),
    );
    row(|sandbox| {
        for text in [plain, indirect, &wide] {
            assert_trap(sandbox.run(&wat(text)), "call stack exhausted");
        }
    });
}

#[test]
fn t12_recursion_through_the_host_ends_in_a_trap() {
    // The host calls realloc, which calls the host again, and so on.
    let wasm = command(
        r#"(import "wasi:cli/environment@0.2.0" (instance $env
            (export "get-arguments" (func (result (list string))))))
        (core module $Libc (memory (export "memory") 1) (table (export "t") 1 funcref)
            (type $get (func (param i32)))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (call_indirect (type $get) (i32.const 8) (i32.const 0)) (i32.const 1024)))
        (core instance $libc (instantiate $Libc))
        (alias export $env "get-arguments" (func $get))
        (core func $get_core (canon lower (func $get)
            (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
        (core module $Fix (import "x" "t" (table 1 funcref)) (import "x" "f" (func $f (param i32)))
            (elem (i32.const 0) func $f))
        (alias core export $libc "t" (core table $t))
        (core instance (instantiate $Fix (with "x" (instance
            (export "t" (table $t)) (export "f" (func $get_core))))))
        (core module $Main (import "env" "get" (func $get (param i32)))
            (func (export "run") (result i32) (call $get (i32.const 8)) (i32.const 0)))
        (core instance $main (instantiate $Main
            (with "env" (instance (export "get" (func $get_core))))))"#,
        "",
    );
    row(|sandbox| assert_trap(sandbox.run(&wasm), "cannot leave component instance"));
}

#[test]
fn t18_data_out_of_bounds_traps_and_too_large_a_module_is_refused() {
    let outside = wat(
        "(module (memory 1) (data (i32.const 65530) \"twenty bytes of data\")
        (func (export \"_start\")))",
    );
    row(|sandbox| {
        assert_trap(sandbox.run(&outside), "out of bounds memory access");
        let mut large = wat("(module (func (export \"_start\")))");
        large.resize((64 << 20) + 1, 0);
        let text = sandbox.refused(&large);
        assert!(
            text.contains("the module is too large, in bytes: 67108865, at most 67108864 allowed"),
            "{text}"
        );
    });
}

#[test]
fn t18_many_overlapping_data_segments_run() {
    let text = format!(
        "(module (memory 16) {} (func (export \"_start\")))",
        (0..2_000)
            .map(|n| format!("(data (i32.const {n}) \"{}\")", "x".repeat(500)))
            .collect::<String>()
    );
    row(|sandbox| assert_eq!(sandbox.run(&wat(&text)).exit, Exit::Code(0)));
}
