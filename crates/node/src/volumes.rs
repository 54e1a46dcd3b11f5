//! Directories of pods: emptyDir and what is made of other objects in the node's scratch,
//! hostPath under the operator's roots.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use wasmjob_api::Uid;
use wasmjob_api::k8s_openapi::api::core::v1::{
    HostPathVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodSpec,
    Volume, VolumeProjection,
};
use wasmjob_api::k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::disk::{ClaimQuotas, Limits, Watched, human, quota_of};
use crate::holders::{ClaimHolders, Hold};
use crate::projected::{View, is_projected};
use crate::refresh::Projections;
use crate::remove::remove_tree;
use wasmjob_sandbox::Quota;

/// A directory below which pods may have hostPath volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPathRoot {
    /// The directory, absolute, symbolic links resolved.
    pub dir: PathBuf,
}

/// What of the host pods may see: nothing, unless the operator lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPathPolicy {
    /// The directories.
    pub roots: Vec<HostPathRoot>,
}

impl HostPathPolicy {
    /// Allows everything below `dir`.
    ///
    /// # Errors
    ///
    /// When it is not a directory.
    pub fn allow(&mut self, dir: &Path) -> io::Result<()> {
        let dir = dir.canonicalize()?;
        if !dir.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                "not a directory",
            ));
        }
        self.roots.push(HostPathRoot { dir });
        Ok(())
    }

    /// Whether a hostPath may be mounted, as far as its text tells.
    ///
    /// # Errors
    ///
    /// Why not, for people.
    pub fn check(&self, source: &HostPathVolumeSource) -> Result<(), String> {
        self.inside(Path::new(&source.path)).map(|_| ())
    }

    /// The allowed root in which a path is, and its rest.
    fn inside<'a>(&self, path: &'a Path) -> Result<(&HostPathRoot, &'a Path), String> {
        let inside = self
            .roots
            .iter()
            .find_map(|root| Some((root, path.strip_prefix(&root.dir).ok()?)));
        let Some((root, rest)) = inside else {
            return Err(format!(
                "hostPath {} is not allowed; the operator allows {}",
                path.display(),
                self.allowed()
            ));
        };
        let plain = rest
            .components()
            .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        match plain {
            true => Ok((root, rest)),
            false => Err(format!("hostPath {} must not contain `..`", path.display())),
        }
    }

    /// Opens the directory that a hostPath names, following no link out of the allowed root.
    fn open(&self, source: &HostPathVolumeSource) -> Result<OwnedFd, String> {
        let path = Path::new(&source.path);
        let (root, rest) = self.inside(path)?;
        let failed = |error: io::Error| format!("hostPath {}: {error}", path.display());
        let base = File::open(&root.dir).map_err(failed)?;
        if source.type_.as_deref() == Some("DirectoryOrCreate") {
            make_beneath(&base, rest).map_err(failed)?;
        }
        open_beneath(&base, rest).map_err(failed)
    }

    fn allowed(&self) -> String {
        if self.roots.is_empty() {
            return "none (--allow-host-path DIR allows one)".to_owned();
        }
        self.roots
            .iter()
            .map(|root| root.dir.display().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

pub(crate) fn open_beneath(base: &File, rest: &Path) -> io::Result<OwnedFd> {
    let rest = if rest.as_os_str().is_empty() {
        Path::new(".")
    } else {
        rest
    };
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(base, rest, flags, Mode::empty(), resolve)?)
}

/// Makes the directories of `rest` one by one, never through a link out of `base`.
pub(crate) fn make_beneath(base: &File, rest: &Path) -> io::Result<()> {
    let mut done = PathBuf::new();
    for part in rest.components() {
        let parent = open_beneath(base, &done)?;
        match rustix::fs::mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o755)) {
            Err(error) if error != rustix::io::Errno::EXIST => return Err(error.into()),
            _ => done.push(part),
        }
    }
    Ok(())
}

