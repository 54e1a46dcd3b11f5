//! The config file: what an operator does not want to repeat.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use wasmjob::Alias;

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
    #[serde(skip)]
    dir: PathBuf,
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
        config.dir = path.parent().map(Path::to_owned).unwrap_or_default();
        for dir in &mut config.allow_host_path {
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

fn default_path() -> Option<PathBuf> {
    Some(base("XDG_CONFIG_HOME", ".config")?.join("wasmjob/config.toml"))
}

/// Where compiled modules are kept by default.
pub(crate) fn default_cache() -> Option<PathBuf> {
    Some(base("XDG_CACHE_HOME", ".cache")?.join("wasmjob"))
}

/// A directory of the XDG base directory specification.
fn base(variable: &str, in_home: &str) -> Option<PathBuf> {
    let set = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(in_home)))
}
