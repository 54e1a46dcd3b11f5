//! What users call resources, and what they name in arguments.
//!
//! The daemon serves the resources of one table; it is part of this binary, so no
//! discovery is needed to find `cj` in it.

use wasmjob_machinery::resource::{RESOURCES, Resource};

use super::failure::{Failure, Result};

/// What arguments name.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// All objects of these resources.
    Every(Vec<&'static Resource>),
    /// These objects.
    Named(Vec<(&'static Resource, String)>),
}

impl Wanted {
    /// Reads `RESOURCE[,RESOURCE] [NAME…]` or `RESOURCE/NAME…`.
    pub(crate) fn read(what: &[String]) -> Result<Self> {
        if what.iter().any(|word| word.contains('/')) {
            return what
                .iter()
                .map(|word| pair(word))
                .collect::<Result<_>>()
                .map(Self::Named);
        }
        let (types, names) = what
            .split_first()
            .ok_or_else(|| Failure::usage("a resource is needed, such as jobs"))?;
        let mut resources: Vec<&Resource> = Vec::new();
        for word in types.split(',') {
            for resource in resolve(word)? {
                if !resources.iter().any(|known| std::ptr::eq(*known, resource)) {
                    resources.push(resource);
                }
            }
        }
        if names.is_empty() {
            return Ok(Self::Every(resources));
        }
        let named = resources
            .iter()
            .flat_map(|resource| names.iter().map(move |name| (*resource, name.clone())));
        Ok(Self::Named(named.collect()))
    }

    /// Reads the same, but names are needed.
    pub(crate) fn read_named(what: &[String]) -> Result<Vec<(&'static Resource, String)>> {
        match Self::read(what)? {
            Self::Named(named) => Ok(named),
            Self::Every(_) => Err(Failure::usage("names are needed: TYPE NAME, or TYPE/NAME")),
        }
    }
}

fn pair(word: &str) -> Result<(&'static Resource, String)> {
    let (word, name) = word.split_once('/').ok_or_else(|| {
        Failure::usage(format!(
            "{word:?} is no RESOURCE/NAME: resources and names are not mixed with that form"
        ))
    })?;
    if name.is_empty() || name.contains('/') {
        return Err(Failure::usage(format!(
            "arguments in RESOURCE/NAME form have one resource and one name: {word}/{name}"
        )));
    }
    match resolve(word)?.as_slice() {
        [resource] => Ok((resource, name.to_owned())),
        _ => Err(Failure::usage(format!("{word} is no resource of one kind"))),
    }
}

/// The resource that `word` means, or those of a set such as `all`.
fn resolve(word: &str) -> Result<Vec<&'static Resource>> {
    let word = word.to_ascii_lowercase();
    let unknown = || Failure::other(format!("the server doesn't have a resource type {word:?}"));
    // Of a group with several versions, the first is preferred.
    let mut set: Vec<&Resource> = Vec::new();
    for resource in RESOURCES
        .iter()
        .filter(|it| it.categories.contains(&word.as_str()))
    {
        if !set.iter().any(|known| known.plural == resource.plural) {
            set.push(resource);
        }
    }
    if !set.is_empty() {
        return Ok(set);
    }
    let mut readable = RESOURCES.iter().filter(|resource| resource.supports("get"));
    let found = match word.split_once('.') {
        None => readable.find(|resource| is_called(resource, &word)),
        Some((name, rest)) => readable.find(|resource| {
            is_called(resource, name)
                && (rest == resource.group
                    || rest.split_once('.') == Some((resource.version, resource.group)))
        }),
    };
    found.map(|resource| vec![resource]).ok_or_else(unknown)
}

fn is_called(resource: &Resource, name: &str) -> bool {
    // Some resources have no singular.
    !name.is_empty()
        && (resource.plural == name
            || resource.singular == name
            || resource.short_names.contains(&name)
            || resource.kind.eq_ignore_ascii_case(name))
}

/// The resource that is found without doubt.
pub(crate) fn known(group: &str, version: &str, plural: &str) -> Result<&'static Resource> {
    wasmjob_machinery::resource::find(group, version, plural).ok_or_else(|| {
        Failure::other(format!(
            "the server doesn't have a resource type {plural:?}"
        ))
    })
}

/// `job.batch`, and `pod` in the core group: as objects are named in output.
pub(crate) fn called(resource: &Resource) -> String {
    let kind = resource.kind.to_ascii_lowercase();
    match resource.group {
        "" => kind,
        group => format!("{kind}.{group}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, resolve};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn resources_are_known_by_all_their_names() {
        for (word, expected) in [
            ("jobs", "batch/v1/jobs"),
            ("Job", "batch/v1/jobs"),
            ("jobs.batch", "batch/v1/jobs"),
            ("cj", "batch/v1/cronjobs"),
            ("cronjobs.v1beta1.batch", "batch/v1beta1/cronjobs"),
            ("po", "/v1/pods"),
            ("pods", "/v1/pods"),
            ("ev", "/v1/events"),
            ("pods.metrics.k8s.io", "metrics.k8s.io/v1beta1/pods"),
            ("ns", "/v1/namespaces"),
        ] {
            let found = resolve(word).unwrap();
            let [found] = found.as_slice() else {
                panic!("{word}: {found:?}");
            };
            let found = format!("{}/{}/{}", found.group, found.version, found.plural);
            assert_eq!(found, expected, "{word}");
        }
        for word in ["deployments", "jobs.apps", "", "tokenreviews"] {
            assert!(resolve(word).is_err(), "{word}");
        }
        let all: Vec<_> = resolve("all").unwrap().iter().map(|it| it.plural).collect();
        assert_eq!(all, ["pods", "services", "cronjobs", "jobs"]);
    }

    #[test]
    fn arguments_name_resources_or_objects() {
        let Wanted::Every(every) = Wanted::read(&words("jobs,po,job")).unwrap() else {
            panic!("names?");
        };
        assert_eq!(every.len(), 2);
        let Wanted::Named(named) = Wanted::read(&words("jobs,po a b")).unwrap() else {
            panic!("no names?");
        };
        let named: Vec<_> = named
            .iter()
            .map(|(it, name)| format!("{}/{name}", it.plural))
            .collect();
        assert_eq!(named, ["jobs/a", "jobs/b", "pods/a", "pods/b"]);
        assert!(
            matches!(Wanted::read(&words("job/a po/b")), Ok(Wanted::Named(named)) if named.len() == 2)
        );
        for wrong in ["job/a b", "job/", "job/a/b", "all/x", "nothing"] {
            assert!(Wanted::read(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
