//! Cuts the power of simulated disks and looks at what is left: `crash_images COUNT [FIRST_SEED]`.
//!
//! Prints how many images were looked at, and the rate; it stops at the first
//! that holds anything but what it should, and says by which seed.
#![expect(clippy::unwrap_used, reason = "a check that fails should stop")]

#[path = "../tests/durable"]
mod durable {
    pub(crate) mod crash;
    #[expect(dead_code, reason = "the tests of faults use more of it")]
    mod sim_disk;
    mod work;
}

#[expect(clippy::print_stdout, reason = "an example talks")]
#[expect(clippy::disallowed_methods, reason = "it measures its own rate")]
fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let wanted = arguments
        .next()
        .expect("usage: crash_images COUNT [FIRST_SEED]")
        .unwrap();
    let first = arguments.next().map_or(0, Result::unwrap);
    let mut seed = first;
    let begun = std::time::Instant::now();
    let mut done = 0;
    while done < wanted {
        let commits = 20 + usize::try_from(seed % 7).unwrap() * 40;
        done += durable::crash::cut_everywhere(seed, commits, 5) as u64;
        seed += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{done} images of {} workloads, none lost, torn or doubled; {:.0} per second",
        seed - first,
        done as f64 / seconds
    );
}
