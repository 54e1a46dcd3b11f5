//! Roles that are the sum of others, chosen by labels.
//!
//! Kubernetes has a controller that copies rules until nothing changes. Here the
//! sum is computed when it is needed: all rules of all roles that are reached,
//! also over other sums, and in circles only once. The rules that stand in such a
//! role itself do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::objects::{ClusterRole, LabelSelector, PolicyRule};

/// Rules that are shared between the roles that they are part of.
pub(super) type SharedRules = Arc<[Arc<PolicyRule>]>;

/// The rules of every role by its name, sums included.
pub(super) fn all_rules(roles: &[ClusterRole]) -> BTreeMap<String, SharedRules> {
    let index = Index::new(roles);
    let names = index.roles.keys();
    names
        .map(|name| ((*name).to_owned(), index.rules_of(name)))
        .collect()
}

/// What must stand in the `rules` of each role that is a sum, by its name; for the
/// caller to write it there, so that clients see it.
#[must_use]
pub fn aggregated_rules(roles: &[ClusterRole]) -> BTreeMap<String, Vec<PolicyRule>> {
    let index = Index::new(roles);
    let sums = index
        .roles
        .iter()
        .filter(|(_, (role, _))| role.aggregation_rule.is_some());
    sums.map(|(name, _)| {
        let rules = index.rules_of(name);
        (
            (*name).to_owned(),
            rules.iter().map(|rule| PolicyRule::clone(rule)).collect(),
        )
    })
    .collect()
}

struct Index<'a> {
    roles: BTreeMap<&'a str, (&'a ClusterRole, SharedRules)>,
}

impl<'a> Index<'a> {
    fn new(roles: &'a [ClusterRole]) -> Self {
        let entry = |role: &'a ClusterRole| {
            let rules = role.rules.iter().cloned().map(Arc::new).collect();
            (role.metadata.name.as_str(), (role, rules))
        };
        Self {
            roles: roles.iter().map(entry).collect(),
        }
    }

    fn rules_of(&self, name: &str) -> SharedRules {
        match self.roles.get(name) {
            None => Arc::default(),
            Some((
                ClusterRole {
                    aggregation_rule: None,
                    ..
                },
                rules,
            )) => rules.clone(),
            Some((role, _)) => self.sum(role),
        }
    }

    fn sum(&self, role: &'a ClusterRole) -> SharedRules {
        let mut seen = BTreeSet::from([role.metadata.name.as_str()]);
        let (mut rules, mut known) = (Vec::new(), BTreeSet::new());
        // A stack and no recursion: a chain of sums may be long.
        let mut waiting = self.parts(role);
        while let Some(name) = waiting.pop() {
            let Some((part, own)) = self.roles.get(name).filter(|_| seen.insert(name)) else {
                continue;
            };
            if part.aggregation_rule.is_some() {
                waiting.extend(self.parts(part));
                continue;
            }
            rules.extend(
                own.iter()
                    .filter(|rule| known.insert(Arc::clone(rule)))
                    .cloned(),
            );
        }
        rules.into()
    }

    /// The roles that a sum selects, the first one last.
    fn parts(&self, role: &ClusterRole) -> Vec<&'a str> {
        let selectors = role
            .aggregation_rule
            .iter()
            .flat_map(|rule| &rule.cluster_role_selectors);
        let mut parts: Vec<_> = selectors
            .flat_map(|selector| {
                let selected = self
                    .roles
                    .iter()
                    .filter(move |(_, (role, _))| selector.matches(&role.metadata.labels));
                selected.map(|(name, _)| *name)
            })
            .collect();
        parts.reverse();
        parts
    }
}

impl LabelSelector {
    /// Whether all conditions hold. An empty selector selects everything; one with
    /// an operator that does not exist selects nothing.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let listed = value.is_some_and(|value| requirement.values.contains(value));
                match requirement.operator.as_str() {
                    "In" => listed,
                    "NotIn" => !listed,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}

#[cfg(test)]
mod tests;
