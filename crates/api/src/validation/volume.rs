//! Volumes.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use serde_json::Value as Json;

use super::{Errors, text};
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
    if let Some(claim) = &volume.persistent_volume_claim
        && claim.claim_name.is_empty()
    {
        errors.push(Error::required(
            &path.child("persistentVolumeClaim.claimName"),
            "",
        ));
    }
}