/// Where a node has room for directories of pods.
pub(crate) struct Places {
    pub(crate) scratch: PathBuf,
    /// In memory, if there is such a place: for files of Secrets, and for volumes of that
    /// medium.
    pub(crate) memory: Option<PathBuf>,
    pub(crate) host_paths: HostPathPolicy,
    /// Where claimed volumes stand, each under its claim's UID.
    pub(crate) claims: PathBuf,
    /// What is left in those.
    pub(crate) claim_quotas: Arc<ClaimQuotas>,
    /// Who holds those that one pod may have.
    pub(crate) claim_holders: Arc<ClaimHolders>,
    /// Called when one of those is free again.
    pub(crate) claim_freed: Arc<dyn Fn() + Send + Sync>,
}

/// Whether some of the volume's files are a Secret's, or tokens.
fn holds_secrets(volume: &Volume) -> bool {
    let projected = volume.projected.as_ref();
    let mut sources = projected
        .and_then(|it| it.sources.as_ref())
        .into_iter()
        .flatten();
    let is_secret = |source: &VolumeProjection| {
        source.secret.is_some() || source.service_account_token.is_some()
    };
    volume.secret.is_some() || sources.any(is_secret)
}

/// Makes a directory of the pod's own.
fn make(scratch: &Path, uid: Uid, name: &str) -> Result<PathBuf, String> {
    let own = scratch.join(uid.to_string());
    let dir = own.join(name);
    // Also above it, if the scratch is not there yet.
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    let made = private
        .create(&own)
        .and_then(|()| std::fs::create_dir_all(&dir))
        .and_then(|()| std::fs::set_permissions(&own, Permissions::from_mode(0o700)));
    made.map_err(|error| {
        format!(
            "failed to make a directory in {}: {error}",
            scratch.display()
        )
    })?;
    Ok(dir)
}

/// The directories of one pod.
#[derive(Debug)]
pub(crate) struct Volumes {
    /// Its own directory in the scratch, if it needed one.
    own: Option<PathBuf>,
    /// And its own in memory, likewise.
    own_in_memory: Option<PathBuf>,
    opened: Vec<(String, OwnedFd)>,
    /// Directory of the termination message file, per container that wants one.
    termination: Vec<(String, PathBuf)>,
    /// Its holds on claims that no other pod may have meanwhile.
    holds: Vec<Arc<Hold>>,
    /// Those claims, and their names.
    claims: Vec<(Uid, String)>,
    /// How much volumes may grow.
    quotas: Vec<(String, Vec<Arc<Quota>>)>,
    /// What is looked at now and then.
    watched: Watched,
    /// Volumes in which nothing may be changed.
    read_only: Vec<String>,
    /// Those of the pod's own on the disk: volume, if it is one, and directory.
    own_dirs: Vec<(Option<String>, PathBuf)>,
    /// emptyDirs of the medium `Memory`, which count as memory.
    memory_dirs: Vec<(String, PathBuf)>,
    /// Volumes that are made of other objects: name and directory.
    projected: Vec<(String, PathBuf)>,
    projections: Option<Arc<Projections>>,
}

/// Why a pod's directories could not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum VolumeError {
    /// It waits for something that may come.
    Waits(String),
    /// They never will be.
    Fails(String),
}

impl From<String> for VolumeError {
    fn from(text: String) -> Self {
        Self::Fails(text)
    }
}

impl Volumes {
    /// Makes and opens the directories of the pod `uid`. `termination` names the
    /// containers that write a termination message.
    pub(crate) fn prepare(
        places: &Places,
        uid: Uid,
        spec: &PodSpec,
        termination: &[String],
        limits: Limits,
        view: View,
    ) -> Result<Self, VolumeError> {
        let mut volumes = Self {
            projected: Vec::new(),
            projections: None,
            own: None,
            own_in_memory: None,
            opened: Vec::new(),
            termination: Vec::new(),
            holds: Vec::new(),
            claims: Vec::new(),
            quotas: Vec::new(),
            watched: Watched::default(),
            read_only: Vec::new(),
            own_dirs: Vec::new(),
            memory_dirs: Vec::new(),
        };
        let filled = volumes.fill(places, uid, spec, termination, view);
        match filled.and_then(|()| volumes.hold(places, uid)) {
            Ok(()) => {
                volumes.limit(spec, limits);
                Ok(volumes)
            }
            Err(error) => {
                volumes.remove();
                Err(error)
            }
        }
    }

