//! Power cuts: after any operation of the disk, with any part of what was not
//! synced, the store holds some commit's state exactly: the last that was
//! acknowledged, or a later one.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wasmjob_store::Store;

use super::sim_disk::SimDisk;
use super::work::{Work, dump, wait_for};

/// What was written, and what had to be there when.
pub(crate) struct Written {
    disk: SimDisk,
    /// The store's whole content after each commit, by its revision, from 0 on.
    states: HashMap<u64, Vec<String>>,
    /// How many operations there were when a revision was acknowledged.
    acknowledged: Vec<(usize, u64)>,
    /// How many there were when a revision was committed.
    committed: Vec<(usize, u64)>,
}

impl Written {
    /// Makes so many commits, by `seed`.
    pub(crate) fn new(seed: u64, commits: usize) -> Self {
        let disk = SimDisk::default();
        let store = Store::open(disk.clone()).unwrap();
        let mut work = Work::new(seed);
        let mut random = StdRng::seed_from_u64(seed);
        let mut written = Self {
            states: [(0, dump(&work.model))].into(),
            acknowledged: vec![(disk.ops(), 0)],
            committed: vec![(0, 0)],
            disk,
        };
        let mut left = commits;
        while left > 0 {
            // Some share a batch.
            let together = random.random_range(1..=4).min(left);
            left -= together;
            let mut last = 0;
            for _ in 0..together {
                let transaction = work.transaction();
                let before = written.disk.ops();
                last = store.commit(transaction);
                written.committed.push((before, last));
                written.states.insert(last, dump(&work.model));
            }
            wait_for(&store, last).unwrap();
            written.acknowledged.push((written.disk.ops(), last));
        }
        drop(store);
        written
    }

    pub(crate) fn ops(&self) -> usize {
        self.disk.ops()
    }

    /// Cuts the power after so many operations and looks at what is there.
    pub(crate) fn cut(&self, ops: usize, random: &mut StdRng) {
        let image = self.disk.image(ops, random);
        let latest = |list: &[(usize, u64)]| {
            let until = list.partition_point(|(at, _)| *at <= ops);
            list[..until].last().map_or(0, |(_, revision)| *revision)
        };
        let (least, most) = (latest(&self.acknowledged), latest(&self.committed));
        // The mark may be any that was written: it is not synced.
        let mark = random.random_bool(0.7).then_some(least);
        let survivor = SimDisk::new(image, mark);
        let found = self.check(survivor.clone(), least, most);
        // The power goes again while the store is being opened, or right after.
        if random.random_ratio(1, 4) {
            let ops = random.random_range(0..=survivor.ops());
            let again = SimDisk::new(survivor.image(ops, random), mark);
            self.check(again, least.max(found.min(least)), most);
        }
    }

    /// Opens a disk; the revision that it holds.
    fn check(&self, disk: SimDisk, least: u64, most: u64) -> u64 {
        let store = Store::open(disk).expect("what a power cut leaves can be opened");
        let revision = store.revision();
        assert!(
            (least..=most).contains(&revision),
            "revision {revision} was found, {least} was acknowledged and {most} committed"
        );
        let wanted = self
            .states
            .get(&revision)
            .expect("a commit is there wholly");
        assert_eq!(&dump(&store), wanted, "at revision {revision}");
        revision
    }
}

/// Cuts the power `cuts` times at each operation of the workload `seed`; how many that were.
pub(crate) fn cut_everywhere(seed: u64, commits: usize, cuts: usize) -> usize {
    let written = Written::new(seed, commits);
    let mut random = StdRng::seed_from_u64(seed ^ 0xc0ffee);
    let mut done = 0;
    for ops in 0..=written.ops() {
        for _ in 0..cuts {
            written.cut(ops, &mut random);
            done += 1;
        }
    }
    done
}

#[test]
fn a_power_cut_anywhere_loses_tears_and_doubles_nothing() {
    let mut done = 0;
    for seed in 0..4 {
        done += cut_everywhere(seed, 40, 2);
    }
    assert!(done > 1_000, "{done} cuts");
}
