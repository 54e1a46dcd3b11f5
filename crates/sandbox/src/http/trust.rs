//! Which servers are believed to be who they say: what this machine trusts, or
//! `SSL_CERT_FILE`.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use wasmtime_wasi::runtime::spawn_blocking;
use wasmtime_wasi_http::Error;

/// Sessions that one guest can resume.
const SESSIONS_MAX: usize = 32;

/// Read when the first guest asks a server with TLS: it takes longer than many a run.
#[derive(Default)]
pub(crate) struct Trust(OnceCell<ClientConfig>);

impl Trust {
    /// A configuration for one guest: it resumes sessions of its own only.
    pub(super) async fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        let shared = self
            .0
            .get_or_try_init(|| async { spawn_blocking(read).await })
            .await?;
        let mut own = shared.clone();
        own.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        Ok(Arc::new(own))
    }
}

fn read() -> Result<ClientConfig, Error> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a root certificate cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        // Every server will be refused: guests are told that its certificate is.
        tracing::warn!("no root certificates: pods can make no request over TLS");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Error::ConfigurationError)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