    fn fill(
        &mut self,
        places: &Places,
        uid: Uid,
        spec: &PodSpec,
        termination: &[String],
        view: View,
    ) -> Result<(), VolumeError> {
        let all = || spec.volumes.iter().flatten();
        let (namespace, objects) = (Arc::clone(&view.pod.namespace), Arc::clone(&view.objects));
        if all().any(is_projected) {
            self.projections = Some(Arc::new(Projections::new(view)));
        }
        for volume in all() {
            if let Some(projections) = self.projections.clone().filter(|_| is_projected(volume)) {
                self.project(places, uid, volume, &projections)?;
            } else if let Some(source) = &volume.persistent_volume_claim {
                let claim = objects.claim(&namespace, &source.claim_name);
                self.claim(places, volume, source, claim.as_deref())?;
            } else {
                self.add(places, uid, volume)?;
            }
        }
        for container in termination {
            let dir = self.make(&places.scratch, uid, &format!("termination-{container}"))?;
            self.own_dirs.push((None, dir.clone()));
            self.termination.push((container.clone(), dir));
        }
        Ok(())
    }

    /// A volume that is made of other objects.
    fn project(
        &mut self,
        places: &Places,
        uid: Uid,
        volume: &Volume,
        projections: &Projections,
    ) -> Result<(), VolumeError> {
        let dir = self.make_volume(places, uid, volume, holds_secrets(volume))?;
        let waits = |error: String| {
            VolumeError::Waits(format!(
                "MountVolume.SetUp failed for volume {:?} : {error}",
                volume.name
            ))
        };
        projections.add(volume, &dir).map_err(waits)?;
        let opened = File::open(&dir).map_err(|error| waits(error.to_string()))?;
        self.opened.push((volume.name.clone(), opened.into()));
        self.projected.push((volume.name.clone(), dir));
        Ok(())
    }

    fn add(&mut self, places: &Places, uid: Uid, volume: &Volume) -> Result<(), String> {
        if let Some(source) = &volume.host_path {
            self.opened
                .push((volume.name.clone(), places.host_paths.open(source)?));
            return Ok(());
        }
        let Some(source) = &volume.empty_dir else {
            return Err(format!(
                "volume {:?} is of a kind that is not supported",
                volume.name
            ));
        };
        let in_memory = source.medium.as_deref() == Some("Memory");
        let dir = self.make_volume(places, uid, volume, in_memory)?;
        let opened =
            File::open(&dir).map_err(|error| format!("volume {:?}: {error}", volume.name))?;
        self.opened.push((volume.name.clone(), opened.into()));
        if in_memory {
            self.memory_dirs.push((volume.name.clone(), dir));
        } else {
            self.own_dirs.push((Some(volume.name.clone()), dir));
        }
        Ok(())
    }

