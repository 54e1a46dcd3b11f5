//! The rewritten module does what the original does.

use std::borrow::Cow;
use std::ops::Range;

use proptest::prelude::*;
use wasmtime::{Engine, Instance, Memory, Module, Store, Trap, TypedFunc};

use super::{CHUNK_BYTES, in_chunks, in_chunks_of};

const PAGE: usize = 1 << 16;
const DATA: usize = 300;

/// Memory and functions that do one bulk instruction each.
fn bulks() -> Vec<u8> {
    let data = "abcdefghij".repeat(DATA / 10);
    wat::parse_str(format!(
        r#"(module (import "e" "i" (func (param i64)))
            (memory (export "memory") 1) (data $d "{data}")
            (func (export "fill") (param i32 i32 i32)
                (memory.fill (local.get 0) (local.get 1) (local.get 2)))
            (func (export "copy") (param i32 i32 i32)
                (memory.copy (local.get 0) (local.get 1) (local.get 2)))
            (func (export "init") (param i32 i32 i32)
                (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
            (func (export "drop") (param i32 i32 i32) (data.drop $d)))"#
    ))
    .unwrap()
}

type Bulk = TypedFunc<(u32, u32, u32), ()>;

struct Guest {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Guest {
    fn new(engine: &Engine, wasm: &[u8]) -> Self {
        let module = Module::new(engine, wasm).unwrap();
        let mut store = Store::new(engine, ());
        let imports: Vec<_> = module
            .imports()
            .map(|import| {
                let ty = import.ty().unwrap_func().clone();
                wasmtime::Func::new(&mut store, ty, |_, _, _| Ok(())).into()
            })
            .collect();
        let instance = Instance::new(&mut store, &module, &imports).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        for (at, byte) in memory.data_mut(&mut store).iter_mut().enumerate() {
            *byte = (at * 31 + (at >> 8) * 17) as u8;
        }
        Self {
            store,
            instance,
            memory,
        }
    }

    fn function(&mut self, name: &str) -> Bulk {
        self.instance.get_typed_func(&mut self.store, name).unwrap()
    }

    fn call(&mut self, name: &str, (to, from, len): (u32, u32, u32)) -> Option<Trap> {
        let function = self.function(name);
        let error = function.call(&mut self.store, (to, from, len)).err()?;
        Some(*error.downcast_ref().expect("a trap"))
    }
}

/// Numbers that mostly meet: near 0, near ends, and near 2^32.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..600u32,
        2 => 0..PAGE as u32 + 100,
        2 => PAGE as u32 - 600..PAGE as u32 + 2,
        1 => u32::MAX - 600..=u32::MAX,
        1 => any::<u32>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn chunks_do_what_the_instruction_does(
        chunk in prop_oneof![Just(1u32), Just(7), Just(64), Just(250)],
        calls in prop::collection::vec(
            (prop_oneof![Just("fill"), Just("copy"), Just("copy"), Just("init"), Just("drop")],
            (number(), number(), number())), 1..12),
    ) {
        let engine = Engine::default();
        let wasm = bulks();
        let chunked = in_chunks_of(chunk, &wasm).unwrap();
        let (mut plain, mut ours) = (Guest::new(&engine, &wasm), Guest::new(&engine, &chunked.bytes));
        for (name, operands) in calls {
            let trap = plain.call(name, operands);
            prop_assert_eq!(trap, ours.call(name, operands), "{} {:?}", name, operands);
            prop_assert!(plain.memory.data(&plain.store) == ours.memory.data(&ours.store), "{} {:?}", name, operands);
        }
    }
}

#[test]
fn the_ends_of_memory_and_segments_are_where_they_were() {
    let engine = Engine::default();
    let wasm = bulks();
    let chunked = in_chunks_of(64, &wasm).unwrap();
    let (page, data) = (PAGE as u32, DATA as u32);
    for (name, operands, in_bounds) in [
        ("fill", (0, 7, page), true),
        ("fill", (1, 7, page), false),
        ("fill", (page, 7, 0), true),
        ("fill", (page + 1, 7, 0), false),
        ("fill", (u32::MAX, 7, u32::MAX), false),
        ("copy", (0, 1, page - 1), true),
        ("copy", (1, 0, page - 1), true),
        ("copy", (1, 0, page), false),
        ("copy", (0, 1, page), false),
        ("copy", (0, page, 0), true),
        ("init", (page - data, 0, data), true),
        ("init", (page - data + 1, 0, data), false),
        ("init", (0, 1, data), false),
        ("init", (0, data, 0), true),
        ("init", (0, 1, u32::MAX), false),
    ] {
        let (mut plain, mut ours) = (
            Guest::new(&engine, &wasm),
            Guest::new(&engine, &chunked.bytes),
        );
        let expected = (!in_bounds).then_some(Trap::MemoryOutOfBounds);
        assert_eq!(plain.call(name, operands), expected, "{name} {operands:?}");
        assert_eq!(ours.call(name, operands), expected, "{name} {operands:?}");
        assert!(
            plain.memory.data(&plain.store) == ours.memory.data(&ours.store),
            "{name} {operands:?}"
        );
    }
}

fn rewritten(text: &str) -> Option<String> {
    let wasm = wat::parse_str(text).unwrap();
    match in_chunks(&wasm).unwrap().bytes {
        Cow::Borrowed(same) => {
            assert!(std::ptr::eq(same, &raw const wasm[..]));
            None
        }
        Cow::Owned(bytes) => {
            wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&bytes)
                .unwrap();
            Some(format!("{bytes:?}"))
        }
    }
}

