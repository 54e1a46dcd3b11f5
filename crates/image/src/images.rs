//! The images of one host.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use wasmjob_sandbox::{Engine, Module, ModuleKind, scan};

use crate::cache::{Cache, CacheKey, read_regular};
use crate::compiler::Refused;
use crate::content::{Lease, NoProgram, RecordKind, Rootfs};
use crate::reference::{file, matches_name, normalise};
use crate::registry::Held;
use crate::{
    Alias, Compiler, Digest, Fetched, ImageConfig, ImageError, ImageName, Keyring, PullError,
    PullPolicy, Registries, Source,
};

/// Compiled modules that are kept in memory though nobody runs them.
const MODULES_KEPT: usize = 64;

/// A module, ready to run.
#[derive(Clone)]
pub struct Image {
    /// The compiled module.
    pub module: Module,
    /// What it was made of.
    pub digest: Digest,
    /// `imageID`: the digest as text, with the image's name if it came from a registry.
    pub id: Arc<str>,
    /// The module's name: the last part of its path.
    pub name: Arc<str>,
    /// Words that were looked for in the module's bytes; see [`Wanted::mentions`].
    pub mentions: bool,
    /// How it is run where the container does not say. A bare module's entry point is
    /// its name.
    pub config: Arc<ImageConfig>,
    /// The image's files, if it has any. They stay as long as a clone of this lives.
    pub files: Option<ImageFiles>,
    /// How it came.
    pub fetched: Fetched,
    /// Nobody removes it from the disk as long as this lives.
    _lease: Option<Arc<Lease>>,
}

/// An image's file system, to read.
#[derive(Clone, Debug)]
pub struct ImageFiles(Rootfs);

impl ImageFiles {
    /// Opens its root.
    ///
    /// # Errors
    ///
    /// When the disk cannot be read.
    pub fn open(&self) -> std::io::Result<OwnedFd> {
        Ok(std::fs::File::open(&self.0.dir)?.into())
    }
}

/// What is asked of [`Images::get`].
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The image's name.
    pub reference: &'a str,
    /// The directory of the manifest that says so.
    pub base: &'a Path,
    /// With code that counts fuel.
    pub metered: bool,
    /// A text to look for in the module's bytes.
    pub mentions: &'a str,
    /// When its registry is asked.
    pub policy: PullPolicy,
    /// Credentials for it, beside the host's.
    pub keys: &'a Keyring,
    /// The program that the container names, in an image that has several.
    pub command: Option<&'a str>,
    /// Where the container is run, if it says.
    pub working_dir: Option<&'a str>,
    /// Where the container looks for programs, if it says.
    pub path: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// The image `reference` of a manifest in `base`, as it is.
    #[must_use]
    pub fn new(reference: &'a str, base: &'a Path) -> Self {
        static NONE: LazyLock<Keyring> = LazyLock::new(Keyring::default);
        Self {
            reference,
            base,
            metered: false,
            mentions: "",
            policy: PullPolicy::IfNotPresent,
            keys: &NONE,
            command: None,
            working_dir: None,
            path: None,
        }
    }
}

/// A module's bytes, with what surrounds them.
struct Found {
    bytes: Arc<[u8]>,
    name: Arc<str>,
    id: Option<Arc<str>>,
    config: ImageConfig,
    files: Option<ImageFiles>,
    fetched: Fetched,
    lease: Option<Arc<Lease>>,
}

/// Configures [`Images`].
#[derive(Default)]
pub struct ImagesBuilder {
    aliases: Vec<Alias>,
    given: Vec<(String, Source)>,
    cache_dir: Option<PathBuf>,
    compiler: Compiler,
    registries: Option<Arc<Registries>>,
}

impl ImagesBuilder {
    /// Adds an alias. The last one that matches counts.
    #[must_use]
    pub fn alias(mut self, alias: Alias) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Gives `bytes` the image name `name`.
    #[must_use]
    pub fn bytes(mut self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let source = Source::Bytes {
            name: Arc::from(name),
            bytes: bytes.into(),
        };
        self.given.push((normalise(name), source));
        self
    }

    /// Keeps compiled code in `dir`.
    #[must_use]
    pub fn cache_dir(mut self, dir: PathBuf) -> Self {
        self.cache_dir = Some(dir);
        self
    }

