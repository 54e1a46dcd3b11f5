//! The administrator's kubeconfig, `DATA_DIR/kubeconfig`.
//!
//! One cluster, one user and one context, all named `wasmjob`, with certificates
//! and key inside, so that the file alone is enough: `kubectl --kubeconfig FILE`.
//! It is written as YAML that needs no YAML library, because every value is base64
//! or a quoted URL. Which address the server listens on is the caller's business.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::disk;
use crate::pki::Credential;

/// The name of the cluster, the user and the context.
pub const CONTEXT: &str = "wasmjob";

/// What a kubeconfig says.
pub struct Kubeconfig<'a> {
    /// The DNS name or IP address that the server certificate is for.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// The authority of the server, as PEM.
    pub authority_pem: &'a str,
    /// The client's certificate and key.
    pub credential: &'a Credential,
}

impl Kubeconfig<'_> {
    /// The text of the file. It holds a private key.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let Parts {
            server,
            authority,
            certificate,
            key,
        } = self.parts();
        let key = key.as_str();
        Zeroizing::new(format!(
            "# Written by wasmjob; the certificate in it is renewed before it expires.
apiVersion: v1
kind: Config
current-context: {CONTEXT}
clusters:
- name: {CONTEXT}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {CONTEXT}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {CONTEXT}
  context:
    cluster: {CONTEXT}
    user: {CONTEXT}
"
        ))
    }

    /// Writes the file with mode 0600, unless the one that is there says the same.
    /// A context or a namespace that somebody added to it stays as long as address,
    /// certificates and key do. Returns whether it wrote.
    ///
    /// # Errors
    ///
    /// When the disk refuses; the file is then the old one.
    pub fn write(&self, path: &Path) -> io::Result<bool> {
        match disk::read(path) {
            Ok(old) if self.is_said_by(&old) => {
                disk::make_private(path)?;
                return Ok(false);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        disk::write(path, self.text().as_bytes())?;
        Ok(true)
    }

    fn is_said_by(&self, old: &[u8]) -> bool {
        let Ok(old) = std::str::from_utf8(old) else {
            return false;
        };
        let Parts {
            server,
            authority,
            certificate,
            key,
        } = self.parts();
        [server.as_str(), &authority, &certificate, &key]
            .into_iter()
            .all(|wanted| {
                // kubectl writes the URL without quotes when it rewrites the file.
                old.lines().any(|line| {
                    line.split_once(": ").is_some_and(|(_, value)| {
                        value == wanted || value == wanted.trim_matches('"')
                    })
                })
            })
    }

    fn parts(&self) -> Parts {
        Parts {
            server: format!("\"https://{}:{}\"", host(self.host), self.port),
            authority: Base64::encode_string(self.authority_pem.as_bytes()),
            certificate: Base64::encode_string(self.credential.certificate_pem().as_bytes()),
            key: Zeroizing::new(Base64::encode_string(self.credential.key_pem().as_bytes())),
        }
    }
}

struct Parts {
    server: String,
    authority: String,
    certificate: String,
    key: Zeroizing<String>,
}

/// A host as it stands in a URL. What cannot stand in one is left out, so that no
/// name ends the quoted text that it is in.
fn host(host: &str) -> String {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return format!("[{address}]");
    }
    if host.parse::<IpAddr>().is_ok() {
        return host.to_owned();
    }
    host.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Names, Pki};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn pki(directory: &Path, now: &str) -> Pki {
        Pki::open(directory, &Names::default(), now.parse().unwrap())
            .unwrap()
            .0
    }

    fn write(pki: &Pki, path: &Path, port: u16) -> bool {
        let authority_pem = pki.authority_pem();
        let config = Kubeconfig {
            host: "127.0.0.1",
            port,
            authority_pem: &authority_pem,
            credential: pki.admin(),
        };
        config.write(path).unwrap()
    }

    #[test]
    fn it_is_written_when_something_changes_and_only_then() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let first = pki(directory.path(), "2026-11-25T10:00:00Z");
        assert!(write(&first, &path, 6443));
        assert!(!write(&first, &path, 6443));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(
            write(&first, &path, 644),
            "a port that starts with the other"
        );
        assert!(write(&first, &path, 6444));
        let renewed = pki(directory.path(), "2027-11-20T10:00:00Z");
        assert!(write(&renewed, &path, 6444));
        assert!(!write(&renewed, &path, 6444));
        fs::write(&path, b"\xff").unwrap();
        assert!(write(&renewed, &path, 6444));
    }

    #[test]
    fn what_somebody_added_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let pki = pki(directory.path(), "2026-11-25T10:00:00Z");
        write(&pki, &path, 6443);
        // As `kubectl config set-context --current --namespace=team` leaves it.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("\"https://127.0.0.1:6443\"", "https://127.0.0.1:6443")
            + "    namespace: team\n";
        fs::write(&path, &text).unwrap();
        assert!(!write(&pki, &path, 6443));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(write(&pki, &path, 7443));
    }

    #[test]
    fn hosts_as_they_stand_in_urls() {
        let cases = [
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "[::1]"),
            ("a\"\n  evil: b", "aevilb"),
        ];
        for (name, wanted) in cases {
            assert_eq!(host(name), wanted);
        }
    }

    #[test]
    fn the_parts_are_where_kubectl_looks_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        let pki = pki(directory.path(), "2026-11-25T10:00:00Z");
        write(&pki, &path, 6443);
        let text = fs::read_to_string(&path).unwrap();
        let value = |key: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(key))
                .unwrap();
            Base64::decode_vec(line.rsplit(' ').next().unwrap()).unwrap()
        };
        assert_eq!(
            value("certificate-authority-data"),
            pki.authority_pem().as_bytes()
        );
        assert_eq!(
            value("client-certificate-data"),
            pki.admin().certificate_pem().as_bytes()
        );
        assert_eq!(value("client-key-data"), pki.admin().key_pem().as_bytes());
        assert!(text.contains("    server: \"https://127.0.0.1:6443\"\n"));
    }
}
