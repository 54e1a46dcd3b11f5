//! The durable store, on disks that lose power, fail, and rot.
#![expect(clippy::unwrap_used, reason = "a test that fails should stop")]

mod crash;
mod damage;
mod faults;
mod history;
mod kill;
mod read_only;
mod sim_disk;
mod work;