    /// Chooses how expensive modules are compiled.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Lets images come from registries; without this, none do.
    #[must_use]
    pub fn registries(mut self, registries: Arc<Registries>) -> Self {
        self.registries = Some(registries);
        self
    }

    /// Makes the images of `engine`. A cache directory that cannot be used is
    /// reported and left alone: it saves time, nothing else.
    #[must_use]
    pub fn build(self, engine: Engine) -> Images {
        let cache = self.cache_dir.and_then(|dir| match Cache::open(&dir) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "no cache of compiled modules");
                None
            }
        });
        Images {
            engine,
            aliases: self.aliases,
            given: self.given,
            cache,
            compiler: self.compiler,
            registries: self.registries,
            loaded: Mutex::default(),
        }
    }
}

type Key = (Digest, bool);

/// A module, or why there is none and never will be: without remembering that,
/// every pod of a Job would pay for the same hopeless compilation.
type Loaded = Result<Module, String>;

/// Finds, compiles and keeps modules. Every method may block for long.
pub struct Images {
    engine: Engine,
    aliases: Vec<Alias>,
    given: Vec<(String, Source)>,
    cache: Option<Cache>,
    compiler: Compiler,
    registries: Option<Arc<Registries>>,
    /// By digest; the inner lock is held while one is compiled, so that others wait for it.
    loaded: Mutex<HashMap<Key, Arc<Mutex<Option<Loaded>>>>>,
}

impl Images {
    /// Starts to configure.
    #[must_use]
    pub fn builder() -> ImagesBuilder {
        ImagesBuilder::default()
    }

    /// Where the image `reference` of a manifest in the directory `base` is.
    ///
    /// # Errors
    ///
    /// When it names nothing that is known here.
    pub fn resolve(&self, reference: &str, base: &Path) -> Result<Source, ImageError> {
        if let Some(alias) = self
            .aliases
            .iter()
            .rev()
            .find(|alias| alias.matches(reference))
        {
            return Ok(Source::File(alias.path.clone()));
        }
        let given = self
            .given
            .iter()
            .rev()
            .find(|(name, _)| matches_name(name, reference));
        if let Some((_, source)) = given {
            return Ok(source.clone());
        }
        if let Some(path) = file(reference, base)? {
            return Ok(Source::File(path));
        }
        let name = ImageName::parse(reference).map_err(ImageError::InvalidName)?;
        if self.registries.is_none() {
            return Err(ImageError::Pull(format!(
                "failed to pull image {reference:?}: it is no file (./x.wasm, /x.wasm), no alias maps it, and this host pulls from no registry"
            )));
        }
        Ok(Source::Registry(name))
    }

    /// Whether getting the image asks a registry, which may take long. Looks at the disk.
    #[must_use]
    pub fn must_pull(&self, wanted: &Wanted<'_>) -> bool {
        match (
            self.resolve(wanted.reference, wanted.base),
            &self.registries,
        ) {
            (Ok(Source::Registry(name)), Some(registries)) => {
                registries.must_ask(&name, wanted.policy, wanted.keys)
            }
            _ => false,
        }
    }

    /// Whether the image is of a registry, and must be looked up for each pod.
    #[must_use]
    pub fn is_moving(&self, wanted: &Wanted<'_>) -> bool {
        wanted.policy == PullPolicy::Always
            && matches!(
                self.resolve(wanted.reference, wanted.base),
                Ok(Source::Registry(_))
            )
    }

    /// The registries, if images may come from any.
    #[must_use]
    pub fn registries(&self) -> Option<&Arc<Registries>> {
        self.registries.as_ref()
    }

    /// Whether the image `reference` of a manifest in the directory `base` is
    /// there, without loading it. Of a registry's only the name is looked at.
    ///
    /// # Errors
    ///
    /// When it names nothing that is known here, or no regular file.
    pub fn locate(&self, reference: &str, base: &Path) -> Result<(), ImageError> {
        let Source::File(path) = self.resolve(reference, base)? else {
            return Ok(());
        };
        let unreadable = |error: std::io::Error| unreadable(&path, &error);
        let metadata = std::fs::metadata(&path).map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        std::fs::File::open(&path).map(|_| ()).map_err(unreadable)
    }

