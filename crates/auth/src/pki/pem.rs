//! PEM, the text around DER that every other program reads.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_cert::der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

/// The text of a certificate.
pub(crate) fn certificate(der: &CertificateDer<'_>) -> String {
    encode("CERTIFICATE", der)
}

/// The text of a private key.
pub(crate) fn private_key(der: &PrivatePkcs8KeyDer<'_>) -> Zeroizing<String> {
    Zeroizing::new(encode("PRIVATE KEY", der.secret_pkcs8_der()))
}

fn encode(label: &str, der: &[u8]) -> String {
    // It fails on labels that are no labels and on lengths that overflow.
    encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

/// The one certificate in a text, or what is wrong with it.
pub(crate) fn read_certificate(pem: &[u8]) -> Result<CertificateDer<'static>, String> {
    let mut found = CertificateDer::pem_slice_iter(pem);
    match (found.next(), found.next()) {
        (Some(Ok(certificate)), None) => Ok(certificate),
        (Some(Ok(_)), Some(_)) => Err("it holds more than one certificate".to_owned()),
        // The parser's message may repeat a line, and the file may be a key by mistake.
        (Some(Err(_)), _) => Err("it is not PEM".to_owned()),
        (None, _) => Err("it holds no certificate".to_owned()),
    }
}

/// The one private key in a text, or what is wrong with it. The answer says
/// nothing of the content.
pub(crate) fn read_private_key(pem: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, String> {
    let mut found = PrivateKeyDer::pem_slice_iter(pem);
    match (found.next(), found.next()) {
        (Some(Ok(PrivateKeyDer::Pkcs8(key))), None) => Ok(key),
        (Some(Ok(_)), None) => Err(
            "its private key is not PKCS#8; `openssl pkcs8 -topk8 -nocrypt` \
                                    turns it into that"
                .to_owned(),
        ),
        (Some(Ok(_)), Some(_)) => Err("it holds more than one private key".to_owned()),
        (Some(Err(_)), _) => Err("it is not PEM".to_owned()),
        (None, _) => Err("it holds no private key".to_owned()),
    }
}
