//! Gets images: from the disk, or from their registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::credentials::{Keyring, NodeCredentials};
use super::error::{PullError, PullErrorKind};
use super::http::{Http, Patience, now};
use super::manifest::{Content as What, Descriptor, Document, config};
use super::name::ImageName;
use super::proxy::Proxies;
use super::session::{Identity, Session};
use super::signature::Signatures;
use crate::content::{ANYBODY, Content, Layer, Lease, Listed, Locked, Pruned, Record, RecordKind};
use crate::{Digest, ImageError, ImageLimits};

/// When a registry is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PullPolicy {
    /// What a name stands for is looked up each time.
    Always,
    /// Only if the image is not here.
    #[default]
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// Reads `imagePullPolicy`.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Always") => Self::Always,
            Some("Never") => Self::Never,
            _ => Self::IfNotPresent,
        }
    }
}

/// How an image came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fetched {
    /// It is a file, or bytes of the program's own.
    Local,
    /// It was here.
    Present,
    /// It was pulled, or looked up and found to be here.
    Pulled {
        /// How long that took.
        took: Duration,
        /// Bytes that were sent for it, now or before.
        bytes: u64,
    },
}

/// What the operator says about registries.
#[derive(Clone, Debug, Default)]
pub struct RegistriesConfig {
    /// Where images are kept.
    pub dir: PathBuf,
    /// Registries that are spoken to without TLS.
    pub plain_http: Vec<String>,
    /// Proxies.
    pub proxies: Proxies,
    /// Registries that are asked before another one, in this order.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// The host's own credentials.
    pub credentials: NodeCredentials,
    /// Which images must be signed, and by whom.
    pub signatures: Signatures,
    /// What an image may take.
    pub limits: ImageLimits,
    /// How patient we are.
    pub patience: Patience,
}

/// All registries, and the images that came from them. Every method may block for long.
pub struct Registries {
    http: Http,
    content: Content,
    mirrors: BTreeMap<String, Vec<String>>,
    credentials: NodeCredentials,
    signatures: Signatures,
    patience: Patience,
}

/// An image that is here and stays.
pub(crate) struct Held {
    pub(crate) lease: Arc<Lease>,
    pub(crate) fetched: Fetched,
}

impl Registries {
    /// Makes nothing and asks nobody yet.
    #[must_use]
    pub fn new(config: RegistriesConfig) -> Self {
        Self {
            http: Http::new(config.plain_http.into(), config.proxies, config.patience),
            content: Content::new(config.dir, config.limits),
            mirrors: config.mirrors,
            credentials: config.credentials,
            signatures: config.signatures,
            patience: config.patience,
        }
    }

    /// Ends pulls that go on; there will be no more.
    pub fn stop(&self) {
        self.http.stop();
    }

