//! A certificate together with its private key.

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use super::pem;

/// A certificate and its private key. It has no `Debug`.
pub struct Credential {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivatePkcs8KeyDer<'static>,
}

impl Credential {
    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The private key.
    #[must_use]
    pub const fn key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.key
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::certificate(&self.certificate)
    }

    /// The private key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        pem::private_key(&self.key)
    }
}

impl Drop for Credential {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}
