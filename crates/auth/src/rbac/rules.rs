//! The index over roles and bindings, and the answers that it gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::aggregation::{SharedRules, all_rules};
use super::error::RoleError;
use super::objects::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use crate::attributes::Attributes;
use crate::identity::{MASTERS, User, service_account};
use crate::text::quoted;

/// All roles and bindings that exist.
#[derive(Clone, Default, Debug)]
pub struct Objects {
    /// All `Role`s.
    pub roles: Vec<Role>,
    /// All `ClusterRole`s.
    pub cluster_roles: Vec<ClusterRole>,
    /// All `RoleBinding`s.
    pub role_bindings: Vec<RoleBinding>,
    /// All `ClusterRoleBinding`s.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why, in Kubernetes' words; of a denial often empty, and otherwise what was
    /// wrong with the user's bindings.
    pub reason: String,
}

/// What a user has been given.
#[derive(Clone, Default, Debug)]
pub struct UserRules {
    /// The rules, those of the cluster first.
    pub rules: Vec<Arc<PolicyRule>>,
    /// Why there may be fewer than somebody meant to give; at most 16 reasons.
    pub errors: Vec<RoleError>,
}

/// The index. It is made from all objects at once, and never changes.
#[derive(Default)]
pub struct Rules {
    roles: BTreeMap<String, BTreeMap<String, SharedRules>>,
    cluster_roles: BTreeMap<String, SharedRules>,
    everywhere: Grants,
    by_namespace: BTreeMap<String, Grants>,
}

/// Bindings of one scope, by whom they are for.
#[derive(Default)]
struct Grants {
    users: BTreeMap<String, Vec<Grant>>,
    groups: BTreeMap<String, Vec<Grant>>,
}

struct Grant {
    binding: Arc<Binding>,
    subject: usize,
}

struct Binding {
    /// `ClusterRoleBinding "x"` or `RoleBinding "x/namespace"`.
    shown: String,
    role: RoleRef,
    rules: Result<SharedRules, RoleError>,
    subjects: Vec<Subject>,
    namespace: String,
}

impl Rules {
    /// Makes the index. Objects of one name: the last one counts.
    #[must_use]
    pub fn new(objects: &Objects) -> Self {
        let mut index = Self {
            cluster_roles: all_rules(&objects.cluster_roles),
            ..Self::default()
        };
        for Role { metadata, rules } in &objects.roles {
            let rules = rules.iter().cloned().map(Arc::new).collect();
            let namespace = index.roles.entry(metadata.namespace.clone()).or_default();
            namespace.insert(metadata.name.clone(), rules);
        }
        // By name, so that the reason of an answer does not depend on the store.
        let bindings: BTreeMap<_, _> = objects
            .cluster_role_bindings
            .iter()
            .map(|b| (b.metadata.name.as_str(), b))
            .collect();
        for (
            name,
            ClusterRoleBinding {
                subjects, role_ref, ..
            },
        ) in bindings
        {
            let binding = Binding {
                shown: format!("ClusterRoleBinding {}", quoted(name)),
                role: role_ref.clone(),
                rules: index.referred(role_ref, ""),
                subjects: subjects.clone(),
                namespace: String::new(),
            };
            index.everywhere.add(binding);
        }
        let key = |b: &RoleBinding| (b.metadata.namespace.clone(), b.metadata.name.clone());
        let bindings: BTreeMap<_, _> = objects.role_bindings.iter().map(|b| (key(b), b)).collect();
        for (
            (namespace, name),
            RoleBinding {
                subjects, role_ref, ..
            },
        ) in bindings
        {
            let binding = Binding {
                shown: format!("RoleBinding {}", quoted(&format!("{name}/{namespace}"))),
                role: role_ref.clone(),
                rules: index.referred(role_ref, &namespace),
                subjects: subjects.clone(),
                namespace: namespace.clone(),
            };
            index
                .by_namespace
                .entry(namespace)
                .or_default()
                .add(binding);
        }
        index
    }

