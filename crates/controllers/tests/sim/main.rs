//! The simulator as a test: some thousand seeds of a random Job's life.
//!
//! `WASMJOB_SIM_SEEDS` asks for another number of seeds; the example `sim` runs
//! any range of them, in release and on all cores. A seed that failed once
//! stands below under the name of what was wrong.

mod journal;
mod rng;
mod scenario;
mod world;

#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = std::env::var("WASMJOB_SIM_SEEDS").ok();
    let seeds: u64 = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(2000);
    let failures: Vec<String> = (0..seeds)
        .filter_map(|seed| world::run(seed).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {seeds}: {}",
        failures.len(),
        failures[0]
    );
}

#[track_caller]
fn check(seed: u64) {
    assert_eq!(world::run(seed).err(), None);
}

#[test]
fn pods_are_created_right_after_misplaced_ones_were_deleted() {
    check(7704);
    check(137_112);
}

#[test]
fn the_last_failure_never_moves_back() {
    check(340_208);
}
