//! What Kubernetes allows and wasmjob does not do: refused where it would change
//! isolation or meaning, told where it has no effect.

mod ignored;
mod refused;

pub use ignored::{Note, notes, served_notes};
pub use refused::refusals;

/// Resources that the node can give; an extended one is wasmjob's own.
pub const SUPPORTED_RESOURCES: [&str; 4] =
    ["cpu", "memory", "ephemeral-storage", "wasmjob.dev/fuel"];
