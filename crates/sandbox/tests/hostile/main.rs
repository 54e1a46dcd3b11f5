//! Hostile guests: the rows T1 to T46 of the threat list, one test or more each,
//! named after the row. Every row runs alone and beside twice as many spinning
//! guests as there are processors, and afterwards a guest still runs, nobody is
//! left, and descriptors, threads and memory are what they were (`attack.rs`).
//!
//! Latency is asserted generously here (250 ms, the best of five), because tests
//! share their machine with compilers; `examples/overrun.rs` measures it.
//!
//! | row | test | outcome |
//! |---|---|---|
//! | T1 loop | `cpu::t01_*`, host `t01_*` | Killed(Deadline); Job DeadlineExceeded |
//! | T2 loop in start | `cpu::t02_*` | Killed(Deadline) |
//! | T3 realloc, post-return, destructor | `cpu::t03_*` | Killed(Deadline) |
//! | T4 bulk memory | `cpu::t04_*`, host `t04_*` | Killed(Deadline); with fuel OutOfFuel, 152. **Wall** |
//! | T5 bulk tables, GC | `cpu::t05_*` | Killed(Deadline); GC refused |
//! | T6 growing | `memory::t06_*`, host `t06_*` | OutOfMemory; OOMKilled 137 |
//! | T7 large memory | `memory::t07_*`, host `t07_*` | Start; StartError 128 |
//! | T8 touching, many pods | `memory::t08_*`, host `t08_*` | memory given back; pods wait |
//! | T9 memory64, many, shared | `memory::t09_*` | refused; one sum per component |
//! | T10 tables | `memory::t10_*` | refused, Start, OutOfMemory |
//! | T11 recursion | `memory::t11_*`, host `t11_*` | Trap; 134 |
//! | T12 recursion through the host | `memory::t12_*` | Trap |
//! | T13 tail calls, exceptions, continuations | `cpu::t13_*` | Killed(Deadline); refused |
//! | T14 long functions | `compile::t14_*`, image `t14_*` | not cheap, worker killed; refused |
//! | T15 many live values | `compile::t15_*`, image `t15_*` | the same |
//! | T16 deep blocks, joins, jump tables | `compile::t16_*`, image, host `t16_*` | the same; StartError 128 |
//! | T17 many functions, types, globals | `compile::t17_*`, image `t17_*` | the same |
//! | T18 data | `memory::t18_*` | Trap; refused |
//! | T19 custom sections, names | `start::t19_*` | ignored; 20 frames, cut, escaped |
//! | T20 not a module | `start::t20_*`, host `t20_*` | refused by name; StartError 128 |
//! | T21 flood of output | `hostcalls::t21_*`, host `t21_*` | bounded; the guest goes on |
//! | T22 tiny and empty writes | `hostcalls::t22_*` | ENOMEM, Killed(Deadline) |
//! | T23 log injection | `hostcalls::t23_*` | verbatim |
//! | T24 random_get | `hostcalls::t24_*` | Trap, Killed(Deadline) |
//! | T25 a million subscriptions | `hostcalls::t25_*` | ENOMEM or Trap |
//! | T26 odd polls | `cpu::t26_*` | EINVAL, at once, Killed(Deadline) |
//! | T27 endless sleep | `cpu::t27_*` | Killed(Deadline) |
//! | T28 FIFO, stdin | `files::t28_*`, `files_p2::t28_*` | ENXIO; stdin is empty. **Wall** |
//! | T29 open files | `files::t29_*` | Trap at the guest's limit; ENFILE at that of all |
//! | T30 fd_renumber | `files::t30_*` | EBADF or done; nothing leaks |
//! | T31 paths | `files::t31_*` | errno; nothing outside is touched |
//! | T32 links, renames, races, read-only | `files::t32_*` | errno; nothing outside is touched |
//! | T33 exit codes | `start::t33_*`, host `t33_*` | modulo 256 |
//! | T34 traps | `start::t34_*`, host `t11_t34_*` | each by name; 134 |
//! | T35 unknown imports | `start::t35_*`, host `t20_t35_*` | refused by name; StartError 128 |
//! | T36 no command | `start::t36_*` | refused, exact text |
//! | T37 environment | `start::t37_*` | what the task gives |
//! | T38 clocks, Spectre | `hostcalls::t38_*` | no threads, no atomics. **Wall** |
//! | T39 residue | `residue::t39_*` | nothing is found |
//! | T40 sparse files, full disks | `files::t40_*`, `quotas::t40_*`, host `t40_*` | errno; Evicted |
//! | T41 large directories | `hostcalls::t41_*` | Killed(Deadline) |
//! | T42 wasi:http | `start::t42_*`, cli `http` | HTTP-request-denied and its relatives; Trap |
//! | T43 handles | `hostcalls::t43_*` | Trap |
//! | T44 overlapping strings | `hostcalls::t44_*` | Trap |
//! | T45 random calls | `hostcalls::t45_*` | errno or Trap, never Host |
//! | T46 SIGTERM ignored | `cpu::t46_*`, host `t46_*` | Killed(Requested) at the end of the grace |
//!
//! "cli" is `crates/cli/tests`, "host" is `crates/wasmjob/tests/hostile.rs`, "image" is
//! `crates/image/tests/compile_bombs.rs`.
//!
//! **Wall**: only the wall of a process satisfies the row fully.
//! - T4: a component that gives another one a string of 80 MiB is killed when the
//!   host has copied it, a third of a second later. Nothing else is that long.
//! - T28: a special file is refused before it is opened. Somebody who renames a
//!   FIFO at the right moment gets it opened, and a thread waits for its other
//!   end, one of `Limits::blocking_threads`. Guests cannot make FIFOs; only a
//!   hostPath can hold one.
//! - T38: guests share one address space and see a fine clock.
//! - T14 to T17 have that wall: the compile worker.
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
mod files_p2;
mod hostcalls;
mod memory;
mod quotas;
mod residue;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod wat;