    /// All images, those used last first.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn list(&self) -> std::io::Result<Vec<Listed>> {
        self.content.list()
    }

    /// Removes images that nobody uses: all, or those that no name stands for any more;
    /// and what was left by pulls that broke off.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read or written.
    pub fn prune(&self, all: bool) -> std::io::Result<Pruned> {
        self.content.prune(all)
    }

    /// Pulls `reference`, with the host's credentials; the name with its digest, and how
    /// it came.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub fn pull(
        &self,
        reference: &str,
        policy: PullPolicy,
        keys: &Keyring,
    ) -> Result<(String, Fetched), ImageError> {
        let name = ImageName::parse(reference).map_err(ImageError::InvalidName)?;
        let held = self.ensure(&name, policy, keys)?;
        Ok((name.pinned(held.lease.record.digest), held.fetched))
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) fn credentials(&self) -> &NodeCredentials {
        &self.credentials
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// Whether getting the image asks its registry.
    pub(crate) fn must_ask(&self, name: &ImageName, policy: PullPolicy, keys: &Keyring) -> bool {
        match policy {
            PullPolicy::Never => false,
            PullPolicy::Always => true,
            PullPolicy::IfNotPresent => self.here(name, keys).is_none(),
        }
    }

    /// Takes hold of an image, pulled if `policy` says so.
    pub(crate) fn ensure(
        &self,
        name: &ImageName,
        policy: PullPolicy,
        keys: &Keyring,
    ) -> Result<Held, ImageError> {
        if policy != PullPolicy::Always
            && let Some(lease) = self.here(name, keys)
        {
            return Ok(Held {
                lease,
                fetched: Fetched::Present,
            });
        }
        if policy == PullPolicy::Never {
            return Err(ImageError::NeverPull);
        }
        let started = now();
        let pulled = self.fetch(name, keys);
        let lease = pulled.map_err(|error| {
            ImageError::Registry(error.of(format_args!("failed to pull image \"{name}\"")))
        })?;
        let fetched = Fetched::Pulled {
            took: now().saturating_duration_since(started),
            bytes: lease.record.bytes,
        };
        match self.content.make_room() {
            Ok(gone) if gone.images.is_empty() => {}
            Ok(gone) => tracing::info!(
                images = gone.images.join(", "),
                bytes = gone.bytes,
                "removed images that were not used for the longest"
            ),
            Err(error) => tracing::warn!(%error, "failed to make room among the images"),
        }
        Ok(Held { lease, fetched })
    }

    /// The image as it was pulled before, if whoever has `keys` may use it.
    fn here(&self, name: &ImageName, keys: &Keyring) -> Option<Arc<Lease>> {
        let named = self.content.named(name)?;
        let may = named.access.iter().any(|who| who == ANYBODY) || {
            let salt = self.content.salt().ok()?;
            let mut own = keys.find(name).into_iter();
            own.any(|secret| named.access.contains(&secret.fingerprint(&salt)))
        };
        let is_signed = self.signatures.is_known(name, named.signed_by.as_deref());
        (may && is_signed).then(|| self.content.lease(named.digest))?
    }

    /// Whom we may be to the registry of `name`: the pod's secrets, else the host's, else
    /// nobody.
    fn identities(&self, name: &ImageName, keys: &Keyring) -> Result<Vec<Identity>, PullError> {
        let mut all = Vec::new();
        let own = keys.find(name);
        if !own.is_empty() {
            let salt = self.content.salt();
            let salt = salt.map_err(|error| PullError::host("failed to make a salt", &error))?;
            all.extend(own.into_iter().map(|secret| Identity {
                who: secret.fingerprint(&salt),
                secret: Some(secret.clone()),
            }));
        }
        // What the host may pull, it pulls for everybody.
        let host = self.credentials.find(name)?;
        all.extend(host.into_iter().map(|secret| Identity {
            secret: Some(secret),
            who: ANYBODY.to_owned(),
        }));
        if all.is_empty() {
            all.push(Identity {
                secret: None,
                who: ANYBODY.to_owned(),
            });
        }
        Ok(all)
    }

    fn fetch(&self, name: &ImageName, keys: &Keyring) -> Result<Arc<Lease>, PullError> {
        let until = now() + self.patience.pull;
        if self.http.is_stopped() {
            return Err(PullError::unavailable("the host is stopping"));
        }
        let pulling = self.content.begin();
        let _pulling = pulling
            .map_err(|error| PullError::host("failed to open the store of images", &error))?;
        let mirrors = self.mirrors.get(&name.registry).into_iter().flatten();
        for mirror in mirrors {
            let there = ImageName {
                registry: mirror.clone(),
                ..name.clone()
            };
            match self.fetch_from(&there, name, keys, until) {
                Ok(lease) => return Ok(lease),
                Err(error) => tracing::info!(%name, mirror, %error, "the mirror does not have it"),
            }
        }
        self.fetch_from(name, name, keys, until)
    }

    /// Fetches `name` from where `there` says.
    fn fetch_from(
        &self,
        there: &ImageName,
        name: &ImageName,
        keys: &Keyring,
        until: std::time::Instant,
    ) -> Result<Arc<Lease>, PullError> {
        let identities = self.identities(there, keys)?;
        let mut session = Session::new(&self.http, there, "pull", identities, until);
        let host = |error: std::io::Error| PullError::host("failed to keep the image", &error);
        // Often it is here already, and only the name has to be looked up. A digest is asked
        // for, too: whether it may be had, the registry decides.
        let wanted = name.wanted();
        let looked_up = session.look_up(&wanted)?;
        let looked_up = looked_up.filter(|digest| name.digest.is_none_or(|own| own == *digest));
        let place = there.name();
        let looked_up = looked_up.filter(|digest| self.content.is_proven(&place, *digest));
        if let Some(lease) = looked_up.and_then(|digest| self.content.lease(digest)) {
            let digest = lease.record.digest;
            let signed_by = self.signatures.verify(&mut session, name, digest)?;
            self.content
                .name(name, digest, session.who(), signed_by)
                .map_err(host)?;
            return Ok(lease);
        }
        let top = session.manifest(&wanted, name.digest)?;
        let digest = top.digest;
        // Before anything of it is fetched, unpacked or named.
        let signed_by = self.signatures.verify(&mut session, name, digest)?;
        // Whoever else pulls it is waited for.
        let lock = self.alone(&session, digest, "pull")?;
        let here = self.content.lease(digest);
        if here.is_none() || !self.content.is_proven(&place, digest) {
            let (record, _unpacking) = self.take_in(&mut session, top)?;
            if here.is_none() {
                self.content.publish(&record).map_err(host)?;
            }
            self.content.prove(&place, digest).map_err(host)?;
        }
        self.content
            .name(name, digest, session.who(), signed_by)
            .map_err(host)?;
        let lease = self.content.lease(digest);
        lock.remove().map_err(host)?;
        lease.ok_or_else(|| {
            PullError::new(PullErrorKind::Host, "the image was removed while it came")
        })
    }

    /// Waits until nobody else does that with what has the digest.
    fn alone(
        &self,
        session: &Session<'_>,
        digest: Digest,
        what: &str,
    ) -> Result<Locked, PullError> {
        let path = self.content.lock_path(digest, what);
        let lock = Locked::wait(path, || session.in_time().is_err());
        let lock = lock.map_err(|error| PullError::host("failed to lock an image", &error))?;
        lock.map_or_else(
            || {
                session.in_time()?;
                Err(PullError::unavailable("another pull of it takes too long"))
            },
            Ok,
        )
    }

    /// Brings what a manifest names to the disk. Until its record is published, what comes
    /// with it keeps others from unpacking the same.
    fn take_in(
        &self,
        session: &mut Session<'_>,
        top: super::session::Fetched,
    ) -> Result<(Record, Option<Locked>), PullError> {
        let digest = top.digest;
        let (manifest_digest, manifest) = match Document::read(&top.bytes, &top.media_type)? {
            Document::Manifest(manifest) => (digest, manifest),
            Document::Index(index) => {
                let chosen = index.choose()?;
                if chosen.size > super::manifest::MANIFEST_BYTES_MAX {
                    return Err(PullError::refused("the index names too large a manifest"));
                }
                let text = chosen.digest.to_string();
                let inner = session.manifest(&text, Some(chosen.digest))?;
                match Document::read(&inner.bytes, &inner.media_type)? {
                    Document::Manifest(manifest) => (inner.digest, manifest),
                    Document::Index(_) => {
                        return Err(PullError::unsupported(
                            "the index leads to another index; it may lead to manifests only",
                        ));
                    }
                }
            }
        };
        let config_blob = manifest.config.clone();
        match manifest.content()? {
            What::Wasm(layer) => {
                let record = self.module(session, digest, manifest_digest, &layer)?;
                Ok((record, None))
            }
            What::Layers(layers) => {
                let sizes = layers.iter().map(|(layer, _)| layer);
                let bytes = self.sizes(sizes)?;
                let config_bytes = session.small_blob(&config_blob, "the image's config")?;
                let (config, diff_ids) = config(&config_bytes)?;
                if diff_ids.len() != layers.len() {
                    return Err(PullError::corrupt(format!(
                        "the image has {} layers, and its config names {}",
                        layers.len(),
                        diff_ids.len()
                    )));
                }
                for (layer, _) in &layers {
                    session.blob(&self.content, layer)?;
                }
                let layers: Vec<Layer> = layers
                    .iter()
                    .zip(diff_ids)
                    .map(|((layer, packing), diff_id)| Layer {
                        digest: layer.digest,
                        packing: *packing,
                        diff_id,
                    })
                    .collect();
                let unpacking = self.alone(session, manifest_digest, "unpack")?;
                // Another index may have led to it; then its files may be in use.
                let unpacked_bytes = match self.content.unpacked(manifest_digest) {
                    Some(bytes) => bytes,
                    None => self.content.unpack(manifest_digest, &layers)?,
                };
                let record = Record {
                    digest,
                    manifest: manifest_digest,
                    kind: RecordKind::Rootfs(config),
                    unpacked_bytes,
                    bytes,
                };
                Ok((record, Some(unpacking)))
            }
        }
    }

    fn module(
        &self,
        session: &mut Session<'_>,
        digest: Digest,
        manifest: Digest,
        layer: &Descriptor,
    ) -> Result<Record, PullError> {
        let bytes = self.sizes(std::iter::once(layer))?;
        session.blob(&self.content, layer)?;
        let titles = layer.annotations.as_ref();
        let title = titles.and_then(|all| all.get("org.opencontainers.image.title"));
        // Only a plain name: it becomes a program's argument.
        let title = title.and_then(|title| title.rsplit('/').next());
        let title = title.filter(|title| !title.is_empty() && title.len() <= 255);
        let title = title.filter(|title| !title.chars().any(char::is_control));
        Ok(Record {
            digest,
            manifest,
            kind: RecordKind::Wasm {
                layer: layer.digest,
                title: title.map(str::to_owned),
            },
            unpacked_bytes: 0,
            bytes,
        })
    }

    /// The bytes of all layers, if they may be so large.
    fn sizes<'a>(&self, layers: impl Iterator<Item = &'a Descriptor>) -> Result<u64, PullError> {
        let limits = self.content.limits();
        let mut sum = 0u64;
        for layer in layers {
            if layer.size > limits.layer_bytes {
                return Err(PullError::refused(format!(
                    "a layer has {} bytes, {} are allowed",
                    layer.size, limits.layer_bytes
                )));
            }
            sum = sum.saturating_add(layer.size);
        }
        let max = limits.image_bytes.min(limits.disk_bytes);
        if sum > max {
            return Err(PullError::refused(format!(
                "the image has {sum} bytes, {max} are allowed"
            )));
        }
        Ok(sum)
    }
}
