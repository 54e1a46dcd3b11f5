//! Metadata: names, labels, annotations, owners, finalizers
//! (`k8s.io/apimachinery/pkg/api/validation/objectmeta.go`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{Errors, names, text};
use crate::field::{Error, ErrorList, Path};

/// Keys and values of all annotations together.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;

/// How the objects of a kind may be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// A DNS subdomain of RFC 1123, as of most kinds.
    Subdomain,
    /// A DNS label of RFC 1123, as of namespaces.
    Label,
    /// Anything that can stand in a path, as of roles.
    PathSegment,
}

impl NameRule {
    /// What is wrong with a name, or with the prefix of one.
    fn check(self, name: &str, prefix: bool) -> Vec<String> {
        // The suffix that will follow may end in what a prefix may not.
        let named = match prefix {
            true => format!("{}a", name.strip_suffix('-').unwrap_or(name)),
            false => name.to_owned(),
        };
        match self {
            Self::Subdomain => names::dns1123_subdomain(&named),
            Self::Label => names::dns1123_label(&named),
            Self::PathSegment if !prefix && matches!(name, "." | "..") => {
                vec![format!("may not be '{name}'")]
            }
            Self::PathSegment => {
                let found = ['/', '%'].into_iter().filter(|sign| name.contains(*sign));
                found
                    .map(|sign| format!("may not contain '{sign}'"))
                    .collect()
            }
        }
    }
}

/// What is wrong with the metadata of any new object.
#[must_use]
pub fn validate_metadata(metadata: &ObjectMeta, rule: NameRule, namespaced: bool) -> ErrorList {
    let mut errors = Errors::new();
    new_object(
        &mut errors,
        metadata,
        &Path::new("metadata"),
        rule,
        namespaced,
    );
    errors.into_list()
}

/// What is wrong with the metadata of any object after an update.
#[must_use]
pub fn validate_metadata_update(new: &ObjectMeta, old: &ObjectMeta) -> ErrorList {
    let mut errors = Errors::new();
    object_meta_update(&mut errors, new, old, &Path::new("metadata"));
    errors.into_list()
}

/// Metadata of an object of a namespace whose name is a DNS subdomain.
pub(super) fn object_meta(errors: &mut Errors, metadata: &ObjectMeta, path: &Path) {
    new_object(errors, metadata, path, NameRule::Subdomain, true);
}

fn new_object(
    errors: &mut Errors,
    metadata: &ObjectMeta,
    path: &Path,
    rule: NameRule,
    namespaced: bool,
) {
    let prefix = text(&metadata.generate_name);
    if !prefix.is_empty() {
        for message in rule.check(prefix, true) {
            errors.push(Error::invalid(&path.child("generateName"), prefix, message));
        }
    }
    let name = text(&metadata.name);
    if name.is_empty() {
        errors.push(Error::required(
            &path.child("name"),
            "name or generateName is required",
        ));
    } else {
        for message in rule.check(name, false) {
            errors.push(Error::invalid(&path.child("name"), name, message));
        }
    }
    let namespace = text(&metadata.namespace);
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(Error::required(&path.child("namespace"), "")),
        (true, false) => errors.dns_label(namespace, &path.child("namespace")),
        (false, true) => {}
        (false, false) => errors.push(Error::forbidden(
            &path.child("namespace"),
            "not allowed on this type",
        )),
    }
    rest(errors, metadata, path);
}

fn rest(errors: &mut Errors, metadata: &ObjectMeta, path: &Path) {
    errors.not_negative(metadata.generation, &path.child("generation"));
    labels(errors, metadata.labels.as_ref(), &path.child("labels"));
    annotations(
        errors,
        metadata.annotations.as_ref(),
        &path.child("annotations"),
    );
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    owner_references(errors, owners, &path.child("ownerReferences"));
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    for (index, finalizer) in finalizers.iter().enumerate() {
        let path = path.child("finalizers").index(index);
        errors.qualified_name(finalizer, &path);
        const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
        if !finalizer.contains('/') && !STANDARD.contains(&finalizer.as_str()) {
            let message = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&path, finalizer, message));
        }
    }
}

/// Metadata after an update: what creation fixed stays.
pub(super) fn object_meta_update(
    errors: &mut Errors,
    new: &ObjectMeta,
    old: &ObjectMeta,
    path: &Path,
) {
    if text(&new.resource_version).is_empty() {
        let message = "must be specified for an update";
        errors.push(Error::invalid(&path.child("resourceVersion"), "", message));
    }
    if new.generation.unwrap_or(0) < old.generation.unwrap_or(0) {
        let message = "must not be decremented";
        let generation = new.generation.unwrap_or(0);
        errors.push(Error::invalid(
            &path.child("generation"),
            &generation,
            message,
        ));
    }
    errors.immutable(&new.name, &old.name, &path.child("name"));
    errors.immutable(&new.namespace, &old.namespace, &path.child("namespace"));
    errors.immutable(&new.uid, &old.uid, &path.child("uid"));
    let created = path.child("creationTimestamp");
    errors.immutable(&new.creation_timestamp, &old.creation_timestamp, &created);
    let deletion = path.child("deletionTimestamp");
    errors.immutable(&new.deletion_timestamp, &old.deletion_timestamp, &deletion);
    let grace = path.child("deletionGracePeriodSeconds");
    errors.immutable(
        &new.deletion_grace_period_seconds,
        &old.deletion_grace_period_seconds,
        &grace,
    );
    rest(errors, new, path);
}

pub(super) fn labels(errors: &mut Errors, labels: Option<&BTreeMap<String, String>>, path: &Path) {
    for (key, value) in labels.into_iter().flatten() {
        errors.qualified_name(key, path);
        for message in names::label_value(value) {
            errors.push(Error::invalid(&path.key(key), value, message));
        }
    }
}

pub(super) fn annotations(
    errors: &mut Errors,
    annotations: Option<&BTreeMap<String, String>>,
    path: &Path,
) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        // Old annotations have capitals in their prefix.
        for message in names::qualified_name(&key.to_lowercase()) {
            errors.push(Error::invalid(path, key, message));
        }
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

fn owner_references(errors: &mut Errors, owners: &[OwnerReference], path: &Path) {
    for (index, owner) in owners.iter().enumerate() {
        let path = path.index(index);
        if owner.api_version.is_empty() {
            let message = "version must not be empty";
            errors.push(Error::invalid(
                &path.child("apiVersion"),
                &owner.api_version,
                message,
            ));
        }
        let parts = [
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ];
        for (field, value, message) in parts {
            if value.is_empty() {
                errors.push(Error::invalid(&path.child(field), value, message));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            let message = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(Error::invalid(&path, owner, message));
        }
    }
    let controllers: Vec<&OwnerReference> = owners
        .iter()
        .filter(|owner| owner.controller == Some(true))
        .collect();
    if let [first, second, ..] = controllers.as_slice() {
        let message = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            first.name, second.name
        );
        errors.push(Error::invalid(path, owners, message));
    }
}
