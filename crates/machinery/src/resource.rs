//! What is served: one list of the resources, from which routes, discovery, OpenAPI
//! and the wording of errors follow.
//!
//! Names, short names, categories and verbs are those of Kubernetes 1.36, so that
//! `kubectl` finds here what it finds there. What cannot be listed is not advertised
//! as listable: clients list whatever discovery names.

mod table;

use std::fmt;

pub use table::RESOURCES;

/// A resource: what stands behind one plural of one group version.
#[derive(Debug)]
pub struct Resource {
    /// The group, e.g. `batch`; empty for the core group.
    pub group: &'static str,
    /// The version, e.g. `v1`.
    pub version: &'static str,
    /// The name in paths, e.g. `jobs`.
    pub plural: &'static str,
    /// The name of one, e.g. `job`.
    pub singular: &'static str,
    /// The kind, e.g. `Job`.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Abbreviations, e.g. `cj`.
    pub short_names: &'static [&'static str],
    /// Sets it belongs to, e.g. `all`.
    pub categories: &'static [&'static str],
    /// What can be done, e.g. `list`; sorted.
    pub verbs: &'static [&'static str],
    /// What hangs below one object, e.g. `status`.
    pub subresources: &'static [Subresource],
    /// The message of its objects in [`crate::types`], e.g. `batch.v1.Job`.
    pub message: &'static str,
}

/// What hangs below one object of a [`Resource`].
#[derive(Debug)]
pub struct Subresource {
    /// The last part of the path, e.g. `status`.
    pub name: &'static str,
    /// The group of its kind where that is not the resource's; else empty.
    pub group: &'static str,
    /// The version of its kind where that is not the resource's; else empty.
    pub version: &'static str,
    /// The kind that it takes and gives, e.g. `Job`, `Eviction`.
    pub kind: &'static str,
    /// What can be done; sorted.
    pub verbs: &'static [&'static str],
    /// The message of the kind in [`crate::types`]; empty if it is no object (`exec`).
    pub message: &'static str,
}

/// A resource with its group: `jobs.batch`, and `pods` in the core group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qualified<'a> {
    /// The plural, or the kind.
    pub name: &'a str,
    /// The group; empty for the core group.
    pub group: &'a str,
}

impl fmt::Display for Qualified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

impl Resource {
    /// `group/version`, and `v1` for the core group: the `apiVersion` of its objects.
    #[must_use]
    pub fn api_version(&self) -> String {
        join(self.group, self.version)
    }

    /// The kind of a list of its objects, e.g. `JobList`.
    #[must_use]
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Whether `verb` (`get`, `list`, `deletecollection`, …) is supported.
    #[must_use]
    pub fn supports(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The subresource with that name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// As errors name it: `jobs.batch`.
    #[must_use]
    pub const fn qualified(&self) -> Qualified<'static> {
        Qualified {
            name: self.plural,
            group: self.group,
        }
    }

    /// Its kind as errors name it: `Job.batch`.
    #[must_use]
    pub const fn qualified_kind(&self) -> Qualified<'static> {
        Qualified {
            name: self.kind,
            group: self.group,
        }
    }
}

impl Subresource {
    /// Whether `verb` is supported.
    #[must_use]
    pub fn supports(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The `apiVersion` of what it takes and gives, below `resource`.
    #[must_use]
    pub fn api_version(&self, resource: &Resource) -> String {
        if self.version.is_empty() {
            resource.api_version()
        } else {
            join(self.group, self.version)
        }
    }
}

/// The resource at that group, version and plural.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.group == group && r.version == version && r.plural == plural)
}

/// The resource whose objects have that `apiVersion` and `kind`. It is none for kinds
/// that only subresources take, such as `Eviction`.
#[must_use]
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Resource> {
    let (group, version) = split(api_version);
    RESOURCES
        .iter()
        .find(|r| r.group == group && r.version == version && r.kind == kind)
}

/// All groups but the core group, in the order in which clients should prefer them.
#[must_use]
pub fn groups() -> Vec<&'static str> {
    let mut groups = Vec::new();
    for resource in RESOURCES {
        if !resource.group.is_empty() && !groups.contains(&resource.group) {
            groups.push(resource.group);
        }
    }
    groups
}

/// The versions of a group, the preferred one first; none for an unknown group.
#[must_use]
pub fn versions(group: &str) -> Vec<&'static str> {
    let mut versions = Vec::new();
    for resource in RESOURCES.iter().filter(|r| r.group == group) {
        if !versions.contains(&resource.version) {
            versions.push(resource.version);
        }
    }
    versions
}

/// The resources of a group version, in order of their names; none if it is unknown.
pub fn of(group: &str, version: &str) -> impl Iterator<Item = &'static Resource> {
    RESOURCES
        .iter()
        .filter(move |r| r.group == group && r.version == version)
}

/// Group and version of an `apiVersion`.
#[must_use]
pub fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The `apiVersion` of a group and a version.
#[must_use]
pub fn join(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

#[cfg(test)]
mod tests;
