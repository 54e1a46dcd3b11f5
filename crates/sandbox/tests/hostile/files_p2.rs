//! Components with directories: T28 and long reads and writes.

use wasmjob_sandbox::{Exit, Limits};

use crate::attack::{assert_trap, row};
use crate::files::{Tree, special_files};
use crate::wat::command;

/// The place of `no-such-device` in `error-code`.
const NO_SUCH_DEVICE: u32 = 29;

/// That of `insufficient-space`.
const INSUFFICIENT_SPACE: u32 = 23;

const ERROR_CODES: &str = "access would-block already bad-descriptor busy deadlock quota exist
    file-too-large illegal-byte-sequence in-progress interrupted invalid io is-directory loop
    too-many-links message-size name-too-long no-device no-entry no-lock insufficient-memory
    insufficient-space not-directory not-empty not-recoverable unsupported no-tty no-such-device
    overflow not-permitted pipe read-only invalid-seek text-file-busy cross-device";

/// A component that has opened its first directory as `$dir` and succeeds if
/// `check` leaves 1. `$open`, `$write` and `$read` put their results at 64.
fn component(check: &str) -> Vec<u8> {
    let codes: String = ERROR_CODES
        .split_whitespace()
        .map(|code| format!(" \"{code}\""))
        .collect();
    let types = format!(
        r#"(import "wasi:io/error@0.2.0" (instance $errors (export "error" (type (sub resource)))))
        (alias export $errors "error" (type $error))
        (import "wasi:io/streams@0.2.0" (instance $streams
            (alias outer 1 $error (type $outer))
            (export "error" (type $e (eq $outer)))
            (export "output-stream" (type $o (sub resource)))
            (type $stream_error (variant (case "last-operation-failed" (own $e)) (case "closed")))
            (export "stream-error" (type $se (eq $stream_error)))
            (export "[method]output-stream.blocking-write-and-flush" (func
                (param "self" (borrow $o)) (param "contents" (list u8)) (result (result (error $se)))))))
        (alias export $streams "output-stream" (type $stream))
        (import "wasi:filesystem/types@0.2.0" (instance $types
            (alias outer 1 $stream (type $outer))
            (export "output-stream" (type $o (eq $outer)))
            (export "descriptor" (type $d (sub resource)))
            (type $path_flags (flags "symlink-follow"))
            (export "path-flags" (type $pf (eq $path_flags)))
            (type $open_flags (flags "create" "directory" "exclusive" "truncate"))
            (export "open-flags" (type $of (eq $open_flags)))
            (type $descriptor_flags (flags "read" "write" "file-integrity-sync"
                "data-integrity-sync" "requested-write-sync" "mutate-directory"))
            (export "descriptor-flags" (type $df (eq $descriptor_flags)))
            (type $error_code (enum{codes}))
            (export "error-code" (type $ec (eq $error_code)))
            (export "[method]descriptor.open-at" (func (param "self" (borrow $d))
                (param "path-flags" $pf) (param "path" string) (param "open-flags" $of)
                (param "flags" $df) (result (result (own $d) (error $ec)))))
            (export "[method]descriptor.write" (func (param "self" (borrow $d))
                (param "buffer" (list u8)) (param "offset" u64) (result (result u64 (error $ec)))))
            (export "[method]descriptor.unlink-file-at" (func (param "self" (borrow $d))
                (param "path" string) (result (result (error $ec)))))
            (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $d))
                (param "offset" u64) (result (result (own $o) (error $ec)))))
            (export "[method]descriptor.append-via-stream" (func (param "self" (borrow $d))
                (result (result (own $o) (error $ec)))))
            (export "[method]descriptor.read" (func (param "self" (borrow $d))
                (param "length" u64) (param "offset" u64)
                (result (result (tuple (list u8) bool) (error $ec)))))))
        (alias export $types "descriptor" (type $descriptor))
        (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
            (alias outer 1 $descriptor (type $outer))
            (export "descriptor" (type $d (eq $outer)))
            (export "get-directories" (func (result (list (tuple (own $d) string)))))))"#
    );
    let lower = |name: &str, of: &str, function: &str| {
        format!(
            r#"(alias export {of} "{function}" (func ${name}))
            (core func ${name}_core (canon lower (func ${name})
                (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))"#
        )
    };
    let functions = [
        lower("dirs", "$preopens", "get-directories"),
        lower("open", "$types", "[method]descriptor.open-at"),
        lower("write", "$types", "[method]descriptor.write"),
        lower("read", "$types", "[method]descriptor.read"),
        lower("stream", "$types", "[method]descriptor.write-via-stream"),
        lower("unlink", "$types", "[method]descriptor.unlink-file-at"),
        lower("append", "$types", "[method]descriptor.append-via-stream"),
        lower(
            "put",
            "$streams",
            "[method]output-stream.blocking-write-and-flush",
        ),
    ]
    .concat();
    command(
        &format!(
            r#"{types}
            (core module $Libc (memory (export "memory") 512) (global $at (mut i32) (i32.const 16777216))
                (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                    (global.get $at)
                    (global.set $at (i32.and (i32.const -16)
                        (i32.add (i32.const 15) (i32.add (global.get $at) (local.get 3)))))))
            (core instance $libc (instantiate $Libc))
            {functions}
            (core module $Main
                (import "libc" "memory" (memory 512))
                (import "fs" "dirs" (func $dirs (param i32)))
                (import "fs" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
                (import "fs" "write" (func $write (param i32 i32 i32 i64 i32)))
                (import "fs" "read" (func $read (param i32 i64 i64 i32)))
                (import "fs" "unlink" (func $unlink (param i32 i32 i32 i32)))
                (import "fs" "stream" (func $stream (param i32 i64 i32)))
                (import "fs" "append" (func $append (param i32 i32)))
                (import "fs" "put" (func $put (param i32 i32 i32 i32)))
                (data (i32.const 1024) "file") (data (i32.const 1040) "fifo")
                (data (i32.const 1056) "sock")
                (func (export "run") (result i32) (local $dir i32) (local $n i32)
                    (call $dirs (i32.const 64))
                    (local.set $dir (i32.load (i32.load (i32.const 64))))
                    (i32.eqz {check})))
            (core instance $main (instantiate $Main
                (with "libc" (instance $libc))
                (with "fs" (instance (export "dirs" (func $dirs_core))
                    (export "open" (func $open_core)) (export "write" (func $write_core))
                    (export "unlink" (func $unlink_core))
                    (export "stream" (func $stream_core))
                    (export "append" (func $append_core)) (export "put" (func $put_core))
                    (export "read" (func $read_core))))))"#
        ),
        "",
    )
}

/// Opens what is named at `path` in memory, to read and write.
fn open(path: u32) -> String {
    format!(
        "(call $open (local.get $dir) (i32.const 0) (i32.const {path}) (i32.const 4)
            (i32.const 0) (i32.const 3) (i32.const 64))"
    )
}

