//! Whose signature images must have: cosign's simple signing, with keys that the operator
//! names.
//!
//! A signature of an image with the digest `sha256:HEX` is a blob of the artifact
//! `sha256-HEX.sig` in the same repository. The blob says of which image and which
//! repository it is; the artifact carries the signature of the blob.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;

use super::error::{PullError, PullErrorKind};
use super::manifest::{Document, Manifest};
use super::name::ImageName;
use super::session::Session;
use crate::Digest;

/// What a signature is called and where it stands.
const MEDIA_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// Signatures of one image that are looked at, and bytes of what each signs.
const SIGNATURES_MAX: usize = 32;
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;

/// What stands before the key in the encoding of a public key, by algorithm.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const EDWARDS: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A public key.
#[derive(Clone)]
struct Key {
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
    /// What tells that an image was held against this key before.
    id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Why a key cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no public key in it.
    #[error("it holds no public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    NoPem,
    /// It is of another algorithm.
    #[error("it holds a key that is neither ECDSA P-256 (cosign's) nor Ed25519")]
    Algorithm,
    /// No image can have the prefix.
    #[error("{0:?} is no registry or repository")]
    Prefix(String),
}

/// Which images must be signed, and by whom. By default none must.
#[derive(Clone, Debug, Default)]
pub struct Signatures {
    rules: Vec<(String, Key)>,
}

impl Signatures {
    /// Wants images below `prefix` (a registry, or a repository and what is below it; `*`
    /// means all) to be signed with the key in `pem`. The longest prefix of an image counts;
    /// of several keys for it, any will do.
    ///
    /// # Errors
    ///
    /// When the key cannot be used, or no image can have the prefix.
    pub fn require(&mut self, prefix: &str, pem: &str) -> Result<(), KeyError> {
        let plain = prefix.trim_end_matches('/');
        let is_host = super::name::is_host(plain.split('/').next().unwrap_or_default());
        if plain != "*" && (plain.is_empty() || !is_host) {
            return Err(KeyError::Prefix(prefix.to_owned()));
        }
        self.rules.push((plain.to_owned(), Key::read(pem)?));
        Ok(())
    }