    /// Makes sure that the image is here: pulls it if that is wanted, and compiles nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be had.
    pub fn fetch(&self, wanted: &Wanted<'_>) -> Result<(), ImageError> {
        match (
            self.resolve(wanted.reference, wanted.base)?,
            &self.registries,
        ) {
            (Source::Registry(name), Some(registries)) => registries
                .ensure(&name, wanted.policy, wanted.keys)
                .map(|_| ())
                .map_err(|error| self.hinted(error, wanted.reference)),
            _ => self.locate(wanted.reference, wanted.base),
        }
    }

    /// The image that is wanted.
    ///
    /// # Errors
    ///
    /// When it cannot be found, read, pulled, compiled or linked.
    pub fn get(&self, wanted: &Wanted<'_>) -> Result<Image, ImageError> {
        let found = self.find(wanted)?;
        let (bytes, metered) = (&found.bytes, wanted.metered);
        let digest = Digest::of(bytes);
        let slot = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if loaded.len() >= MODULES_KEPT {
                // Only what nobody compiles right now; running pods hold their own module.
                loaded.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            Arc::clone(loaded.entry((digest, metered)).or_default())
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = match &*slot {
            Some(loaded) => loaded.clone(),
            None => match self.load(bytes, digest, metered) {
                Ok(module) => slot.insert(Ok(module)).clone(),
                Err(refused) if refused.lasting => slot.insert(Err(refused.text)).clone(),
                Err(refused) => Err(refused.text),
            },
        };
        let module = loaded.map_err(|text| ImageError::Module {
            name: found.name.to_string(),
            text,
        })?;
        let mentions = !wanted.mentions.is_empty()
            && bytes
                .windows(wanted.mentions.len())
                .any(|window| window == wanted.mentions.as_bytes());
        Ok(Image {
            module,
            digest,
            id: found.id.unwrap_or_else(|| Arc::from(digest.to_string())),
            name: found.name,
            mentions,
            config: Arc::new(found.config),
            files: found.files,
            fetched: found.fetched,
            _lease: found.lease,
        })
    }

    /// The module's bytes.
    fn find(&self, wanted: &Wanted<'_>) -> Result<Found, ImageError> {
        let local = |name: Arc<str>, bytes| Found {
            bytes,
            config: ImageConfig {
                entrypoint: vec![name.to_string()],
                ..ImageConfig::default()
            },
            name,
            id: None,
            files: None,
            fetched: Fetched::Local,
            lease: None,
        };
        match self.resolve(wanted.reference, wanted.base)? {
            Source::Bytes { name, bytes } => Ok(local(name, bytes)),
            Source::File(path) => {
                // A link is followed once, here; what it led to is opened and read once.
                let real = path.canonicalize();
                let read = real.and_then(|real| read_regular(&real, self.module_bytes_max()));
                let bytes = read.map_err(|error| unreadable(&path, &error))?;
                let name = path
                    .file_name()
                    .map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy());
                Ok(local(Arc::from(name), Arc::from(bytes)))
            }
            Source::Registry(name) => self
                .pulled(&name, wanted)
                .map_err(|error| self.hinted(error, wanted.reference)),
        }
    }

    fn module_bytes_max(&self) -> u64 {
        self.engine.limits().module_bytes as u64
    }

    fn pulled(&self, name: &ImageName, wanted: &Wanted<'_>) -> Result<Found, ImageError> {
        let Some(registries) = &self.registries else {
            return Err(ImageError::NeverPull);
        };
        let Held { lease, fetched } = registries.ensure(name, wanted.policy, wanted.keys)?;
        let record = &lease.record;
        let id = Some(Arc::from(name.pinned(record.digest)));
        let max = self.module_bytes_max();
        match &record.kind {
            RecordKind::Wasm { layer, title } => {
                let bytes = registries.content().read_blob(*layer, max);
                let bytes = bytes.map_err(|error| {
                    ImageError::Registry(PullError::host("failed to read the image", &error))
                })?;
                let title = title.as_deref().unwrap_or_else(|| name.last());
                Ok(Found {
                    bytes: Arc::from(bytes),
                    config: ImageConfig {
                        entrypoint: vec![title.to_owned()],
                        ..ImageConfig::default()
                    },
                    name: Arc::from(title),
                    id,
                    files: None,
                    fetched,
                    lease: Some(lease),
                })
            }
            RecordKind::Rootfs(config) => {
                let files = Rootfs {
                    dir: registries.content().rootfs_path(record.manifest),
                    _lease: Arc::clone(&lease),
                };
                let (name, bytes) = program(&files, config, wanted, max)?;
                Ok(Found {
                    bytes: Arc::from(bytes),
                    config: config.clone(),
                    name: Arc::from(name),
                    id,
                    files: Some(ImageFiles(files)),
                    fetched,
                    lease: Some(lease),
                })
            }
        }
    }

