//! Who a client is, and what it may do.
//!
//! Everything a Kubernetes API server decides before it looks at an object:
//! [`pki`] makes and keeps the keys, and [`kubeconfig`] hands them to the
//! administrator; [`identity`] finds out who a client is; [`attributes`] are the
//! question what it may do, [`rbac`] answers it, from the roles that people made and
//! those of [`bootstrap`].
//!
//! Plain data comes in and goes out. This room knows no HTTP, no store and no
//! network, and reads no clock: `now` is an argument. Randomness is read only where
//! the cryptography library makes keys and signatures, and files only by [`pki`] and
//! [`kubeconfig`].
//!
//! Secrets do not reach logs: no type here shows one through `Debug`, no error
//! repeats one, and what came over the network is compared in constant time.

pub mod attributes;
pub mod bootstrap;
mod disk;
pub mod field;
pub mod identity;
pub mod kubeconfig;
mod names;
pub mod pki;
pub mod rbac;
mod text;
mod x509;
