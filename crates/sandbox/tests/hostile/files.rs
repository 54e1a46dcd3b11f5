//! Guests with directories: T28 to T32, T40.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmjob_sandbox::{Exit, Limits, Mount};

use crate::attack::{assert_trap, eventually, row, row_in};
use crate::wat::{data, p1, p1_exits};

const SECRET: &str = "outside";

/// Two directories for guests, and beside them what no guest may see or change.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for sub in ["rw/sub", "ro/sub", "etc"] {
            std::fs::create_dir_all(at(sub)).unwrap();
        }
        for file in ["canary", "etc/passwd", "ro/file", "ro/sub/file"] {
            std::fs::write(at(file), SECRET).unwrap();
        }
        std::fs::write(at("rw/file"), "inside").unwrap();
        symlink("..", at("rw/up")).unwrap();
        symlink("../etc", at("rw/etc")).unwrap();
        symlink(at("etc"), at("rw/absolute")).unwrap();
        symlink("/etc", at("rw/root")).unwrap();
        symlink("../canary", at("rw/canary")).unwrap();
        symlink("a", at("rw/b")).unwrap();
        symlink("b", at("rw/a")).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn rw(&self) -> PathBuf {
        self.path().join("rw")
    }

    /// 3 is /rw, 4 is /ro.
    pub(crate) fn mounts(&self) -> Arc<[Mount]> {
        let mount = |name: &str, read_only| Mount {
            dir: std::fs::File::open(self.path().join(name)).unwrap().into(),
            guest_path: format!("/{name}"),
            read_only,
            quotas: Arc::default(),
        };
        Arc::from([mount("rw", false), mount("ro", true)])
    }

    /// What is outside, and what is read-only, is as it was made.
    pub(crate) fn assert_untouched(&self) {
        for file in ["canary", "etc/passwd", "ro/file", "ro/sub/file"] {
            let path = self.path().join(file);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), SECRET, "{file}");
        }
        let names = |dir: &str| {
            let mut names: Vec<_> = std::fs::read_dir(self.path().join(dir))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("."), ["canary", "etc", "ro", "rw"]);
        assert_eq!(names("etc"), ["passwd"]);
        assert_eq!(names("ro"), ["file", "sub"]);
    }
}

const EPERM: u8 = 63;
const ENOENT: u8 = 44;
const EBADF: u8 = 8;
const ENXIO: u8 = 60;
const ELOOP: u8 = 32;

/// Rights to read, and to read and write.
pub(crate) const READ: u64 = 1 << 1;
pub(crate) const BOTH: u64 = READ | 1 << 6;

/// Strings one after another, and where each is: address and length.
#[derive(Default)]
pub(crate) struct Strings {
    bytes: Vec<u8>,
}

const STRINGS_AT: usize = 65536;

impl Strings {
    pub(crate) fn add(&mut self, text: &[u8]) -> String {
        let at = STRINGS_AT + self.bytes.len();
        self.bytes.extend(text);
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    pub(crate) fn segment(&self) -> String {
        format!("(data (i32.const {STRINGS_AT}) \"{}\")", data(&self.bytes))
    }
}

/// A guest that makes `calls`, each of which leaves an errno, and writes the
/// errnos as bytes.
pub(crate) fn errnos(strings: &Strings, calls: &[String]) -> Vec<u8> {
    let mut start = String::new();
    for (n, call) in calls.iter().enumerate() {
        writeln!(start, "(i32.store8 (i32.const {}) {call})", 4096 + n).unwrap();
    }
    p1(
        96,
        &format!(
            "{} (func (export \"_start\") {start}
                (i32.store (i32.const 8) (i32.const 4096))
                (i32.store (i32.const 12) (i32.const {}))
                (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))",
            strings.segment(),
            calls.len()
        ),
    )
}

pub(crate) fn open(dir: u32, path: &str, follow: u32, oflags: u32, rights: u64) -> String {
    format!(
        "(call $path_open (i32.const {dir}) (i32.const {follow}) {path} (i32.const {oflags})
            (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 0))"
    )
}