#[test]
fn t28_special_files_cannot_be_opened_by_components() {
    let refused = |path| {
        component(&format!(
            "(block (result i32) {} (i32.and
                (i32.eq (i32.load8_u (i32.const 64)) (i32.const 1))
                (i32.eq (i32.load8_u (i32.const 68)) (i32.const {NO_SUCH_DEVICE}))))",
            open(path)
        ))
    };
    row(|sandbox| {
        let tree = Tree::new();
        let _listening = special_files(&tree);
        for path in [1040, 1056] {
            let end = sandbox.run_with(&refused(path), |task| task.mounts = tree.mounts());
            assert_eq!(end.exit, Exit::Code(0), "{path}");
        }
        let opened = component(&format!(
            "(block (result i32) {} (i32.eqz (i32.load8_u (i32.const 64))))",
            open(1024)
        ));
        let end = sandbox.run_with(&opened, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
    });
}

/// Writes `bytes` in one call, and reads twice as many in another.
fn writes(bytes: usize) -> Vec<u8> {
    component(&format!(
        "(block $no (result i32) (i32.const 0) {}
            (br_if $no (i32.load8_u (i32.const 64)))
            (local.set $dir (i32.load (i32.const 68)))
            (call $write (local.get $dir) (i32.const 2000000) (i32.const {bytes}) (i64.const 0)
                (i32.const 64))
            (br_if $no (i32.load8_u (i32.const 64)))
            (br_if $no (i64.ne (i64.load (i32.const 72)) (i64.const {bytes})))
            (call $read (local.get $dir) (i64.const {}) (i64.const 0) (i32.const 64))
            (br_if $no (i32.load8_u (i32.const 64)))
            drop (i32.gt_u (i32.load (i32.const 72)) (i32.const 0)))",
        open(1024),
        2 * bytes
    ))
}

