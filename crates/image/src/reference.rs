//! References and aliases.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::{ImageError, ImageName};

/// Characters of a reference that make sense; Kubernetes' registries stop far earlier.
pub(crate) const REFERENCE_CHARS_MAX: usize = 1024;

/// Where a module's bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Bytes given by the embedder under a name.
    Bytes {
        /// The name.
        name: Arc<str>,
        /// The module.
        bytes: Arc<[u8]>,
    },
    /// A registry.
    Registry(ImageName),
}

/// `NAME=REF`: images called NAME are the module REF.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The image's name, normalised; without a tag it stands for every tag.
    name: String,
    /// The file.
    pub path: PathBuf,
}

/// What is wrong with an alias.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct AliasError(String);

impl Alias {
    /// Makes an alias of an image's name and a reference to a file. A relative
    /// path is relative to the working directory of the process.
    ///
    /// # Errors
    ///
    /// When the name is empty or the reference is not a file.
    pub fn new(name: &str, reference: &str) -> Result<Self, AliasError> {
        if name.trim().is_empty() {
            return Err(AliasError(format!(
                "alias {name:?}={reference}: the name is empty"
            )));
        }
        let path = reference
            .strip_prefix("file://")
            .or_else(|| reference.strip_prefix("file:"));
        let path = path.unwrap_or(reference);
        if path.is_empty() {
            return Err(AliasError(format!("alias {name}: no module is named")));
        }
        Ok(Self {
            name: normalise(name),
            path: PathBuf::from(path),
        })
    }

    /// Whether `image` is what this alias stands for.
    pub(crate) fn matches(&self, image: &str) -> bool {
        matches_name(&self.name, image)
    }
}

impl FromStr for Alias {
    type Err = AliasError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, reference)) = text.split_once('=') else {
            return Err(AliasError(format!(
                "alias {text:?} has no `=`: write NAME=./module.wasm, e.g. busybox=./busybox.wasm"
            )));
        };
        Self::new(name, reference)
    }
}

/// Whether the normalised `name` of an alias stands for `image`.
pub(crate) fn matches_name(name: &str, image: &str) -> bool {
    let image = normalise(image);
    image == name || without_tag(&image) == name
}

/// The short form of an image's name: Docker Hub's prefixes are left out.
pub(crate) fn normalise(image: &str) -> String {
    let mut rest = image.trim();
    for prefix in ["docker.io/", "index.docker.io/", "registry-1.docker.io/"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    rest.strip_prefix("library/").unwrap_or(rest).to_owned()
}

/// `image` without its tag or digest.
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// The file that `reference` names, if it names one: relative to `base`.
///
/// # Errors
///
/// When the reference is too long, empty, or holds control characters.
pub(crate) fn file(reference: &str, base: &Path) -> Result<Option<PathBuf>, ImageError> {
    if reference.is_empty() || reference.len() > REFERENCE_CHARS_MAX {
        return Err(ImageError::InvalidName(format!(
            "couldn't parse image name: {} bytes long, 1 to {REFERENCE_CHARS_MAX} allowed",
            reference.len()
        )));
    }
    if let Some(bad) = reference.chars().find(|c| c.is_control()) {
        return Err(ImageError::InvalidName(format!(
            "couldn't parse image name {reference:?}: it holds the control character {:?}",
            bad
        )));
    }
    let path = reference
        .strip_prefix("file://")
        .or_else(|| reference.strip_prefix("file:"));
    if let Some(path) = path {
        return Ok(Some(base.join(path)));
    }
    let is_path = ["./", "../", "/"]
        .iter()
        .any(|prefix| reference.starts_with(prefix));
    Ok(is_path.then(|| base.join(reference)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(alias: &str, image: &str, expected: bool) {
        let alias: Alias = alias.parse().unwrap();
        assert_eq!(alias.matches(image), expected, "{alias:?} for {image}");
    }

    #[test]
    fn an_alias_without_a_tag_stands_for_every_tag() {
        for image in [
            "busybox",
            "busybox:1.28",
            "busybox:latest",
            "docker.io/library/busybox",
            "library/busybox:1",
            "busybox@sha256:00",
        ] {
            check("busybox=./b.wasm", image, true);
        }
        check("busybox=./b.wasm", "notbusybox", false);
        check("busybox=./b.wasm", "acme/busybox", false);
        check("busybox:1.28=./b.wasm", "busybox:1.29", false);
        check(
            "busybox:1.28=./b.wasm",
            "docker.io/library/busybox:1.28",
            true,
        );
        check(
            "registry.example:5000/a/b=./b.wasm",
            "registry.example:5000/a/b:1",
            true,
        );
        check("docker.io/library/perl=./p.wasm", "perl", true);
    }

    #[test]
    fn an_alias_must_be_name_and_module() {
        assert!(
            "busybox"
                .parse::<Alias>()
                .unwrap_err()
                .to_string()
                .contains("has no `=`")
        );
        assert!("=x".parse::<Alias>().is_err());
        assert!("x=".parse::<Alias>().is_err());
    }

    #[test]
    fn files_are_relative_to_the_manifest() {
        let base = Path::new("/m");
        let file = |reference| file(reference, base).unwrap();
        assert_eq!(file("./x.wasm"), Some(PathBuf::from("/m/./x.wasm")));
        assert_eq!(file("../x.wasm"), Some(PathBuf::from("/m/../x.wasm")));
        assert_eq!(file("/x.wasm"), Some(PathBuf::from("/x.wasm")));
        assert_eq!(file("file:x.wasm"), Some(PathBuf::from("/m/x.wasm")));
        assert_eq!(file("file:///x.wasm"), Some(PathBuf::from("/x.wasm")));
        assert_eq!(file("busybox"), None);
    }
}