/// Paths that want out of /rw and /ro of a [`Tree`], which stands at `tree`.
fn ways_out(tree: &Path) -> Vec<String> {
    let mut paths = vec![
        tree.join("canary").to_str().unwrap().to_owned(),
        "a/".repeat(10_000) + "x",
        "y".repeat(1 << 20),
    ];
    paths.extend(
        [
            "../canary",
            "../../etc/passwd",
            "/etc/passwd",
            "sub/../../canary",
            "..//",
            "..",
            "/",
            "sub/../..",
            "sub/../../rw/../canary",
            "./../canary",
            "up",
            "up/",
            "up/.",
            "up/canary",
            "sub/../up/canary",
            "etc",
            "etc/",
            "etc/.",
            "etc/passwd",
            "absolute/passwd",
            "absolute/",
            "root/passwd",
            "root/.",
            "canary",
            "canary/",
            "a",
            "a/",
            "a/x",
            "file\0/../../canary",
            "../canary\0",
            "/proc/self/fd/0",
            "..\\..\\canary",
            "\0",
        ]
        .map(str::to_owned),
    );
    paths
}

#[test]
fn t31_no_path_leads_outside() {
    row(|sandbox| {
        let tree = Tree::new();
        let mut strings = Strings::default();
        let (mut calls, mut tried) = (Vec::new(), Vec::new());
        for path in ways_out(tree.path()) {
            let at = strings.add(path.as_bytes());
            for dir in [3, 4] {
                for follow in [0, 1] {
                    // Read, list, truncate.
                    for (oflags, rights) in [(0, READ), (2, READ), (8, BOTH)] {
                        calls.push(open(dir, &at, follow, oflags, rights));
                        tried.push((
                            path.chars().take(40).collect::<String>(),
                            dir,
                            follow,
                            oflags,
                        ));
                    }
                }
            }
        }
        let wasm = errnos(&strings, &calls);
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!(end.stdout.len(), tried.len());
        for (errno, tried) in end.stdout.iter().zip(&tried) {
            assert_ne!(*errno, 0, "{tried:?}");
        }
        tree.assert_untouched();
    });
}

/// A link that a guest left in its volume is somebody's working directory.
#[test]
fn t31_no_working_directory_is_outside() {
    row(|sandbox| {
        let tree = Tree::new();
        let mut strings = Strings::default();
        let names = ["canary", "passwd", "etc/passwd", "rw/file"];
        let calls: Vec<_> = names
            .map(|name| open(5, &strings.add(name.as_bytes()), 1, 0, READ))
            .into();
        let wasm = errnos(&strings, &calls);
        for dir in ["up", "etc", "absolute", "root", "sub/../up", "up/up"] {
            let end = sandbox.run_with(&wasm, |task| {
                task.mounts = tree.mounts();
                task.working_dir = Some(Arc::from(format!("/rw/{dir}")));
            });
            match end.exit {
                Exit::Code(0) => assert!(!end.stdout.contains(&0), "{dir}: {:?}", end.stdout),
                exit => assert!(matches!(exit, Exit::Start(_)), "{dir}: {exit:?}"),
            }
        }
        tree.assert_untouched();
    });
}

#[test]
fn t31_nothing_is_made_or_removed_outside() {
    row(|sandbox| {
        let tree = Tree::new();
        let mut strings = Strings::default();
        let mut calls = Vec::new();
        for path in ways_out(tree.path()) {
            let at = strings.add(path.as_bytes());
            for dir in [3, 4] {
                calls.push(open(dir, &at, 1, 1, BOTH));
                calls.push(open(dir, &at, 0, 9, BOTH));
                for call in [
                    "path_create_directory",
                    "path_unlink_file",
                    "path_remove_directory",
                ] {
                    calls.push(format!("(call ${call} (i32.const {dir}) {at})"));
                }
            }
        }
        let wasm = errnos(&strings, &calls);
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        // Some make or remove what is inside, which is theirs.
        assert_eq!((end.exit, end.stdout.len()), (Exit::Code(0), calls.len()));
        tree.assert_untouched();
    });
}