#[test]
fn what_is_short_is_untouched() {
    for text in [
        "(module)",
        "(component)",
        "(module (func (drop (i32.trunc_sat_f32_u (f32.const 252)))))",
        "(module (memory 99) (func (param i32) (memory.fill (local.get 0) (i32.const 1) (i32.const 524288))))",
        "(module (memory 99) (func (memory.copy (i32.const 0) (i32.const 1) (i32.const 16))))",
        "(module (memory 99) (data $d \"short\") (func (param i32)
            (memory.init $d (local.get 0) (local.get 0) (local.get 0))))",
        "(component (core module (memory 1) (func (memory.copy (i32.const 0) (i32.const 1) (i32.const 16)))))",
    ] {
        assert_eq!(rewritten(text), None, "{text}");
    }
}

#[test]
fn what_may_be_long_is_replaced() {
    for text in [
        "(module (memory 99) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const 524289))))",
        "(module (memory 99) (func (memory.fill (i32.const 0) (i32.const 1) (i32.const -1))))",
        "(module (memory 99) (func (param i32) (memory.copy (i32.const 0) (i32.const 1) (local.get 0))))",
        // The constant is not the length.
        "(module (memory 99) (func (param i32) i32.const 0 i32.const 0 local.get 0 i32.const 5 drop memory.fill))",
        "(module (memory 99) (func (param i32)
            i32.const 0 i32.const 0 (if (result i32) (local.get 0) (then local.get 0) (else i32.const 5)) memory.fill))",
        "(module (memory 99) (func i32.const 0 unreachable memory.fill))",
        "(module (import \"a\" \"b\" (memory 1)) (import \"a\" \"c\" (func (param f64)))
            (global i32 (i32.const 1)) (start $f) (table 1 funcref) (elem (i32.const 0) $f)
            (func $f (local i64) (memory.fill (i32.const 0) (i32.const 1) (memory.size)) (call $g))
            (func $g (export \"g\") (memory.copy (i32.const 0) (i32.const 1) (memory.size))))",
        "(module (rec (type (struct)) (type (array i8))) (type (func)) (memory 1)
            (func (memory.fill (i32.const 0) (i32.const 1) (memory.size))))",
        "(module (memory $a 1) (memory $b 1) (func
            (memory.copy $a $b (i32.const 0) (i32.const 1) (memory.size))
            (memory.copy $b $a (i32.const 0) (i32.const 1) (memory.size))))",
        "(component (component (core module) (core module (memory 1)
            (func (memory.copy (i32.const 0) (i32.const 1) (memory.size))))) (core module))",
    ] {
        assert!(rewritten(text).is_some(), "{text}");
    }
}

