//! What the pods of a manifest refer to and nobody will make: in `run` there is nobody
//! else, so they would wait for ever.

use std::collections::{BTreeSet, HashMap};

use wasmjob::api::k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Volume};
use wasmjob::api::manifest::{Kept, Manifest, Object};

use crate::host;

/// A ConfigMap, Secret or claim, and the keys that are needed of it.
struct Reference<'a> {
    kind: &'static str,
    name: &'a str,
    keys: Vec<&'a str>,
    /// Only `data` serves variables, not `binaryData`.
    is_variable: bool,
}

/// One error for each reference to what the manifest does not hold.
pub(crate) fn missing(manifest: &Manifest) -> Vec<String> {
    let mut kept: HashMap<(&str, &str, &str), &Kept> = HashMap::new();
    for loaded in &manifest.objects {
        if let Object::Kept(object) = &loaded.object {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            kept.insert((object.kind, namespace(&loaded.object), name), object);
        }
    }
    let mut texts = BTreeSet::new();
    for loaded in &manifest.objects {
        let Some((path, spec)) = host::pod_spec(&loaded.object) else {
            continue;
        };
        if wants_token(spec) {
            texts.insert(format!(
                "error: {}:{}: {path}: a serviceAccountToken volume needs an API that takes the token, and `run` has none; use `wasmjob serve`, or leave the volume out",
                loaded.file, loaded.at
            ));
        }
        let namespace = namespace(&loaded.object);
        for reference in references(spec) {
            let place = format!("error: {}:{}: {path}", loaded.file, loaded.at);
            let (kind, name) = (reference.kind, reference.name);
            let or = match kind {
                "PersistentVolumeClaim" => "",
                _ => ", or mark the reference as optional",
            };
            let Some(object) = kept.get(&(kind, namespace, name)) else {
                texts.insert(format!(
                    "{place}: {kind} {namespace}/{name} is not in these files, and nobody else can make it; put it there{or}"
                ));
                continue;
            };
            for key in reference.keys {
                if !has(object, key, reference.is_variable) {
                    texts.insert(format!(
                        "{place}: {kind} {namespace}/{name} has no key {key:?}"
                    ));
                }
            }
        }
    }
    texts.into_iter().collect()
}

fn wants_token(spec: &PodSpec) -> bool {
    let volumes = spec.volumes.iter().flatten();
    let projected = volumes.filter_map(|volume| volume.projected.as_ref());
    let mut sources = projected.flat_map(|it| it.sources.iter().flatten());
    sources.any(|source| source.service_account_token.is_some())
}

fn namespace(object: &Object) -> &str {
    object.metadata().namespace.as_deref().unwrap_or("default")
}

fn has(object: &Kept, key: &str, is_variable: bool) -> bool {
    let is_in = |field: &str| object.json[field].get(key).is_some();
    is_in("data") || !is_variable && is_in("binaryData")
}

/// What must be there for the pod to start.
fn references(spec: &PodSpec) -> Vec<Reference<'_>> {
    let mut all = Vec::new();
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers) {
        variables(container, &mut all);
    }
    for volume in spec.volumes.iter().flatten() {
        files(volume, &mut all);
    }
    all
}

fn variables<'a>(container: &'a Container, all: &mut Vec<Reference<'a>>) {
    let mut add = |kind, name: &'a str, key: Option<&'a str>, optional: Option<bool>| {
        if optional != Some(true) {
            all.push(Reference {
                kind,
                name,
                keys: key.into_iter().collect(),
                is_variable: true,
            });
        }
    };
    for source in container.env_from.iter().flatten() {
        if let Some(it) = &source.config_map_ref {
            add("ConfigMap", &it.name, None, it.optional);
        }
        if let Some(it) = &source.secret_ref {
            add("Secret", &it.name, None, it.optional);
        }
    }
    let vars = container.env.iter().flatten();
    for source in vars.filter_map(|var| var.value_from.as_ref()) {
        if let Some(it) = &source.config_map_key_ref {
            add("ConfigMap", &it.name, Some(&it.key), it.optional);
        }
        if let Some(it) = &source.secret_key_ref {
            add("Secret", &it.name, Some(&it.key), it.optional);
        }
    }
}

fn files<'a>(volume: &'a Volume, all: &mut Vec<Reference<'a>>) {
    let mut add = |kind, name: &'a str, items: &'a Option<Vec<KeyToPath>>, optional| {
        if optional != Some(true) {
            all.push(Reference {
                kind,
                name,
                keys: items.iter().flatten().map(|it| it.key.as_str()).collect(),
                is_variable: false,
            });
        }
    };
    if let Some(it) = &volume.config_map {
        add("ConfigMap", &it.name, &it.items, it.optional);
    }
    if let Some(it) = &volume.secret {
        let name = it.secret_name.as_deref().unwrap_or_default();
        add("Secret", name, &it.items, it.optional);
    }
    if let Some(it) = &volume.persistent_volume_claim {
        add("PersistentVolumeClaim", &it.claim_name, &None, None);
    }
    let sources = volume.projected.as_ref().and_then(|it| it.sources.as_ref());
    for source in sources.into_iter().flatten() {
        if let Some(it) = &source.config_map {
            add("ConfigMap", &it.name, &it.items, it.optional);
        }
        if let Some(it) = &source.secret {
            add("Secret", &it.name, &it.items, it.optional);
        }
    }
}
