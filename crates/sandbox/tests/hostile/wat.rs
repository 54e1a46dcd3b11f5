//! Guests as text.

use std::fmt::Write as _;

pub(crate) use crate::support::wat;

pub(crate) const LOOP: &str = r#"(module (func (export "_start") (loop (br 0))))"#;

pub(crate) const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\06\00\00\00hello\n")
    (func (export "_start")
        (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))))"#;

/// WASI 0.1, whole: names and parameters (`i` is i32, `I` is i64).
pub(crate) const P1: [(&str, &str); 46] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// A core module that imports all of WASI 0.1 as `$name`, has `pages` of
/// memory, and `body`.
pub(crate) fn p1(pages: u32, body: &str) -> Vec<u8> {
    let mut text = String::from("(module\n");
    for (name, params) in P1 {
        let params: String = params
            .chars()
            .map(|c| if c == 'i' { " i32" } else { " i64" })
            .collect();
        let result = if name == "proc_exit" {
            ""
        } else {
            "(result i32)"
        };
        writeln!(
            text,
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param{params}) {result}))"
        )
        .unwrap();
    }
    write!(text, "(memory (export \"memory\") {pages})\n{body})").unwrap();
    wat(&text)
}

/// [`p1`] with a `_start` that exits with the number that `start` leaves.
pub(crate) fn p1_exits(pages: u32, more: &str, start: &str) -> Vec<u8> {
    p1(
        pages,
        &format!(
            "{more} (func (export \"_start\") (local $i i32) (local $n i32) (call $proc_exit {start}))"
        ),
    )
}

/// `bytes` as they stand in a data segment.
pub(crate) fn data(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\{byte:02x}").unwrap();
        text
    })
}

/// A component whose `wasi:cli/run` is `$main`'s core function `run`; `before`
/// defines `$main` and what it needs, `options` go to its lifting.
pub(crate) fn command(before: &str, options: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component {before}
            (func $run (result (result)) (canon lift (core func $main "run") {options}))
            (instance $i (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $i)))"#
    ))
}
