//! From the `image` line of a container to a compiled module.
//!
//! A reference names a file (`./x.wasm`, `/x.wasm`, `file:…`), an alias of the
//! operator's (`busybox` → a file), bytes that the embedder gave, or an image in a
//! registry. The file is opened once and read whole; what was read is hashed, and from
//! then on only the digest counts. What comes from a registry ([`Registries`]) is kept on
//! a disk by digest. Compiled code is kept in memory by digest and, where a
//! directory is given, on disk under a MAC, because running it is trusting it.
//! What may be expensive to compile is compiled in a process that can be killed.
//!
//! This room knows the compile step of Wasmtime through `sandbox` and nothing
//! of pods or retries: it says what failed, and `node` decides. It is a client of
//! registries, over HTTP, and serves nobody.
//! All of it blocks; callers use threads of their own.

mod cache;
mod compiler;
mod content;
mod digest;
mod error;
mod images;
mod reference;
mod registry;

pub use compiler::{Compiler, WorkerLimits, serve_compile};
pub use content::{ImageLimits, Listed, Pruned};
pub use digest::{Digest, DigestError};
pub use error::ImageError;
pub use images::{Image, ImageFiles, Images, ImagesBuilder, Wanted};
pub use reference::{Alias, AliasError, Source};
pub use registry::{
    CredentialsError, Fetched, ImageConfig, ImageName, KeyError, Keyring, NodeCredentials,
    Patience, Proxies, ProxyError, PullError, PullErrorKind, PullPolicy, Pushed, Registries,
    RegistriesConfig, Signatures, docker_config_file,
};
