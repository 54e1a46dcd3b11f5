//! Runs the simulator of CronJobs over a range of seeds: `cron_sim COUNT [FIRST]`.
//!
//! Prints the rate, how many Jobs were made, and the first seeds that break an invariant.

#[path = "../tests/cron_sim"]
mod cron_sim {
    #[path = "../sim/rng.rs"]
    mod rng;
    pub(crate) mod world;
}

use std::process::ExitCode;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks"
)]
#[expect(clippy::disallowed_methods, reason = "it measures its own rate")]
fn main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let (Some(Ok(count)), first) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: cron_sim COUNT [FIRST]");
        return ExitCode::FAILURE;
    };
    let first = first.and_then(Result::ok).unwrap_or(0);
    let began = std::time::Instant::now();
    let (mut failed, mut jobs) = (0_u64, 0);
    for seed in first..first + count {
        match cron_sim::world::run(seed) {
            Ok(made) => jobs += made,
            Err(error) => {
                failed += 1;
                if failed <= 10 {
                    eprintln!("{error}");
                }
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!(
        "{count} seeds from {first}: {failed} failed, {jobs} Jobs, {seconds:.1} s, {rate:.0} seeds/s"
    );
    ExitCode::from(u8::from(failed > 0))
}