/// Writes blocks to its file until one is refused for want of room, as it must be.
pub(crate) fn fills(by_stream: bool) -> Vec<u8> {
    let (first, again, refused) = if by_stream {
        (
            "(call $append (local.get $dir) (i32.const 64))
                (br_if $no (i32.load8_u (i32.const 64)))
                (local.set $dir (i32.load (i32.const 68)))",
            "(call $put (local.get $dir) (i32.const 4096) (i32.const 4096) (i32.const 64))",
            // last-operation-failed
            "(i32.eqz (i32.load8_u (i32.const 68)))".to_owned(),
        )
    } else {
        (
            "",
            "(call $write (local.get $dir) (i32.const 4096) (i32.const 4096)
                (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const 4096)) (i32.const 64))",
            format!("(i32.eq (i32.load8_u (i32.const 72)) (i32.const {INSUFFICIENT_SPACE}))"),
        )
    };
    component(&format!(
        "(block $no (result i32) (i32.const 0) {}
            (br_if $no (i32.load8_u (i32.const 64)))
            (local.set $dir (i32.load (i32.const 68)))
            {first}
            (loop $next
                {again}
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $next (i32.and (i32.eqz (i32.load8_u (i32.const 64)))
                    (i32.lt_u (local.get $n) (i32.const 10000)))))
            drop (i32.and (i32.load8_u (i32.const 64)) {refused}))",
        open(1024)
    ))
}

/// Writes a block where its file begins, by a stream, which must go well.
pub(crate) fn overwrites() -> Vec<u8> {
    component(&format!(
        "(block $no (result i32) (i32.const 0) {}
            (br_if $no (i32.load8_u (i32.const 64)))
            (call $stream (i32.load (i32.const 68)) (i64.const 0) (i32.const 64))
            (br_if $no (i32.load8_u (i32.const 64)))
            (call $put (i32.load (i32.const 68)) (i32.const 4096) (i32.const 4096)
                (i32.const 64))
            drop (i32.eqz (i32.load8_u (i32.const 64))))",
        open(1024)
    ))
}

/// Fills its file, removes it while it is open, and succeeds if another one has no room.
pub(crate) fn hides(bytes: usize) -> Vec<u8> {
    let make = |path: u32| {
        format!(
            "(call $open (local.get $dir) (i32.const 0) (i32.const {path}) (i32.const 4)
                (i32.const 1) (i32.const 3) (i32.const 64))
            (br_if $no (i32.load8_u (i32.const 64)))
            (local.set $n (i32.load (i32.const 68)))"
        )
    };
    let write = |bytes: usize, at: usize| {
        format!(
            "(call $write (local.get $n) (i32.const 2000000) (i32.const {bytes}) (i64.const {at})
                (i32.const 64))"
        )
    };
    component(&format!(
        "(block $no (result i32) (i32.const 0) {}
            {}
            (br_if $no (i32.load8_u (i32.const 64)))
            (br_if $no (i64.ne (i64.load (i32.const 72)) (i64.const {bytes})))
            (call $unlink (local.get $dir) (i32.const 1024) (i32.const 4) (i32.const 64))
            (br_if $no (i32.load8_u (i32.const 64)))
            {}
            {}
            (br_if $no (i32.load8_u (i32.const 64)))
            {} drop
            (i32.and (i32.load8_u (i32.const 64))
                (i32.eq (i32.load8_u (i32.const 72)) (i32.const {INSUFFICIENT_SPACE}))))",
        make(1024),
        write(bytes, 0),
        make(1040),
        write(1 << 20, 0),
        write(1 << 20, 1 << 20) + &write(1 << 20, 2 << 20),
    ))
}

/// Arguments are copied before the function is called: what is too much is a trap.
#[test]
fn a_component_hands_over_as_much_as_the_host_copies() {
    let most = Limits::default().hostcall_fuel;
    row(|sandbox| {
        let tree = Tree::new();
        let run = |bytes| sandbox.run_with(&writes(bytes), |task| task.mounts = tree.mounts());
        assert_eq!(run(most).exit, Exit::Code(0));
        let written = std::fs::metadata(tree.rw().join("file")).unwrap().len();
        assert_eq!(written, most as u64);
        assert_trap(run(2 * most), "too much data is being copied");
    });
}
