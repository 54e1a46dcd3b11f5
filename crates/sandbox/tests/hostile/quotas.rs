//! Guests that want more of the disk than they may have: T40 where it is limited.

use std::os::fd::{AsFd, AsRawFd as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use wasmjob_sandbox::{Exit, Limits, Mount, Quota};

use crate::attack::row;
use crate::files::{Strings, errnos, open};
use crate::files_p2;
use crate::wat::p1_exits;

const LIMIT: u64 = 256 << 10;

/// What a write may take beyond the limit: the blocks in which it begins and ends.
const SLACK: u64 = 2 * 4096;

const ENOMEM: u8 = 48;
const ENOSPC: u8 = 51;
const EXDEV: u8 = 75;

/// Bytes that what stands in a directory takes, however deep.
fn taken(dir: &Path) -> u64 {
    fn within(dir: impl AsFd) -> u64 {
        let mut bytes = 0;
        for entry in Dir::read_from(&dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let found = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            bytes += u64::try_from(found.st_blocks).unwrap() * 512;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                bytes += within(openat(&dir, name, OFlags::RDONLY, Mode::empty()).unwrap());
            }
        }
        bytes
    }
    within(std::fs::File::open(dir).unwrap())
}

/// Two empty directories for guests, of which the first is limited.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["limited", "free"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self(dir)
    }

    fn taken(&self) -> u64 {
        taken(&self.0.path().join("limited"))
    }

    /// 3 is /limited, 4 is /free.
    fn mounts(&self) -> Arc<[Mount]> {
        self.mounts_with(LIMIT)
    }

    fn mounts_with(&self, limit: u64) -> Arc<[Mount]> {
        let dir = self.0.path().join("limited");
        let quota = Arc::new(Quota::new(limit, move || Some(taken(&dir))));
        let mount = |name: &str, quotas: &[Arc<Quota>]| Mount {
            dir: std::fs::File::open(self.0.path().join(name))
                .unwrap()
                .into(),
            guest_path: format!("/{name}"),
            read_only: false,
            quotas: quotas.into(),
        };
        Arc::from([mount("limited", &[quota]), mount("free", &[])])
    }
}

/// A guest that does `again` until it leaves an errno, with which it exits; it is `255` if
/// that went well 100,000 times. Before, `first` is done.
fn until_it_fails(strings: &Strings, first: &str, again: &str) -> Vec<u8> {
    let segment = format!(
        "{} (data (i32.const 16) \"\\00\\00\\02\\00\\00\\00\\01\\00\\00\\00\\02\\00\\01\\00\\00\\00\")",
        strings.segment()
    );
    p1_exits(
        16,
        &segment,
        &format!(
            "(block (result i32) {first} (loop $next (result i32)
                (local.set $i ({again}))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $next (i32.and (i32.eqz (local.get $i))
                    (i32.lt_u (local.get $n) (i32.const 100000))))
                (if (result i32) (local.get $i) (then (local.get $i)) (else (i32.const 255)))))"
        ),
    )
}

#[test]
fn t40_a_file_grows_to_the_limit_and_no_further() {
    row(|sandbox| {
        for (list, call) in [
            (
                16,
                "$fd_write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 8)",
            ),
            (
                24,
                "$fd_pwrite (i32.load (i32.const 0)) (i32.const 24) (i32.const 1)
                    (i64.mul (i64.extend_i32_u (local.get $n)) (i64.const 4096)) (i32.const 8)",
            ),
        ] {
            let (disk, mut strings) = (Disk::new(), Strings::default());
            let file = strings.add(b"file");
            let first = format!("(drop {})", open(3, &file, 0, 1, crate::files::BOTH));
            let wasm = until_it_fails(&strings, &first, &format!("call {call}"));
            let end = sandbox.run_with(&wasm, |task| task.mounts = disk.mounts());
            assert_eq!(end.exit, Exit::Code(ENOSPC), "{list}");
            let taken = disk.taken();
            assert!(taken <= LIMIT + SLACK, "{taken} bytes are taken");
            assert!(taken >= LIMIT - SLACK, "{taken} bytes are taken");
            // All of each block, or one byte.
            let least = match list {
                16 => taken - SLACK,
                _ => (taken - SLACK) / 4096,
            };
            assert!(end.usage.written_bytes >= least, "{:?}", end.usage);
        }
    });
}

#[test]
fn t40_directories_links_and_empty_files_take_room_too() {
    row(|sandbox| {
        // The name is the number of the round.
        let name = "(i32.const 32) (i32.const 4)";
        let count = "(i32.store8 (i32.const 32) (i32.add (i32.const 65) (i32.and (local.get $n) (i32.const 15))))
            (i32.store8 (i32.const 33) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 15))))
            (i32.store8 (i32.const 34) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 15))))
            (i32.store8 (i32.const 35) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get $n) (i32.const 12)) (i32.const 15))))";
        let disk = Disk::new();
        let made = format!(
            "block (result i32) {count} (call $path_create_directory (i32.const 3) {name})"
        );
        let wasm = until_it_fails(&Strings::default(), "", &made);
        let end = sandbox.run_with(&wasm, |task| task.mounts = disk.mounts());
        // Where directories take blocks, they are refused when there are none.
        let taken = disk.taken();
        assert!(taken <= LIMIT + SLACK, "{taken} bytes are taken");
        if taken > LIMIT / 2 {
            assert_eq!(end.exit, Exit::Code(ENOSPC));
        }
    });
}

