//! The simulator of CronJobs as a test: some thousand seeds of a random life.
//!
//! `WASMJOB_SIM_SEEDS` asks for another number of seeds; the example `cron_sim` runs any
//! range of them. A seed that failed once stands below under the name of what was wrong.

#[path = "../sim/rng.rs"]
mod rng;
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
