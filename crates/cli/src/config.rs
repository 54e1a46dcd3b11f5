//! The config file: what an operator does not want to repeat.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use wasmjob::Alias;
use wasmjob::api::network::Destination;
use wasmjob::api::schedule::Zone;

use crate::args::{self, Listen, LogFormat};

/// The file's keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// Image name to module; paths are relative to the file.
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// Directories below which pods may have hostPath volumes; relative to the file.
    #[serde(default)]
    pub(crate) allow_host_path: Vec<PathBuf>,
    /// As `--allow-net`.
    #[serde(default, deserialize_with = "destinations")]
    pub(crate) allow_net: Vec<Destination>,
    /// As `--memory`.
    #[serde(default, deserialize_with = "memory")]
    pub(crate) memory: Option<u64>,
    /// As `--default-memory`.
    #[serde(default, deserialize_with = "memory")]
    pub(crate) default_memory: Option<u64>,
    /// As `--threads`.
    pub(crate) threads: Option<NonZeroUsize>,
    /// As `--cache-dir`; relative to the file.
    pub(crate) cache_dir: Option<PathBuf>,
    /// As `--no-cache`.
    #[serde(default)]
    pub(crate) no_cache: bool,
    /// What concerns images of registries.
    #[serde(default)]
    pub(crate) images: ImagesConfig,
    /// What concerns `serve` only.
    #[serde(default)]
    pub(crate) serve: ServeConfig,
    #[serde(skip)]
    dir: PathBuf,
}

/// The keys of `[images]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ImagesConfig {
    /// As `--image-dir`; relative to the file.
    pub(crate) dir: Option<PathBuf>,
    /// As `--image-disk`.
    #[serde(default, deserialize_with = "quantity")]
    pub(crate) disk: Option<u64>,
    /// As `--plain-http`.
    #[serde(default)]
    pub(crate) plain_http: Vec<String>,
    /// Registry to mirrors, as `--registry-mirror`.
    #[serde(default)]
    pub(crate) mirrors: BTreeMap<String, Vec<String>>,
    /// Prefix of names to files of keys, as `--verify-key`; relative to the file.
    #[serde(default)]
    pub(crate) verify_keys: BTreeMap<String, Vec<PathBuf>>,
    /// As `--docker-config`; relative to the file.
    pub(crate) docker_config: Option<PathBuf>,
    /// As `--no-pull`.
    #[serde(default)]
    pub(crate) no_pull: bool,
}

/// The keys of `[serve]`: its flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServeConfig {
    /// As `--data-dir`; relative to the file.
    pub(crate) data_dir: Option<PathBuf>,
    /// As `--manifests`; relative to the file.
    pub(crate) manifests: Option<PathBuf>,
    /// As `--listen`.
    #[serde(default, deserialize_with = "listen")]
    pub(crate) listen: Option<Listen>,
    /// As `--tls-san`.
    #[serde(default)]
    pub(crate) tls_san: Vec<String>,
    /// As `--token-auth-file`; relative to the file.
    pub(crate) token_auth_file: Option<PathBuf>,
    /// As `--secret-key-file`; relative to the file.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// As `--zone`.
    #[serde(default, deserialize_with = "zone")]
    pub(crate) zone: Option<Zone>,
    /// As `--drain-timeout`.
    #[serde(default, deserialize_with = "duration")]
    pub(crate) drain_timeout: Option<Duration>,
    /// As `--finished-pods`.
    pub(crate) finished_pods: Option<usize>,
    /// As `--finished-pods-bytes`.
    #[serde(default, deserialize_with = "quantity")]
    pub(crate) finished_pods_bytes: Option<u64>,
    /// As `--log-format`.
    pub(crate) log_format: Option<LogFormat>,
    /// As so many `-v`.
    #[serde(default)]
    pub(crate) verbose: u8,
}

/// Reads a value as its flag is read.
fn as_flag<'de, D: Deserializer<'de>, T>(
    from: D,
    read: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).map(Some).map_err(D::Error::custom)
}

