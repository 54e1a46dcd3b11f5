//! Nobody gives what it does not have.
//!
//! Whoever may write roles or bindings could otherwise give itself everything. So a
//! role can be written by those who hold all of its rules or may `escalate`, and a
//! binding by those who hold all rules of its role or may `bind` that role; the
//! group `system:masters` always may. The caller asks this after the ordinary
//! question whether the object may be written at all.

use serde_json::Value;

use super::covers::{TooMany, compact, covers};
use super::error::RoleError;
use super::objects::{
    ClusterRole, ClusterRoleBinding, GROUP, PolicyRule, Role, RoleBinding, RoleRef,
};
use super::rules::Rules;
use crate::attributes::Attributes;
use crate::identity::{MASTERS, User};
use crate::text::{quoted, quoted_list};

/// Beyond it a message helps nobody.
const LINES_MAX: usize = 1000;

/// Who writes what.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The user.
    pub user: &'a User,
    /// The namespace in the URL; empty for what has none.
    pub namespace: &'a str,
    /// The name in the URL; empty when an object is created by POST.
    pub name: &'a str,
}

/// The object must not be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrantError {
    /// 403: the whole message, in Kubernetes' words.
    #[error("{0}")]
    Forbidden(String),
    /// 404: the role of a binding does not exist, so nobody knows what it would give.
    #[error("{0}")]
    RoleNotFound(String),
}

impl Rules {
    /// Whether a `Role` may be created or updated.
    ///
    /// # Errors
    ///
    /// [`GrantError::Forbidden`], if it allows more than the user may do.
    pub fn check_role(&self, write: &Write<'_>, role: &Role) -> Result<(), GrantError> {
        self.check_rules(write, "roles", &role.metadata.name, &role.rules)
    }

    /// Whether a `ClusterRole` may be created or, from `old`, updated. A sum of roles
    /// can become anything, so only who may do everything may change what it is the
    /// sum of.
    ///
    /// # Errors
    ///
    /// [`GrantError::Forbidden`], if it allows more than the user may do.
    pub fn check_cluster_role(
        &self,
        write: &Write<'_>,
        role: &ClusterRole,
        old: Option<&ClusterRole>,
    ) -> Result<(), GrantError> {
        if self.may_escalate(write, "clusterroles") {
            return Ok(());
        }
        let name = &role.metadata.name;
        self.check_rules(write, "clusterroles", name, &role.rules)?;
        let changed = match old {
            Some(old) => old.aggregation_rule != role.aggregation_rule,
            None => role.aggregation_rule.is_some(),
        };
        if changed
            && self
                .confirm_no_escalation(write.user, "", &full_authority())
                .is_err()
        {
            let detail = "must have cluster-admin privileges to use the aggregationRule";
            return Err(forbidden("clusterroles", name, detail));
        }
        Ok(())
    }

    /// Whether a `RoleBinding` may be created or updated.
    ///
    /// # Errors
    ///
    /// [`GrantError::Forbidden`], if its role allows more than the user may do in the
    /// namespace; [`GrantError::RoleNotFound`], if nobody knows.
    pub fn check_role_binding(
        &self,
        write: &Write<'_>,
        binding: &RoleBinding,
    ) -> Result<(), GrantError> {
        self.check_binding(
            write,
            "rolebindings",
            &binding.metadata.name,
            &binding.role_ref,
        )
    }

    /// Whether a `ClusterRoleBinding` may be created or updated.
    ///
    /// # Errors
    ///
    /// [`GrantError::Forbidden`], if its role allows more than the user may do
    /// everywhere; [`GrantError::RoleNotFound`], if nobody knows.
    pub fn check_cluster_role_binding(
        &self,
        write: &Write<'_>,
        binding: &ClusterRoleBinding,
    ) -> Result<(), GrantError> {
        let write = Write {
            namespace: "",
            ..*write
        };
        let name = &binding.metadata.name;
        self.check_binding(&write, "clusterrolebindings", name, &binding.role_ref)
    }