#[test]
fn t40_nothing_is_brought_past_the_limit() {
    let mut s = Strings::default();
    let [file, moved, link] = ["file", "moved", "link"].map(|text| s.add(text.as_bytes()));
    let both = crate::files::BOTH;
    let big = "(i32.const 16) (i32.const 1)";
    let calls = [
        // Filled where it is free, and moved or linked to where it is not.
        (open(4, &file, 0, 1, both), 0),
        ("(block (result i32) (i32.store (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 1048576)) (i32.const 0))".to_owned(), 0),
        (format!("(call $fd_write (i32.load (i32.const 0)) {big} (i32.const 8))"), 0),
        (format!("(call $path_rename (i32.const 4) {file} (i32.const 3) {moved})"), EXDEV),
        (format!("(call $path_link (i32.const 4) (i32.const 0) {file} (i32.const 3) {link})"), EXDEV),
        (format!("(call $path_rename (i32.const 4) {file} (i32.const 4) {moved})"), 0),
        // A descriptor of what is limited takes the place of the one that is not.
        (open(3, &file, 0, 1, both), 0),
        ("(call $fd_renumber (i32.load (i32.const 0)) (i32.const 5))".to_owned(), 0),
        (format!("(call $fd_write (i32.const 5) {big} (i32.const 8))"), 0),
        // One block more, which could be the one that is there.
        (format!("(call $fd_write (i32.const 5) {big} (i32.const 8))"), 0),
        (format!("(call $fd_write (i32.const 5) {big} (i32.const 8))"), ENOSPC),
    ];
    let (calls, expected): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    row(|sandbox| {
        let disk = Disk::new();
        let end = sandbox.run_with(&errnos(&s, &calls), |task| task.mounts = disk.mounts());
        assert_eq!((end.exit, end.stdout), (Exit::Code(0), expected.clone()));
        assert!(
            disk.taken() <= LIMIT + SLACK,
            "{} bytes are taken",
            disk.taken()
        );
    });
}

/// The kernel tells no path of a file that lies so deep, and has none of one that was removed.
#[test]
fn t40_what_was_removed_and_is_open_counts_where_it_stood() {
    const HIDDEN: u64 = 100 << 10;
    let mut s = Strings::default();
    let (dir, file) = (s.add("d".repeat(250).as_bytes()), s.add(b"file"));
    let make = |dir: &str, to: u32| {
        format!(
            "(call $path_open {dir} (i32.const 0) {file} (i32.const 1) (i64.const {})
                (i64.const 0) (i32.const 0) (i32.const {to}))",
            crate::files::BOTH
        )
    };
    let write = |fd: u32, bytes: u64| {
        format!(
            "(block (result i32) (i32.store (i32.const 20) (i32.const {bytes}))
                (call $fd_write (i32.load (i32.const {fd})) (i32.const 16) (i32.const 1)
                    (i32.const 24)))"
        )
    };
    let here = "(i32.load (i32.const 0))";
    let begin = "(block (result i32) (i32.store (i32.const 0) (i32.const 3)) (i32.const 0))";
    let mut calls = vec![begin.to_owned()];
    for _ in 0..20 {
        calls.push(format!("(call $path_create_directory {here} {dir})"));
        calls.push(format!(
            "(call $path_open {here} (i32.const 0) {dir} (i32.const 2) (i64.const {})
                (i64.const 0) (i32.const 0) (i32.const 0))",
            crate::files::READ
        ));
    }
    calls.push(make(here, 4));
    calls.push(write(4, HIDDEN));
    calls.push(format!("(call $path_unlink_file {here} {file})"));
    // Where it counts, and where it does not.
    for (root, fd) in [(3, 4), (5, 12)] {
        calls.push(make(&format!("(i32.const {root})"), fd));
        calls.extend([write(fd, 1 << 20), write(fd, 4096), write(fd, 4096)]);
    }
    let mut expected = vec![0; calls.len()];
    for refused in [5, 1] {
        expected[calls.len() - refused] = ENOSPC;
    }
    row(|sandbox| {
        let disk = Disk::new();
        let other = Disk::new();
        let mounts: Vec<Mount> = [disk.mounts(), other.mounts()]
            .iter()
            .flat_map(|mounts| mounts.iter())
            .map(|mount| Mount {
                dir: mount.dir.try_clone().unwrap(),
                guest_path: format!("/{}", mount.dir.as_raw_fd()),
                read_only: false,
                quotas: Arc::clone(&mount.quotas),
            })
            .collect();
        let mounts: Arc<[Mount]> = mounts.into();
        let end = sandbox.run_with(&errnos(&s, &calls), |task| {
            task.mounts = Arc::clone(&mounts)
        });
        drop(mounts);
        assert_eq!((end.exit, end.stdout), (Exit::Code(0), expected.clone()));
        let (taken, free) = (disk.taken(), other.taken());
        assert!(taken <= LIMIT - HIDDEN + SLACK, "{taken} bytes are taken");
        assert!(free >= LIMIT, "{free} bytes are taken");
        // Components, too.
        let disk = Disk::new();
        let hides = files_p2::hides(200 << 10);
        let end = sandbox.run_with(&hides, |task| task.mounts = disk.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        let taken = disk.taken();
        assert!(taken <= LIMIT - (200 << 10) + SLACK, "{taken} bytes");
    });
}

