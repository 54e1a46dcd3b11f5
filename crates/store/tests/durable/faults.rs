//! Disks that refuse: full ones for a while, broken ones once.

use std::collections::HashMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmjob_store::{Health, Store};

use super::sim_disk::{Fault, SimDisk};
use super::work::{Work, dump, wait_for};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Writes 12 commits to a disk with `fault`, and checks what became of them.
fn run(fault: Fault) -> (u32, bool) {
    let disk = SimDisk::failing(fault);
    let mut work = Work::new(fault.at as u64);
    // The fault may hit the very beginning.
    let opened = Store::open(disk.clone());
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            assert!(disk.faults_met() > 0, "{error}");
            return (disk.faults_met(), true);
        }
    };
    let mut states = HashMap::from([(0, dump(&work.model))]);
    let mut acknowledged = 0;
    let mut failed = false;
    for _ in 0..12 {
        let revision = store.commit(work.transaction());
        states.insert(revision, dump(&work.model));
        match wait_for(&store, revision) {
            Ok(()) => {
                acknowledged = revision;
                assert_eq!(dump(&store), states[&revision]);
                assert_eq!(store.health(), Health::Writable);
            }
            Err(reason) => {
                assert!(reason.contains("fsync failed"), "{reason}");
                failed = true;
                break;
            }
        }
    }
    let shown = store.revision();
    assert_eq!(dump(&store), states[&shown], "reads go on");
    drop(store);
    // What the disk has now, or what a power cut leaves of it.
    let mut random = StdRng::seed_from_u64(1);
    for image in [disk.bytes(), disk.image(disk.ops(), &mut random)] {
        let again = Store::open(SimDisk::new(image, disk.last_mark())).unwrap();
        assert!(again.revision() >= acknowledged);
        assert_eq!(dump(&again), states[&again.revision()]);
    }
    (disk.faults_met(), failed)
}

#[test]
fn every_operation_may_fail_once_and_nothing_is_lost() {
    let mut met = 0;
    let mut failed = 0;
    for at in 0..140 {
        for error in [EIO, ENOSPC] {
            let (faults, ended) = run(Fault {
                at,
                times: 1,
                error,
            });
            met += faults;
            failed += u32::from(ended);
        }
    }
    assert!(met > 200, "only {met} faults were met");
    assert!(failed > 10, "only {failed} hit a sync");
}

#[test]
fn a_full_disk_stalls_the_store_and_room_releases_it() {
    // Opening takes the first operations.
    let disk = SimDisk::default();
    drop(Store::open(disk.clone()).unwrap());
    let at = disk.ops() + 6;
    let (met, failed) = run(Fault {
        at,
        times: 5,
        error: ENOSPC,
    });
    assert!(met >= 1 && !failed, "{met} faults");
}
