//! One container = one WASI instance under limits.
//!
//! This room runs a compiled WebAssembly module to its end and says how it
//! ended. It is given plain data (a [`Task`]: module, arguments, environment,
//! opened directories, limits, a place for its output) and gives plain data
//! back (an [`Outcome`]: exit, usage). It knows no Kubernetes, no manifests,
//! no images, no retries; it decides nothing but when a guest must stop.
//!
//! What holds whatever a guest does:
//!
//! - Every limit is set before instantiation, because a start function is guest
//!   code too. One struct, [`Limits`], holds them all.
//! - Guests run on threads of their own, niced, in an executor that serves
//!   nothing else ([`Engine`] owns them). They are pre-empted by epochs.
//! - A kill comes from outside: a flag that the epoch callback sees in a busy
//!   guest, and that drops the future of a blocked one. Killed guests go to the
//!   front of the queue, so a kill does not wait behind other guests' slices.
//! - No instruction is long: those that may be are rewritten before compiling.
//! - Output never fails a guest, and never holds up a thread: it is dropped, or its
//!   guest alone waits for a reader.
//!
//! Only this room and the compile step of `image` know Wasmtime.

mod beside;
mod buffers;
mod bulk;
mod clock;
mod compile;
mod egress;
mod engine;
mod executor;
mod files;
mod guest;
mod http;
mod input;
mod limiter;
mod limits;
mod link;
mod lookup;
mod module;
mod names;
mod network;
mod open_files;
mod output;
mod pipe;
mod places;
mod quota;
mod run;
mod shape;
mod share;
mod signal;
mod task;
mod ticker;
mod trap;
mod writes;

pub use compile::{CompileCost, CompileError, scan};
pub use egress::{Egress, EgressBlock, EgressPorts, EgressRule};
pub use engine::{Capacity, ENGINE_VERSION, Engine, EngineBuilder, EngineError};
pub use guest::Guest;
pub use input::{Input, InputClosed, InputSender, input};
pub use limits::Limits;
pub use link::{ComponentLinker, CoreLinker, LinkError};
pub use module::{Module, ModuleKind};
pub use network::{Destination, Network, Place, Protocol};
pub use open_files::taken_bytes;
pub use output::{Output, Stream};
pub use pipe::{OutputPipe, OutputReader, output_pipe};
pub use quota::Quota;
pub use share::Cpu;
pub use signal::Signal;
pub use task::{Exit, Exits, KillReason, LiveUsage, Mount, Outcome, RunHandle, Task, Usage};
