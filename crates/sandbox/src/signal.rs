//! The signal function: how a guest that wants to can hear SIGTERM.
//!
//! WASI has no signals. A core module may import
//! `wasmjob.pending-signal: func() -> i32` (in WAT:
//! `(import "wasmjob" "pending-signal" (func (result i32)))`). It returns the
//! number of the signal that is pending, which is thereby taken, or 0. It
//! returns at once. A guest that imports it gets its grace period when its pod
//! is deleted; one that does not is killed at once, because nothing it could do
//! would tell it.
//!
//! A guest that is asleep learns of a signal through
//! `wasmjob.sleep-ms: func(ms: i64) -> i32`, which sleeps until the time has
//! passed (0) or a signal is pending (its number, which stays pending).

/// A signal. The numbers are POSIX's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// Please end.
    Term = 15,
}
