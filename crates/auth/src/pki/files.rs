//! The files in `DATA_DIR/pki`: how each is made, read, and written anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::authority::Authority;
use super::leaf::Purpose;
use super::{Credential, Error, Notice, Reason, pem};
use crate::disk;

pub(super) fn is_absent_or_empty(directory: &Path) -> Result<bool, Error> {
    match fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(Error::Disk {
            step: "list",
            path: directory.to_owned(),
            source,
        }),
    }
}

/// Makes the authorities beside the directory, and moves them there in one step.
pub(super) fn make_authorities(directory: &Path, now: Duration) -> Result<(), Error> {
    let disk = |step, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Disk { step, path, source }
    };
    let new = disk::beside(directory, ".new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(disk("remove", &new)(error));
        }
        _ => {}
    }
    disk::make_directory(&new).map_err(disk("make", &new))?;
    let make = |what| move |source| Error::Make { what, source };
    for (file, name) in [
        ("ca", "wasmjob server CA"),
        ("client-ca", "wasmjob client CA"),
    ] {
        let (authority, key) = Authority::make(name, now).map_err(make("an authority"))?;
        write_pair(&new, file, &authority.certificate, &key)?;
    }
    let key = rcgen::KeyPair::generate().map_err(make("the key of service accounts"))?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    write_file(&new.join("sa.key"), pem::private_key(&key).as_bytes())?;
    fs::rename(&new, directory).map_err(disk("make", directory))?;
    let parent = disk::parent(directory);
    disk::sync_directory(parent).map_err(disk("write", parent))
}

pub(super) fn load_authority(
    directory: &Path,
    name: &str,
    notices: &mut Vec<Notice>,
) -> Result<Authority, Error> {
    let (path, key_path) = (file(directory, name, "crt"), file(directory, name, "key"));
    let damaged = |path: &Path| {
        let path = path.to_owned();
        move |detail| Error::Damaged { path, detail }
    };
    let certificate = read_needed(&path, notices)?;
    let certificate = pem::read_certificate(&certificate).map_err(damaged(&path))?;
    let key = read_needed(&key_path, notices)?;
    let key = pem::read_private_key(&key).map_err(damaged(&key_path))?;
    Authority::take_up(certificate, &key).map_err(damaged(&path))
}

pub(super) fn load_service_account_key(
    directory: &Path,
    notices: &mut Vec<Notice>,
) -> Result<PrivatePkcs8KeyDer<'static>, Error> {
    let path = directory.join("sa.key");
    let damaged = |detail: String| Error::Damaged {
        path: path.clone(),
        detail,
    };
    let key = pem::read_private_key(&read_needed(&path, notices)?).map_err(damaged)?;
    match rcgen::KeyPair::try_from(&key) {
        Ok(pair) if pair.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) => Ok(key),
        _ => Err(damaged("it holds no key of the curve P-256".to_owned())),
    }
}

/// Reads a file that must be there.
fn read_needed(path: &Path, notices: &mut Vec<Notice>) -> Result<Zeroizing<Vec<u8>>, Error> {
    match disk::read(path) {
        Ok(bytes) => {
            make_private(path, notices)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::Disk {
            step: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

pub(super) fn load_or_issue(
    directory: &Path,
    name: &'static str,
    purpose: &Purpose,
    authority: &Authority,
    now: Duration,
    notices: &mut Vec<Notice>,
) -> Result<(Credential, Option<Reason>), Error> {
    let (old, reason) = match load_credential(directory, name, notices)? {
        None => (None, Reason::None),
        Some(Err(_)) => (None, Reason::Damaged),
        Some(Ok(credential)) => match purpose.renewal(&credential, authority, now) {
            None => return Ok((credential, None)),
            Some(reason) => (Some(credential), reason),
        },
    };
    match (issue(directory, name, purpose, authority, now), old) {
        (Ok(credential), _) => Ok((credential, Some(reason))),
        // A full disk must not keep a server from starting that could go on for weeks.
        (Err(error), Some(old)) if purpose.is_usable(&old, authority, now) => {
            notices.push(Notice::NotRenewed {
                name,
                error: error.to_string(),
            });
            Ok((old, None))
        }
        (Err(error), _) => Err(error),
    }
}

fn load_credential(
    directory: &Path,
    name: &str,
    notices: &mut Vec<Notice>,
) -> Result<Option<Result<Credential, String>>, Error> {
    let mut read = |extension| match read_needed(&file(directory, name, extension), notices) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let (Some(certificate), Some(key)) = (read("crt")?, read("key")?) else {
        return Ok(None);
    };
    let credential = pem::read_certificate(&certificate).and_then(|certificate| {
        Ok(Credential {
            certificate,
            key: pem::read_private_key(&key)?,
        })
    });
    Ok(Some(credential))
}

pub(super) fn issue(
    directory: &Path,
    name: &str,
    purpose: &Purpose,
    authority: &Authority,
    now: Duration,
) -> Result<Credential, Error> {
    let made = purpose.issue(authority, now);
    let credential = made.map_err(|source| Error::Make {
        what: "a certificate",
        source,
    })?;
    // A crash in between leaves a pair that does not fit, which is replaced.
    write_pair(directory, name, &credential.certificate, &credential.key)?;
    Ok(credential)
}

fn write_pair(
    directory: &Path,
    name: &str,
    certificate: &CertificateDer<'_>,
    key: &PrivatePkcs8KeyDer<'_>,
) -> Result<(), Error> {
    let (path, key_path) = (file(directory, name, "crt"), file(directory, name, "key"));
    let (text, key_text) = (pem::certificate(certificate), pem::private_key(key));
    disk::write_all(&[(&key_path, key_text.as_bytes()), (&path, text.as_bytes())]).map_err(
        |source| Error::Disk {
            step: "write",
            path,
            source,
        },
    )
}

fn file(directory: &Path, name: &str, extension: &str) -> PathBuf {
    directory.join(format!("{name}.{extension}"))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let error = |source| Error::Disk {
        step: "write",
        path: path.to_owned(),
        source,
    };
    disk::write(path, bytes).map_err(error)
}

pub(super) fn make_private(path: &Path, notices: &mut Vec<Notice>) -> Result<(), Error> {
    let error = |source| Error::Disk {
        step: "make private",
        path: path.to_owned(),
        source,
    };
    if disk::make_private(path).map_err(error)? {
        notices.push(Notice::MadePrivate(path.to_owned()));
    }
    Ok(())
}
