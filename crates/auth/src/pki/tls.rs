//! The TLS configuration of the server.
//!
//! TLS 1.2 and 1.3 by ring. A client may show a certificate of the client
//! authority, and is refused if it shows another; what it may do without one is
//! not decided here. Nothing is resumed: resuming would let a client go on whose
//! certificate has expired, and kubectl starts anew each time anyway.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};

/// A configuration cannot be made; with authorities of [`super::Pki`] this does
/// not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client authority's certificate is of no use as a root.
    #[error("failed to trust the client authority")]
    Root(#[source] rustls::Error),
    /// The verifier refuses its root.
    #[error("failed to make the verifier of client certificates")]
    Verifier(#[source] VerifierBuilderError),
    /// The provider lacks the versions of TLS.
    #[error("failed to choose the versions of TLS")]
    Versions(#[source] rustls::Error),
}

/// The certificate that connections get; it can be exchanged while the server
/// runs. Connections that are open keep the one they were opened with.
pub(super) struct ServerCertificate(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Starts with one certificate.
    pub(super) fn new(certificate: Arc<CertifiedKey>) -> Self {
        Self(RwLock::new(certificate))
    }

    /// Gives every later connection another certificate.
    pub(super) fn replace(&self, certificate: Arc<CertifiedKey>) {
        // Nothing can fail while the lock is held, so its content is whole.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerCertificate")
            .finish_non_exhaustive()
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes the configuration of a server that shows `certificate` and accepts
/// client certificates of `client_authority`.
pub(super) fn server_config(
    certificate: Arc<ServerCertificate>,
    client_authority: &CertificateDer<'_>,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(client_authority.clone().into_owned())
        .map_err(Error::Root)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(Error::Verifier)?;
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(Error::Versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