    /// Whether a user holds all of these rules in a namespace (everywhere, if that is
    /// empty).
    ///
    /// # Errors
    ///
    /// What is missing, in Kubernetes' words.
    pub fn confirm_no_escalation(
        &self,
        user: &User,
        namespace: &str,
        wanted: &[PolicyRule],
    ) -> Result<(), String> {
        let held = self.rules_for(user, namespace);
        let missing = match covers(&held.rules, wanted) {
            Ok(missing) if missing.is_empty() => return Ok(()),
            Ok(missing) => lines(missing),
            Err(TooMany) => "(too many to list)".to_owned(),
        };
        let User { name, groups, .. } = user;
        let mut detail = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n\
             {missing}",
            quoted(name),
            quoted_list(groups)
        );
        if let Some(error) = RoleError::shown_when_written(&held.errors) {
            detail.push_str(&format!("; resolution errors: [{error}]"));
        }
        Err(detail)
    }

    fn check_rules(
        &self,
        write: &Write<'_>,
        resource: &str,
        name: &str,
        rules: &[PolicyRule],
    ) -> Result<(), GrantError> {
        if self.may_escalate(write, resource) {
            return Ok(());
        }
        self.confirm_no_escalation(write.user, write.namespace, rules)
            .map_err(|detail| forbidden(resource, name, &detail))
    }

    fn may_escalate(&self, write: &Write<'_>, resource: &str) -> bool {
        let question = Attributes::resource(write.user, "escalate", GROUP, resource)
            .namespace(write.namespace)
            .name(write.name);
        self.authorize(&question).allowed
    }

    fn check_binding(
        &self,
        write: &Write<'_>,
        resource: &str,
        name: &str,
        role: &RoleRef,
    ) -> Result<(), GrantError> {
        if write.user.is_in(MASTERS) {
            return Ok(());
        }
        let role_resource = match role.kind.as_str() {
            "Role" => Some("roles"),
            "ClusterRole" => Some("clusterroles"),
            _ => None,
        };
        let may_bind = role_resource.is_some_and(|resource| {
            let question = Attributes::resource(write.user, "bind", &role.api_group, resource)
                .namespace(write.namespace)
                .name(&role.name);
            self.authorize(&question).allowed
        });
        if may_bind {
            return Ok(());
        }
        let rules = self
            .referred(role, write.namespace)
            .map_err(|error| GrantError::RoleNotFound(error.when_written()))?;
        let rules: Vec<_> = rules.iter().map(|rule| PolicyRule::clone(rule)).collect();
        self.confirm_no_escalation(write.user, write.namespace, &rules)
            .map_err(|detail| forbidden(resource, name, &detail))
    }
}

/// Whether an update changes nothing but what garbage collection needs to delete an
/// object: finalizers, owner references and who manages which field. Such an update
/// needs none of these checks, as otherwise nobody could delete a powerful role.
#[must_use]
pub fn changes_only_bookkeeping(old: &Value, new: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["finalizers", "ownerReferences", "managedFields", "selfLink"] {
                metadata.remove(field);
            }
        }
        object
    };
    without(old) == without(new)
}

fn full_authority() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: all(),
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}

fn lines(missing: Vec<PolicyRule>) -> String {
    let mut lines: Vec<_> = compact(missing).iter().map(ToString::to_string).collect();
    lines.sort();
    lines.dedup();
    if let Some(more) = lines.len().checked_sub(LINES_MAX).filter(|more| *more > 0) {
        lines.truncate(LINES_MAX);
        lines.push(format!("... and {more} more"));
    }
    lines.join("\n")
}

fn forbidden(resource: &str, name: &str, detail: &str) -> GrantError {
    GrantError::Forbidden(format!(
        "{resource}.{GROUP} {} is forbidden: {detail}",
        quoted(name)
    ))
}

#[cfg(test)]
mod tests;
