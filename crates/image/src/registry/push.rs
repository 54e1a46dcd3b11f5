//! Pushes a module to a registry, as a wasm artifact of the CNCF.

use serde_json::json;

use super::error::PullError;
use super::http::{Answer, now};
use super::manifest::{OCI_MANIFEST, WASM_CONFIG, WASM_LAYER};
use super::name::ImageName;
use super::pull::Registries;
use super::session::{Identity, Session};
use crate::{Digest, ImageError};

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The name with its tag.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Bytes of the manifest.
    pub bytes: u64,
}

impl Registries {
    /// Pushes the module `wasm`, called `title`, as `reference`. `created` is a time in
    /// RFC 3339. With the host's credentials.
    ///
    /// # Errors
    ///
    /// When the reference is none or names a digest, or the registry refuses.
    pub fn push(
        &self,
        reference: &str,
        title: &str,
        wasm: &[u8],
        created: &str,
    ) -> Result<Pushed, ImageError> {
        let name = ImageName::parse(reference).map_err(ImageError::InvalidName)?;
        if name.digest.is_some() {
            return Err(ImageError::InvalidName(format!(
                "cannot push {reference:?}: what is pushed has the digest that it has; name a tag"
            )));
        }
        self.push_as(&name, title, wasm, created).map_err(|error| {
            ImageError::Registry(error.of(format_args!("failed to push \"{name}\"")))
        })
    }

    fn push_as(
        &self,
        name: &ImageName,
        title: &str,
        wasm: &[u8],
        created: &str,
    ) -> Result<Pushed, PullError> {
        let secrets = self.credentials().find(name)?.into_iter();
        let mut identities: Vec<Identity> = secrets
            .map(|secret| Identity {
                secret: Some(secret),
                who: String::new(),
            })
            .collect();
        if identities.is_empty() {
            identities.push(Identity {
                secret: None,
                who: String::new(),
            });
        }
        let until = now() + self.patience().pull;
        let mut session = Session::new(self.http(), name, "pull,push", identities, until);
        let is_component = wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]);
        let layer = Digest::of(wasm);
        let config = json!({
            "created": created,
            "architecture": "wasm",
            "os": if is_component { "wasip2" } else { "wasip1" },
            "layerDigests": [layer],
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": WASM_CONFIG, "digest": Digest::of(&config), "size": config.len()},
            "layers": [{
                "mediaType": WASM_LAYER,
                "digest": layer,
                "size": wasm.len(),
                "annotations": {"org.opencontainers.image.title": title},
            }],
        });
        let manifest = manifest.to_string().into_bytes();
        upload(&mut session, &config)?;
        upload(&mut session, wasm)?;
        let url = session.url(&format!("manifests/{}", name.wanted()));
        let headers = [("content-type", OCI_MANIFEST)];
        let answer = session.ask("PUT", &url, &headers, Some(&manifest))?;
        accepted(answer, &[201])?;
        Ok(Pushed {
            name: name.to_string(),
            digest: Digest::of(&manifest),
            bytes: manifest.len() as u64,
        })
    }
}

/// Sends a blob, unless it is there.
fn upload(session: &mut Session<'_>, bytes: &[u8]) -> Result<(), PullError> {
    let digest = Digest::of(bytes);
    let url = session.url(&format!("blobs/{digest}"));
    if session.ask("HEAD", &url, &[], None)?.status.as_u16() == 200 {
        return Ok(());
    }
    let url = session.url("blobs/uploads/");
    let begun = accepted(session.ask("POST", &url, &[], Some(&[]))?, &[202])?;
    let to = begun.header("location").ok_or_else(|| {
        PullError::corrupt(format!(
            "{} does not say where an upload goes",
            session.registry()
        ))
    })?;
    let to = session.absolute(to)?;
    let same_host = to.starts_with(&session.absolute("/")?);
    if !same_host {
        return Err(PullError::unsupported(format!(
            "{} wants uploads to go to another host",
            session.registry()
        )));
    }
    let start = if to.contains('?') { '&' } else { '?' };
    let to = format!("{to}{start}digest={digest}");
    let headers = [("content-type", "application/octet-stream")];
    accepted(session.ask("PUT", &to, &headers, Some(bytes))?, &[201]).map(|_| ())
}

fn accepted(answer: Answer, codes: &[u16]) -> Result<Answer, PullError> {
    match codes.contains(&answer.status.as_u16()) {
        true => Ok(answer),
        false => Err(answer.refusal()),
    }
}
