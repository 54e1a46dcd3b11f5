//! What every Kubernetes API server does to every object, whatever its kind.
//!
//! One table of field facts ([`types`]) drives it all: protobuf bodies, strict
//! decoding, patches, server-side apply and the OpenAPI documents. Objects are
//! JSON values here. This room is pure: bytes and values come in, values go out.
//! It knows no HTTP, no store, no clock and no kind by name, unless a standard
//! makes that kind special.

pub mod apply;
pub mod discovery;
pub mod fields;
pub mod gvk;
pub mod negotiate;
pub mod openapi;
pub mod patch;
pub mod proto;
pub mod resource;
pub mod selector;
pub mod status;
pub mod strict;
pub mod table;
pub mod validate_meta;

#[cfg(test)]
mod vectors;

/// The table of field facts.
pub use wasmjob_api::types;
