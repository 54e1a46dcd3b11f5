//! Modules that are small and expensive to compile.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "shared by tests")]

use std::fmt::Write as _;

fn module(functions: &str) -> Vec<u8> {
    wat::parse_str(format!(
        "(module (memory 1) (global $g (mut i64) (i64.const 1)) {functions}
            (func (export \"_start\")))"
    ))
    .unwrap()
}

fn repeat(n: usize, text: impl Fn(usize) -> String) -> String {
    (0..n).map(text).collect()
}

/// `count` functions of `steps` steps without a branch, nine bytes each.
pub fn straight(count: usize, steps: usize) -> Vec<u8> {
    let body = repeat(steps, |n| {
        format!(
            "(local.set 0 (i64.add (i64.mul (local.get 0) (i64.const {})) (local.get 1)))",
            n % 60
        )
    });
    module(&repeat(count, |_| format!("(func (param i64 i64) {body})")))
}

/// `count` functions with a loop over `locals` locals that are all live.
pub fn live_locals(count: usize, locals: usize) -> Vec<u8> {
    let body = repeat(locals, |n| {
        format!(
            "(local.set {n} (i64.add (local.get {}) (local.get {n})))",
            (n + 1) % locals
        )
    });
    let function = format!(
        "(func (local{}) (loop {body} (br_if 0 (i64.eqz (local.get 0)))))",
        " i64".repeat(locals)
    );
    module(&function.repeat(count))
}

/// `count` functions with `depth` loops in one another, around changes of `locals` locals.
pub fn nested_loops(count: usize, depth: usize, locals: usize) -> Vec<u8> {
    let body = repeat(locals, |n| {
        format!("(local.set {n} (i64.add (local.get {n}) (i64.const 1)))")
    });
    let function = format!(
        "(func (local{}) {} {body} {})",
        " i64".repeat(locals),
        "loop ".repeat(depth),
        "local.get 0 i64.eqz br_if 0 end ".repeat(depth)
    );
    module(&function.repeat(count))
}

/// `count` functions with `joins` decisions one after another, each changing two of `locals` locals.
pub fn joins(count: usize, joins: usize, locals: usize) -> Vec<u8> {
    let body = repeat(joins, |n| {
        let (a, b) = (n % locals, (n * 7 + 3) % locals);
        format!(
            "local.get {a} i64.eqz if local.get {b} local.set {a} else local.get {a} local.set {b} end "
        )
    });
    let function = format!("(func (local{}) {body})", " i64".repeat(locals));
    module(&function.repeat(count))
}

/// Decisions within a loop around all of them, so that every local is merged everywhere.
pub fn looped_joins(count: usize, joins: usize, locals: usize) -> Vec<u8> {
    let body = repeat(joins, |n| {
        let (a, b) = (n % locals, (n * 7 + 3) % locals);
        format!(
            "local.get {a} i64.eqz if local.get {b} local.set {a} else local.get {a} local.set {b} end "
        )
    });
    let function = format!(
        "(func (local{}) loop {body} local.get 0 i64.eqz br_if 0 end)",
        " i64".repeat(locals)
    );
    module(&function.repeat(count))
}

/// `count` functions with `depth` blocks in one another and a table that jumps out of all.
pub fn jump_tables(count: usize, depth: usize, tables: usize, locals: usize) -> Vec<u8> {
    let targets = repeat(depth, |n| format!(" {n}"));
    let table = format!("block local.get 0 i32.wrap_i64 br_table{targets} end ");
    let body = repeat(depth, |n| {
        format!(
            "end local.get {0} i64.const 3 i64.mul local.set {0} ",
            n % locals
        )
    });
    let function = format!(
        "(func (local{}) {} {} {body})",
        " i64".repeat(locals),
        "block ".repeat(depth),
        table.repeat(tables)
    );
    module(&function.repeat(count))
}

/// `count` functions that hold `values` values at once, across a call.
pub fn stack(count: usize, values: usize) -> Vec<u8> {
    let function = format!(
        "(func {} (call $h) {})",
        repeat(values, |n| format!("(i64.load offset={n} (i32.const 0)) ")),
        "i64.add ".repeat(values - 1) + "global.set $g"
    );
    module(&format!("(func $h) {}", function.repeat(count)))
}

/// `count` functions of `steps` instructions that become long machine code.
pub fn vectors(count: usize, steps: usize) -> Vec<u8> {
    let step = "(local.set 0 (i8x16.shuffle 0 17 2 19 4 21 6 23 8 25 10 27 12 29 14 31 (i64x2.mul (local.get 0) (i8x16.popcnt (local.get 1))) (f64x2.nearest (i32x4.trunc_sat_f32x4_u (local.get 1)))))";
    module(&format!("(func (param v128 v128) {})", step.repeat(steps)).repeat(count))
}

/// `count` functions of `calls` calls through a table and bulk instructions.
pub fn calls(count: usize, calls: usize) -> Vec<u8> {
    let step = "(call_indirect (type $t) (i32.const 0) (i64.const 1) (i32.const 0))";
    let function = format!("(func {})", step.repeat(calls));
    module(&format!(
        "(type $t (func (param i32 i64))) (table 1 funcref) {}",
        function.repeat(count)
    ))
}

/// `count` functions of `calls` calls.
pub fn direct_calls(count: usize, calls: usize) -> Vec<u8> {
    let function = format!("(func {})", "call $h ".repeat(calls));
    module(&format!("(func $h) {}", function.repeat(count)))
}

/// `count` functions of `times` looks into a table.
pub fn table_gets(count: usize, times: usize) -> Vec<u8> {
    let step = "(table.set (i32.const 0) (table.get (i32.const 0)))";
    let function = format!("(func {})", step.repeat(times));
    module(&format!("(table 1 funcref) {}", function.repeat(count)))
}

/// `count` empty functions.
pub fn functions(count: usize) -> Vec<u8> {
    module(&"(func)".repeat(count))
}

/// `count` exported functions, each with `params` parameters of a type of its own.
pub fn signatures(count: usize, params: usize) -> Vec<u8> {
    module(&repeat(count, |n| {
        let mut types = String::new();
        for bit in 0..params {
            let kind = if bit < 20 && n >> bit & 1 == 1 {
                "i32"
            } else {
                "i64"
            };
            write!(types, " {kind}").unwrap();
        }
        format!("(func (export \"f{n}\") (param{types}))")
    }))
}

/// `count` functions that call one with `params` parameters and as many results, `calls` times.
pub fn wide_calls(count: usize, calls: usize, params: usize) -> Vec<u8> {
    let types = " i64".repeat(params);
    module(&format!(
        "(func $w (param{types}) (result{types}) {})
        {}",
        repeat(params, |n| format!("local.get {n} ")),
        format!(
            "(func {} {} {})",
            "i64.const 1 ".repeat(params),
            "call $w ".repeat(calls),
            "drop ".repeat(params)
        )
        .repeat(count)
    ))
}

/// `count` imported functions, each with `params` parameters of a type of its own.
pub fn imports(count: usize, params: usize) -> Vec<u8> {
    let text = repeat(count, |n| {
        let mut types = String::new();
        for bit in 0..params {
            let kind = if bit < 20 && n >> bit & 1 == 1 {
                "i32"
            } else {
                "i64"
            };
            write!(types, " {kind}").unwrap();
        }
        format!("(import \"m\" \"f{n}\" (func (param{types})))")
    });
    wat::parse_str(format!("(module {text} (func (export \"_start\")))")).unwrap()
}

/// `count` globals and as many element segments.
pub fn items(count: usize) -> Vec<u8> {
    module(&format!(
        "(table 10 funcref) (func $e) {} {}",
        "(global (mut i64) (i64.const 7))".repeat(count),
        "(elem (i32.const 1) $e)".repeat(count)
    ))
}

/// A component with two others that call one another with a record of `fields`
/// strings, through `count` functions: the glue is made by the compiler.
pub fn glue(count: usize, fields: usize) -> Vec<u8> {
    let fields = repeat(fields, |n| format!("(field \"f{n}\" string)"));
    let record = format!("(type $r_ (record {fields})) (export $r \"r\" (type $r_))");
    let callee_exports = repeat(count, |n| {
        format!(
            "(func (export \"f{n}\") (param \"x\" (list $r)) (canon lift (core func $m \"f\") (memory (core memory $m \"memory\")) (realloc (core func $m \"realloc\"))))"
        )
    });
    let imports = repeat(count, |n| {
        format!("(export \"f{n}\" (func (param \"x\" (list $r))))")
    });
    let lowers = repeat(count, |n| {
        format!(
            "(core func $l{n} (canon lower (func $i \"f{n}\") (memory (core memory $libc \"memory\")) (realloc (core func $libc \"realloc\"))))"
        )
    });
    let withs = repeat(count, |n| format!("(export \"f{n}\" (func $l{n}))"));
    let core_imports = repeat(count, |n| {
        format!("(import \"i\" \"f{n}\" (func (param i32 i32)))")
    });
    let libc = "(memory (export \"memory\") 1) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8))";
    wat::parse_str(format!(
        r#"(component
            (component $Callee
                {record}
                (core module $M {libc} (func (export "f") (param i32 i32)))
                (core instance $m (instantiate $M))
                {callee_exports})
            (component $Caller
                (import "i" (instance $i (type $r_ (record {fields})) (export "r" (type $r (eq $r_))) {imports}))
                (core module $Libc {libc})
                (core instance $libc (instantiate $Libc))
                {lowers}
                (core module $Main {core_imports} (func (export "run") (result i32) (i32.const 0)))
                (core instance $main (instantiate $Main (with "i" (instance {withs}))))
                (func $run (result (result)) (canon lift (core func $main "run")))
                (instance $o (export "run" (func $run)))
                (export "wasi:cli/run@0.2.0" (instance $o)))
            (instance $callee (instantiate $Callee))
            (instance $caller (instantiate $Caller (with "i" (instance $callee))))
            (export "wasi:cli/run@0.2.0" (instance $caller "wasi:cli/run@0.2.0")))"#
    ))
    .unwrap()
}
