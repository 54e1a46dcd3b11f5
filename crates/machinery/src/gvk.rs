//! Which message the objects of an `apiVersion` and a `kind` are.
//!
//! The resources say most of it. `batch/v1beta1` has the messages of `batch/v1`, and
//! the options of a deletion are the same in every group version.

use crate::resource::RESOURCES;
use crate::types::{self, Message};

/// What an `apiVersion` and a `kind` stand for.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One object.
    Object(&'static Message),
    /// A list (`metadata`, `items`) of such objects.
    List(&'static Message),
}

/// Kinds that are no resource's.
const OTHERS: &[(&str, &str, &str)] = &[
    ("v1", "PodTemplate", "core.v1.PodTemplate"),
    ("v1", "Status", "meta.v1.Status"),
    (
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        "certificates.v1.CertificateSigningRequest",
    ),
    ("node.k8s.io/v1", "RuntimeClass", "node.v1.RuntimeClass"),
    (
        "storage.k8s.io/v1",
        "StorageClass",
        "storage.v1.StorageClass",
    ),
];

/// The message of the objects of that kind.
#[must_use]
pub fn message(api_version: &str, kind: &str) -> Option<&'static Message> {
    types::message(name(api_version, kind)?)
}

/// What the kind stands for: an object, or a list of them (`JobList`).
#[must_use]
pub fn shape(api_version: &str, kind: &str) -> Option<Shape> {
    match message(api_version, kind) {
        Some(message) => Some(Shape::Object(message)),
        None => message(api_version, kind.strip_suffix("List")?).map(Shape::List),
    }
}

fn name(api_version: &str, kind: &str) -> Option<&'static str> {
    if kind == "DeleteOptions" {
        return Some("meta.v1.DeleteOptions");
    }
    for resource in RESOURCES {
        if resource.kind == kind && resource.api_version() == api_version {
            return Some(resource.message);
        }
        for sub in resource.subresources {
            if sub.kind == kind
                && !sub.message.is_empty()
                && sub.api_version(resource) == api_version
            {
                return Some(sub.message);
            }
        }
    }
    OTHERS
        .iter()
        .find(|(version, name, _)| (*version, *name) == (api_version, kind))
        .map(|(_, _, message)| *message)
}

#[cfg(test)]
mod tests {
    use super::{OTHERS, Shape, message, shape};
    use crate::resource::RESOURCES;

    #[test]
    fn every_kind_that_is_served_has_a_message() {
        for resource in RESOURCES {
            let found = message(&resource.api_version(), resource.kind).unwrap();
            assert_eq!(found.name, resource.message);
            for sub in resource
                .subresources
                .iter()
                .filter(|s| !s.message.is_empty())
            {
                let found = message(&sub.api_version(resource), sub.kind).unwrap();
                assert_eq!(found.name, sub.message);
            }
        }
        for (version, kind, name) in OTHERS {
            assert_eq!(message(version, kind).unwrap().name, *name);
        }
    }

    #[test]
    fn old_versions_lists_and_options_are_known() {
        assert_eq!(
            message("batch/v1beta1", "CronJob").unwrap().name,
            "batch.v1.CronJob"
        );
        assert!(
            matches!(shape("batch/v1", "JobList"), Some(Shape::List(m)) if m.name == "batch.v1.Job")
        );
        assert!(message("batch/v1", "DeleteOptions").is_some());
        assert!(message("batch/v1beta1", "Job").is_none());
        assert!(shape("v1", "List").is_none());
    }
}