/// What the host copies of a list of buffers is limited; what it writes, too, at any length.
#[test]
fn t40_no_list_of_buffers_writes_past_the_limit() {
    const LIST: u32 = 1 << 20;
    // One that fits beside a list of half of what the host copies.
    let full = Limits::default().hostcall_fuel / 8;
    let half = u32::try_from(full / 2).unwrap();
    let full = u32::try_from(full).unwrap();
    let mut s = Strings::default();
    let file = s.add(b"file");
    // Length of the list, and the places of buffers that are not empty.
    let until_full = [0, 0, 0, ENOSPC, ENOSPC];
    let lists = [
        (1, &[0][..], until_full),
        (half, &[0], until_full),
        (half, &[0, 1], until_full),
        (half + 1, &[0], until_full),
        (half + 1, &[0, 1], until_full),
        (half + 1, &[5, half], until_full),
        (full, &[], [0; 5]),
        (full, &[0, 1], [0, ENOMEM, ENOMEM, ENOMEM, ENOMEM]),
        (full + 1, &[0, 1], [0, ENOMEM, ENOMEM, ENOMEM, ENOMEM]),
        (full + 1, &[], [0, ENOMEM, ENOMEM, ENOMEM, ENOMEM]),
        (u32::MAX, &[0, 1], [0, ENOMEM, ENOMEM, ENOMEM, ENOMEM]),
    ];
    const APPEND: u32 = 1;
    let calls = |call: &str, flags: u32, count: u32, used: &[u32]| {
        let list = format!("(i32.const {LIST}) (i32.const {})", count.cast_signed());
        // Buffers lie where the memory begins.
        let lengths = used.iter().map(|at| LIST + at * 8 + 4);
        let lengths: String = lengths
            .map(|at| format!("(i32.store (i32.const {at}) (i32.const 1048576))"))
            .collect();
        let opened = format!(
            "(block (result i32) {lengths}
                (call $path_open (i32.const 3) (i32.const 0) {file} (i32.const 1)
                    (i64.const {}) (i64.const 0) (i32.const {flags}) (i32.const 0)))",
            crate::files::BOTH
        );
        let writes = (0..4u64).map(|n| {
            let offset = match call {
                "fd_pwrite" => format!("(i64.const {})", n << 20),
                _ => String::new(),
            };
            format!("(call ${call} (i32.load (i32.const 0)) {list} {offset} (i32.const 8))")
        });
        std::iter::once(opened).chain(writes).collect::<Vec<_>>()
    };
    row(|sandbox| {
        for (call, flags) in [("fd_write", 0), ("fd_write", APPEND), ("fd_pwrite", 0)] {
            for (count, used, expected) in &lists {
                let disk = Disk::new();
                let wasm = errnos(&s, &calls(call, flags, *count, used));
                let end = sandbox.run_with(&wasm, |task| task.mounts = disk.mounts());
                let what = format!("{call} of {count} buffers, {used:?} not empty");
                assert_eq!(end.exit, Exit::Code(0), "{what}");
                let taken = disk.taken();
                assert!(taken <= LIMIT + SLACK, "{what}: {taken} bytes are taken");
                assert_eq!(end.stdout, expected, "{what}");
            }
        }
    });
}

#[test]
fn t40_components_write_as_much_as_there_is_room_for() {
    row(|sandbox| {
        for by_stream in [false, true] {
            let disk = Disk::new();
            std::fs::write(disk.0.path().join("limited/file"), "").unwrap();
            let wasm = files_p2::fills(by_stream);
            let end = sandbox.run_with(&wasm, |task| task.mounts = disk.mounts());
            assert_eq!(end.exit, Exit::Code(0), "by stream: {by_stream}");
            let taken = disk.taken();
            assert!(
                (LIMIT - SLACK..=LIMIT + SLACK).contains(&taken),
                "{taken} bytes are taken"
            );
            assert_eq!(end.usage.written_bytes, taken);
        }
    });
}

/// There is less room than a write may take, but it takes none: it is made in parts.
#[test]
fn t40_what_is_there_can_be_overwritten_with_little_room() {
    row(|sandbox| {
        let disk = Disk::new();
        let file = disk.0.path().join("limited/file");
        std::fs::write(&file, [1; 4096]).unwrap();
        let limit = disk.taken() + 2048;
        let end = sandbox.run_with(&files_p2::overwrites(), |task| {
            task.mounts = disk.mounts_with(limit);
        });
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!(std::fs::read(&file).unwrap(), [0; 4096]);
    });
}