#[test]
fn a_long_segment_is_copied_in_chunks() {
    let data = "x".repeat(CHUNK_BYTES as usize + 1);
    let module = |kind: &str| {
        format!(
            "(module (memory 99) (data {kind} \"{data}\") (func (param i32)
                (memory.init 0 (local.get 0) (local.get 0) (local.get 0))))"
        )
    };
    assert!(rewritten(&module("")).is_some());
    assert!(rewritten(&module("(i32.const 0)")).is_some());
}

/// What was rewritten can be rewritten again: the functions' own instructions
/// are short, except the last, and nothing breaks.
#[test]
fn rewriting_twice_changes_no_meaning() {
    let engine = Engine::default();
    let wasm = bulks();
    let once = in_chunks_of(64, &wasm).unwrap().bytes;
    let twice = in_chunks_of(64, &once).unwrap().bytes;
    let (mut plain, mut ours) = (Guest::new(&engine, &wasm), Guest::new(&engine, &twice));
    for call in [
        ("copy", (100, 0, 5_000)),
        ("fill", (9, 9, 999)),
        ("copy", (0, 9, 60_000)),
    ] {
        assert_eq!(plain.call(call.0, call.1), ours.call(call.0, call.1));
    }
    assert!(plain.memory.data(&plain.store) == ours.memory.data(&ours.store));
}

#[test]
fn all_else_is_copied_byte_by_byte() {
    let wasm = wat::parse_str(
        r#"(module $named (memory 1) (func $f (param $p i32)
            (memory.fill (i32.const 0) (i32.const 1) (local.get $p)))
            (func $g (local f64)) (export "f" (func $f)) (@custom "mine" "\00\01")
            (data "kept"))"#,
    )
    .unwrap();
    let chunked = in_chunks(&wasm).unwrap();
    let sections = |bytes: &[u8]| -> Vec<(u8, Vec<u8>)> {
        let section = |range: Range<usize>| bytes[range].to_vec();
        wasmparser::Parser::new(0)
            .parse_all(bytes)
            .filter_map(|payload| payload.unwrap().as_section())
            .map(|(id, range)| (id, section(range)))
            .collect()
    };
    const TYPE: u8 = 1;
    const FUNCTION: u8 = 3;
    const CODE: u8 = 10;
    let kept = |sections: Vec<(u8, Vec<u8>)>| -> Vec<(u8, Vec<u8>)> {
        sections
            .into_iter()
            .filter(|(id, _)| ![TYPE, FUNCTION, CODE].contains(id))
            .collect()
    };
    let (old, new) = (sections(&wasm), sections(&chunked.bytes));
    assert_eq!(
        old.iter().map(|(id, _)| id).collect::<Vec<_>>(),
        new.iter().map(|(id, _)| id).collect::<Vec<_>>()
    );
    assert_eq!(kept(old), kept(new));
}

/// Each operator of the rewritten file stood where the places say.
#[test]
fn places_lead_back_to_the_authors_file() {
    let wasm = wat::parse_str(
        r#"(component (core module) (component (core module $m (memory 1)
            (func (param i32) nop (memory.fill (i32.const 0) (i32.const 1) (local.get 0)) nop
                (memory.copy (i32.const 0) (i32.const 1) (local.get 0)) nop)
            (func nop) (func (param i32) (memory.fill (i32.const 5) (i32.const 6) (local.get 0)))))
            (core module (func nop unreachable)))"#,
    )
    .unwrap();
    let operators = |bytes: &[u8]| -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(bytes) {
            if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
                let operators = body.get_operators_reader().unwrap();
                for operator in operators.into_iter_with_offsets() {
                    let (operator, offset) = operator.unwrap();
                    found.push((offset, format!("{operator:?}")));
                }
            }
        }
        found
    };
    let chunked = in_chunks(&wasm).unwrap();
    let old = operators(&wasm);
    let new: Vec<_> = operators(&chunked.bytes)
        .into_iter()
        .filter_map(|(offset, operator)| Some((chunked.places.original(offset)?, operator)))
        .collect();
    assert_eq!(old.len(), new.len());
    for ((old_at, old), (new_at, new)) in old.into_iter().zip(new) {
        assert_eq!(old_at, new_at);
        assert!(old == new || new.starts_with("Call "), "{old} {new}");
    }
}