#[test]
fn t32_links_and_renames_do_not_lead_outside_or_into_what_is_read_only() {
    let mut s = Strings::default();
    let [outside, name, file, new, below, sub] =
        ["../..", "l", "file", "new", "l/etc/passwd", "sub"].map(|text| s.add(text.as_bytes()));
    // (call, whether it may succeed)
    let calls = [
        (format!("(call $path_symlink {outside} (i32.const 3) {name})"), true),
        (open(3, &below, 1, 0, READ), false),
        (open(3, &name, 1, 2, READ), false),
        (format!("(call $path_symlink {outside} (i32.const 4) {name})"), false),
        // From read-only to read-write and back.
        (format!("(call $path_link (i32.const 4) (i32.const 0) {file} (i32.const 3) {new})"), false),
        (format!("(call $path_link (i32.const 3) (i32.const 0) {file} (i32.const 4) {new})"), false),
        (format!("(call $path_rename (i32.const 4) {file} (i32.const 3) {new})"), false),
        (format!("(call $path_rename (i32.const 3) {file} (i32.const 4) {new})"), false),
        (format!("(call $path_rename (i32.const 4) {file} (i32.const 4) {new})"), false),
        (format!("(call $path_unlink_file (i32.const 4) {file})"), false),
        (format!("(call $path_remove_directory (i32.const 4) {sub})"), false),
        (format!("(call $path_create_directory (i32.const 4) {new})"), false),
        (open(4, &file, 1, 8, READ), false),
        (open(4, &file, 1, 8, BOTH), false),
        (open(4, &file, 1, 0, BOTH), false),
        (open(4, &new, 1, 1, BOTH), false),
        (format!("(call $path_filestat_set_times (i32.const 4) (i32.const 1) {file} (i64.const 1) (i64.const 1) (i32.const 5))"), false),
        // The file itself, opened to be read: descriptor 5.
        (open(4, &file, 1, 0, READ), true),
        ("(call $fd_filestat_set_size (i32.load (i32.const 0)) (i64.const 0))".to_owned(), false),
        ("(call $fd_filestat_set_times (i32.load (i32.const 0)) (i64.const 1) (i64.const 1) (i32.const 5))".to_owned(), false),
        ("(call $fd_allocate (i32.load (i32.const 0)) (i64.const 0) (i64.const 0x4000000000000000))".to_owned(), false),
        ("(call $fd_pwrite (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i64.const 0) (i32.const 24))".to_owned(), false),
        ("(call $fd_filestat_set_size (i32.const 4) (i64.const 0))".to_owned(), false),
    ];
    let wasm = errnos(&s, &calls.clone().map(|(call, _)| call));
    row(|sandbox| {
        let tree = Tree::new();
        // A sixteen-byte vector for fd_pwrite would be harmless: it is empty at 16.
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        for (errno, (call, may)) in end.stdout.iter().zip(&calls) {
            assert_eq!(*errno == 0, *may, "{errno} for {call}");
        }
        assert_eq!(
            std::fs::read_to_string(tree.rw().join("file")).unwrap(),
            "inside"
        );
        tree.assert_untouched();
    });
}

