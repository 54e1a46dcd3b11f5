//! Bits that change by themselves: harmless or reported, never believed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_store::{OpenError, Store};

use super::sim_disk::SimDisk;
use super::work::{Work, dump, wait_for};

const PAGE: usize = 4096;

fn written(commits: usize) -> (SimDisk, Vec<String>) {
    let disk = SimDisk::default();
    let store = Store::open(disk.clone()).unwrap();
    let mut work = Work::new(3);
    for _ in 0..commits {
        let revision = store.commit(work.transaction());
        wait_for(&store, revision).unwrap();
    }
    drop(store);
    (disk, dump(&work.model))
}

#[test]
fn every_flipped_bit_is_harmless_or_reported() {
    let (disk, wanted) = written(60);
    let (bytes, mark) = (disk.bytes(), disk.last_mark());
    let mut random = StdRng::seed_from_u64(9);
    let (mut harmless, mut reported) = (0, 0);
    for page in 0..bytes.len() / PAGE {
        // The file is mostly room that was never used.
        if bytes[page * PAGE..][..PAGE].iter().all(|byte| *byte == 0) {
            continue;
        }
        for _ in 0..4 {
            let mut rotten = bytes.clone();
            rotten[page * PAGE + random.random_range(0..PAGE)] ^= 1 << random.random_range(0..8);
            match Store::open(SimDisk::new(rotten, mark)) {
                Ok(store) => {
                    assert_eq!(dump(&store), wanted, "page {page} was believed");
                    harmless += 1;
                }
                Err(OpenError::Damaged(_) | OpenError::Newer { .. }) => reported += 1,
                Err(error) => panic!("page {page}: {error}"),
            }
        }
    }
    assert!(
        reported > 20 && harmless > 0,
        "{reported} reported, {harmless} harmless"
    );
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    for bytes in [b"#!/bin/sh\n".to_vec(), vec![7; 3 * PAGE]] {
        let disk = SimDisk::new(bytes.clone(), None);
        let error = Store::open(disk.clone()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged(_)), "{error}");
        assert_eq!(disk.bytes(), bytes);
    }
}

#[test]
fn a_store_that_went_missing_is_reported() {
    let error = Store::open(SimDisk::new(Vec::new(), Some(9)))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "the store is damaged: revision 9 was acknowledged, and the last one on the disk is 0; \
         restore the whole data directory from a copy, or move it away to begin anew"
    );
}
