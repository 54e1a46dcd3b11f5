//! A certificate that one of our authorities signed, and when it needs another.
//!
//! Unlike an authority, nobody remembers it: whatever is wrong with it, a new one
//! is as good. It knows no files.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData,
    SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::authority::Authority;
use super::{Credential, LEAF_LIFETIME, RENEW_BEFORE, Reason, tls};
use crate::x509::Fields;

/// What a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A server that answers to these names.
    Server {
        dns_names: Vec<String>,
        ip_addresses: Vec<IpAddr>,
    },
    /// A client that is this user, in this group.
    Client { user: String, group: String },
}

impl Purpose {
    /// Makes a key and a certificate for it.
    pub(crate) fn issue(
        &self,
        authority: &Authority,
        now: Duration,
    ) -> Result<Credential, rcgen::Error> {
        let mut parameters = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        match self {
            Self::Server {
                dns_names,
                ip_addresses,
            } => {
                subject.push(DnType::CommonName, "wasmjob");
                for name in dns_names {
                    let name = name.as_str().try_into()?;
                    parameters.subject_alt_names.push(SanType::DnsName(name));
                }
                let addresses = ip_addresses.iter().copied().map(SanType::IpAddress);
                parameters.subject_alt_names.extend(addresses);
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Self::Client { user, group } => {
                subject.push(DnType::OrganizationName, group.as_str());
                subject.push(DnType::CommonName, user.as_str());
                parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }
        }
        parameters.distinguished_name = subject;
        authority.issue(parameters, LEAF_LIFETIME, now)
    }

    /// Why a new certificate is needed, if one is.
    pub(crate) fn renewal(
        &self,
        credential: &Credential,
        authority: &Authority,
        now: Duration,
    ) -> Option<Reason> {
        let Ok(fields) = Fields::read(&credential.certificate) else {
            return Some(Reason::Damaged);
        };
        match KeyPair::try_from(&credential.key) {
            Ok(key) if key.subject_public_key_info() == fields.public_key => {}
            _ => return Some(Reason::Damaged),
        }
        if !self.is_named_by(&fields) {
            return Some(Reason::NamesChanged);
        }
        // The last moments of an authority cannot be outlived; a new certificate
        // would not be better than this one.
        if fields.not_after < authority.not_after {
            let third = fields.not_after.saturating_sub(fields.not_before) / 3;
            if fields.not_after.saturating_sub(now) < third.min(RENEW_BEFORE) {
                return Some(Reason::ExpiresSoon);
            }
        }
        // Asked within its validity: whether the clock is right is another matter.
        // Not `clamp`, which panics when a certificate ends before it starts.
        let at = now.max(fields.not_before).min(fields.not_after);
        if self.is_accepted(&credential.certificate, authority, at) {
            return (now < fields.not_before).then_some(Reason::NotYetValid);
        }
        Some(Reason::OtherAuthority)
    }

    /// Whether the other side accepts it now, although it may be due for renewal.
    pub(crate) fn is_usable(
        &self,
        credential: &Credential,
        authority: &Authority,
        now: Duration,
    ) -> bool {
        self.is_accepted(&credential.certificate, authority, now)
            && !matches!(
                self.renewal(credential, authority, now),
                Some(Reason::Damaged)
            )
    }

    fn is_named_by(&self, fields: &Fields) -> bool {
        match self {
            Self::Server {
                dns_names,
                ip_addresses,
            } => {
                dns_names.iter().all(|name| fields.dns_names.contains(name))
                    && ip_addresses
                        .iter()
                        .all(|address| fields.ip_addresses.contains(address))
            }
            Self::Client { user, group } => {
                fields.common_name() == Some(user) && fields.organizations().eq([group])
            }
        }
    }

    /// Asks rustls what the other side of a connection would say.
    fn is_accepted(
        &self,
        certificate: &CertificateDer<'static>,
        authority: &Authority,
        at: Duration,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(authority.certificate.clone()).is_err() {
            return false;
        }
        let (roots, provider) = (Arc::new(roots), tls::provider());
        let at = UnixTime::since_unix_epoch(at);
        match self {
            Self::Server { .. } => {
                let Ok(name) = ServerName::try_from("localhost") else {
                    return false;
                };
                WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .is_ok_and(|verifier| {
                        verifier
                            .verify_server_cert(certificate, &[], &name, &[], at)
                            .is_ok()
                    })
            }
            Self::Client { .. } => WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .is_ok_and(|verifier| verifier.verify_client_cert(certificate, &[], at).is_ok()),
        }
    }
}
