//! Images from registries: what is good comes whole, once, and stays; what is hostile
//! (rows T64 to T71 of the hostile inputs) leaves nothing.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]
#![allow(clippy::disallowed_methods, reason = "tests measure real time")]

mod debian;
mod hostile;
mod layers;
mod real;
mod server;
mod signed;
mod store;

use std::path::Path;
use std::time::Duration;

use wasmjob_image::{
    Fetched, ImageError, ImageLimits, Keyring, Patience, PullErrorKind, PullPolicy, Registries,
    RegistriesConfig,
};

use crate::server::Server;

/// Registries that keep images in `dir` and speak to `plain` without TLS.
fn config(dir: &Path, plain: &[&str]) -> RegistriesConfig {
    RegistriesConfig {
        dir: dir.to_owned(),
        plain_http: plain.iter().map(|host| (*host).to_owned()).collect(),
        patience: Patience {
            idle: Duration::from_secs(2),
            ..Patience::default()
        },
        limits: ImageLimits::default(),
        ..RegistriesConfig::default()
    }
}

fn registries(dir: &Path, server: &Server) -> Registries {
    Registries::new(config(dir, &[&server.host]))
}

fn pull(registries: &Registries, image: &str) -> Result<(String, Fetched), ImageError> {
    registries.pull(image, PullPolicy::IfNotPresent, &Keyring::default())
}

/// The kind and the text of the failure of a pull, which leaves nothing behind that a pod
/// could run.
fn fails(registries: &Registries, image: &str) -> (PullErrorKind, String) {
    let error = pull(registries, image).unwrap_err();
    assert!(registries.list().unwrap().is_empty());
    assert_eq!(error.reason(), "ErrImagePull");
    (error.kind().unwrap(), error.to_string())
}

/// A module that does nothing.
fn wasm() -> Vec<u8> {
    wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap()
}
