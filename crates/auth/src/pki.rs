//! The keys and certificates of one installation, kept in `DATA_DIR/pki`.
//!
//! | file | what |
//! |---|---|
//! | `ca.crt`, `ca.key` | the authority of the server: clients trust it |
//! | `client-ca.crt`, `client-ca.key` | the authority of clients: the server trusts it |
//! | `sa.key` | signs the tokens of service accounts (ES256) |
//! | `server.crt`, `server.key` | what the server shows; renewed |
//! | `admin.crt`, `admin.key` | the administrator, for the kubeconfig; renewed |
//!
//! The first three are made once, together: the directory appears by one rename,
//! so a crash leaves all of them or none. From then on they are what clients
//! trust, and one that is missing or damaged is an error for a person to look at,
//! never a reason to make another. The certificates that they sign are replaced
//! without asking when they are about to expire, lack a name, or do not fit.
//!
//! The directory is 0700 and each file 0600. Who an administrator is beyond a
//! name and a group is not decided here: the group `wasmjob:admins` gets its
//! rights from RBAC, where they can be taken away again.

mod authority;
mod credential;
mod error;
mod files;
mod leaf;
mod names;
mod notice;
mod pem;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;

use self::authority::Authority;
use self::leaf::Purpose;
use self::tls::ServerCertificate;

pub use self::credential::Credential;
pub use self::error::Error;
pub use self::names::Names;
pub use self::notice::{Notice, Reason};
pub use self::tls::Error as TlsError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3652 * 24 * 60 * 60);
const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A certificate is renewed when less than this is left, or less than a third of
/// its lifetime, if that is shorter.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How far the clocks of clients may be behind ours.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60 * 60);

/// The user in the administrator's certificate.
pub const ADMIN_USER: &str = "wasmjob-admin";
/// The group in the administrator's certificate.
pub const ADMIN_GROUP: &str = "wasmjob:admins";

/// The keys and certificates of one installation.
pub struct Pki {
    directory: PathBuf,
    server: Purpose,
    authority: Authority,
    client_authority: Authority,
    service_account_key: PrivatePkcs8KeyDer<'static>,
    server_credential: Credential,
    server_certificate: Arc<ServerCertificate>,
    admin_credential: Credential,
}

impl Pki {
    /// Loads what `data_dir/pki` holds, makes all of it at the first start, and
    /// renews certificates that need it. `data_dir` must be locked by the caller.
    ///
    /// # Errors
    ///
    /// When an authority or the key of service accounts is damaged, or is missing
    /// while the directory is not empty; when an extra name cannot stand in a
    /// certificate; when the disk refuses. Damaged or expired certificates of the
    /// server and the administrator are no errors: they are replaced.
    pub fn open(
        data_dir: &Path,
        names: &Names,
        now: Timestamp,
    ) -> Result<(Self, Vec<Notice>), Error> {
        let now = since_1970(now);
        let mut notices = Vec::new();
        let server = names::server_purpose(names, &mut notices)?;
        let directory = data_dir.join("pki");
        if files::is_absent_or_empty(&directory)? {
            files::make_authorities(&directory, now)?;
            notices.push(Notice::MadeAuthorities);
        }
        files::make_private(&directory, &mut notices)?;
        let authority = files::load_authority(&directory, "ca", &mut notices)?;
        let client_authority = files::load_authority(&directory, "client-ca", &mut notices)?;
        let service_account_key = files::load_service_account_key(&directory, &mut notices)?;
        for (authority, file) in [(&authority, "ca.crt"), (&client_authority, "client-ca.crt")] {
            let path = directory.join(file);
            if !authority.is_valid_at(now) {
                notices.push(Notice::AuthorityNotValid(path));
            } else if authority.not_after.saturating_sub(now) < 365 * DAY {
                notices.push(Notice::AuthorityExpiresSoon(path));
            }
        }
        let (server_credential, reason) =
            files::load_or_issue(&directory, "server", &server, &authority, now, &mut notices)?;
        notices.extend(reason.map(Notice::ServerCertificate));
        let (admin_credential, reason) = files::load_or_issue(
            &directory,
            "admin",
            &admin(),
            &client_authority,
            now,
            &mut notices,
        )?;
        notices.extend(reason.map(Notice::AdminCertificate));
        let server_certificate =
            Arc::new(ServerCertificate::new(certified_key(&server_credential)?));
        let pki = Self {
            directory,
            server,
            authority,
            client_authority,
            service_account_key,
            server_credential,
            server_certificate,
            admin_credential,
        };
        Ok((pki, notices))
    }

