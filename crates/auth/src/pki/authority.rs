//! A certificate authority: a key that signs certificates, and the certificate
//! that says so.
//!
//! It is made once and then kept for ever: every client trusts exactly it. It
//! knows no files; [`super`] keeps them.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_cert::der::Tag;

use super::{AUTHORITY_LIFETIME, CLOCK_DIFFERENCE, Credential, tls};
use crate::x509::{Attribute, Fields};

/// 9999-12-31T23:59:59Z, "no well-defined expiration date" of RFC 5280, and the
/// last second that the date library of rcgen can add up to.
const LAST_SECOND: u64 = 253_402_300_799;

/// Signs certificates.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) not_before: Duration,
    pub(crate) not_after: Duration,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a key and a certificate for it, valid for ten years. `name` and the
    /// second of its birth become the subject, so that two authorities of one name
    /// are never taken for one another.
    pub(crate) fn make(
        name: &str,
        now: Duration,
    ) -> Result<(Self, PrivatePkcs8KeyDer<'static>), rcgen::Error> {
        let key = KeyPair::generate()?;
        let secret = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut parameters = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, format!("{name}@{}", now.as_secs()));
        parameters.distinguished_name = subject;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let (not_before, not_after) = validity(now, AUTHORITY_LIFETIME, None);
        set_validity(&mut parameters, not_before, not_after);
        let certificate = parameters.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(parameters, key);
        Ok((
            Self {
                certificate,
                not_before,
                not_after,
                issuer,
            },
            secret,
        ))
    }

    /// Takes up an authority that was made before, perhaps by another program.
    /// The error says what is wrong with the pair.
    pub(crate) fn take_up(
        certificate: CertificateDer<'static>,
        key: &PrivatePkcs8KeyDer<'static>,
    ) -> Result<Self, String> {
        let fields = Fields::read(&certificate).map_err(|error| error.to_string())?;
        let key = KeyPair::try_from(key)
            .map_err(|_| "its private key is of no kind that we can sign with".to_owned())?;
        if !fields.is_authority {
            return Err("it is not the certificate of an authority".to_owned());
        }
        if key.subject_public_key_info() != fields.public_key {
            return Err("its private key belongs to another certificate".to_owned());
        }
        if !fields.is_signed_by_itself(tls::provider().signature_verification_algorithms.all) {
            return Err("its signature does not fit".to_owned());
        }
        if fields.subject.len() != fields.subject_parts {
            return Err("its subject has texts of a kind that we cannot write".to_owned());
        }
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject(&fields.subject)?;
        if let Some(identifier) = fields.key_identifier {
            parameters.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
        }
        Ok(Self {
            certificate,
            not_before: fields.not_before,
            not_after: fields.not_after,
            issuer: Issuer::new(parameters, key),
        })
    }

    /// Whether what it signs is accepted at `now`.
    pub(crate) fn is_valid_at(&self, now: Duration) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Makes a key and signs a certificate for it, valid from a little before
    /// `now`, never longer than the authority itself.
    pub(crate) fn issue(
        &self,
        mut parameters: CertificateParams,
        lifetime: Duration,
        now: Duration,
    ) -> Result<Credential, rcgen::Error> {
        let key = KeyPair::generate()?;
        let (not_before, not_after) = validity(now, lifetime, Some(self.not_after));
        set_validity(&mut parameters, not_before, not_after);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = parameters.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Credential {
            certificate,
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        })
    }
}

fn validity(now: Duration, lifetime: Duration, limit: Option<Duration>) -> (Duration, Duration) {
    let not_before = now.saturating_sub(CLOCK_DIFFERENCE);
    let not_after = now.saturating_add(lifetime);
    (
        not_before,
        limit.map_or(not_after, |limit| not_after.min(limit)),
    )
}

fn set_validity(parameters: &mut CertificateParams, not_before: Duration, not_after: Duration) {
    let date = |since_1970: Duration| {
        rcgen::date_time_ymd(1970, 1, 1)
            + Duration::from_secs(since_1970.as_secs().min(LAST_SECOND))
    };
    parameters.not_before = date(not_before);
    parameters.not_after = date(not_after);
}

/// The subject as rcgen writes it, byte for byte as it was read.
fn subject(attributes: &[Attribute]) -> Result<DistinguishedName, String> {
    let mut subject = DistinguishedName::new();
    for Attribute { oid, tag, text } in attributes {
        let kind = DnType::CustomDnType(oid.arcs().map(u64::from).collect());
        let unusual = |_| "its subject has characters that its kind of text must not have";
        let value = match tag {
            Tag::PrintableString => {
                DnValue::PrintableString(text.as_str().try_into().map_err(unusual)?)
            }
            Tag::Ia5String => DnValue::Ia5String(text.as_str().try_into().map_err(unusual)?),
            _ => DnValue::Utf8String(text.clone()),
        };
        if subject.get(&kind).is_some() {
            return Err("its subject names one attribute twice".to_owned());
        }
        subject.push(kind, value);
    }
    Ok(subject)
}