#[test]
fn places_survive_beside_compiled_code() {
    let wasm = bulks();
    let places = in_chunks(&wasm).unwrap().places;
    let mut code = b"code".to_vec();
    places.append_to(&mut code);
    let (rest, read) = super::Places::split_off(&code).unwrap();
    assert_eq!((rest, read), (&b"code"[..], places));
    for end in 0..code.len() {
        let _ = super::Places::split_off(&code[..end]);
    }
}

#[test]
fn malformed_modules_are_left_to_the_compiler() {
    let component = wat::parse_str(
        "(component (core module (memory 1) (data $d \"x\") (func $f (param i32)
            (memory.fill (i32.const 0) (i32.const 1) (local.get 0)) (data.drop $d))))",
    )
    .unwrap();
    for wasm in [bulks(), component] {
        for at in 0..wasm.len() {
            let _ = in_chunks(&wasm[..at]);
            for flip in [1, 0x80, 0xff] {
                let mut broken = wasm.clone();
                broken[at] ^= flip;
                let _ = in_chunks(&broken);
            }
        }
    }
}

#[test]
fn components_in_one_another_are_counted() {
    let nested = |depth: usize| {
        wat::parse_str(format!(
            "{}{}",
            "(component ".repeat(depth),
            ")".repeat(depth)
        ))
        .unwrap()
    };
    assert!(in_chunks(&nested(30)).is_ok());
    let error = in_chunks(&nested(40)).err().unwrap().to_string();
    assert!(
        error.starts_with("too many components in one another: 33, at most 32"),
        "{error}"
    );
}

/// The price of a short instruction, and the speed of long ones:
/// `cargo test -p wasmjob-sandbox --lib -- --ignored --nocapture the_price`.
#[test]
#[ignore = "it measures"]
#[allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures"
)]
fn the_price_of_chunks() {
    let wasm = wat::parse_str(
        r#"(module (memory (export "memory") 4096)
            (func (export "copy") (param $n i32) (param $len i32) (param $unused i32)
                (loop (memory.copy (i32.const 100000000) (i32.const 0) (local.get $len))
                    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
            (func (export "fill") (param $n i32) (param $len i32) (param $unused i32)
                (loop (memory.fill (i32.const 0) (i32.const 1) (local.get $len))
                    (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#,
    )
    .unwrap();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let variants: Vec<(String, Vec<u8>)> = [0, 16, 18, 19, 20, 21, 22, 24]
        .map(|log| match log {
            0 => ("plain".to_owned(), wasm.clone()),
            log => {
                let chunked = in_chunks_of(1 << log, &wasm).unwrap();
                (
                    format!("{} KiB", (1 << log) >> 10),
                    chunked.bytes.into_owned(),
                )
            }
        })
        .into();
    let mut guests: Vec<_> = variants
        .iter()
        .map(|(name, wasm)| {
            let mut guest = Guest::new(&engine, wasm);
            guest.store.set_epoch_deadline(u64::MAX / 2);
            (name, guest)
        })
        .collect();
    for name in ["copy", "fill"] {
        for (len, times) in [
            (0, 2_000_000),
            (16, 2_000_000),
            (200, 2_000_000),
            (4 << 10, 1_000_000),
            (1 << 20, 500),
            (90 << 20, 4),
        ] {
            for (variant, guest) in &mut guests {
                let function = guest.function(name);
                let mut best = f64::MAX;
                for _ in 0..5 {
                    let started = std::time::Instant::now();
                    function.call(&mut guest.store, (times, len, 0)).unwrap();
                    best = best.min(started.elapsed().as_secs_f64() * 1e9 / f64::from(times));
                }
                println!("{name} {len:>9} bytes {variant:>9}: {best:>12.1} ns");
            }
        }
    }
}
