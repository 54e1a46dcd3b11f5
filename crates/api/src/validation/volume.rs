//! Volumes.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, PodSpec, ProjectedVolumeSource, Volume,
};
use serde_json::Value as Json;

use super::{Errors, env, text};
use crate::Quantity;
use crate::field::{Error, Path};

/// Checks the volumes of `spec`, and returns their names.
pub(super) fn volumes<'a>(errors: &mut Errors, spec: &'a PodSpec, path: &Path) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = path.index(index);
        if volume.name.is_empty() {
            errors.push(Error::required(&path.child("name"), ""));
        } else {
            errors.dns_label(&volume.name, &path.child("name"));
        }
        if !volume.name.is_empty() && !names.insert(volume.name.as_str()) {
            errors.push(Error::duplicate(&path.child("name"), &volume.name));
        }
        source(errors, volume, &path);
    }
    names
}

/// The names of the sources that `volume` has; one, if it is valid.
pub(crate) fn sources(volume: &Volume) -> Vec<String> {
    let Ok(Json::Object(object)) = serde_json::to_value(volume) else {
        return Vec::new();
    };
    object
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name != "name")
        .collect()
}

fn source(errors: &mut Errors, volume: &Volume, path: &Path) {
    let sources = sources(volume);
    if sources.is_empty() {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    for source in sources.iter().skip(1) {
        let message = "may not specify more than 1 volume type";
        errors.push(Error::forbidden(&path.child(source), message));
    }
    if let Some(empty_dir) = &volume.empty_dir {
        let limit = empty_dir
            .size_limit
            .as_ref()
            .map(|limit| limit.0.parse::<Quantity>());
        if limit.is_some_and(|limit| limit.map_or(true, Quantity::is_negative)) {
            let message = "SizeLimit field must be a valid resource quantity";
            errors.push(Error::forbidden(&path.child("emptyDir.sizeLimit"), message));
        }
    }
    if let Some(host_path) = &volume.host_path {
        const TYPES: [&str; 8] = [
            "",
            "BlockDevice",
            "CharDevice",
            "Directory",
            "DirectoryOrCreate",
            "File",
            "FileOrCreate",
            "Socket",
        ];
        let path = path.child("hostPath");
        if host_path.path.is_empty() {
            errors.push(Error::required(&path.child("path"), ""));
        } else if host_path.path.split('/').any(|part| part == "..") {
            let message = "must not contain '..'";
            errors.push(Error::invalid(
                &path.child("path"),
                &host_path.path,
                message,
            ));
        }
        let kind = text(&host_path.type_);
        if !TYPES.contains(&kind) {
            errors.push(Error::not_supported(&path.child("type"), kind, &TYPES[1..]));
        }
    }
    if let Some(config_map) = &volume.config_map {
        let path = path.child("configMap");
        named(errors, &config_map.name, &path.child("name"));
        mode(errors, config_map.default_mode, &path.child("defaultMode"));
        keys(errors, &config_map.items, &path.child("items"));
    }
    if let Some(secret) = &volume.secret {
        let path = path.child("secret");
        named(errors, text(&secret.secret_name), &path.child("secretName"));
        mode(errors, secret.default_mode, &path.child("defaultMode"));
        keys(errors, &secret.items, &path.child("items"));
    }
    if let Some(downward) = &volume.downward_api {
        let path = path.child("downwardAPI");
        mode(errors, downward.default_mode, &path.child("defaultMode"));
        fields(errors, &downward.items, &path.child("items"));
    }
    if let Some(projected) = &volume.projected {
        projection(errors, projected, &path.child("projected"));
    }
    if let Some(claim) = &volume.persistent_volume_claim
        && claim.claim_name.is_empty()
    {
        errors.push(Error::required(
            &path.child("persistentVolumeClaim.claimName"),
            "",
        ));
    }
}

/// The name of what a volume is made of.
fn named(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(Error::required(path, ""));
    }
}

