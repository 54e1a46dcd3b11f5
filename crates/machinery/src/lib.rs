//! What every Kubernetes API server does to every object, whatever its kind.
//!
//! One table of field facts ([`types`]) drives it all: protobuf bodies, strict
//! decoding, patches, server-side apply and the OpenAPI documents. Objects are
//! JSON values here. This room is pure: bytes and values come in, values go out.
//! It knows no HTTP, no store, no clock and no kind by name, unless a standard
//! makes that kind special.

pub mod types;
