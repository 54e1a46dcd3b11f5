//! A file system that becomes read-only under the store, and writable again.
//!
//! The kernel remounts no file system read-only while a file on it is open for
//! writing, except when it is damaged. Then a write says `EROFS`, and so does
//! opening for writing; here a flag does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmjob_store::{Directory, Disk, Health, Medium, OpenError, Store};

use super::work::{Work, dump, wait_for};

const EROFS: i32 = 30;

/// A directory on a real file system, read-only while the flag is set.
struct Remounted(Directory, Arc<AtomicBool>);

#[derive(Debug)]
struct File(Arc<dyn Medium>, Arc<AtomicBool>);

fn write(read_only: &AtomicBool) -> io::Result<()> {
    if read_only.load(Ordering::Acquire) {
        return Err(io::Error::from_raw_os_error(EROFS));
    }
    Ok(())
}

impl Disk for Remounted {
    fn open(&self) -> Result<Option<Arc<dyn Medium>>, OpenError> {
        write(&self.1).map_err(|source| OpenError::Io {
            step: "open the store".to_owned(),
            source,
        })?;
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
        write(&self.1)?;
        self.0.write(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        write(&self.1)?;
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_read_only_disk_stalls_the_store_until_it_is_writable_again() {
    let dir = tempfile::tempdir().unwrap();
    let read_only = Arc::new(AtomicBool::new(false));
    let disk = Remounted(Directory::lock(dir.path()).unwrap(), Arc::clone(&read_only));
    let store = Store::open(disk).unwrap();
    let mut work = Work::new(3);
    let mut shown = 0;
    for _ in 0..5 {
        shown = store.commit(work.transaction());
        wait_for(&store, shown).unwrap();
    }
    read_only.store(true, Ordering::Release);
    let before = dump(&store);
    let mut last = 0;
    for _ in 0..5 {
        last = store.commit(work.transaction());
    }
    let reason = loop {
        match store.health() {
            Health::Writable => std::thread::yield_now(),
            Health::Stalled(reason) => break reason,
            Health::Failed(reason) => panic!("{reason}"),
        }
    };
    assert!(reason.contains("Read-only file system"), "{reason}");
    // What was visible is, and nothing else.
    assert_eq!((store.revision(), dump(&store)), (shown, before));
    read_only.store(false, Ordering::Release);
    wait_for(&store, last).unwrap();
    assert_eq!(store.health(), Health::Writable);
    assert_eq!(dump(&store), dump(&work.model));
    drop(store);
    let again = Store::open(Directory::lock(dir.path()).unwrap()).unwrap();
    assert_eq!(dump(&again), dump(&work.model));
}

#[test]
fn a_database_that_lost_its_end_meanwhile_is_not_tried_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let read_only = Arc::new(AtomicBool::new(false));
    let disk = Remounted(Directory::lock(dir.path()).unwrap(), Arc::clone(&read_only));
    let store = Store::open(disk).unwrap();
    let mut work = Work::new(3);
    let revision = store.commit(work.transaction());
    wait_for(&store, revision).unwrap();
    read_only.store(true, Ordering::Release);
    let revision = store.commit(work.transaction());
    while store.health() == Health::Writable {
        std::thread::yield_now();
    }
    let path = dir.path().join("store.redb");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    read_only.store(false, Ordering::Release);
    let reason = wait_for(&store, revision).unwrap_err();
    assert!(reason.contains("damaged"), "{reason}");
}
