//! The user in a client certificate: its common name, with its organisations as
//! groups.
//!
//! That the client authority signed it, and that it is valid, is checked by TLS
//! at the handshake. A connection can outlive its certificate, so
//! [`CertificateUser::is_valid_at`] is there to be asked at every request.

use jiff::Timestamp;
use ring::digest;

use super::{CREDENTIAL_ID, User};
use crate::x509::Fields;

/// A certificate that names nobody.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be read.
    #[error("failed to read the client certificate: {0}")]
    Unreadable(String),
    /// It has no common name.
    #[error("the client certificate has no common name")]
    NoName,
}

/// A user, and the time for which a certificate says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateUser {
    /// Who it is.
    pub user: User,
    not_before_second: i64,
    not_after_second: i64,
}

impl CertificateUser {
    /// Reads the DER of a client's own certificate, which TLS has verified.
    ///
    /// # Errors
    ///
    /// When the bytes are no certificate, or it has no common name.
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let fields =
            Fields::read(der).map_err(|error| CertificateError::Unreadable(error.to_string()))?;
        let name = fields.common_name().filter(|name| !name.is_empty());
        let name = name.ok_or(CertificateError::NoName)?;
        let groups = fields.organizations().map(str::to_owned).collect();
        let mut user = User::authenticated(name, groups);
        user.add_extra(CREDENTIAL_ID, format!("X509SHA256={}", hexadecimal(der)));
        let second = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            user,
            not_before_second: second(fields.not_before),
            not_after_second: second(fields.not_after),
        })
    }

    /// Whether the certificate counts at this time.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before_second..=self.not_after_second).contains(&now.as_second())
    }
}

fn hexadecimal(der: &[u8]) -> String {
    use std::fmt::Write;
    let hash = digest::digest(&digest::SHA256, der);
    hash.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair};

    fn certificate(subject: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            parameters
                .distinguished_name
                .push(kind.clone(), value.clone());
        }
        parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 1);
        parameters
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn text(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn name_and_groups() {
        // One kind of name twice, which rcgen's table does not let us write otherwise.
        let second_group = DnType::CustomDnType(vec![2, 5, 4, 10]);
        let der = certificate(&[
            (DnType::OrganizationName, text("team a")),
            (
                second_group,
                DnValue::PrintableString("team b".try_into().unwrap()),
            ),
            (DnType::CommonName, text("jürgen")),
        ]);
        let CertificateUser { user, .. } = CertificateUser::read(&der).unwrap();
        assert_eq!(user.name, "jürgen");
        assert_eq!(user.groups, ["team a", "team b", "system:authenticated"]);
        assert_eq!(user.uid, "");
        let id = &user.extra["authentication.kubernetes.io/credential-id"][0];
        assert!(
            id.starts_with("X509SHA256=") && id.len() == "X509SHA256=".len() + 64,
            "{id}"
        );
    }

    #[test]
    fn who_has_no_name_is_nobody() {
        for subject in [
            vec![],
            vec![(DnType::CommonName, text(""))],
            vec![(DnType::OrganizationName, text("system:masters"))],
            // A kind of text that Unicode does not define.
            vec![(
                DnType::CommonName,
                DnValue::TeletexString("x".try_into().unwrap()),
            )],
        ] {
            let read = CertificateUser::read(&certificate(&subject));
            assert!(matches!(read, Err(CertificateError::NoName)), "{subject:?}");
        }
    }

    #[test]
    fn it_counts_for_its_time() {
        let read = CertificateUser::read(&certificate(&[(DnType::CommonName, text("a"))])).unwrap();
        for (now, wanted) in [
            ("2025-12-31T23:59:59Z", false),
            ("2026-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:00Z", true),
            ("2027-01-01T00:00:01Z", false),
            ("-000001-01-01T00:00:00Z", false),
        ] {
            assert_eq!(read.is_valid_at(now.parse().unwrap()), wanted, "{now}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(der: Vec<u8>) {
            prop_assert!(CertificateUser::read(&der).is_err());
        }
    }
}
