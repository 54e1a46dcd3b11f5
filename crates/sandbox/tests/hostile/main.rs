//! Hostile guests.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod attack;
#[path = "../support/bombs.rs"]
mod bombs;
mod compile;
mod cpu;
mod engine;
mod files;
mod hostcalls;
mod memory;
mod residue;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod wat;