fn mode(errors: &mut Errors, mode: Option<i32>, path: &Path) {
    if let Some(mode) = mode
        && !(0..=0o777).contains(&mode)
    {
        let message = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(Error::invalid(path, &mode, message));
    }
}

/// `items` of a ConfigMap or a Secret.
fn keys(errors: &mut Errors, items: &Option<Vec<KeyToPath>>, path: &Path) {
    for (index, item) in items.iter().flatten().enumerate() {
        let path = path.index(index);
        if item.key.is_empty() {
            errors.push(Error::required(&path.child("key"), ""));
        }
        place(errors, &item.path, &path.child("path"));
        mode(errors, item.mode, &path.child("mode"));
    }
}

/// `items` of the downward API.
fn fields(errors: &mut Errors, items: &Option<Vec<DownwardAPIVolumeFile>>, path: &Path) {
    for (index, item) in items.iter().flatten().enumerate() {
        let path = path.index(index);
        place(errors, &item.path, &path.child("path"));
        mode(errors, item.mode, &path.child("mode"));
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), None) => env::volume_field(errors, field, &path.child("fieldRef")),
            (None, Some(resource)) => {
                let path = path.child("resourceFieldRef");
                if text(&resource.container_name).is_empty() {
                    errors.push(Error::required(&path.child("containerName"), ""));
                }
                env::resource(errors, &resource.resource, &path.child("resource"));
            }
            (None, None) => {
                let message = "one of fieldRef and resourceFieldRef is required";
                errors.push(Error::required(&path, message));
            }
            (Some(_), Some(_)) => {
                let message = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(&path, "resource", message));
            }
        }
    }
}

fn projection(errors: &mut Errors, projected: &ProjectedVolumeSource, path: &Path) {
    mode(errors, projected.default_mode, &path.child("defaultMode"));
    for (index, source) in projected.sources.iter().flatten().enumerate() {
        let path = path.child("sources").index(index);
        let set = [
            source.config_map.is_some(),
            source.secret.is_some(),
            source.downward_api.is_some(),
            source.service_account_token.is_some(),
            source.cluster_trust_bundle.is_some(),
            source.pod_certificate.is_some(),
        ];
        if set.iter().filter(|is_set| **is_set).count() > 1 {
            let message = "may not specify more than 1 volume type";
            errors.push(Error::forbidden(&path, message));
        }
        if let Some(config_map) = &source.config_map {
            let path = path.child("configMap");
            named(errors, &config_map.name, &path.child("name"));
            keys(errors, &config_map.items, &path.child("items"));
        }
        if let Some(secret) = &source.secret {
            let path = path.child("secret");
            named(errors, &secret.name, &path.child("name"));
            keys(errors, &secret.items, &path.child("items"));
        }
        if let Some(downward) = &source.downward_api {
            fields(errors, &downward.items, &path.child("downwardAPI.items"));
        }
        if let Some(token) = &source.service_account_token {
            let path = path.child("serviceAccountToken");
            place(errors, &token.path, &path.child("path"));
            let seconds = token.expiration_seconds.unwrap_or(3600);
            let path = path.child("expirationSeconds");
            if seconds < 600 {
                let message = "may not specify a duration less than 10 minutes";
                errors.push(Error::invalid(&path, &seconds, message));
            }
            if seconds > 1 << 32 {
                let message = "may not specify a duration larger than 2^32 seconds";
                errors.push(Error::invalid(&path, &seconds, message));
            }
        }
    }
}

/// A path inside a volume (`validateLocalNonReservedPath`).
fn place(errors: &mut Errors, value: &str, path: &Path) {
    if value.is_empty() {
        return errors.push(Error::required(path, ""));
    }
    if value.starts_with('/') {
        errors.push(Error::invalid(path, value, "must be a relative path"));
    }
    if value.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, value, "must not contain '..'"));
    } else if value.starts_with("..") {
        errors.push(Error::invalid(path, value, "must not start with '..'"));
    }
}