fn quantity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    as_flag(from, args::bytes)
}

fn memory<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    as_flag(from, args::memory)
}

fn destinations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Destination>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    let read = texts.iter().map(|text| text.parse());
    read.collect::<Result<_, _>>().map_err(D::Error::custom)
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Listen>, D::Error> {
    as_flag(from, args::listen)
}

fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zone>, D::Error> {
    as_flag(from, args::zone)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    as_flag(from, args::duration)
}

impl Config {
    /// Reads `path`, or the user's own file if there is one.
    ///
    /// # Errors
    ///
    /// When the file named is not there, cannot be read, or is not valid.
    pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let path = match (path, default_path()) {
            (Some(path), _) => path.to_owned(),
            (None, Some(path)) if path.exists() => path,
            (None, _) => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("failed to read config file {}", path.display()))?;
        let mut config: Self = toml::from_str(&text)
            .with_context(|| format!("config file {} is not valid", path.display()))?;
        if config.no_cache && config.cache_dir.is_some() {
            bail!(
                "config file {}: cache-dir and no-cache exclude each other",
                path.display()
            );
        }
        config.dir = path.parent().map(Path::to_owned).unwrap_or_default();
        let own = [
            &mut config.cache_dir,
            &mut config.images.dir,
            &mut config.images.docker_config,
            &mut config.serve.data_dir,
            &mut config.serve.manifests,
            &mut config.serve.token_auth_file,
            &mut config.serve.secret_key_file,
        ];
        let keys = config.images.verify_keys.values_mut().flatten();
        let paths = config.allow_host_path.iter_mut().chain(keys);
        for dir in paths.chain(own.into_iter().flatten()) {
            *dir = config.dir.join(&*dir);
        }
        Ok(config)
    }

    /// The aliases.
    ///
    /// # Errors
    ///
    /// When one is not valid.
    pub(crate) fn aliases(&self) -> anyhow::Result<Vec<Alias>> {
        let mut aliases = Vec::new();
        for (name, reference) in &self.aliases {
            let mut alias = Alias::new(name, reference)?;
            if alias.path.as_os_str().is_empty() {
                bail!("alias {name}: no module is named");
            }
            alias.path = self.dir.join(&alias.path);
            aliases.push(alias);
        }
        Ok(aliases)
    }
}

/// Where systemd says, else where the user keeps such things.
fn default_path() -> Option<PathBuf> {
    let dir = systemd("CONFIGURATION_DIRECTORY")
        .or_else(|| Some(base("XDG_CONFIG_HOME", ".config")?.join("wasmjob")))?;
    Some(dir.join("config.toml"))
}

/// A directory that systemd made for the service.
fn systemd(variable: &str) -> Option<PathBuf> {
    // Several are joined by colons where a unit asks for them.
    std::env::var_os(variable)
        .and_then(|dirs| std::env::split_paths(&dirs).next())
        .filter(|dir| dir.is_absolute())
}

/// Where compiled modules are kept by default.
pub(crate) fn default_cache() -> Option<PathBuf> {
    Some(base("XDG_CACHE_HOME", ".cache")?.join("wasmjob"))
}

/// Where a daemon keeps its objects and its socket: where a flag says, the environment
/// or the config file; else where systemd says, or where the user keeps such things.
pub(crate) fn data_dir(flag: Option<&Path>, config: &Config) -> Option<PathBuf> {
    let said = std::env::var_os("WASMJOB_DATA_DIR").filter(|dir| !dir.is_empty());
    flag.map(Path::to_owned)
        .or_else(|| said.map(PathBuf::from))
        .or_else(|| config.serve.data_dir.clone())
        .or_else(default_data_dir)
}

fn default_data_dir() -> Option<PathBuf> {
    systemd("STATE_DIRECTORY").or_else(|| {
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/lib/wasmjob"));
        }
        Some(base("XDG_STATE_HOME", ".local/state")?.join("wasmjob"))
    })
}

/// A directory of the XDG base directory specification.
fn base(variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(in_home)))
}