    /// Limits what can grow.
    fn limit(&mut self, spec: &PodSpec, limits: Limits) {
        let dirs = self.own_dirs.iter().filter_map(|(volume, dir)| {
            let volume = volume.as_ref()?;
            Some((volume.clone(), dir.clone()))
        });
        let mut quotas: Vec<(String, Vec<Arc<Quota>>)> = Vec::new();
        let mut add = |volume: &str, quota: Arc<Quota>| {
            let place = quotas.iter_mut().find(|(name, _)| name == volume);
            match place {
                Some((_, all)) => all.push(quota),
                None => quotas.push((volume.to_owned(), vec![quota])),
            }
        };
        for (volume, dir) in dirs.chain(self.memory_dirs.iter().cloned()) {
            let mut all = spec.volumes.iter().flatten();
            let source = all
                .find(|it| it.name == volume)
                .and_then(|it| it.empty_dir.as_ref());
            let limit = source.and_then(|it| bytes(it.size_limit.as_ref()?));
            // One of 0 is none.
            if let Some(limit) = limit.filter(|limit| *limit > 0) {
                let text = format!(
                    "Usage of EmptyDir volume \"{volume}\" exceeds the limit \"{}\". ",
                    human(limit)
                );
                let evict = Arc::clone(&limits.evict);
                let quota = quota_of(limit, vec![dir]).when_full(move || evict(text.clone()));
                add(&volume, Arc::new(quota));
            }
        }
        let scratch = self.own_dirs.iter().map(|(_, dir)| dir.clone()).collect();
        if let Some(scratch) = self.watched.limit_scratch(&limits, scratch) {
            for volume in self
                .own_dirs
                .iter()
                .filter_map(|(volume, _)| volume.as_ref())
            {
                add(volume, Arc::clone(&scratch));
            }
        }
        let memory = self
            .memory_dirs
            .iter()
            .map(|(_, dir)| dir.clone())
            .collect();
        if let Some(memory) = self.watched.limit_memory(&limits, memory) {
            for (volume, _) in &self.memory_dirs {
                add(volume, Arc::clone(&memory));
            }
        }
        self.quotas.append(&mut quotas);
    }

    /// A volume that outlives the pod: the directory of its claim.
    fn claim(
        &mut self,
        places: &Places,
        volume: &Volume,
        source: &PersistentVolumeClaimVolumeSource,
        claim: Option<&PersistentVolumeClaim>,
    ) -> Result<(), VolumeError> {
        let name = &source.claim_name;
        let waits = |what: &str| {
            Err(VolumeError::Waits(format!(
                "persistentvolumeclaim {name:?} {what}"
            )))
        };
        let Some(claim) = claim else {
            return waits("not found");
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return waits("is being deleted");
        }
        let spec = claim.spec.clone().unwrap_or_default();
        if spec.storage_class_name.as_deref() == Some("") {
            return waits(
                "is unbound: it asks for no storage class, and nothing else is provisioned here",
            );
        }
        // The UID is our own text, so it is a plain file name.
        let Some(uid) = claim
            .metadata
            .uid
            .as_deref()
            .and_then(|uid| uid.parse::<Uid>().ok())
        else {
            return waits("has no UID");
        };
        let modes = spec.access_modes.unwrap_or_default();
        if modes.iter().any(|mode| mode == "ReadWriteOncePod") {
            self.claims.push((uid, name.clone()));
        }
        let dir = places.claims.join(uid.to_string());
        let failed = |error: io::Error| {
            VolumeError::Waits(format!(
                "MountVolume.SetUp failed for volume {:?} : {error}",
                volume.name
            ))
        };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        std::fs::set_permissions(&dir, Permissions::from_mode(0o700)).map_err(failed)?;
        let opened = File::open(&dir).map_err(failed)?;
        self.opened.push((volume.name.clone(), opened.into()));
        let only_read = !modes.is_empty() && modes.iter().all(|mode| mode == "ReadOnlyMany");
        if source.read_only == Some(true) || only_read {
            self.read_only.push(volume.name.clone());
        }
        let requests = spec.resources.and_then(|resources| resources.requests);
        if let Some(storage) = requests.as_ref().and_then(|it| it.get("storage")) {
            // Without a size that can be told it would have none.
            let Some(limit) = bytes(storage) else {
                return waits("asks for a storage that cannot be read");
            };
            let quota = places.claim_quotas.of(uid, limit, &dir);
            self.quotas.push((volume.name.clone(), vec![quota]));
        }
        Ok(())
    }

    /// Takes the claims that one pod may have. Last of all: whoever waits for something
    /// else has none of them.
    fn hold(&mut self, places: &Places, pod: Uid) -> Result<(), VolumeError> {
        let claims: Vec<Uid> = self.claims.iter().map(|(uid, _)| *uid).collect();
        let taken = places.claim_holders.take(&claims, pod, &places.claim_freed);
        self.holds = taken.map_err(|place| {
            let name = &self.claims[place].1;
            VolumeError::Waits(format!(
                "persistentvolumeclaim {name:?} is in use by another pod, and its access mode is ReadWriteOncePod"
            ))
        })?;
        Ok(())
    }

