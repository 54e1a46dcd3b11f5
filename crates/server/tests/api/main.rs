//! The server as its clients see it.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod admission;
mod grants;
mod history;
mod hostile;
mod matrix;
mod owners;
mod requests;
mod secrets;
mod support;
mod tokens;
