//! Manifests, indexes and configs of images, read under limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::PullError;
use super::http::printable;
use crate::Digest;

/// Bytes of a manifest, an index or a config (the limit of registries themselves).
pub(crate) const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Entries of an index.
const INDEX_ENTRIES_MAX: usize = 256;
/// Layers of an image.
const LAYERS_MAX: usize = 128;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// The CNCF's config of a wasm artifact, and its layer.
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(crate) const WASM_LAYER: &str = "application/wasm";
/// What went before it.
const OLD_WASM_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// What we can read, for the header `Accept`.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A reference to a blob or a manifest by what it holds.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

impl Platform {
    /// `wasi/wasm`, `wasip1/wasm`, `wasip2/wasm`, …: how well it fits, best first.
    fn rank(&self) -> Option<u8> {
        let os = match self.os.as_str() {
            "wasip2" => 0,
            "wasip1" => 1,
            "wasi" => 2,
            "" | "unknown" | "js" | "linux" => 3,
            _ => return None,
        };
        match self.architecture.as_str() {
            "wasm" => Some(os),
            "wasm32" => Some(os + 4),
            _ => None,
        }
    }
}

/// A document as a registry sent it, told apart.
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) artifact_type: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Index {
    manifests: Vec<Descriptor>,
}

/// What a manifest is of.
pub(crate) enum Content {
    /// A module.
    Wasm(Descriptor),
    /// A file system, with a config.
    Layers(Vec<(Descriptor, Packing)>),
}

/// How a layer is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    Tar,
    Gzip,
    Zstd,
}

impl Document {
    /// Reads what came with the media type `said`, which it may repeat.
    pub(crate) fn read(bytes: &[u8], said: &str) -> Result<Self, PullError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            #[serde(default)]
            schema_version: Option<u32>,
            #[serde(default)]
            media_type: Option<String>,
            #[serde(default)]
            manifests: Option<serde::de::IgnoredAny>,
            #[serde(default)]
            layers: Option<serde::de::IgnoredAny>,
        }
        let wrong = |error: serde_json::Error| {
            PullError::corrupt(format!("the manifest is not valid: {error}"))
        };
        let head: Head = serde_json::from_slice(bytes).map_err(wrong)?;
        if head.schema_version == Some(1) {
            return Err(PullError::unsupported(
                "the manifest is of schema 1, which is deprecated; push the image anew",
            ));
        }
        // A document that is both would be one thing to us and another to a scanner.
        if head.manifests.is_some() && head.layers.is_some() {
            return Err(PullError::corrupt(
                "the manifest is an index and a manifest at once",
            ));
        }
        let said = said.split(';').next().unwrap_or_default().trim();
        let inside = head.media_type.as_deref();
        let known = [OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST];
        if let Some(inside) = inside.filter(|inside| *inside != said && known.contains(&said)) {
            return Err(PullError::corrupt(format!(
                "the manifest calls itself {:?}, its registry {said:?}",
                printable(inside)
            )));
        }
        match inside.unwrap_or(said) {
            OCI_INDEX | DOCKER_LIST => {
                let index: Index = serde_json::from_slice(bytes).map_err(wrong)?;
                Ok(Self::Index(index))
            }
            OCI_MANIFEST | DOCKER_MANIFEST => {
                let manifest: Manifest = serde_json::from_slice(bytes).map_err(wrong)?;
                Ok(Self::Manifest(manifest))
            }
            other => Err(PullError::unsupported(format!(
                "the manifest is of the type {:?}; images and indexes of OCI and Docker are read",
                printable(other)
            ))),
        }
    }
}

impl Index {
    /// The manifest for this host.
    pub(crate) fn choose(self) -> Result<Descriptor, PullError> {
        if self.manifests.len() > INDEX_ENTRIES_MAX {
            return Err(PullError::refused(format!(
                "the index has {} entries, {INDEX_ENTRIES_MAX} are allowed",
                self.manifests.len()
            )));
        }
        let rank = |entry: &Descriptor| match &entry.platform {
            Some(platform) => platform.rank(),
            // An artifact's entry has no platform.
            None => Some(9),
        };
        let best = self.manifests.iter().filter(|entry| rank(entry).is_some());
        if let Some(best) = best.min_by_key(|entry| rank(entry)) {
            return Ok(best.clone());
        }
        let mut platforms: Vec<String> = self
            .manifests
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .map(|platform| printable(&format!("{}/{}", platform.os, platform.architecture)))
            .collect();
        platforms.sort();
        platforms.dedup();
        platforms.truncate(20);
        Err(PullError::unsupported(format!(
            "no match for platform in manifest: it is for {}, and wasi/wasm or wasip1/wasm runs here",
            match platforms.is_empty() {
                true => "no platform".to_owned(),
                false => platforms.join(", "),
            }
        )))
    }
}

impl Manifest {
    /// What it is of.
    pub(crate) fn content(self) -> Result<Content, PullError> {
        if self.layers.len() > LAYERS_MAX {
            return Err(PullError::refused(format!(
                "the image has {} layers, {LAYERS_MAX} are allowed",
                self.layers.len()
            )));
        }
        let is_wasm =
            |layer: &Descriptor| matches!(layer.media_type.as_str(), WASM_LAYER | OLD_WASM_LAYER);
        let wasm: Vec<&Descriptor> = self.layers.iter().filter(|layer| is_wasm(layer)).collect();
        match wasm.as_slice() {
            [] => {}
            // Others beside it may be about it (a WIT, an SBOM).
            [layer] => return Ok(Content::Wasm((*layer).clone())),
            more => {
                return Err(PullError::unsupported(format!(
                    "the artifact has {} modules; which is to run cannot be said",
                    more.len()
                )));
            }
        }
        if !matches!(self.config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
            let kind = self.artifact_type.as_deref();
            return Err(PullError::unsupported(format!(
                "it is an artifact of the type {:?} without a layer {WASM_LAYER}",
                printable(kind.unwrap_or(&self.config.media_type))
            )));
        }
        let layers = self.layers.into_iter().map(|layer| {
            let packing = packing(&layer.media_type)?;
            Ok((layer, packing))
        });
        Ok(Content::Layers(layers.collect::<Result<_, PullError>>()?))
    }
}