    /// Whether a request is allowed. Members of `system:masters` may do everything;
    /// others what a rule says.
    #[must_use]
    pub fn authorize(&self, request: &Attributes<'_>) -> Decision {
        if request.user.is_in(MASTERS) {
            return Decision {
                allowed: true,
                reason: String::new(),
            };
        }
        let namespace = if request.path.is_some() {
            ""
        } else {
            request.namespace
        };
        let mut errors = Vec::new();
        for grant in self.grants(request.user, namespace) {
            match &grant.binding.rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(request)) => {
                    let reason = format!("RBAC: allowed by {}", grant.shown());
                    return Decision {
                        allowed: true,
                        reason,
                    };
                }
                Ok(_) => {}
                Err(error) => error.add_to(&mut errors),
            }
        }
        let reason = RoleError::shown(&errors).map(|errors| format!("RBAC: {errors}"));
        Decision {
            allowed: false,
            reason: reason.unwrap_or_default(),
        }
    }

    /// Everything that a user has been given in a namespace, or outside of all
    /// namespaces if that is empty.
    #[must_use]
    pub fn rules_for(&self, user: &User, namespace: &str) -> UserRules {
        let mut seen = BTreeSet::new();
        let mut given = UserRules::default();
        for grant in self.grants(user, namespace) {
            // Somebody may be in two groups of one binding.
            if !seen.insert(Arc::as_ptr(&grant.binding)) {
                continue;
            }
            match &grant.binding.rules {
                Ok(rules) => given.rules.extend(rules.iter().cloned()),
                Err(error) => error.add_to(&mut given.errors),
            }
        }
        given
    }

    /// The rules that a binding in `namespace` gives.
    pub(super) fn referred(
        &self,
        role: &RoleRef,
        namespace: &str,
    ) -> Result<SharedRules, RoleError> {
        let name = &role.name;
        let found = match role.kind.as_str() {
            "Role" => self.roles.get(namespace).and_then(|roles| roles.get(name)),
            "ClusterRole" => self.cluster_roles.get(name),
            kind => return Err(RoleError::Kind(kind.to_owned())),
        };
        let error = || RoleError::NotFound {
            kind: role.kind.to_ascii_lowercase(),
            name: name.clone(),
        };
        found.cloned().ok_or_else(error)
    }

    fn grants<'a>(&'a self, user: &'a User, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let local = if namespace.is_empty() {
            None
        } else {
            self.by_namespace.get(namespace)
        };
        std::iter::once(&self.everywhere)
            .chain(local)
            .flat_map(|grants| grants.of(user))
    }
}

impl Grants {
    fn add(&mut self, binding: Binding) {
        let binding = Arc::new(binding);
        for (
            subject,
            Subject {
                kind,
                name,
                namespace,
                ..
            },
        ) in binding.subjects.iter().enumerate()
        {
            let (table, name) = match kind.as_str() {
                "User" => (&mut self.users, name.clone()),
                "Group" => (&mut self.groups, name.clone()),
                "ServiceAccount" => {
                    let own = &binding.namespace;
                    let namespace = if namespace.is_empty() { own } else { namespace };
                    if namespace.is_empty() {
                        continue;
                    }
                    (&mut self.users, service_account::username(namespace, name))
                }
                _ => continue,
            };
            let grants = table.entry(name).or_default();
            // Named twice is given once.
            if grants
                .last()
                .is_none_or(|last| !Arc::ptr_eq(&last.binding, &binding))
            {
                grants.push(Grant {
                    binding: binding.clone(),
                    subject,
                });
            }
        }
    }

    fn of<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a Grant> {
        let groups = user
            .groups
            .iter()
            .filter_map(|group| self.groups.get(group));
        self.users
            .get(&user.name)
            .into_iter()
            .chain(groups)
            .flatten()
    }
}

impl Grant {
    fn shown(&self) -> String {
        let Binding {
            shown,
            role,
            subjects,
            namespace,
            ..
        } = &*self.binding;
        let subject = subjects.get(self.subject).map(|subject| {
            let Subject {
                kind,
                name,
                namespace: own,
                ..
            } = subject;
            if kind == "ServiceAccount" {
                let namespace = if own.is_empty() { namespace } else { own };
                return format!("{kind} {}", quoted(&format!("{name}/{namespace}")));
            }
            format!("{kind} {}", quoted(name))
        });
        let (kind, name) = (&role.kind, quoted(&role.name));
        format!(
            "{shown} of {kind} {name} to {}",
            subject.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests;
