//! What was pulled, by digest, on a disk.
//!
//! ```text
//! blobs/HEX       bytes, whole and verified
//! partial/HEX     what of a blob has come from a repository; whoever writes has it locked
//! rootfs/HEX/     an image's files, by the digest of its manifest
//! images/HEX.json what an image consists of; written last, so what it names is there
//! names/HEX.json  what a name stands for, and who may use it
//! proofs/HEX      that a repository has sent what has a digest
//! aside/          what is not finished
//! ```
//!
//! Everything is made beside its place and renamed there. Several processes may share a
//! directory: who uses an image holds a lock on its record, so that nobody removes it, and
//! a process that is killed holds none. Pulls share a lock on the whole, which cleaning up
//! needs for itself.

mod files;
mod layer;
mod limits;
mod rootfs;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub(crate) use self::files::Locked;
use self::files::{is_lockable, lock_shared, make_dir, touch, write_whole};
pub use self::limits::ImageLimits;
pub(crate) use self::rootfs::{Layer, NoProgram, Rootfs};
use crate::Digest;
use crate::cache::read_regular;
use crate::registry::{ImageConfig, ImageName};

/// Bytes of a record.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// Those who may use an image by name are remembered up to this many.
const ACCESS_MAX: usize = 100;
/// Anybody may.
pub(crate) const ANYBODY: &str = "*";

/// What an image consists of. What it says never changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What its name stood for: the digest of a manifest, or of an index with it.
    pub(crate) digest: Digest,
    /// The manifest.
    pub(crate) manifest: Digest,
    pub(crate) kind: RecordKind,
    /// Bytes that it takes here, blobs aside.
    pub(crate) unpacked_bytes: u64,
    /// Bytes that were sent for it.
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RecordKind {
    /// A module, and its name if it has one.
    Wasm {
        layer: Digest,
        title: Option<String>,
    },
    /// A file system.
    Rootfs(ImageConfig),
}

/// What a name stood for when it was last looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) digest: Digest,
    /// Who has shown that he may pull it: fingerprints, or [`ANYBODY`].
    pub(crate) access: Vec<String>,
    /// The key that has signed it, if one had to.
    #[serde(default)]
    pub(crate) signed_by: Option<String>,
}

/// An image that nobody removes as long as this lives.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) record: Record,
    _lock: File,
}

/// An image, for lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The names that stand for it.
    pub names: Vec<String>,
    /// Its digest.
    pub digest: Digest,
    /// The digest of its manifest, which an index may have led to.
    pub manifest: Digest,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
    /// Whether somebody uses it.
    pub in_use: bool,
    /// How it is run; nothing for a bare module.
    pub config: Option<ImageConfig>,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names, or digests of images without one.
    pub images: Vec<String>,
    /// Bytes that are free again.
    pub bytes: u64,
}

/// A directory of images. Made when something is first put into it.
pub(crate) struct Content {
    dir: PathBuf,
    limits: ImageLimits,
    leases: Mutex<HashMap<Digest, Weak<Lease>>>,
}

impl Content {
    pub(crate) fn new(dir: PathBuf, limits: ImageLimits) -> Self {
        Self {
            dir,
            limits,
            leases: Mutex::default(),
        }
    }

    pub(crate) fn limits(&self) -> &ImageLimits {
        &self.limits
    }

    /// Makes the directories, and says that something is being pulled.
    pub(crate) fn begin(&self) -> io::Result<File> {
        for name in [
            "", "blobs", "partial", "rootfs", "images", "names", "proofs", "aside",
        ] {
            make_dir(&self.dir.join(name))?;
        }
        let lock = files::open_lock(&self.dir.join("lock"))?;
        lock_shared(&lock)?;
        Ok(lock)
    }

