//! A host on a disk that is full for a while.
#![expect(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use wasmjob_store::{Directory, Disk, Key, Kind, Medium, OpenError, Store};

use super::COMMITS_WAITING_MAX;
use crate::{ApplyError, EditError, Health, Host, Propagation};

/// A directory whose disk is full while the flag is set.
struct Filling(Directory, Arc<AtomicBool>);

#[derive(Debug)]
struct File(Arc<dyn Medium>, Arc<AtomicBool>);

impl Disk for Filling {
    fn open(&self) -> Result<Option<Arc<dyn Medium>>, OpenError> {
        let medium = self.0.open()?;
        Ok(medium.map(|it| Arc::new(File(it, Arc::clone(&self.1))) as Arc<dyn Medium>))
    }

    fn create(&self) -> Result<Arc<dyn Medium>, OpenError> {
        self.0.create()
    }

    fn publish(&self) -> Result<(), OpenError> {
        self.0.publish()
    }

    fn mark(&self, revision: u64) {
        self.0.mark(revision);
    }

    fn marked(&self) -> Option<u64> {
        self.0.marked()
    }
}

impl Medium for File {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.1.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

fn host(dir: &Path) -> (Host, Arc<AtomicBool>) {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Filling(Directory::lock(dir).unwrap(), Arc::clone(&full));
    let builder = Host::builder().module(
        "quick",
        wat::parse_str("(module (func (export \"_start\")))").unwrap(),
    );
    (builder.build_on(Store::open(disk).unwrap()).unwrap(), full)
}

fn apply(host: &Host, name: &str) -> Result<crate::JobHandle, ApplyError> {
    let yaml = format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{suspend: true, template: {{spec: \
         {{restartPolicy: Never, containers: [{{name: c, image: quick}}]}}}}}}}}"
    );
    Ok(host.apply_yaml("test.yaml", &yaml)?.remove(0))
}

#[test]
fn who_asked_before_the_disk_was_full_is_told_that_it_may_still_happen() {
    let dir = tempfile::tempdir().unwrap();
    let (host, full) = host(dir.path());
    let job = apply(&host, "before").unwrap();
    full.store(true, Ordering::Release);
    let (applied, edited) = thread::scope(|scope| {
        // Both before anybody knows.
        let edited = scope.spawn(|| job.suspend(false));
        (apply(&host, "waits"), edited.join().unwrap())
    });
    let (applied, edited) = (applied.unwrap_err(), edited.unwrap_err());
    assert!(matches!(applied, ApplyError::Unavailable(_)), "{applied}");
    assert!(matches!(edited, EditError::Unavailable(_)), "{edited}");
    let texts = [applied.to_string(), edited.to_string()];
    let waits = |text: &&String| text.contains("the change is made once it can be stored");
    assert!(texts.iter().any(|text| waits(&text)), "{texts:?}");
    let refused = apply(&host, "refused").unwrap_err().to_string();
    assert!(refused.ends_with("nothing was changed"), "{refused}");
    full.store(false, Ordering::Release);
    // It can be written again with the first of what waits.
    while host.health() != Health::Writable || host.store().commits_waiting() > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    // What was said to wait has happened, and what was refused has not.
    let happened = host.job("default", "waits").is_some();
    assert_eq!(happened, waits(&&texts[0]));
    let resumed = !job.get().unwrap().spec.suspend;
    assert_eq!(resumed, waits(&&texts[1]));
    assert!(host.job("default", "refused").is_none());
}

#[test]
fn a_full_disk_lets_only_so_many_commits_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (host, full) = host(dir.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.unwrap();
    let turn = |n: u64| {
        let key = Key {
            kind: Kind::Event,
            uid: wasmjob_api::Uid::from_random(n.into()),
        };
        host.delete(key, Propagation::Background);
        assert!(runtime.block_on(host.is_responsive()));
    };
    full.store(true, Ordering::Release);
    let asked = 2 * COMMITS_WAITING_MAX as u64;
    for n in 0..asked {
        turn(n);
    }
    let store = host.store();
    assert_eq!(store.commits_waiting(), COMMITS_WAITING_MAX);
    full.store(false, Ordering::Release);
    // Nothing that was asked is forgotten.
    while store.last_revision() < asked || store.revision() < store.last_revision() {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.revision(), asked);
    apply(&host, "after").unwrap();
}