    /// Adds what helps those who meant an alias.
    fn hinted(&self, error: ImageError, reference: &str) -> ImageError {
        match error {
            ImageError::Registry(error) if !reference.contains('/') => {
                let hint = format!(
                    "; no alias maps it, either: --alias {}=./module.wasm",
                    normalise(reference)
                );
                ImageError::Registry(error.hint(&hint))
            }
            error => error,
        }
    }

    fn load(&self, wasm: &[u8], digest: Digest, metered: bool) -> Result<Module, Refused> {
        let compatibility = self
            .engine
            .compatibility(metered)
            .map_err(|error| Refused::passing(error.to_string()))?;
        let key = CacheKey {
            digest,
            compatibility,
            metered,
        };
        if let Some((kind, code)) = self.cache.as_ref().and_then(|cache| cache.get(&key)) {
            return self.link(kind, &code, metered).map_err(Refused::lasting);
        }
        let cost = scan(wasm, self.engine.limits())
            .map_err(|error| Refused::lasting(format!("is {error}")))?;
        let code = self.compiler.compile(&self.engine, wasm, &cost, metered)?;
        let module = self
            .link(cost.kind, &code, metered)
            .map_err(Refused::lasting)?;
        if let Some(cache) = &self.cache {
            cache.put(&key, cost.kind, &code);
        }
        Ok(module)
    }

    fn link(&self, kind: ModuleKind, code: &[u8], metered: bool) -> Result<Module, String> {
        #[expect(unsafe_code, reason = "the one place where compiled code is believed")]
        // SAFETY: `code` was returned by the compiler just now, here or in a
        // worker that is this same program, or its MAC proves that it once was,
        // for this digest, this kind and an engine of the same compatibility.
        let module = unsafe { Module::from_compiled(&self.engine, kind, code, metered) };
        module.map_err(|error| format!("cannot be run: {error}"))
    }
}

/// Of a relative path it is said to what: who sent it to a daemon may be elsewhere.
fn unreadable(path: &Path, error: &std::io::Error) -> ImageError {
    let here = std::env::current_dir().ok().filter(|_| path.is_relative());
    let to = here.map_or_else(String::new, |dir| {
        format!(", relative to {}", dir.display())
    });
    let path = path.display();
    ImageError::Pull(format!("failed to read module {path}{to}: {error}"))
}

/// The program that a container runs, of an image with files: its name and its bytes.
fn program<'a>(
    files: &Rootfs,
    config: &'a ImageConfig,
    wanted: &Wanted<'a>,
    max: u64,
) -> Result<(&'a str, Vec<u8>), ImageError> {
    let own = || config.entrypoint.first().or(config.cmd.first());
    let refuse = |name: &str, text: String| {
        Err(ImageError::Module {
            name: name.to_owned(),
            text,
        })
    };
    let Some(word) = wanted.command.or(own().map(String::as_str)) else {
        return refuse(
            wanted.reference,
            "names no program: neither the container has a command nor the image an entry point"
                .to_owned(),
        );
    };
    if word.contains("$(") {
        return refuse(
            word,
            "cannot be found in the image: which program runs must not depend on variables"
                .to_owned(),
        );
    }
    let variable = config.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = wanted.path.or(variable.map(|(_, value)| value.as_str()));
    let dir = wanted.working_dir.unwrap_or(&config.working_dir);
    match files.program(word, dir, path, max) {
        Ok(bytes) => Ok((word, bytes)),
        Err(NoProgram::Missing(why)) => refuse(word, format!("is not in the image: {why}")),
        Err(NoProgram::Unreadable(error)) => refuse(word, format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_is_said_with_what_it_is_relative_to() {
        let error = std::io::Error::other("gone");
        let text = |path: &str| unreadable(Path::new(path), &error).to_string();
        assert_eq!(text("/a/b.wasm"), "failed to read module /a/b.wasm: gone");
        let here = std::env::current_dir().unwrap();
        let wanted = format!("b.wasm, relative to {}: gone", here.display());
        assert_eq!(text("b.wasm"), format!("failed to read module {wanted}"));
    }
}
