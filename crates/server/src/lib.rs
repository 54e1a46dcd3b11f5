//! The Kubernetes HTTP API over a host.
//!
//! One server for every kind: a table says which resources there are, another
//! what their fields are, and a handful of verbs does the rest. What is read
//! comes from a cache of the store's objects by name, rendered once per state;
//! what is written goes to the host as a change of the state that was seen.
//!
//! This is the only room that knows HTTP. It decides nothing about Jobs and runs
//! no pod; it has a runtime of its own, so that a busy API delays no decision.

mod access;
mod api;
mod body;
mod cache;
mod call;
mod convert;
mod decode;
mod housekeeping;
mod http;
mod kinds;
mod logs;
mod metrics;
mod paths;
mod pod_tokens;
mod render;
mod request;
mod requests;
mod review;
mod select;
mod server;
mod show;
mod streams;
mod subresource;
mod usage;
mod verbs;
mod yaml;

pub use server::{Config, Server, StartError};