#[test]
fn t32_racing_a_directory_against_a_link_never_opens_what_is_outside() {
    let mut s = Strings::default();
    let [d, link, spare, through, target] =
        ["d", "link", "spare", "d/passwd", "../etc"].map(|text| s.add(text.as_bytes()));
    let segment = s.segment();
    // One swaps a directory and a link to the outside, the other goes through it.
    let swap = p1(
        64,
        &format!(
            "{segment} (func (export \"_start\")
                (drop (call $path_symlink {target} (i32.const 3) {link}))
                (drop (call $path_create_directory (i32.const 3) {d}))
                (loop
                    (drop (call $path_rename (i32.const 3) {d} (i32.const 3) {spare}))
                    (drop (call $path_rename (i32.const 3) {link} (i32.const 3) {d}))
                    (drop (call $path_rename (i32.const 3) {d} (i32.const 3) {link}))
                    (drop (call $path_rename (i32.const 3) {spare} (i32.const 3) {d}))
                    (br 0)))"
        ),
    );
    let go = open(3, &through, 1, 0, READ);
    let through = p1_exits(
        64,
        &segment,
        &format!(
            "(block (result i32) (loop
                (if (i32.eqz {go}) (then (call $proc_exit (i32.const 99))))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
            (i32.const 0))"
        ),
    );
    row(|sandbox| {
        let tree = Tree::new();
        let swapping = sandbox.start(&swap, |task| task.mounts = tree.mounts());
        let end = sandbox.run_with(&through, |task| task.mounts = tree.mounts());
        swapping.handle.kill();
        swapping.wait();
        assert_eq!(end.exit, Exit::Code(0), "it opened what is outside");
        tree.assert_untouched();
    });
}

/// Opening a FIFO waits for its other end. The guest is dead at its deadline; the
/// host's thread waits on, until somebody opens the FIFO: only the wall of a
/// process gives it back for sure. A guest cannot make a FIFO itself.
/// A FIFO, a socket and a link to the FIFO where guests may write. The socket
/// lives as long as what is returned.
pub(crate) fn special_files(tree: &Tree) -> std::os::unix::net::UnixListener {
    let fifo = tree.rw().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    symlink("fifo", tree.rw().join("link")).unwrap();
    std::os::unix::net::UnixListener::bind(tree.rw().join("sock")).unwrap()
}

#[test]
fn t28_special_files_cannot_be_opened() {
    let mut s = Strings::default();
    let names = ["fifo", "sock", "link"].map(|name| s.add(name.as_bytes()));
    let file = s.add(b"file");
    let mut calls = Vec::new();
    for name in &names {
        for rights in [READ, BOTH] {
            calls.push(open(3, name, 1, 0, rights));
        }
    }
    // A link itself is no special file, and cannot be opened either.
    calls.push(open(3, &names[2], 0, 0, READ));
    calls.push(open(3, &file, 1, 0, READ));
    let wasm = errnos(&s, &calls);
    row(|sandbox| {
        let tree = Tree::new();
        let _listening = special_files(&tree);
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!(
            end.stdout,
            [ENXIO, ENXIO, ENXIO, ENXIO, ENXIO, ENXIO, ELOOP, 0]
        );
    });
}

/// 8 MiB in one call, of which the host copies half: more calls write the rest.
#[test]
fn long_reads_and_writes_are_short_ones() {
    let mut s = Strings::default();
    let file = s.add(b"file");
    let bytes = 8 << 20;
    let fuel = Limits::default().hostcall_fuel;
    assert!(fuel < bytes);
    for (call, least) in [
        (
            "$fd_write (i32.load (i32.const 0)) (i32.const 8) (i32.const 2) (i32.const 32)",
            fuel - 64,
        ),
        (
            "$fd_read (i32.load (i32.const 0)) (i32.const 8) (i32.const 2) (i32.const 32)",
            fuel - 64,
        ),
        (
            "$fd_pwrite (i32.load (i32.const 0)) (i32.const 8) (i32.const 2) (i64.const 0) (i32.const 32)",
            fuel - 64,
        ),
        // Through a stream, which has a limit of its own.
        (
            "$fd_pread (i32.load (i32.const 0)) (i32.const 8) (i32.const 2) (i64.const 0) (i32.const 32)",
            1,
        ),
        (
            "$fd_write (i32.const 1) (i32.const 8) (i32.const 2) (i32.const 32)",
            1,
        ),
    ] {
        let wasm = p1_exits(
            256,
            &s.segment(),
            &format!(
                "(block $no (result i32) (i32.const 99)
                    (br_if $no {})
                    (i32.store (i32.const 16) (i32.const 2000000))
                    (i32.store (i32.const 20) (i32.const {bytes}))
                    (br_if $no (call {call}))
                    (br_if $no (i32.gt_u (i32.load (i32.const 32)) (i32.const {fuel})))
                    (br_if $no (i32.lt_u (i32.load (i32.const 32)) (i32.const {least})))
                    ;; Its own list of buffers is as it was.
                    (br_if $no (i32.ne (i32.load (i32.const 20)) (i32.const {bytes})))
                    drop (i32.const 0))",
                open(3, &file, 1, 0, BOTH)
            ),
        );
        row(|sandbox| {
            let tree = Tree::new();
            let large = std::fs::File::create(tree.rw().join("file")).unwrap();
            large.set_len(bytes as u64).unwrap();
            let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
            assert_eq!(end.exit, Exit::Code(0), "{call}");
        });
    }
}