    /// Renews the certificates that need it; once a day is often enough. Every later
    /// connection gets the new one of the server at once, also with configurations
    /// that were made before. After [`Notice::AdminCertificate`], write the kubeconfig
    /// anew.
    ///
    /// # Errors
    ///
    /// When the disk refuses. What could not be renewed is as it was; ask again.
    pub fn renew(&mut self, now: Timestamp) -> Result<Vec<Notice>, Error> {
        let now = since_1970(now);
        let mut notices = Vec::new();
        let due = self
            .server
            .renewal(&self.server_credential, &self.authority, now);
        if let Some(reason) = due {
            let credential = files::issue(
                &self.directory,
                "server",
                &self.server,
                &self.authority,
                now,
            )?;
            self.server_certificate.replace(certified_key(&credential)?);
            self.server_credential = credential;
            notices.push(Notice::ServerCertificate(reason));
        }
        let due = admin().renewal(&self.admin_credential, &self.client_authority, now);
        if let Some(reason) = due {
            self.admin_credential = files::issue(
                &self.directory,
                "admin",
                &admin(),
                &self.client_authority,
                now,
            )?;
            notices.push(Notice::AdminCertificate(reason));
        }
        Ok(notices)
    }

    /// The certificate that clients trust.
    #[must_use]
    pub const fn authority(&self) -> &CertificateDer<'static> {
        &self.authority.certificate
    }

    /// [`Self::authority`] as PEM, as in a kubeconfig and in the ConfigMap
    /// `kube-root-ca.crt`.
    #[must_use]
    pub fn authority_pem(&self) -> String {
        pem::certificate(&self.authority.certificate)
    }

    /// The certificate that client certificates must be signed by.
    #[must_use]
    pub const fn client_authority(&self) -> &CertificateDer<'static> {
        &self.client_authority.certificate
    }

    /// The configuration of the server: TLS 1.2 and 1.3, `h2` and `http/1.1`, and
    /// clients with a certificate of the client authority or without any. `time` says
    /// when a certificate has expired; rustls asks it at each handshake.
    ///
    /// # Errors
    ///
    /// When rustls does not take the client authority.
    pub fn server_config(&self, time: Arc<dyn TimeProvider>) -> Result<ServerConfig, TlsError> {
        tls::server_config(
            self.server_certificate.clone(),
            self.client_authority(),
            time,
        )
    }

    /// The administrator's certificate and key.
    #[must_use]
    pub const fn admin(&self) -> &Credential {
        &self.admin_credential
    }

    /// The key that signs the tokens of service accounts.
    #[must_use]
    pub const fn service_account_key(&self) -> &PrivatePkcs8KeyDer<'static> {
        &self.service_account_key
    }
}

fn since_1970(now: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default())
}

fn admin() -> Purpose {
    Purpose::Client {
        user: ADMIN_USER.to_owned(),
        group: ADMIN_GROUP.to_owned(),
    }
}

fn certified_key(credential: &Credential) -> Result<Arc<CertifiedKey>, Error> {
    let key = PrivateKeyDer::Pkcs8(credential.key.clone_key());
    let key = any_supported_type(&key).map_err(Error::ServerKey)?;
    Ok(Arc::new(CertifiedKey::new(
        vec![credential.certificate.clone()],
        key,
    )))
}

#[cfg(test)]
mod tests;