    /// The keys of which one must have signed `name`; none, if it need not be signed.
    fn keys(&self, name: &ImageName) -> Vec<&Key> {
        let whole = name.name();
        let covers = |prefix: &str| {
            let below = whole.strip_prefix(prefix);
            prefix == "*" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rules = || self.rules.iter().filter(|(prefix, _)| covers(prefix));
        // `*` is as short as a prefix can be.
        let length = |prefix: &str| if prefix == "*" { 0 } else { prefix.len() };
        let longest = rules().map(|(prefix, _)| length(prefix)).max();
        let rules = rules().filter(|(prefix, _)| Some(length(prefix)) == longest);
        rules.map(|(_, key)| key).collect()
    }

    /// Whether an image that was held against the keys `known` before need not be again.
    pub(crate) fn is_known(&self, name: &ImageName, known: Option<&str>) -> bool {
        let keys = self.keys(name);
        keys.is_empty() || keys.iter().any(|key| known == Some(&key.id))
    }

    /// Looks for a signature of `name` with the digest `digest`; which key made it, if one
    /// must have.
    pub(crate) fn verify(
        &self,
        session: &mut Session<'_>,
        name: &ImageName,
        digest: Digest,
    ) -> Result<Option<String>, PullError> {
        let keys = self.keys(name);
        if keys.is_empty() {
            return Ok(None);
        }
        let unsigned = |why: &str| {
            PullError::new(
                PullErrorKind::Unsigned,
                format!(
                    "{} is not signed by a key that counts for it: {why}",
                    name.pinned(digest)
                ),
            )
        };
        let found = match session.manifest(&format!("sha256-{}.sig", digest.digits()), None) {
            Err(error) if error.kind == PullErrorKind::NotFound => {
                return Err(unsigned("there is no signature"));
            }
            found => found?,
        };
        let Document::Manifest(manifest) = Document::read(&found.bytes, &found.media_type)? else {
            return Err(unsigned("its signatures are no artifact"));
        };
        let mut why = "there is no signature".to_owned();
        for (blob, signature) in candidates(&manifest) {
            let payload = session.small_blob(blob, "a signature")?;
            let signer = keys.iter().find(|key| key.has_signed(&payload, &signature));
            match (signer, says(&payload, name, digest)) {
                (Some(key), Ok(())) => return Ok(Some(key.id.clone())),
                (Some(_), Err(text)) => why = text,
                (None, _) => why = "its signature is of another key".to_owned(),
            }
        }
        Err(unsigned(&why))
    }
}

/// What is signed, and the signatures.
fn candidates(
    manifest: &Manifest,
) -> impl Iterator<Item = (&super::manifest::Descriptor, Vec<u8>)> {
    let layers = manifest
        .layers
        .iter()
        .filter(|layer| layer.media_type == MEDIA_TYPE && layer.size <= PAYLOAD_BYTES_MAX);
    layers.take(SIGNATURES_MAX).filter_map(|layer| {
        let signature = layer.annotations.as_ref()?.get(ANNOTATION)?;
        Some((layer, STANDARD.decode(signature).ok()?))
    })
}

/// Whether a payload is of this image in this repository; why not.
fn says(payload: &[u8], name: &ImageName, digest: Digest) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Payload {
        critical: Critical,
    }
    #[derive(Deserialize)]
    struct Critical {
        identity: Identity,
        image: Image,
        #[serde(rename = "type")]
        kind: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Identity {
        docker_reference: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Image {
        docker_manifest_digest: Digest,
    }
    let payload: Payload =
        serde_json::from_slice(payload).map_err(|_| "what is signed is not valid".to_owned())?;
    let Critical {
        identity,
        image,
        kind,
    } = payload.critical;
    if kind != "cosign container image signature" {
        return Err("what is signed is no image".to_owned());
    }
    if image.docker_manifest_digest != digest {
        return Err("what is signed is another image".to_owned());
    }
    // The same key may sign for other repositories, which must not be taken for this one.
    match ImageName::parse(&identity.docker_reference) {
        Ok(signed) if signed.name() == name.name() => Ok(()),
        Ok(signed) => Err(format!("it is signed as {}", signed.name())),
        Err(_) => Err("it is signed as no image".to_owned()),
    }
}

impl Key {
    fn read(pem: &str) -> Result<Self, KeyError> {
        let (_, rest) = pem
            .split_once("-----BEGIN PUBLIC KEY-----")
            .ok_or(KeyError::NoPem)?;
        let (text, _) = rest
            .split_once("-----END PUBLIC KEY-----")
            .ok_or(KeyError::NoPem)?;
        let text: String = text.split_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| KeyError::NoPem)?;
        let id = Digest::of(&der).to_string();
        let (algorithm, bytes): (&'static dyn VerificationAlgorithm, _) =
            match (der.strip_prefix(P256), der.strip_prefix(EDWARDS)) {
                (Some(point), _) if point.len() == 65 => (&ECDSA_P256_SHA256_ASN1, point),
                (_, Some(key)) if key.len() == 32 => (&ED25519, key),
                _ => return Err(KeyError::Algorithm),
            };
        Ok(Self {
            algorithm,
            bytes: bytes.to_vec(),
            id,
        })
    }

    fn has_signed(&self, payload: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(self.algorithm, &self.bytes);
        key.verify(payload, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn the_longest_prefix_counts() {
        let mut policy = Signatures::default();
        let key = |n: u8| pem(&[EDWARDS, &[n; 32]].concat());
        policy.require("*", &key(1)).unwrap();
        policy.require("r.example", &key(2)).unwrap();
        policy.require("r.example/team", &key(3)).unwrap();
        policy.require("r.example/team/", &key(4)).unwrap();
        let keys = |name: &str| {
            let name = ImageName::parse(name).unwrap();
            let keys = policy.keys(&name).into_iter().map(|key| key.bytes[0]);
            keys.collect::<Vec<_>>()
        };
        assert_eq!(keys("busybox"), [1]);
        assert_eq!(keys("r.example/x"), [2]);
        assert_eq!(keys("r.example/teams/x"), [2]);
        assert_eq!(keys("r.example/team"), [3, 4]);
        assert_eq!(keys("r.example/team/a/b:1"), [3, 4]);
        assert!(
            Signatures::default()
                .keys(&ImageName::parse("x").unwrap())
                .is_empty()
        );
    }

    #[test]
    fn keys_that_cannot_be_used_are_refused() {
        let mut policy = Signatures::default();
        let good = pem(&[EDWARDS, &[1; 32]].concat());
        assert_eq!(policy.require("r.example", "x"), Err(KeyError::NoPem));
        let short = pem(&[EDWARDS, &[1; 31]].concat());
        assert_eq!(
            policy.require("r.example", &short),
            Err(KeyError::Algorithm)
        );
        for prefix in ["", "/", "a b", "https://r.example"] {
            let refused = policy.require(prefix, &good);
            assert!(matches!(refused, Err(KeyError::Prefix(_))), "{prefix}");
        }
    }
}
