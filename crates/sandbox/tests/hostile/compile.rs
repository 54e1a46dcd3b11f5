//! Modules that are dear to compile: T14 to T17. What is not cheap is compiled
//! in a process that is killed, see `crates/image/tests/compile_bombs.rs`.

use wasmjob_sandbox::{Exit, Limits, scan};

use crate::attack::row;
use crate::bombs;

fn is_cheap(wasm: &[u8]) -> bool {
    scan(wasm, &Limits::default()).unwrap().is_cheap()
}

#[test]
fn t14_long_functions_are_not_cheap_or_refused() {
    assert!(!is_cheap(&bombs::straight(1, 10_000)));
    assert!(!is_cheap(&bombs::straight(60, 1_000)), "many of them");
    assert!(!is_cheap(&bombs::vectors(10, 2_000)));
    assert!(!is_cheap(&bombs::calls(20, 2_600)), "many calls");
    let text = scan(&bombs::straight(1, 500_000), &Limits::default()).unwrap_err();
    assert!(
        text.to_string().starts_with("a function is too long"),
        "{text}"
    );
}

#[test]
fn t15_many_live_values_are_not_cheap_or_refused() {
    assert!(!is_cheap(&bombs::live_locals(1, 1_000)));
    assert!(!is_cheap(&bombs::stack(1, 1_000)));
    assert!(!is_cheap(&bombs::wide_calls(1, 2_000, 900)));
    let text = scan(&bombs::live_locals(1, 20_001), &Limits::default()).unwrap_err();
    assert!(
        text.to_string()
            .starts_with("a function has too many locals"),
        "{text}"
    );
}

#[test]
fn t16_deep_and_joined_blocks_are_not_cheap() {
    // Five minutes in 8 KiB.
    assert!(!is_cheap(&bombs::nested_loops(1, 500, 500)));
    assert!(!is_cheap(&bombs::nested_loops(1, 2_000, 2)));
    assert!(!is_cheap(&bombs::nested_loops(500, 20, 100)), "in sum");
    assert!(!is_cheap(&bombs::jump_tables(1, 9_000, 1, 100)));
    assert!(!is_cheap(&bombs::looped_joins(1, 5_000, 1_500)));
}

#[test]
fn t16_a_jump_table_of_a_million_is_refused() {
    let wasm = bombs::jump_tables(1, 1, 1, 1);
    assert!(is_cheap(&wasm));
    // Its parser and validator are not recursive either.
    row(|sandbox| {
        let wasm = bombs::jump_tables(1, 50_000, 1, 1);
        assert!(!is_cheap(&wasm));
        let huge = crate::wat::wat(&format!(
            "(module (func (export \"_start\") (block (br_table {} (i32.const 0)))))",
            " 0".repeat(1_000_000)
        ));
        let text = sandbox.refused(&huge);
        assert!(
            text.contains("br_table") || text.contains("65520"),
            "{text}"
        );
    });
}

#[test]
fn t17_many_of_anything_is_not_cheap_or_refused() {
    assert!(!is_cheap(&bombs::functions(10_000)));
    assert!(!is_cheap(&bombs::signatures(1_100, 12)));
    assert!(!is_cheap(&bombs::signatures(10, 900)));
    assert!(!is_cheap(&bombs::imports(2_000, 12)));
    for (wasm, what) in [
        (bombs::functions(200_001), "too many functions"),
        (bombs::items(100_001), "too many globals"),
        (bombs::imports(100_001, 2), "too many"),
    ] {
        let text = scan(&wasm, &Limits::default()).unwrap_err().to_string();
        assert!(text.starts_with(what), "{text}");
    }
}

#[test]
fn components_that_call_one_another_are_not_cheap_and_run() {
    let wasm = bombs::glue(3, 5);
    assert!(!is_cheap(&wasm));
    // Their glue has two memories, which modules may not have.
    row(|sandbox| assert_eq!(sandbox.run(&wasm).exit, Exit::Code(0)));
}

#[test]
fn what_compilers_emit_is_cheap() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wasm-examples");
    for name in [
        "hello",
        "c-hello",
        "component",
        "pi",
        "wordcount",
        "hungry",
        "busybox",
    ] {
        let wasm = std::fs::read(format!("{examples}/{name}/{name}.wasm")).unwrap();
        assert!(is_cheap(&wasm), "{name}");
    }
}
