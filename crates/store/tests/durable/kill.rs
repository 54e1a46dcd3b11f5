//! Processes that are killed: what one said was committed is there for the next,
//! and so is whatever somebody saw who watched it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_store::{Directory, Expired, OpenError, Store, Watch};

use super::history::{History, digests};
use super::work::{Work, dump, wait_for};

const DIR: &str = "WASMJOB_STORE_TEST_DIR";
const SEED: &str = "WASMJOB_STORE_TEST_SEED";
/// Where each watcher was when the process before was killed.
const WATCHES: &str = "WASMJOB_STORE_TEST_WATCHES";

/// The first waits to be told, the others look now and then.
const WATCHERS: usize = 3;

/// Not a test by itself: what the killed process does. It makes the commits of
/// a seed, from where the store stands, and prints each revision once visible;
/// its watchers go on from where they were, and print what they see.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    let watches = std::env::var(WATCHES).unwrap();
    let store = Store::open(Directory::lock(Path::new(&dir)).unwrap()).unwrap();
    let mut work = Work::new(seed);
    while work.model.revision() < store.revision() {
        work.transaction();
    }
    assert_eq!(dump(&store), dump(&work.model));
    // The harness has begun the line.
    println!("\nopen {}", store.revision());
    let watches: Vec<Watch> = watches
        .split_whitespace()
        .map(|revision| store.watch(revision.parse().unwrap()))
        .collect();
    let work = Arc::new(Mutex::new(work));
    std::thread::scope(|scope| {
        for (name, watch) in watches.into_iter().enumerate() {
            let store = &store;
            scope.spawn(move || watch_for_ever(store, name, watch));
        }
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

/// Prints what the watch sees. One that is told that it expired begins anew.
#[expect(clippy::print_stdout, reason = "its parent reads that")]
fn watch_for_ever(store: &Store, name: usize, mut watch: Watch) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    loop {
        let seen = if name == 0 {
            runtime.block_on(watch.next())
        } else {
            std::thread::sleep(Duration::from_millis(3 * name as u64));
            watch.try_next()
        };
        match seen {
            Ok(changes) => {
                for (revision, digest) in digests(&changes) {
                    println!("saw {name} {revision} {digest}");
                }
            }
            Err(Expired { asked, .. }) => {
                watch = store.watch(store.revision());
                println!("expired {name} {asked} {}", watch.revision());
            }
        }
    }
}

/// What a process that was killed had said.
#[derive(Default)]
struct Said {
    opened: Option<u64>,
    acknowledged: u64,
    /// By watcher: where it began anew, if it did, and what it saw.
    began: [Option<(u64, u64)>; WATCHERS],
    saw: [Vec<(u64, u64)>; WATCHERS],
}

impl Said {
    fn read(output: impl Read) -> Self {
        let mut said = Self::default();
        let mut output = BufReader::new(output);
        let mut line = String::new();
        // The last line may be torn.
        while output.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
            let mut words = line.split_whitespace();
            let what = words.next().unwrap_or_default().to_owned();
            let mut next = || words.next().unwrap_or_default().parse::<u64>().unwrap();
            match &*what {
                "open" => said.opened = Some(next()),
                "ok" => said.acknowledged = said.acknowledged.max(next()),
                "saw" => said.saw[next() as usize].push((next(), next())),
                "expired" => {
                    let began = &mut said.began[next() as usize];
                    assert!(began.is_none(), "expired twice");
                    *began = Some((next(), next()));
                }
                _ => {}
            }
            line.clear();
        }
        said
    }

    /// Holds what watchers saw that were at `places` against what happened, and
    /// moves the places on. How many went on, and how many were told to begin anew.
    fn check(&self, places: &mut [u64; WATCHERS], history: &mut History) -> (u32, u32) {
        let (mut went_on, mut expired) = (0, 0);
        for (name, place) in places.iter_mut().enumerate() {
            let saw = &self.saw[name];
            match self.began[name] {
                Some((asked, anew)) => {
                    let opened = self.opened.unwrap();
                    assert_eq!(asked, *place);
                    assert!(asked < opened, "it missed nothing, and expired");
                    assert!(anew >= opened);
                    *place = anew;
                    expired += 1;
                }
                None => went_on += u32::from(!saw.is_empty()),
            }
            let Some((last, _)) = saw.last() else {
                continue;
            };
            assert_eq!(*saw, history.between(*place, *last), "watcher {name}");
            *place = *last;
        }
        (went_on, expired)
    }
}

/// Kills a writer `cycles` times on one directory; the commits that were
/// acknowledged, and how often a watch went on and expired.
fn kill_loop(cycles: u32, seed: u64) -> (u64, u32, u32) {
    let dir = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = 0;
    let mut history = History::new(seed);
    let mut places = [0; WATCHERS];
    let (mut went_on, mut expired) = (0, 0);
    for _ in 0..cycles {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .env(SEED, seed.to_string())
            .env(WATCHES, places.map(|place| place.to_string()).join(" "))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        let reader = std::thread::Builder::new()
            .spawn(move || Said::read(output))
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(1..60)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it ended by itself: {status}");
        let said = reader.join().unwrap();
        if let Some(opened) = said.opened {
            assert!(
                opened >= acknowledged,
                "{opened} was found, {acknowledged} acknowledged"
            );
            let seen = places.into_iter().max().unwrap();
            assert!(opened >= seen, "{opened} was found, {seen} seen");
        }
        let (on, anew) = said.check(&mut places, &mut history);
        went_on += on;
        expired += anew;
        acknowledged = acknowledged.max(said.acknowledged);
    }
    let store = Store::open(Directory::lock(dir.path()).unwrap()).unwrap();
    let revision = store.revision();
    assert!(revision >= acknowledged);
    assert!(places.into_iter().all(|place| place <= revision));
    let mut work = Work::new(seed);
    while work.model.revision() < revision {
        work.transaction();
    }
    assert_eq!(dump(&store), dump(&work.model));
    resume(&store, &mut work, &mut history);
    (acknowledged, went_on, expired)
}

/// After a restart, a watch that missed nothing goes on, and any other is told.
fn resume(store: &Store, work: &mut Work, history: &mut History) {
    let revision = store.revision();
    let mut current = store.watch(revision);
    let mut late = store.watch(revision - 1);
    let mut last = revision;
    for _ in 0..3 {
        last = store.commit(work.transaction());
        wait_for(store, last).unwrap();
    }
    let saw = digests(&current.try_next().unwrap());
    assert_eq!(saw, history.between(revision, last));
    let expired = late.try_next().unwrap_err();
    assert_eq!((expired.asked, expired.oldest), (revision - 1, revision));
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let cycles = std::env::var("WASMJOB_KILL_CYCLES")
        .ok()
        .and_then(|cycles| cycles.parse().ok())
        .unwrap_or(40);
    let (acknowledged, went_on, expired) = kill_loop(cycles, 5);
    println!(
        "{cycles} kills, {acknowledged} commits acknowledged; watches went on {went_on} times and expired {expired} times"
    );
    assert!(went_on > 0 && expired > 0);
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
