//! A talk with one registry about one repository.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::auth::{self, Challenge};
use super::credentials::Secret;
use super::error::{PullError, PullErrorKind};
use super::http::{Answer, Ask, Http, now};
use super::manifest::{ACCEPT, Descriptor, MANIFEST_BYTES_MAX};
use super::name::ImageName;
use crate::Digest;
use crate::content::{Content, Locked};

/// Attempts at a blob of which nothing more came.
const ATTEMPTS_MAX: u32 = 3;

/// The host that answers for a registry.
fn api_host(registry: &str) -> &str {
    match registry {
        "docker.io" => "registry-1.docker.io",
        other => other,
    }
}

/// Somebody whom we may be to a registry, and how that is remembered.
pub(crate) struct Identity {
    /// Nobody, where there is none.
    pub(crate) secret: Option<Secret>,
    pub(crate) who: String,
}

pub(crate) struct Session<'a> {
    http: &'a Http,
    /// `https://host`.
    base: String,
    registry: String,
    repository: String,
    /// `pull` or `pull,push`.
    actions: &'static str,
    identities: Vec<Identity>,
    /// Which of them counts.
    current: usize,
    authorization: Option<Zeroizing<String>>,
    until: Instant,
}

/// A manifest as it came.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        http: &'a Http,
        name: &ImageName,
        actions: &'static str,
        identities: Vec<Identity>,
        until: Instant,
    ) -> Self {
        let host = api_host(&name.registry);
        Self {
            base: format!("{}://{host}", http.scheme(&name.registry)),
            http,
            registry: name.registry.clone(),
            repository: name.repository.clone(),
            actions,
            identities,
            current: 0,
            authorization: None,
            until,
        }
    }

    /// How who we are to the registry is remembered.
    pub(crate) fn who(&self) -> &str {
        // One that did not ask answers anybody.
        let shown = self.authorization.as_ref();
        shown
            .and_then(|_| self.identities.get(self.current))
            .map_or(crate::content::ANYBODY, |identity| identity.who.as_str())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    pub(crate) fn in_time(&self) -> Result<(), PullError> {
        if self.http.is_stopped() {
            return Err(PullError::unavailable("the host is stopping"));
        }
        if now() > self.until {
            return Err(PullError::unavailable("the pull takes too long"));
        }
        Ok(())
    }

    /// Asks, as whom the registry wants.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, PullError> {
        loop {
            self.in_time()?;
            let shown = self.authorization.is_some();
            let answer = self.http.send(&Ask {
                method,
                url,
                authorization: self.authorization.as_deref().map(String::as_str),
                headers,
                body,
            })?;
            match answer.status.as_u16() {
                401 if !shown => self.log_in(&answer)?,
                401 | 403 if self.current + 1 < self.identities.len() => {
                    self.current += 1;
                    self.authorization = None;
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Gets what the answer 401 asks for.
    fn log_in(&mut self, answer: &Answer) -> Result<(), PullError> {
        let values = answer.headers.get_all("www-authenticate");
        let values: Vec<&str> = values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let challenge = Challenge::of(values.iter().copied())
            .ok_or_else(|| auth::unanswerable(&values.join(", ")))?;
        let scope = format!("repository:{}:{}", self.repository, self.actions);
        loop {
            let secret = self.identities.get(self.current);
            let secret = secret.and_then(|identity| identity.secret.as_ref());
            match auth::answer(self.http, &self.base, &challenge, secret, &scope) {
                Ok(authorization) => {
                    self.authorization = Some(authorization);
                    return Ok(());
                }
                Err(error)
                    if error.kind == PullErrorKind::Unauthorized
                        && self.current + 1 < self.identities.len() =>
                {
                    self.current += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest that a tag stands for, if the registry says so without sending the
    /// manifest.
    pub(crate) fn look_up(&mut self, tag: &str) -> Result<Option<Digest>, PullError> {
        let url = self.url(&format!("manifests/{tag}"));
        let answer = self.ask("HEAD", &url, &[("accept", ACCEPT)], None)?;
        if answer.status.as_u16() != 200 {
            // The answer to GET says why.
            return Ok(None);
        }
        let digest = answer.header("docker-content-digest");
        Ok(digest.and_then(|digest| digest.parse().ok()))
    }

    /// A manifest by tag or digest; what came is held against `expected`.
    pub(crate) fn manifest(
        &mut self,
        reference: &str,
        expected: Option<Digest>,
    ) -> Result<Fetched, PullError> {
        let url = self.url(&format!("manifests/{reference}"));
        let mut answer = self.ask("GET", &url, &[("accept", ACCEPT)], None)?;
        if answer.status.as_u16() != 200 {
            return Err(answer.refusal());
        }
        let bytes = answer.body.all(MANIFEST_BYTES_MAX, "the manifest")?;
        let digest = Digest::of(&bytes);
        agree(expected, digest)?;
        Ok(Fetched {
            digest,
            media_type: answer.header("content-type").unwrap_or_default().to_owned(),
            bytes,
        })
    }

    /// A small blob, into memory.
    pub(crate) fn small_blob(
        &mut self,
        blob: &Descriptor,
        what: &str,
    ) -> Result<Vec<u8>, PullError> {
        if blob.size > MANIFEST_BYTES_MAX {
            return Err(PullError::refused(format!(
                "{what} has {} bytes, {MANIFEST_BYTES_MAX} are allowed",
                blob.size
            )));
        }
        let url = self.url(&format!("blobs/{}", blob.digest));
        let mut answer = self.ask("GET", &url, &[], None)?;
        if answer.status.as_u16() != 200 {
            return Err(answer.refusal().of(what));
        }
        let bytes = answer.body.all(blob.size, what)?;
        same_size(blob, bytes.len() as u64)?;
        agree(Some(blob.digest), Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Brings a blob to the disk, whole. What came of it before is gone on with; who else
    /// is at it is waited for. One that is here counts only if this repository sent it:
    /// whoever knows nothing but a digest must not get by it what others have pulled.
    pub(crate) fn blob(&mut self, content: &Content, blob: &Descriptor) -> Result<(), PullError> {
        let place = format!("{}/{}", self.registry, self.repository);
        let is_here = || content.has_blob(blob.digest) && content.is_proven(&place, blob.digest);
        if is_here() {
            return Ok(());
        }
        let failed = |error: std::io::Error| PullError::host("failed to keep a blob", &error);
        let give_up = || self.in_time().is_err();
        let partial = Locked::wait(content.partial_path(&place, blob.digest), give_up);
        let Some(mut partial) = partial.map_err(failed)? else {
            self.in_time()?;
            return Err(PullError::unavailable("another pull of it takes too long"));
        };
        if is_here() {
            return partial.remove().map_err(failed);
        }
        let mut attempts = 0;
        loop {
            let had = partial.file.metadata().map_err(failed)?.len();
            match self.rest(&mut partial.file, blob) {
                Ok((got, _)) if got == blob.digest => {
                    let published = partial.publish(&content.blob_path(blob.digest));
                    published.map_err(failed)?;
                    return content.prove(&place, blob.digest).map_err(failed);
                }
                // What was there before may be to blame.
                Ok((_, true)) => partial.file.set_len(0).map_err(failed)?,
                Ok((got, false)) => {
                    partial.remove().map_err(failed)?;
                    return agree(Some(blob.digest), got);
                }
                Err(error) if error.kind == PullErrorKind::Unavailable => {
                    let has = partial.file.metadata().map_err(failed)?.len();
                    attempts = if has > had { 0 } else { attempts + 1 };
                    if attempts >= ATTEMPTS_MAX || self.in_time().is_err() {
                        return Err(error);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(200));
                }
                Err(error) => {
                    partial.remove().map_err(failed)?;
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what is missing of a blob; the digest of all, and whether some was there.
    fn rest(&mut self, file: &mut File, blob: &Descriptor) -> Result<(Digest, bool), PullError> {
        let failed = |error: std::io::Error| PullError::host("failed to keep a blob", &error);
        if file.metadata().map_err(failed)?.len() > blob.size {
            file.set_len(0).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        let mut have = 0u64;
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            have += read as u64;
        }
        let mut resumed = have > 0;
        if resumed && have == blob.size {
            return Ok((Digest::end(hash), true));
        }
        let url = self.url(&format!("blobs/{}", blob.digest));
        let range = format!("bytes={have}-");
        let headers: &[(&str, &str)] = if resumed { &[("range", &range)] } else { &[] };
        let mut answer = self.ask("GET", &url, headers, None)?;
        let continues = |answer: &Answer| {
            let range = answer.header("content-range").unwrap_or_default();
            range.starts_with(&format!("bytes {have}-"))
        };
        match answer.status.as_u16() {
            206 if resumed && continues(&answer) => {}
            200 => {
                file.set_len(0).map_err(failed)?;
                (hash, have, resumed) = (Sha256::new(), 0, false);
            }
            206 | 416 => {
                file.set_len(0).map_err(failed)?;
                return Err(PullError::unavailable(
                    "the registry does not go on where it broke off",
                ));
            }
            _ => return Err(answer.refusal().of(blob.digest)),
        }
        file.seek(SeekFrom::Start(have)).map_err(failed)?;
        loop {
            self.in_time()?;
            let read = answer.body.read(&mut buffer);
            let read = read.map_err(|error| answer.body.failure(&error))?;
            if read == 0 {
                break;
            }
            have += read as u64;
            if have > blob.size {
                return same_size(blob, have).map(|()| (blob.digest, resumed));
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).map_err(failed)?;
        }
        if have < blob.size {
            return Err(PullError::unavailable(format!(
                "a blob ended after {have} of {} bytes",
                blob.size
            )));
        }
        Ok((Digest::end(hash), resumed))
    }

    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// An address that the registry named, as a whole one.
    pub(crate) fn absolute(&self, to: &str) -> Result<String, PullError> {
        let base = self
            .base
            .parse()
            .map_err(|_| PullError::refused("no address"))?;
        Ok(super::http::resolve(&base, to)?.to_string())
    }
}

fn agree(expected: Option<Digest>, got: Digest) -> Result<(), PullError> {
    match expected {
        Some(expected) if expected != got => Err(PullError::corrupt(format!(
            "digest mismatch: expected {expected} got {got}"
        ))),
        _ => Ok(()),
    }
}

fn same_size(blob: &Descriptor, bytes: u64) -> Result<(), PullError> {
    match blob.size == bytes {
        true => Ok(()),
        false => Err(PullError::corrupt(format!(
            "size mismatch: {} should have {} bytes, and {} came",
            blob.digest,
            blob.size,
            if bytes > blob.size { "more" } else { "fewer" }
        ))),
    }
}