fn packing(media_type: &str) -> Result<Packing, PullError> {
    match media_type {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Packing::Tar),
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Packing::Gzip),
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Packing::Zstd),
        other => Err(PullError::unsupported(format!(
            "a layer is of the type {:?}; tar, tar+gzip, tar+zstd and {WASM_LAYER} are read",
            printable(other)
        ))),
    }
}

/// What an image says about how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// What is called where the container names no command.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its arguments where the container gives neither.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Variables, beside the container's own.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where it is called where the container does not say.
    #[serde(default)]
    pub working_dir: String,
}

/// A config's strings: how many, and how many bytes together.
const CONFIG_WORDS_MAX: usize = 4_096;
const CONFIG_BYTES_MAX: usize = 256 << 10;

/// Reads the config of an image with a file system: how it is run, and the digests of
/// its unpacked layers.
pub(crate) fn config(bytes: &[u8]) -> Result<(ImageConfig, Vec<Digest>), PullError> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        config: Option<Run>,
        rootfs: RootFs,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase")]
    struct Run {
        #[serde(default)]
        entrypoint: Option<Vec<String>>,
        #[serde(default)]
        cmd: Option<Vec<String>>,
        #[serde(default)]
        env: Option<Vec<String>>,
        #[serde(default)]
        working_dir: Option<String>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        diff_ids: Vec<Digest>,
    }
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| PullError::corrupt(format!("the image's config is not valid: {error}")))?;
    let run = file.config.unwrap_or_default();
    let [entrypoint, cmd, env] = [run.entrypoint, run.cmd, run.env].map(Option::unwrap_or_default);
    let working_dir = run.working_dir.unwrap_or_default();
    let words = || entrypoint.iter().chain(&cmd).chain(&env);
    let bytes = words().fold(working_dir.len(), |sum, word| {
        sum.saturating_add(word.len())
    });
    if words().count() > CONFIG_WORDS_MAX || bytes > CONFIG_BYTES_MAX {
        return Err(PullError::refused(format!(
            "the image's config has {} words of {bytes} bytes, {CONFIG_WORDS_MAX} of {CONFIG_BYTES_MAX} bytes are allowed",
            words().count()
        )));
    }
    if words()
        .chain([&working_dir])
        .any(|word| word.contains('\0'))
    {
        return Err(PullError::corrupt("the image's config holds a NUL"));
    }
    let config = ImageConfig {
        env: env
            .iter()
            .filter_map(|var| var.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        entrypoint,
        cmd,
        working_dir,
    };
    Ok((config, file.rootfs.diff_ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(platform: Option<(&str, &str)>) -> serde_json::Value {
        let digest = Digest::of(format!("{platform:?}").as_bytes());
        let platform = platform.map(|(os, arch)| json!({"os": os, "architecture": arch}));
        json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 2, "platform": platform})
    }

    fn choose(entries: &[serde_json::Value]) -> Result<Digest, String> {
        let index: Index = serde_json::from_value(json!({"manifests": entries})).unwrap();
        let chosen = index.choose().map(|chosen| chosen.digest);
        chosen.map_err(|error| error.to_string())
    }

    #[test]
    fn an_index_is_asked_for_wasm() {
        let linux = entry(Some(("linux", "amd64")));
        let wasi = entry(Some(("wasi", "wasm")));
        let p1 = entry(Some(("wasip1", "wasm")));
        let digest = |entry: &serde_json::Value| -> Digest {
            entry["digest"].as_str().unwrap().parse().unwrap()
        };
        assert_eq!(choose(&[linux.clone(), wasi.clone()]), Ok(digest(&wasi)));
        assert_eq!(choose(&[wasi.clone(), p1.clone()]), Ok(digest(&p1)));
        let error = choose(&[linux.clone(), entry(Some(("windows", "arm64")))]).unwrap_err();
        assert!(error.contains("linux/amd64, windows/arm64"), "{error}");
        let error = choose(&vec![linux; 257]).unwrap_err();
        assert!(error.contains("257 entries, 256 are allowed"), "{error}");
        assert!(choose(&[]).unwrap_err().contains("for no platform"));
    }

    #[test]
    fn documents_that_are_two_things_are_refused() {
        let read = |value: serde_json::Value, said| {
            Document::read(value.to_string().as_bytes(), said)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let both = json!({"manifests": [], "layers": []});
        assert!(read(both, OCI_INDEX).unwrap_err().contains("at once"));
        let lying = json!({"mediaType": OCI_INDEX, "manifests": []});
        assert!(
            read(lying, OCI_MANIFEST)
                .unwrap_err()
                .contains("calls itself")
        );
        let old = json!({"schemaVersion": 1});
        assert!(read(old, "x").unwrap_err().contains("schema 1"));
        assert!(
            read(json!({}), "text/html")
                .unwrap_err()
                .contains("text/html")
        );
        assert!(read(json!([]), OCI_INDEX).is_err());
        let md5 = json!({"config": {"digest": "md5:00", "size": 1}});
        assert!(
            read(md5, OCI_MANIFEST)
                .unwrap_err()
                .contains("unsupported digest algorithm")
        );
    }
}
