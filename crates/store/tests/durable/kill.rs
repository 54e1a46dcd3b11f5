//! Processes that are killed: what one said was committed is there for the next.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_store::{Directory, OpenError, Store};

use super::work::{Work, dump, wait_for};

const DIR: &str = "WASMJOB_STORE_TEST_DIR";
const SEED: &str = "WASMJOB_STORE_TEST_SEED";

/// Not a test by itself: what the killed process does. It makes the commits of
/// a seed, from where the store stands, and prints each revision once visible.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let store = Store::open(Directory::lock(Path::new(&dir)).unwrap()).unwrap();
    let mut work = Work::new(seed);
    while work.model.revision() < store.revision() {
        work.transaction();
    }
    assert_eq!(dump(&store), dump(&work.model));
    println!("open {}", store.revision());
    let work = Arc::new(Mutex::new(work));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    // One commits at a time, several wait at once.
                    let revision = {
                        let mut work = work.lock().unwrap();
                        store.commit(work.transaction())
                    };
                    wait_for(&store, revision).unwrap();
                    println!("ok {revision}");
                }
            });
        }
    });
}

/// Kills a writer `cycles` times on one directory.
fn kill_loop(cycles: u32, seed: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for _ in 0..cycles {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let reader = std::thread::Builder::new()
            .spawn(move || {
                let (mut opened, mut last) = (None, 0);
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Some(revision) = line.strip_prefix("open ") {
                        opened = revision.parse::<u64>().ok();
                    }
                    if let Some(revision) = line.strip_prefix("ok ") {
                        last = revision.parse().unwrap_or(0).max(last);
                    }
                }
                (opened, last)
            })
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(1..60)));
        child.kill().unwrap();
        child.wait().unwrap();
        let (opened, last) = reader.join().unwrap();
        if let Some(opened) = opened {
            assert!(
                opened >= acknowledged,
                "{opened} was found, {acknowledged} acknowledged"
            );
        }
        acknowledged = acknowledged.max(last);
    }
    let store = Store::open(Directory::lock(dir.path()).unwrap()).unwrap();
    assert!(store.revision() >= acknowledged);
    let mut work = Work::new(seed);
    while work.model.revision() < store.revision() {
        work.transaction();
    }
    assert_eq!(dump(&store), dump(&work.model));
    acknowledged
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let cycles = std::env::var("WASMJOB_KILL_CYCLES")
        .ok()
        .and_then(|cycles| cycles.parse().ok())
        .unwrap_or(40);
    let acknowledged = kill_loop(cycles, 5);
    println!("{cycles} kills, {acknowledged} commits acknowledged");
    assert!(acknowledged > u64::from(cycles), "{acknowledged}");
}

#[test]
fn a_directory_has_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let held = Directory::lock(dir.path()).unwrap();
    let error = Directory::lock(dir.path()).err().unwrap();
    assert!(
        matches!(&error, OpenError::Locked { holder, .. }
        if *holder == format!("process {}", std::process::id())),
        "{error}"
    );
    drop(held);
    Directory::lock(dir.path()).unwrap();
}