#[test]
fn t28_standard_input_is_empty() {
    let read = p1_exits(
        1,
        "(data (i32.const 8) \"\\40\\00\\00\\00\\10\\00\\00\\00\")",
        "(i32.add (call $fd_read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16))
            (i32.load (i32.const 16)))",
    );
    row(|sandbox| assert_eq!(sandbox.run(&read).exit, Exit::Code(0)));
}

#[test]
fn t29_open_files_stop_at_the_guests_own_limit() {
    let mut s = Strings::default();
    let file = s.add(b"file");
    let wasm = p1(
        64,
        &format!(
            "{} (func (export \"_start\") (loop (if {} (then unreachable)) (br 0)))",
            s.segment(),
            open(3, &file, 1, 0, READ)
        ),
    );
    row_in(
        || Limits {
            handles: 64,
            guests: 64,
            ..Limits::default()
        },
        |sandbox| {
            let tree = Tree::new();
            let module = sandbox.module(&wasm);
            let mounts = tree.mounts();
            let runs: Vec<_> = (0..16)
                .map(|_| {
                    let mounts = Arc::clone(&mounts);
                    sandbox.start_module(module.clone(), |task| task.mounts = mounts)
                })
                .collect();
            // The host goes on opening files meanwhile.
            for _ in 0..200 {
                drop(std::fs::File::open(tree.rw().join("file")).unwrap());
            }
            for run in runs {
                assert_trap(run.wait(), "resource table has no free keys");
            }
        },
    );
}

/// As many guests as there are, each within its own limit, leave the host a
/// quarter of its descriptors.
#[test]
fn t29_all_guests_together_leave_the_host_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const ENFILE: u8 = 41;
    let mut s = Strings::default();
    let file = s.add(b"file");
    // Opens until it is told that it cannot, and keeps what it has.
    let hoards = p1(
        64,
        &format!(
            "{} (func (export \"_start\") (loop (br_if 0 (i32.eqz {}))) (loop (br 0)))",
            s.segment(),
            open(3, &file, 1, 0, READ)
        ),
    );
    let opens = p1_exits(64, &s.segment(), &open(3, &file, 1, 0, READ));
    row(|sandbox| {
        let tree = Tree::new();
        let mounts = tree.mounts();
        let before = getrlimit(Resource::Nofile);
        let held = || std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let limit = (held() + 150) * 4 / 3;
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(limit),
                maximum: before.maximum,
            },
        )
        .unwrap();
        let mount = |task: &mut wasmjob_sandbox::Task| task.mounts = Arc::clone(&mounts);
        // Started before there are none left.
        let module = sandbox.module(&hoards);
        let late = sandbox.module(&opens);
        let runs: Vec<_> = (0..4)
            .map(|_| sandbox.start_module(module.clone(), mount))
            .collect();
        eventually("they do not take all", || held() + 2 >= limit - limit / 4);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(held() <= limit - limit / 4 + 34, "{} of {limit}", held());
        let ours: Vec<_> = (0..limit / 8)
            .map(|_| std::fs::File::open(tree.rw().join("file")).unwrap())
            .collect();
        drop(ours);
        let end = sandbox.start_module(late.clone(), mount).wait();
        assert!(
            matches!(&end.exit, Exit::Start(text) if text.contains("no file descriptors left"))
                || end.exit == Exit::Code(ENFILE),
            "{:?}",
            end.exit
        );
        for run in runs {
            run.handle.kill();
            run.wait();
        }
        let end = sandbox.start_module(late, mount).wait();
        assert_eq!(end.exit, Exit::Code(0));
        setrlimit(Resource::Nofile, before).unwrap();
    });
}

