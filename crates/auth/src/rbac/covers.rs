//! Whether some rules allow everything that others do.
//!
//! As in Kubernetes, what is wanted is broken down into atoms, one verb on one
//! resource (with one name), and each atom must be covered by one rule that is
//! held. Unlike there, the number of atoms is bounded: a role of a few megabytes
//! can have more of them than a machine can count.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::matching::{ALL, has, has_or_all, url_covers};
use super::objects::PolicyRule;

/// A role of 10 groups, 100 resources and 10 verbs has a tenth of it.
const ATOMS_MAX: usize = 100_000;

/// There are more atoms than are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMany;

/// The atoms of `wanted` that no rule of `held` covers.
pub(crate) fn covers<H: Borrow<PolicyRule>>(
    held: &[H],
    wanted: &[PolicyRule],
) -> Result<Vec<PolicyRule>, TooMany> {
    let mut missing = Vec::new();
    let mut atoms_seen = 0_usize;
    for rule in wanted {
        // Most often one rule covers a whole rule; then nothing is broken down.
        if held.iter().any(|own| own.borrow().covers_whole(rule)) {
            continue;
        }
        atoms_seen = rule
            .atoms_count()
            .and_then(|n| n.checked_add(atoms_seen))
            .ok_or(TooMany)?;
        if atoms_seen > ATOMS_MAX {
            return Err(TooMany);
        }
        missing.extend(
            rule.atoms()
                .into_iter()
                .filter(|atom| !held.iter().any(|own| own.borrow().covers_whole(atom))),
        );
    }
    Ok(missing)
}

/// Joins atoms that differ in their verb only.
pub(crate) fn compact(atoms: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let (mut compacted, mut simple) = (Vec::new(), BTreeMap::<_, Vec<String>>::new());
    for atom in atoms {
        match (atom.api_groups.as_slice(), atom.resources.as_slice()) {
            ([group], [resource])
                if atom.resource_names.is_empty() && atom.non_resource_urls.is_empty() =>
            {
                let key = (group.clone(), resource.clone());
                simple.entry(key).or_default().extend(atom.verbs);
            }
            _ => compacted.push(atom),
        }
    }
    compacted.extend(
        simple
            .into_iter()
            .map(|((group, resource), verbs)| PolicyRule {
                api_groups: vec![group],
                resources: vec![resource],
                verbs,
                ..PolicyRule::default()
            }),
    );
    compacted
}

impl PolicyRule {
    fn atoms_count(&self) -> Option<usize> {
        let names = self.resource_names.len().max(1);
        self.api_groups
            .len()
            .checked_mul(self.resources.len())?
            .checked_mul(names)?
            .checked_add(self.non_resource_urls.len())?
            .checked_mul(self.verbs.len())
    }

    fn atoms(&self) -> Vec<Self> {
        let mut atoms = Vec::new();
        for group in &self.api_groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    let atom = Self {
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        verbs: vec![verb.clone()],
                        ..Self::default()
                    };
                    if self.resource_names.is_empty() {
                        atoms.push(atom);
                        continue;
                    }
                    atoms.extend(self.resource_names.iter().map(|name| Self {
                        resource_names: vec![name.clone()],
                        ..atom.clone()
                    }));
                }
            }
        }
        for url in &self.non_resource_urls {
            atoms.extend(self.verbs.iter().map(|verb| Self {
                non_resource_urls: vec![url.clone()],
                verbs: vec![verb.clone()],
                ..Self::default()
            }));
        }
        atoms
    }

    /// Whether this one rule allows everything that another does.
    fn covers_whole(&self, other: &Self) -> bool {
        let names = if other.resource_names.is_empty() {
            self.resource_names.is_empty()
        } else {
            self.resource_names.is_empty()
                || other
                    .resource_names
                    .iter()
                    .all(|name| has(&self.resource_names, name))
        };
        names
            && other.verbs.iter().all(|verb| has_or_all(&self.verbs, verb))
            && other
                .api_groups
                .iter()
                .all(|group| has_or_all(&self.api_groups, group))
            && other
                .resources
                .iter()
                .all(|resource| self.covers_resource(resource))
            && other.non_resource_urls.iter().all(|path| {
                self.non_resource_urls
                    .iter()
                    .any(|url| url_covers(url, path))
            })
    }

    fn covers_resource(&self, resource: &str) -> bool {
        let subresource = resource.split_once('/').map(|(_, subresource)| subresource);
        self.resources.iter().any(|own| {
            own == ALL
                || own == resource
                || own
                    .strip_prefix("*/")
                    .is_some_and(|rest| Some(rest) == subresource)
        })
    }
}

#[cfg(test)]
mod tests;
