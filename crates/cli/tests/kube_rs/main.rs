//! `wasmjob serve` as programs meet it that use kube-rs, a client that knows nothing
//! of us: each test has a server of its own.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests measure real time, and stop where something fails"
)]

mod access;
mod logs;
mod objects;
mod serve;
mod watch;
