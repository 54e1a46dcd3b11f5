//! What the files of configMap, secret, downwardAPI and projected volumes hold.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use wasmjob_api::Pod;
use wasmjob_api::k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Secret, Volume, VolumeProjection,
};

use crate::downward::Downward;
use crate::token::{Tokens, file_mode};
use crate::{Clock, Objects, Resources};

/// Bytes and files that all such volumes of a pod may have together. One object has
/// 1 MiB at most; what bounds this is how often a pod may refer to them.
const BYTES_MAX: usize = 64 << 20;
const FILES_MAX: usize = 20_000;

/// The mode of files that are given none.
const MODE: i32 = 0o644;

/// A file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// The files of a volume, by their paths in it.
pub(crate) type Payload = BTreeMap<String, Content>;

/// What contents are made of, for a thread of its own.
pub(crate) struct View {
    pub(crate) pod: Arc<Pod>,
    pub(crate) node_name: Arc<str>,
    pub(crate) capacity: Resources,
    pub(crate) default_memory_bytes: u64,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What is left of what the pod's volumes may have together.
pub(crate) struct Budget {
    bytes: usize,
    files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: BYTES_MAX,
            files: FILES_MAX,
        }
    }
}

/// Whether the volume is of a kind whose files are made here.
pub(crate) fn is_projected(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

/// The files of `volume`, or why there are none yet, in the kubelet's words.
pub(crate) fn payload(
    volume: &Volume,
    view: &View,
    budget: &mut Budget,
    tokens: &mut Tokens,
) -> Result<Payload, String> {
    let mut files = Files {
        view,
        budget,
        tokens,
        payload: Payload::new(),
        mode: MODE,
    };
    if let Some(source) = &volume.config_map {
        files.mode = source.default_mode.unwrap_or(MODE);
        files.config_map(&source.name, &source.items, source.optional)?;
    } else if let Some(source) = &volume.secret {
        files.mode = source.default_mode.unwrap_or(MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        files.secret(name, &source.items, source.optional)?;
    } else if let Some(source) = &volume.downward_api {
        files.mode = source.default_mode.unwrap_or(MODE);
        files.downward(source.items.as_deref().unwrap_or_default())?;
    } else if let Some(source) = &volume.projected {
        files.mode = source.default_mode.unwrap_or(MODE);
        for projection in source.sources.iter().flatten() {
            files.projection(projection)?;
        }
    }
    Ok(files.payload)
}

struct Files<'a> {
    view: &'a View,
    budget: &'a mut Budget,
    tokens: &'a mut Tokens,
    payload: Payload,
    mode: i32,
}

impl Files<'_> {
    fn projection(&mut self, projection: &VolumeProjection) -> Result<(), String> {
        if let Some(source) = &projection.config_map {
            self.config_map(&source.name, &source.items, source.optional)?;
        }
        if let Some(source) = &projection.secret {
            self.secret(&source.name, &source.items, source.optional)?;
        }
        if let Some(source) = &projection.downward_api {
            self.downward(source.items.as_deref().unwrap_or_default())?;
        }
        if let Some(source) = &projection.service_account_token {
            let (pod, now) = (&self.view.pod, self.view.clock.wall());
            let token = self.tokens.get(source, pod, &*self.view.objects, now)?;
            let mode = file_mode(&pod.template.spec, self.mode);
            self.add(&source.path, token.as_bytes(), Some(mode))?;
        }
        Ok(())
    }

    fn config_map(
        &mut self,
        name: &str,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        let map = self.view.objects.config_map(&self.view.pod.namespace, name);
        let Some(map) = map else {
            return missing("configmap", name, optional);
        };
        let all = |map: &ConfigMap| {
            let texts = map.data.iter().flatten().map(|(key, _)| key.clone());
            let binary = map.binary_data.iter().flatten().map(|(key, _)| key.clone());
            texts.chain(binary).collect()
        };
        self.keys(
            items,
            optional,
            || all(&map),
            |key| {
                let text = map.data.as_ref().and_then(|data| data.get(key));
                let binary = map.binary_data.as_ref().and_then(|data| data.get(key));
                let bytes = text.map(|text| text.as_bytes());
                bytes
                    .or(binary.map(|bytes| bytes.0.as_slice()))
                    .ok_or_else(|| format!("configmap references non-existent config key: {key}"))
            },
        )
    }

    fn secret(
        &mut self,
        name: &str,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
    ) -> Result<(), String> {
        let secret = self.view.objects.secret(&self.view.pod.namespace, name);
        let Some(secret) = secret else {
            return missing("secret", name, optional);
        };
        let all = |secret: &Secret| {
            secret
                .data
                .iter()
                .flatten()
                .map(|(key, _)| key.clone())
                .collect()
        };
        self.keys(
            items,
            optional,
            || all(&secret),
            |key| {
                let bytes = secret.data.as_ref().and_then(|data| data.get(key));
                bytes
                    .map(|bytes| bytes.0.as_slice())
                    .ok_or_else(|| format!("references non-existent secret key: {key}"))
            },
        )
    }

    /// The keys that `items` picks, or all.
    fn keys<'b>(
        &mut self,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
        all: impl FnOnce() -> Vec<String>,
        get: impl Fn(&str) -> Result<&'b [u8], String>,
    ) -> Result<(), String> {
        let Some(items) = items.as_ref().filter(|items| !items.is_empty()) else {
            for key in all() {
                self.add(&key, get(&key)?, None)?;
            }
            return Ok(());
        };
        for item in items {
            match get(&item.key) {
                Ok(bytes) => self.add(&item.path, bytes, item.mode)?,
                Err(_) if optional == Some(true) => {}
                Err(text) => return Err(text),
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile]) -> Result<(), String> {
        let view = self.view;
        let downward = Downward {
            pod: &view.pod,
            node_name: &view.node_name,
            capacity: view.capacity,
            default_memory_bytes: view.default_memory_bytes,
            objects: &*view.objects,
        };
        for item in items {
            let text = if let Some(field) = &item.field_ref {
                downward.file(&field.field_path)
            } else if let Some(selector) = &item.resource_field_ref {
                downward.resource(selector, &Container::default())
            } else {
                String::new()
            };
            self.add(&item.path, text.as_bytes(), item.mode)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &str, bytes: &[u8], mode: Option<i32>) -> Result<(), String> {
        if !is_inside(path) {
            return Err(format!("{path:?} is no path inside the volume"));
        }
        let budget = &mut *self.budget;
        let left = (
            budget.files.checked_sub(1),
            budget.bytes.checked_sub(bytes.len()),
        );
        let (Some(files), Some(left)) = left else {
            return Err(format!(
                "the files of the pod's ConfigMaps and Secrets are more than {FILES_MAX}, or take more than {BYTES_MAX} bytes"
            ));
        };
        (budget.files, budget.bytes) = (files, left);
        let mode = u32::try_from(mode.unwrap_or(self.mode)).unwrap_or(0o644);
        let content = Content {
            bytes: bytes.to_vec(),
            mode: mode & 0o777,
        };
        self.payload.insert(path.to_owned(), content);
        Ok(())
    }
}

fn missing(kind: &str, name: &str, optional: Option<bool>) -> Result<(), String> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(format!("{kind} {name:?} not found"))
}

/// Whether a file may stand there. Validation says so too; this is about what was
/// stored before it did.
fn is_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.starts_with("..")
        && path.len() <= 4096
        && !path.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_a_volume() {
        for path in ["a", "a/b", "a/..b", ".a"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["", "/a", "../a", "a/../b", "..data", "a\0", "./a"] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