#[test]
fn t30_renumbering_leaks_and_breaks_nothing() {
    let mut s = Strings::default();
    let file = s.add(b"file");
    let go = open(3, &file, 1, 0, READ);
    let again = p1_exits(
        64,
        &s.segment(),
        &format!(
            "(block (result i32) (loop
                (if {go} (then unreachable))
                (if (call $fd_renumber (i32.load (i32.const 0)) (i32.const 4)) (then unreachable))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 2000))))
            (i32.const 0))"
        ),
    );
    let calls: Vec<String> = [
        ("3", "3"),
        ("99", "4"),
        ("4", "-1"),
        ("-1", "4"),
        ("3", "1000000"),
        ("4", "4"),
    ]
    .map(|(from, to)| format!("(call $fd_renumber (i32.const {from}) (i32.const {to}))"))
    .to_vec();
    let odd = errnos(&s, &calls);
    row(|sandbox| {
        let tree = Tree::new();
        let end = sandbox.run_with(&again, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        let end = sandbox.run_with(&odd, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!(end.stdout, [0, EBADF, EBADF, EBADF, EBADF, 0]);
    });
}

/// That a pod stays within its quota is the node's to see to; here, that the
/// host answers.
#[test]
fn t40_sparse_files_and_deep_directories_are_answered() {
    let mut s = Strings::default();
    let (file, d, odd) = (s.add(b"file"), s.add(b"d"), s.add(b"a\nb"));
    let mut calls = vec![
        open(3, &file, 1, 0, BOTH),
        "(call $fd_seek (i32.load (i32.const 0)) (i64.const 0x4000000000000000) (i32.const 0) (i32.const 24))".to_owned(),
        "(block (result i32) (i32.store (i32.const 16) (i32.const 0)) (i32.store (i32.const 20) (i32.const 1))
            (call $fd_write (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 24)))".to_owned(),
        "(call $fd_allocate (i32.load (i32.const 0)) (i64.const 0) (i64.const 0x4000000000000000))".to_owned(),
        open(3, &odd, 0, 1, BOTH),
    ];
    // A hundred directories, one in another, each opened from the last.
    calls.push(
        "(block (result i32) (i32.store (i32.const 0) (i32.const 3)) (i32.const 0))".to_owned(),
    );
    for _ in 0..100 {
        calls.push(format!(
            "(call $path_create_directory (i32.load (i32.const 0)) {d})"
        ));
        calls.push(format!(
            "(call $path_open (i32.load (i32.const 0)) (i32.const 0) {d} (i32.const 2) (i64.const {READ}) (i64.const 0) (i32.const 0) (i32.const 0))"
        ));
    }
    let wasm = errnos(&s, &calls);
    row(|sandbox| {
        let tree = Tree::new();
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        assert_eq!(end.exit, Exit::Code(0));
        assert_eq!(end.stdout[..2], [0, 0]);
        assert_ne!(end.stdout[2], 0, "a byte at 2^62");
        assert_ne!(end.stdout[3], 0, "2^62 bytes");
        assert!(
            end.stdout[4..].iter().all(|errno| *errno == 0),
            "{:?}",
            &end.stdout[4..]
        );
        tree.assert_untouched();
    });
}

#[test]
fn a_path_that_is_not_there_is_no_entry() {
    let mut s = Strings::default();
    let (gone, up) = (s.add(b"gone"), s.add(b"../canary"));
    let wasm = errnos(&s, &[open(3, &gone, 1, 0, READ), open(3, &up, 1, 0, READ)]);
    row(|sandbox| {
        let tree = Tree::new();
        let end = sandbox.run_with(&wasm, |task| task.mounts = tree.mounts());
        assert_eq!(end.stdout, [ENOENT, EPERM]);
    });
}
