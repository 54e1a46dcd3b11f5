//! The few fields of a certificate that we look at.
//!
//! Reads only: whether a certificate is to be trusted is decided by rustls, and
//! what a name means by [`crate::pki`] and the identity of a client. Takes any
//! bytes without panicking.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::SignatureVerificationAlgorithm;
use x509_cert::Certificate;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Any, Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName, SubjectKeyIdentifier};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// The bytes are no certificate of RFC 5280.
#[derive(Debug, thiserror::Error)]
#[error("not an X.509 certificate: {0}")]
pub(crate) struct NotACertificate(#[from] x509_cert::der::Error);

/// One text of a distinguished name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Attribute {
    pub(crate) oid: ObjectIdentifier,
    pub(crate) tag: Tag,
    pub(crate) text: String,
}

/// What a certificate says.
#[derive(Debug)]
pub(crate) struct Fields {
    /// Each relative name that is one text of a usual type; others are left out.
    pub(crate) subject: Vec<Attribute>,
    /// How many relative names the subject really has.
    pub(crate) subject_parts: usize,
    /// Since 1970.
    pub(crate) not_before: Duration,
    /// Since 1970.
    pub(crate) not_after: Duration,
    pub(crate) dns_names: Vec<String>,
    pub(crate) ip_addresses: Vec<IpAddr>,
    pub(crate) is_authority: bool,
    pub(crate) key_identifier: Option<Vec<u8>>,
    /// DER of the public key with its algorithm.
    pub(crate) public_key: Vec<u8>,
    /// The bits of the public key.
    public_key_bits: Vec<u8>,
    /// DER of what is signed.
    signed: Vec<u8>,
    /// The bits of the signature.
    signature: Vec<u8>,
}

impl Fields {
    /// Reads the DER of exactly one certificate.
    pub(crate) fn read(der: &[u8]) -> Result<Self, NotACertificate> {
        let certificate = Certificate::from_der(der)?;
        let body = certificate.tbs_certificate();
        let (mut dns_names, mut ip_addresses) = (Vec::new(), Vec::new());
        if let Some((_, names)) = body.get_extension::<SubjectAltName>()? {
            for name in names.0 {
                match name {
                    GeneralName::DnsName(name) => dns_names.push(name.to_string()),
                    GeneralName::IpAddress(octets) => {
                        ip_addresses.extend(ip_address(octets.as_bytes()));
                    }
                    _ => {}
                }
            }
        }
        let constraints = body.get_extension::<BasicConstraints>()?;
        let key_identifier = body.get_extension::<SubjectKeyIdentifier>()?;
        Ok(Self {
            subject: body
                .subject()
                .iter()
                .filter_map(|part| {
                    let text = text(&part.value)?;
                    Some(Attribute {
                        oid: part.oid,
                        tag: part.value.tag(),
                        text,
                    })
                })
                .collect(),
            subject_parts: body.subject().len(),
            not_before: body.validity().not_before.to_unix_duration(),
            not_after: body.validity().not_after.to_unix_duration(),
            dns_names,
            ip_addresses,
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            key_identifier: key_identifier.map(|(_, identifier)| identifier.0.into_bytes().into()),
            public_key: body.subject_public_key_info().to_der()?,
            public_key_bits: body
                .subject_public_key_info()
                .subject_public_key
                .raw_bytes()
                .into(),
            signed: body.to_der()?,
            signature: certificate.signature().raw_bytes().into(),
        })
    }

    /// Whether the certificate is whole: its own key made its signature. Says nothing
    /// of whether the key is to be trusted.
    pub(crate) fn is_signed_by_itself(
        &self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        algorithms.iter().any(|algorithm| {
            algorithm
                .verify_signature(&self.public_key_bits, &self.signed, &self.signature)
                .is_ok()
        })
    }

    /// The common name; the last one, where there are several, as Go reads them.
    pub(crate) fn common_name(&self) -> Option<&str> {
        self.texts(COMMON_NAME).last()
    }

    /// The organisations, in their order.
    pub(crate) fn organizations(&self) -> impl Iterator<Item = &str> {
        self.texts(ORGANIZATION)
    }

    fn texts(&self, oid: ObjectIdentifier) -> impl Iterator<Item = &str> {
        self.subject
            .iter()
            .filter(move |part| part.oid == oid)
            .map(|part| part.text.as_str())
    }
}

fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value
            .decode_as::<Utf8StringRef<'_>>()
            .ok()
            .map(|t| t.to_string()),
        Tag::PrintableString => value
            .decode_as::<PrintableStringRef<'_>>()
            .ok()
            .map(|t| t.to_string()),
        Tag::Ia5String => value
            .decode_as::<Ia5StringRef<'_>>()
            .ok()
            .map(|t| t.to_string()),
        _ => None,
    }
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Fields::read(&bytes);
        }

        #[test]
        fn a_certificate_with_broken_bytes_is_read_or_refused(
            at in any::<proptest::sample::Index>(), value: u8,
        ) {
            let key = rcgen::KeyPair::generate().unwrap();
            let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let mut der = parameters.self_signed(&key).unwrap().der().to_vec();
            let at = at.index(der.len());
            der[at] = value;
            let _ = Fields::read(&der);
        }
    }
}