    /// Random bytes of this directory's own, so that fingerprints tell nothing elsewhere.
    pub(crate) fn salt(&self) -> io::Result<Vec<u8>> {
        let path = self.dir.join("salt");
        match read_regular(&path, 64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            salt => return salt,
        }
        make_dir(&self.dir)?;
        let mut salt = vec![0; 32];
        std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut salt)?;
        files::write_new(&path, &salt)?;
        read_regular(&path, 64)
    }

    pub(crate) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.dir.join("blobs").join(digest.digits())
    }

    /// Where what the repository `place` sends gathers: of another's beginning the rest
    /// could be guessed.
    pub(crate) fn partial_path(&self, place: &str, digest: Digest) -> PathBuf {
        let name = Digest::of(format!("{place}@{digest}").as_bytes());
        self.dir.join("partial").join(name.digits())
    }

    /// What is locked by whoever does `what` with what has the digest.
    pub(crate) fn lock_path(&self, digest: Digest, what: &str) -> PathBuf {
        let name = format!("{}.{what}", digest.digits());
        self.dir.join("partial").join(name)
    }

    pub(crate) fn has_blob(&self, digest: Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// A blob's bytes, held against its digest. One that does not agree is removed.
    pub(crate) fn read_blob(&self, digest: Digest, max: u64) -> io::Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let bytes = read_regular(&path, max)?;
        if Digest::of(&bytes) == digest {
            return Ok(bytes);
        }
        tracing::warn!(path = %path.display(), "a blob is damaged and is removed");
        let _ = std::fs::remove_file(&path);
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is damaged on the disk",
        ))
    }

    pub(crate) fn aside(&self) -> PathBuf {
        self.dir.join("aside")
    }

    fn record_path(&self, digest: Digest) -> PathBuf {
        let name = format!("{}.json", digest.digits());
        self.dir.join("images").join(name)
    }

    fn name_path(&self, name: &ImageName) -> PathBuf {
        let digits = Digest::of(name.to_string().as_bytes()).digits();
        self.dir.join("names").join(format!("{digits}.json"))
    }

    pub(crate) fn rootfs_path(&self, manifest: Digest) -> PathBuf {
        self.dir.join("rootfs").join(manifest.digits())
    }

    /// Takes hold of an image, if it is here whole.
    pub(crate) fn lease(&self, digest: Digest) -> Option<Arc<Lease>> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.record_path(digest);
        if let Some(lease) = leases.get(&digest).and_then(Weak::upgrade)
            && self.is_whole(&lease.record)
        {
            touch(&lease._lock);
            return Some(lease);
        }
        let file = files::open_read(&path).ok()?;
        lock_shared(&file).ok()?;
        // It may have been removed before it was locked.
        if !files::is_at(&file, &path) {
            return None;
        }
        let bytes = read_regular(&path, RECORD_BYTES_MAX).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        if record.digest != digest || !self.is_whole(&record) {
            return None;
        }
        touch(&file);
        let lease = Arc::new(Lease {
            record,
            _lock: file,
        });
        leases.retain(|_, lease| lease.strong_count() > 0);
        leases.insert(digest, Arc::downgrade(&lease));
        Some(lease)
    }

    fn is_whole(&self, record: &Record) -> bool {
        match &record.kind {
            RecordKind::Wasm { layer, .. } => self.has_blob(*layer),
            RecordKind::Rootfs(_) => self.rootfs_path(record.manifest).is_dir(),
        }
    }

    /// Bytes of the files of the image with that manifest, if they are here and counted.
    pub(crate) fn unpacked(&self, manifest: Digest) -> Option<u64> {
        let records = files::list(&self.dir.join("images")).ok()?;
        let mut records = records.iter().filter_map(|path| {
            let bytes = read_regular(path, RECORD_BYTES_MAX).ok()?;
            serde_json::from_slice::<Record>(&bytes).ok()
        });
        let found = records.find(|record| record.manifest == manifest)?;
        self.is_whole(&found).then_some(found.unpacked_bytes)
    }

    fn proof_path(&self, place: &str, digest: Digest) -> PathBuf {
        let proof = Digest::of(format!("{place}@{digest}").as_bytes());
        self.dir.join("proofs").join(proof.digits())
    }

    /// Whether the repository `place` has sent what has the digest: a registry that only
    /// names it may not have it.
    pub(crate) fn is_proven(&self, place: &str, digest: Digest) -> bool {
        self.proof_path(place, digest).is_file()
    }

    /// Remembers that the repository `place` has sent what has the digest.
    pub(crate) fn prove(&self, place: &str, digest: Digest) -> io::Result<()> {
        let text = digest.to_string();
        write_whole(
            &self.aside(),
            &self.proof_path(place, digest),
            text.as_bytes(),
        )
    }

    /// Publishes an image: all that it names is here.
    pub(crate) fn publish(&self, record: &Record) -> io::Result<()> {
        let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
        write_whole(&self.aside(), &self.record_path(record.digest), &bytes)
    }

    /// What `name` stood for when it was last looked at.
    pub(crate) fn named(&self, name: &ImageName) -> Option<Named> {
        let bytes = read_regular(&self.name_path(name), RECORD_BYTES_MAX).ok()?;
        let named: Named = serde_json::from_slice(&bytes).ok()?;
        (named.name == name.to_string()).then_some(named)
    }

    /// Remembers what `name` stands for, one more who may use it, and who has signed it.
    pub(crate) fn name(
        &self,
        name: &ImageName,
        digest: Digest,
        who: &str,
        signed_by: Option<String>,
    ) -> io::Result<()> {
        let mut access = match self.named(name) {
            Some(named) if named.digest == digest => named.access,
            _ => Vec::new(),
        };
        if !access.iter().any(|known| known == who) {
            access.push(who.to_owned());
        }
        if access.len() > ACCESS_MAX {
            access.remove(0);
        }
        let named = Named {
            name: name.to_string(),
            digest,
            access,
            signed_by,
        };
        let bytes = serde_json::to_vec(&named).map_err(io::Error::other)?;
        write_whole(&self.aside(), &self.name_path(name), &bytes)
    }

    /// All images, those used last first.
    pub(crate) fn list(&self) -> io::Result<Vec<Listed>> {
        let mut names: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for path in files::list(&self.dir.join("names"))? {
            let named = read_regular(&path, RECORD_BYTES_MAX).ok();
            let named = named.and_then(|bytes| serde_json::from_slice::<Named>(&bytes).ok());
            if let Some(named) = named {
                names.entry(named.digest).or_default().push(named.name);
            }
        }
        let mut all = Vec::new();
        for path in files::list(&self.dir.join("images"))? {
            let Ok(file) = files::open_read(&path) else {
                continue;
            };
            let record = read_regular(&path, RECORD_BYTES_MAX).ok();
            let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
            let Some(record) = record else { continue };
            let mut names = names.remove(&record.digest).unwrap_or_default();
            names.sort();
            let blobs = record.blobs();
            let blobs = blobs
                .iter()
                .filter_map(|blob| self.blob_path(*blob).metadata().ok());
            let blob_bytes: u64 = blobs.map(|metadata| metadata.len()).sum();
            all.push(Listed {
                names,
                digest: record.digest,
                manifest: record.manifest,
                bytes: blob_bytes.saturating_add(record.unpacked_bytes),
                used: file.metadata()?.modified()?,
                in_use: !is_lockable(&file),
                config: match record.kind {
                    RecordKind::Wasm { .. } => None,
                    RecordKind::Rootfs(config) => Some(config),
                },
            });
        }
        all.sort_by_key(|image| std::cmp::Reverse(image.used));
        Ok(all)
    }

    /// Removes images that nobody uses: all, or those without a name.
    pub(crate) fn prune(&self, all: bool) -> io::Result<Pruned> {
        self.clean(false, |image, _| all || image.names.is_empty())
    }

    /// Removes images that nobody uses, those not used for the longest first, until the
    /// rest fits the budget. If something is being pulled, that will come back to it.
    pub(crate) fn make_room(&self) -> io::Result<Pruned> {
        let max = self.limits.disk_bytes;
        // Whoever broke off may come back soon.
        self.clean(true, |_, bytes| bytes > max)
    }

    /// Removes leftovers, perhaps not of pulls that broke off just now, and from the longest
    /// unused on each image that `unwanted` says, given the bytes that all take.
    fn clean(
        &self,
        keep_partial: bool,
        unwanted: impl Fn(&Listed, u64) -> bool,
    ) -> io::Result<Pruned> {
        let mut pruned = Pruned::default();
        let lock = match files::open_lock(&self.dir.join("lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pruned),
            lock => lock?,
        };
        if !files::lock_now(&lock) {
            return Ok(pruned);
        }
        let images = self.list()?;
        let mut bytes = self.bytes(&images)?;
        let before = bytes;
        for path in files::list(&self.aside())? {
            files::remove(&path)?;
        }
        for image in images.iter().rev() {
            if unwanted(image, bytes) && !image.in_use && self.forget(image.digest)? {
                bytes = bytes.saturating_sub(image.bytes);
                match image.names.is_empty() {
                    true => pruned.images.push(image.digest.to_string()),
                    false => pruned.images.extend(image.names.iter().cloned()),
                }
            }
        }
        self.sweep(keep_partial && bytes <= self.limits.disk_bytes)?;
        let after = self.bytes(&self.list()?)?;
        pruned.bytes = before.saturating_sub(after);
        Ok(pruned)
    }

    /// Removes an image's record, unless somebody uses it.
    fn forget(&self, digest: Digest) -> io::Result<bool> {
        let path = self.record_path(digest);
        let file = files::open_read(&path)?;
        if !files::lock_now(&file) {
            return Ok(false);
        }
        std::fs::remove_file(&path)?;
        Ok(true)
    }

    /// Removes what no record names.
    fn sweep(&self, keep_partial: bool) -> io::Result<()> {
        let (mut blobs, mut roots, mut digests) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for path in files::list(&self.dir.join("images"))? {
            let bytes = read_regular(&path, RECORD_BYTES_MAX)?;
            match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) => {
                    blobs.extend(record.blobs().iter().map(Digest::digits));
                    roots.insert(record.manifest.digits());
                    digests.insert(record.digest);
                }
                // Of another version, or damaged: it is pulled anew.
                Err(_) => files::remove(&path)?,
            }
        }
        let keep = [
            ("blobs", &blobs),
            ("rootfs", &roots),
            ("partial", &BTreeSet::new()),
        ];
        for (dir, named) in keep {
            for path in files::list(&self.dir.join(dir))? {
                let name = path.file_name().and_then(|name| name.to_str());
                let is_kept = dir == "partial" && keep_partial && files::is_fresh(&path);
                if !is_kept && !name.is_some_and(|name| named.contains(name)) {
                    files::remove(&path)?;
                }
            }
        }
        for path in files::list(&self.dir.join("proofs"))? {
            let digest = std::fs::read_to_string(&path).ok();
            let digest = digest.and_then(|text| text.parse::<Digest>().ok());
            let is_of_blob = |digest: &Digest| blobs.contains(&digest.digits());
            if !digest.is_some_and(|digest| digests.contains(&digest) || is_of_blob(&digest)) {
                files::remove(&path)?;
            }
        }
        for path in files::list(&self.dir.join("names"))? {
            let named = read_regular(&path, RECORD_BYTES_MAX).ok();
            let named = named.and_then(|bytes| serde_json::from_slice::<Named>(&bytes).ok());
            if !named.is_some_and(|named| digests.contains(&named.digest)) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Bytes that all takes.
    fn bytes(&self, images: &[Listed]) -> io::Result<u64> {
        let mut bytes = 0u64;
        for dir in ["blobs", "partial"] {
            for path in files::list(&self.dir.join(dir))? {
                bytes = bytes.saturating_add(path.metadata().map_or(0, |m| m.len()));
            }
        }
        let mut seen = BTreeSet::new();
        for image in images.iter().filter(|image| image.config.is_some()) {
            if seen.insert(image.manifest) {
                bytes = bytes.saturating_add(image.bytes);
            }
        }
        Ok(bytes)
    }
}

impl Record {
    /// The blobs that it needs.
    fn blobs(&self) -> Vec<Digest> {
        match &self.kind {
            RecordKind::Wasm { layer, .. } => vec![*layer],
            RecordKind::Rootfs(_) => Vec::new(),
        }
    }
}