    /// How much the files of the volume may grow.
    pub(crate) fn quotas(&self, volume: &str) -> Arc<[Arc<Quota>]> {
        let mut all = self.quotas.iter();
        let of_volume = all.find(|(name, _)| name == volume);
        of_volume.map_or_else(Arc::default, |(_, quotas)| quotas.as_slice().into())
    }

    /// The same of what is the pod's own beside its volumes.
    pub(crate) fn scratch_quotas(&self) -> Arc<[Arc<Quota>]> {
        self.watched.scratch_quota().into_iter().collect()
    }

    /// Whether nothing in the volume may be changed, whoever mounts it.
    pub(crate) fn is_read_only(&self, volume: &str) -> bool {
        self.read_only.iter().any(|name| name == volume)
    }

    /// Makes the directory of a volume: in memory, if it should be and there is a place.
    fn make_volume(
        &mut self,
        places: &Places,
        uid: Uid,
        volume: &Volume,
        in_memory: bool,
    ) -> Result<PathBuf, String> {
        // The name is a DNS label, so it is a plain file name.
        let name = format!("volume-{}", volume.name);
        match places.memory.as_deref().filter(|_| in_memory) {
            Some(memory) => {
                self.own_in_memory = Some(memory.join(uid.to_string()));
                make(memory, uid, &name)
            }
            None => self.make(&places.scratch, uid, &name),
        }
    }

    fn make(&mut self, scratch: &Path, uid: Uid, name: &str) -> Result<PathBuf, String> {
        self.own = Some(scratch.join(uid.to_string()));
        make(scratch, uid, name)
    }

    /// The directory of a volume that is made of other objects, in which nobody else
    /// writes.
    pub(crate) fn projected(&self, volume: &str) -> Option<&Path> {
        let mut all = self.projected.iter();
        all.find(|(name, _)| name == volume)
            .map(|(_, dir)| dir.as_path())
    }

    /// The volumes that are made anew when other objects change.
    pub(crate) fn projections(&self) -> Option<&Arc<Projections>> {
        self.projections.as_ref()
    }

    /// A directory of the pod's own for the container's files of that number. It is
    /// made by whoever puts one there.
    pub(crate) fn files_dir(&self, container: &str, number: usize) -> Option<PathBuf> {
        // Where a Secret's file may stand, any may.
        let own = self.own_in_memory.as_ref().or(self.own.as_ref())?;
        Some(own.join(format!("files-{container}-{number}")))
    }

    /// The opened directory of a volume.
    pub(crate) fn opened(&self, volume: &str) -> Option<&OwnedFd> {
        self.opened
            .iter()
            .find(|(name, _)| name == volume)
            .map(|(_, dir)| dir)
    }

    /// Where the container's termination message file stands, if it has one.
    pub(crate) fn termination_dir(&self, container: &str) -> Option<&Path> {
        self.termination
            .iter()
            .find(|(name, _)| name == container)
            .map(|(_, dir)| dir.as_path())
    }

    /// What of it must be looked at now and then.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Removes what is the pod's own. Blocks.
    pub(crate) fn remove(self) {
        if let Some(projections) = &self.projections {
            projections.close();
        }
        for own in [&self.own, &self.own_in_memory].into_iter().flatten() {
            if let Err(error) = remove_tree(own)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(dir = %own.display(), %error, "failed to remove a pod's directory");
            }
        }
    }
}

/// A quantity in bytes.
fn bytes(quantity: &Quantity) -> Option<u64> {
    let quantity = quantity.0.parse::<wasmjob_api::Quantity>().ok()?;
    Some(quantity.units().max(0).unsigned_abs())
}

/// The directory and the file's name of a termination message path.
pub(crate) fn split_termination_path(path: &str) -> Option<(&str, &OsStr)> {
    let path = Path::new(path);
    Some((path.parent()?.to_str()?, path.file_name()?))
}
