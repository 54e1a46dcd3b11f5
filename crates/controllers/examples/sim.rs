//! Runs the Job simulator over a range of seeds: `sim COUNT [FIRST]`.
//!
//! Prints the rate, how the Jobs ended, and the first seeds that break an invariant.

#[path = "../tests/sim"]
mod sim {
    mod journal;
    mod rng;
    mod scenario;
    pub(crate) mod world;
}

use std::collections::BTreeMap;
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
    let mut ends = BTreeMap::<String, u64>::new();
    for seed in first..first + count {
        match sim::world::run(seed) {
            Ok(end) => *ends.entry(end).or_default() += 1,
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
    println!("{count} seeds from {first}: {failed} failed, {seconds:.1} s, {rate:.0} seeds/s");
    for (reason, number) in ends {
        println!("{number:>10} {reason}");
    }
    ExitCode::from(u8::from(failed > 0))
}
