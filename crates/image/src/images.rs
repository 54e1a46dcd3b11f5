//! The images of one host.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use wasmjob_sandbox::{Engine, Module, ModuleKind, scan};

use crate::cache::{Cache, CacheKey, read_regular};
use crate::compiler::Refused;
use crate::reference::{file, matches_name, normalise};
use crate::{Alias, Compiler, Digest, ImageError, Source};

/// Compiled modules that are kept in memory though nobody runs them.
const MODULES_KEPT: usize = 64;

/// A module, ready to run.
#[derive(Clone)]
pub struct Image {
    /// The compiled module.
    pub module: Module,
    /// What it was made of.
    pub digest: Digest,
    /// The digest as text: `imageID`.
    pub id: Arc<str>,
    /// The module's name: the last part of its path. `argv[0]` where a pod gives no command.
    pub name: Arc<str>,
    /// Words that were looked for in the module's bytes; see [`Images::get`].
    pub mentions: bool,
}

/// Configures [`Images`].
#[derive(Default)]
pub struct ImagesBuilder {
    aliases: Vec<Alias>,
    given: Vec<(String, Source)>,
    cache_dir: Option<PathBuf>,
    compiler: Compiler,
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
        Err(ImageError::Pull(format!(
            "failed to pull image {reference:?}: it is no file (./x.wasm, /x.wasm), no alias maps it, and registries are not supported yet; map it with --alias {}=./module.wasm",
            normalise(reference)
        )))
    }

    /// Whether the image `reference` of a manifest in the directory `base` is
    /// there, without loading it.
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

    /// The image `reference` of a manifest in the directory `base`. `mentions`
    /// is a text to look for in the module's bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be found, read, compiled or linked.
    pub fn get(
        &self,
        reference: &str,
        base: &Path,
        metered: bool,
        mentions: &str,
    ) -> Result<Image, ImageError> {
        let (name, bytes) = self.read(&self.resolve(reference, base)?)?;
        let digest = Digest::of(&bytes);
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
            None => match self.load(&bytes, digest, metered) {
                Ok(module) => slot.insert(Ok(module)).clone(),
                Err(refused) if refused.lasting => slot.insert(Err(refused.text)).clone(),
                Err(refused) => Err(refused.text),
            },
        };
        let module = loaded.map_err(|text| ImageError::Module {
            name: name.to_string(),
            text,
        })?;
        let mentions = !mentions.is_empty()
            && bytes
                .windows(mentions.len())
                .any(|window| window == mentions.as_bytes());
        Ok(Image {
            module,
            digest,
            id: Arc::from(digest.to_string()),
            name,
            mentions,
        })
    }

    fn read(&self, source: &Source) -> Result<(Arc<str>, Arc<[u8]>), ImageError> {
        let path = match source {
            Source::Bytes { name, bytes } => return Ok((Arc::clone(name), Arc::clone(bytes))),
            Source::File(path) => path,
        };
        // A link is followed once, here; what it led to is opened and read once.
        let real = path.canonicalize();
        let read =
            real.and_then(|real| read_regular(&real, self.engine.limits().module_bytes as u64));
        let bytes = read.map_err(|error| unreadable(path, &error))?;
        let name = path
            .file_name()
            .map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy());
        Ok((Arc::from(name), Arc::from(bytes)))
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

fn unreadable(path: &Path, error: &std::io::Error) -> ImageError {
    ImageError::Pull(format!("failed to read module {}: {error}", path.display()))
}
