//! Runs the Job simulator over a range of seeds: `sim COUNT [FIRST]`.
//!
//! Prints the rate, and every seed that breaks an invariant.

#[path = "../tests/sim/journal.rs"]
mod journal;
#[path = "../tests/sim/rng.rs"]
mod rng;
#[path = "../tests/sim/scenario.rs"]
mod scenario;
#[path = "../tests/sim/world.rs"]
mod world;

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
        eprintln!("usage: sim COUNT [FIRST]");
        return ExitCode::FAILURE;
    };
    let first = first.and_then(Result::ok).unwrap_or(0);
    let began = std::time::Instant::now();
    let mut failed = 0_u64;
    for seed in first..first + count {
        if let Err(error) = world::run(seed) {
            failed += 1;
            if failed <= 10 {
                eprintln!("{error}");
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = count as f64 / seconds;
    println!("{count} seeds from {first}: {failed} failed, {seconds:.1} s, {rate:.0} seeds/s");
    ExitCode::from(u8::from(failed > 0))
}
