//! Guests that cannot start or end oddly: T20, T33 to T37, T19.

use std::sync::Arc;

use wasmjob_sandbox::{Exit, Limits, scan};

use crate::attack::{resident_bytes, row, trap};
use crate::wat::{p1, p1_exits, wat};

/// A thousand frames of a function called `name`.
fn deep(name: &str) -> Vec<u8> {
    wat(&format!(
        "(module (func $f (@name \"{name}\") (param i32)
            (if (i32.eqz (local.get 0)) (then unreachable))
            (call $f (i32.sub (local.get 0) (i32.const 1))))
        (func (export \"_start\") (call $f (i32.const 1000))))"
    ))
}

#[test]
fn t19_names_are_cut_and_escaped() {
    let name = "\\1b[2J\\0aevil".to_owned() + &"x".repeat(8 << 10);
    row(|sandbox| {
        let text = trap(sandbox.run(&deep(&name)));
        assert!(text.len() < 20 * 400, "{} bytes", text.len());
        assert!(!text.contains('\u{1b}'), "{text}");
        let frames = text.lines().filter(|line| line.contains(" - ")).count();
        assert_eq!(frames, 20, "{text}");
        assert!(text.contains("- \\u{1b}[2J\\nevilxxx"), "{text}");
    });
}

#[test]
fn t19_names_of_megabytes_are_forgotten() {
    let wasm = deep(&"x".repeat(8 << 20));
    row(|sandbox| {
        let module = sandbox.module(&wasm);
        let before = resident_bytes();
        let text = trap(sandbox.start_module(module, |_| {}).wait());
        assert!(text.contains("- <wasm function 0>"), "{text}");
        assert!(resident_bytes() < before + (8 << 20));
    });
}

#[test]
fn t19_malformed_custom_sections_are_ignored() {
    let mut wasm = wat("(module (func (export \"_start\")))");
    for (name, body) in [
        ("name", &b"\x01\xff\xff\xff\xff\x0f\x00"[..]),
        (".debug_info", &b"\xff\xff\xff\xff\xff\xff"[..]),
        (".debug_line", &b"\x00"[..]),
        ("producers", &b"\x80\x80"[..]),
    ] {
        let len = u8::try_from(1 + name.len() + body.len()).unwrap();
        wasm.extend([0, len, u8::try_from(name.len()).unwrap()]);
        wasm.extend(name.as_bytes());
        wasm.extend(body);
    }
    row(|sandbox| assert_eq!(sandbox.run(&wasm).exit, Exit::Code(0)));
}

#[test]
fn t20_what_is_not_wasm_is_refused_by_name() {
    let random: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let good = wat("(module (memory 1) (func (export \"_start\") (local i64) nop))");
    row(|sandbox| {
        for (bytes, expected) in [
            (&b""[..], "not WebAssembly: the file is empty"),
            (
                &b"(module (func (export \"_start\")))"[..],
                "it is the text form",
            ),
            (&b"(component)"[..], "it is the text form"),
            (
                &b"\x7fELF\x02\x01\x01"[..],
                "it is a native or precompiled program",
            ),
            (
                &b"#!/bin/sh\n"[..],
                "not WebAssembly: it starts with \"#!/b\"",
            ),
            (&b"MZ"[..], "not WebAssembly: it starts with \"MZ\""),
            (&random[..], "not WebAssembly"),
            (
                &b"\0asm"[..],
                "not a valid WebAssembly module: unexpected end-of-file",
            ),
            (&b"\0asm\x02\0\0\0"[..], "unknown binary version"),
        ] {
            let text = sandbox.refused(bytes);
            assert!(text.contains(expected), "{expected}: {text}");
        }
        // What the compiler itself makes is a program, not a module.
        let code = sandbox.engine.compile(&good, false).unwrap();
        assert!(code.starts_with(b"\x7fELF"));
        assert!(sandbox.refused(&code).contains("precompiled"));
        // Cut after a whole section, it is a module without an entry point.
        for end in 0..good.len() {
            let text = sandbox.refused(&good[..end]);
            assert!(
                text.contains("WebAssembly") || text.contains("has no `_start`"),
                "{end}: {text}"
            );
        }
    });
}

#[test]
fn t20_flipped_bits_are_refused_or_run() {
    let good = wat(
        "(module (memory 1) (data (i32.const 0) \"abc\") (table 2 funcref)
        (elem (i32.const 0) $f) (func $f) (func (export \"_start\") (local i64) (call $f)))",
    );
    row(|sandbox| {
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Neither may panic; and what is accepted is a module that runs.
            let _ = scan(&bad, &Limits::default());
            if let Ok(module) = wasmjob_sandbox::Module::new(&sandbox.engine, &bad, false) {
                let end = sandbox.start_module(module, |_| {}).wait();
                assert!(
                    !matches!(end.exit, Exit::Host(_)),
                    "bit {bit}: {:?}",
                    end.exit
                );
            }
        }
    });
}

#[test]
fn t33_every_exit_code_arrives_modulo_256() {
    row(|sandbox| {
        for (code, expected) in [
            (126, 126),
            (127, 127),
            (137, 137),
            (255, 255),
            (256, 0),
            (i32::MIN, 0),
            (-1, 255),
        ] {
            let end = sandbox.run(&p1_exits(1, "", &format!("(i32.const {code})")));
            assert_eq!(end.exit, Exit::Code(expected), "{code}");
        }
    });
}

#[test]
fn t34_every_trap_has_its_name() {
    let cases = [
        ("unreachable", "wasm `unreachable` instruction executed"),
        (
            "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
            "integer divide by zero",
        ),
        (
            "(drop (i32.div_s (i32.const -2147483648) (i32.const -1)))",
            "integer overflow",
        ),
        (
            "(drop (i32.trunc_f32_s (f32.const nan)))",
            "invalid conversion to integer",
        ),
        (
            "(drop (i32.load (i32.const -4)))",
            "out of bounds memory access",
        ),
        (
            "(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))",
            "out of bounds memory access",
        ),
        (
            "(drop (table.get 0 (i32.const 7)))",
            "undefined element: out of bounds table access",
        ),
        (
            "(call_indirect (i32.const 9))",
            "undefined element: out of bounds table access",
        ),
        ("(call_indirect (i32.const 0))", "uninitialized element"),
        (
            "(call_indirect (param i32) (i32.const 1) (i32.const 1))",
            "indirect call type mismatch",
        ),
        ("(call $again)", "call stack exhausted"),
    ];
    row(|sandbox| {
        for (code, name) in cases {
            let wasm = wat(&format!(
                "(module (memory 1) (table 2 funcref) (elem (i32.const 1) $f) (func $f)
                (func $again (call $again)) (func (export \"_start\") {code}))"
            ));
            let text = trap(sandbox.run(&wasm));
            assert!(
                text.starts_with(&format!("wasm trap: {name}\n")),
                "{code}: {text}"
            );
        }
    });
}

#[test]
fn t35_what_nobody_offers_is_named_before_anything_runs() {
    row(|sandbox| {
        for (import, name) in [
            ("\"env\" \"system\" (func)", "env::system"),
            (
                "\"wasi_snapshot_preview1\" \"sock_open\" (func)",
                "wasi_snapshot_preview1::sock_open",
            ),
            (
                "\"wasi_ephemeral_nn\" \"load\" (func)",
                "wasi_ephemeral_nn::load",
            ),
            (
                "\"wasi\" \"thread-spawn\" (func (param i32) (result i32))",
                "wasi::thread-spawn",
            ),
            ("\"env\" \"memory\" (memory 1)", "env::memory"),
        ] {
            let text = sandbox.refused(&wat(&format!(
                "(module (import {import}) (func (export \"_start\") unreachable))"
            )));
            assert!(text.contains(&format!("unknown import `{name}`")), "{text}");
        }
        let text = sandbox.refused(&wat(
            "(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func)) (func (export \"_start\")))",
        ));
        assert!(text.contains("incompatible import type"), "{text}");
        let escape = sandbox.refused(&wat(
            "(module (import \"\\1b[2J\" \"x\" (func)) (func (export \"_start\")))",
        ));
        assert!(!escape.contains('\u{1b}'), "{escape}");
        // Signals to oneself do not exist.
        let raise = sandbox.run(&p1_exits(1, "", "(call $proc_raise (i32.const 9))"));
        const ENOTSUP: u8 = 58;
        assert_eq!(raise.exit, Exit::Code(ENOTSUP));
    });
}

#[test]
fn t35_what_interfaces_do_not_have_is_unknown_to_components() {
    row(|sandbox| {
        for import in [
            "(import \"wasi:http/outgoing-handler@0.2.0\" (instance (export \"f\" (func))))",
            "(import \"wasi:http/types@0.2.0\" (instance (export \"f\" (func))))",
            "(import \"wasi:nn/graph@0.2.0\" (instance (export \"f\" (func))))",
        ] {
            let wasm = crate::wat::command(
                &format!(
                    r#"{import} (core module $Main (func (export "run") (result i32) (i32.const 0)))
                    (core instance $main (instantiate $Main))"#
                ),
                "",
            );
            let text = sandbox.refused(&wasm);
            assert!(
                text.starts_with("cannot be linked: component imports instance `wasi:"),
                "{text}"
            );
        }
    });
}

/// Also in their oldest versions, and without a network: what is asked is refused then.
#[test]
fn t42_whoever_imports_requests_is_started() {
    row(|sandbox| {
        for version in ["0.2.0", "0.2.3", "0.2.12"] {
            let imports = format!(
                r#"(import "wasi:http/types@{version}" (instance (export "fields" (type (sub resource)))))
                (import "wasi:http/outgoing-handler@{version}" (instance))
                (core module $Main (func (export "run") (result i32) (i32.const 0)))
                (core instance $main (instantiate $Main))"#
            );
            let end = sandbox.run(&crate::wat::command(&imports, ""));
            assert_eq!(end.exit, Exit::Code(0), "{version}");
        }
    });
}

#[test]
fn t36_what_is_no_command_is_refused() {
    row(|sandbox| {
        for (text, expected) in [
            (
                "(module)",
                "the module has no `_start`: build it as a WASI command",
            ),
            (
                "(module (func (export \"_initialize\")))",
                "the module is a reactor (it exports `_initialize`), not a command: it has no `_start`",
            ),
            (
                "(module (func (export \"_start\") (param i32)))",
                "`_start` must take nothing and return nothing, this one takes 1 and returns 0 values",
            ),
            (
                "(module (global (export \"_start\") i32 (i32.const 0)))",
                "`_start` is not a function",
            ),
            (
                "(component)",
                "the component has no `wasi:cli/run@0.2` export: it is not a command; build it for the `wasi:cli/command` world",
            ),
        ] {
            assert_eq!(sandbox.refused(&wat(text)), expected);
        }
        // Two entry points: the text format itself refuses them, so by hand.
        let two = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x13\x02\
            \x06_start\0\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
        let text = sandbox.refused(two);
        assert!(text.contains("duplicate export name `_start`"), "{text}");
        // A component that claims the interface with another function in it.
        let wrong = crate::wat::wat(
            r#"(component (core module $M (func (export "run"))) (core instance $m (instantiate $M))
            (func $run (canon lift (core func $m "run"))) (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#,
        );
        assert_eq!(
            sandbox.refused(&wrong),
            "the component's `wasi:cli/run@0.2` must have `run: func() -> result`"
        );
    });
}

#[test]
fn t37_a_guest_sees_what_its_task_gives_and_nothing_else() {
    // Counts arguments, environment and directories; everything else would be
    // inherited from this process, which has all of them.
    let wasm = p1(
        2,
        r#"(data (i32.const 8) "\00\00\01\00\00\00\01\00")
        (func (export "_start") (local $n i32) (local $dirs i32)
            (if (call $args_sizes_get (i32.const 100) (i32.const 104)) (then unreachable))
            (if (call $environ_sizes_get (i32.const 108) (i32.const 112)) (then unreachable))
            (if (call $environ_get (i32.const 1024) (i32.const 65536)) (then unreachable))
            (loop
                (if (i32.eqz (call $fd_prestat_get (local.get $n) (i32.const 200)))
                    (then (local.set $dirs (i32.add (local.get $dirs) (i32.const 1)))))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                    (i32.const 1024))))
            (i32.store (i32.const 116) (local.get $dirs))
            ;; the four counts, then the environment itself
            (i32.store (i32.const 8) (i32.const 100)) (i32.store (i32.const 12) (i32.const 20))
            (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
            (i32.store (i32.const 8) (i32.const 65536))
            (i32.store (i32.const 12) (i32.load (i32.const 112)))
            (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))"#,
    );
    row(|sandbox| {
        let end = sandbox.run_with(&wasm, |task| {
            task.env = Arc::from([
                ("A".to_owned(), "1".to_owned()),
                ("B".to_owned(), "2".to_owned()),
            ]);
            task.env_own = vec![("A".to_owned(), "x".to_owned())];
        });
        assert_eq!(end.exit, Exit::Code(0));
        let (counts, environment) = end.stdout.split_at(20);
        let counts: Vec<u32> = counts
            .chunks(4)
            .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
            .collect();
        // argc, bytes; variables, bytes; directories
        assert_eq!(counts, [1, 6, 2, 8, 0]);
        assert_eq!(environment, b"B=2\0A=x\0");
    });
}
