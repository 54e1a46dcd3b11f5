//! What one guest leaves in the pool, the next must not find: T39.

use wasmjob_sandbox::{Exit, Limits};

use crate::attack::row_in;
use crate::wat::wat;

/// Alternations of writer and reader; `WASMJOB_HOSTILE_CASES` sets another number.
fn alternations() -> usize {
    std::env::var("WASMJOB_HOSTILE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(1_000)
}

/// Fills a memory of `pages`, grown from one, a table and deep stack with a secret.
fn writer(pages: u32) -> Vec<u8> {
    let bytes = pages * 65536;
    wat(&format!(
        r#"(module (memory 1) (table $t 2000 funcref) (func $f) (elem declare func $f)
            (func $deep (param i64 i64 i64 i64 i32)
                (if (local.get 4) (then (call $deep (local.get 0) (local.get 1) (local.get 2)
                    (local.get 3) (i32.sub (local.get 4) (i32.const 1))))))
            (func (export "_start")
                (drop (memory.grow (i32.const {})))
                (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const {bytes}))
                (table.fill $t (i32.const 0) (ref.func $f) (i32.const 2000))
                (call $deep (i64.const 0xa5a5a5a5a5a5a5a5) (i64.const 0xa5a5a5a5a5a5a5a5)
                    (i64.const 0xa5a5a5a5a5a5a5a5) (i64.const 0xa5a5a5a5a5a5a5a5) (i32.const 500))))"#,
        pages - 1
    ))
}

/// Exits with 1 if a byte of its memory, and with 2 if an element of its table,
/// is not as the specification says; `image` gives it a data segment.
fn reader(pages: u32, image: bool) -> Vec<u8> {
    let data = if image {
        r#"(data (i32.const 0) "\01")"#
    } else {
        ""
    };
    let first = u32::from(image);
    let bytes = pages * 65536;
    wat(&format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory 1) (table $t 2000 funcref) {data}
            (func (export "_start") (local $a i32) (local $sum i64)
                (drop (memory.grow (i32.const {})))
                (loop
                    (local.set $sum (i64.or (local.get $sum) (i64.load (local.get $a))))
                    (br_if 0 (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 8))) (i32.const {bytes}))))
                (if (i64.ne (local.get $sum) (i64.const {first})) (then (call $exit (i32.const 1))))
                (local.set $a (i32.const 0))
                (loop
                    (if (i32.eqz (ref.is_null (table.get $t (local.get $a)))) (then (call $exit (i32.const 2))))
                    (br_if 0 (i32.lt_u (local.tee $a (i32.add (local.get $a) (i32.const 1))) (i32.const 2000))))))"#,
        pages - 1
    ))
}

#[test]
fn t39_a_guest_finds_nothing_of_the_one_before() {
    // Few slots, so that each is used by one guest after another.
    let limits = || Limits {
        guests: 8,
        ..Limits::default()
    };
    row_in(limits, |sandbox| {
        // Below, at and above what stays mapped between guests.
        let sizes = [1, 4, 5, 16, 40];
        let writers = sizes.map(|pages| sandbox.module(&writer(pages)));
        let readers: Vec<_> = sizes
            .iter()
            .flat_map(|pages| [false, true].map(|image| sandbox.module(&reader(*pages, image))))
            .collect();
        // The scan finds what there is to find.
        let own = sandbox.run(&wat(r#"(module (memory 1) (data (i32.const 9) "\a5")
            (func (export "_start") (if (i32.eqz (i32.load8_u (i32.const 9))) (then unreachable))))"#));
        assert_eq!(own.exit, Exit::Code(0));
        for n in 0..alternations() {
            let write = &writers[n % writers.len()];
            assert_eq!(
                sandbox.start_module(write.clone(), |_| {}).wait().exit,
                Exit::Code(0)
            );
            let read = &readers[n * 7 % readers.len()];
            let end = sandbox.start_module(read.clone(), |_| {}).wait();
            assert_eq!(end.exit, Exit::Code(0), "a canary was found in round {n}");
        }
    });
}
