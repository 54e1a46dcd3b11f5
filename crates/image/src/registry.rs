//! Registries of images: names, credentials, and what is pulled from them.
//!
//! A registry is not trusted: whatever it sends has a size that we chose, comes within a
//! time that we chose, and is held against its digest before anybody sees it. Where it
//! leads (redirects, token servers) is checked by [`address`], and what we show it (a
//! password, a token) goes to itself only.

mod address;
mod auth;
mod credentials;
mod error;
mod http;
mod manifest;
mod name;
mod proxy;
mod pull;
mod push;
mod session;
mod signature;

pub use self::credentials::{CredentialsError, Keyring, NodeCredentials, docker_config_file};
pub use self::error::{PullError, PullErrorKind};
pub use self::http::Patience;
pub use self::manifest::ImageConfig;
pub(crate) use self::manifest::Packing;
pub use self::name::ImageName;
pub use self::proxy::{Proxies, ProxyError};
pub(crate) use self::pull::Held;
pub use self::pull::{Fetched, PullPolicy, Registries, RegistriesConfig};
pub use self::push::Pushed;
pub use self::signature::{KeyError, Signatures};
