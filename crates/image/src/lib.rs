//! From the `image` line of a container to a compiled module.
//!
//! A reference names a file (`./x.wasm`, `/x.wasm`, `file:…`), an alias of the
//! operator's (`busybox` → a file), or bytes that the embedder gave. The file is
//! opened once and read whole; what was read is hashed, and from then on only
//! the digest counts. Compiled code is kept in memory by digest and, where a
//! directory is given, on disk under a MAC, because running it is trusting it.
//! What may be expensive to compile is compiled in a process that can be killed.
//!
//! This room knows the compile step of Wasmtime through `sandbox` and nothing
//! of pods, retries or pull policies: it says what failed, and `node` decides.
//! All of it blocks; callers use threads of their own.

mod cache;
mod compiler;
mod digest;
mod error;
mod images;
mod reference;

pub use compiler::{Compiler, WorkerLimits, serve_compile};
pub use digest::Digest;
pub use error::ImageError;
pub use images::{Image, Images, ImagesBuilder};
pub use reference::{Alias, AliasError, Source};
