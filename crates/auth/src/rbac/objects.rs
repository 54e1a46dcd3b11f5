//! Roles and bindings, as far as rules need them.
//!
//! They are read from the JSON of `rbac.authorization.k8s.io/v1`. Other fields are
//! skipped, and `null` is the same as absent, as everywhere in Kubernetes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::text::quoted_list;

/// The API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The part of an object's metadata that rules need.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// The name.
    #[serde(deserialize_with = "null_is_absent")]
    pub name: String,
    /// Empty for what has no namespace.
    #[serde(deserialize_with = "null_is_absent")]
    pub namespace: String,
    /// A name is made from it when the object is created without one.
    #[serde(deserialize_with = "null_is_absent")]
    pub generate_name: String,
    /// What selectors of aggregation look at.
    #[serde(deserialize_with = "null_is_absent")]
    pub labels: BTreeMap<String, String>,
}

/// What is allowed: each verb on each resource of each group, or each verb on each
/// path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// `*` for all.
    #[serde(
        deserialize_with = "null_is_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub api_groups: Vec<String>,
    /// `*` for all; `resource/subresource`; `*/subresource`.
    #[serde(
        deserialize_with = "null_is_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resources: Vec<String>,
    /// `*` for all.
    #[serde(deserialize_with = "null_is_absent")]
    pub verbs: Vec<String>,
    /// Empty for all.
    #[serde(
        deserialize_with = "null_is_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; `*` at the end stands for anything.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "null_is_absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

/// As Kubernetes shows a rule in messages.
impl fmt::Display for PolicyRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{}", quoted_list(values)))
            .collect();
        write!(formatter, "{{{}}}", parts.join(", "))
    }
}

/// Which role a binding gives.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleRef {
    /// [`GROUP`].
    #[serde(deserialize_with = "null_is_absent")]
    pub api_group: String,
    /// `Role` or `ClusterRole`.
    #[serde(deserialize_with = "null_is_absent")]
    pub kind: String,
    /// Of a `Role`: in the binding's own namespace.
    #[serde(deserialize_with = "null_is_absent")]
    pub name: String,
}

/// Whom a binding gives something.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    #[serde(deserialize_with = "null_is_absent")]
    pub kind: String,
    /// [`GROUP`] for users and groups, empty for service accounts.
    #[serde(
        deserialize_with = "null_is_absent",
        skip_serializing_if = "String::is_empty"
    )]
    pub api_group: String,
    /// The name.
    #[serde(deserialize_with = "null_is_absent")]
    pub name: String,
    /// Of a service account; without it, that of the binding.
    #[serde(
        deserialize_with = "null_is_absent",
        skip_serializing_if = "String::is_empty"
    )]
    pub namespace: String,
}

/// Rules of one namespace.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default)]
pub struct Role {
    /// Name and namespace.
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: ObjectMeta,
    /// What is allowed.
    #[serde(deserialize_with = "null_is_absent")]
    pub rules: Vec<PolicyRule>,
}

/// Rules of any namespace, or of none.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRole {
    /// Name and labels.
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: ObjectMeta,
    /// What is allowed, unless the rules come from other roles.
    #[serde(deserialize_with = "null_is_absent")]
    pub rules: Vec<PolicyRule>,
    /// Where the rules come from, if not from here.
    pub aggregation_rule: Option<AggregationRule>,
}

/// Which roles a role is the sum of.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// A role that any of these selects is part of the sum.
    #[serde(deserialize_with = "null_is_absent")]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// Selects objects by their labels: all conditions must hold.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(deserialize_with = "null_is_absent")]
    pub match_labels: BTreeMap<String, String>,
    /// Other conditions.
    #[serde(deserialize_with = "null_is_absent")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// One condition on one label.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(default)]
pub struct LabelSelectorRequirement {
    /// The label.
    #[serde(deserialize_with = "null_is_absent")]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(deserialize_with = "null_is_absent")]
    pub operator: String,
    /// For `In` and `NotIn`.
    #[serde(deserialize_with = "null_is_absent")]
    pub values: Vec<String>,
}

/// Gives a role in one namespace.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RoleBinding {
    /// Name and namespace.
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: ObjectMeta,
    /// Whom.
    #[serde(deserialize_with = "null_is_absent")]
    pub subjects: Vec<Subject>,
    /// What.
    #[serde(deserialize_with = "null_is_absent")]
    pub role_ref: RoleRef,
}

/// Gives a role in all namespaces, and outside of them.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRoleBinding {
    /// The name.
    #[serde(deserialize_with = "null_is_absent")]
    pub metadata: ObjectMeta,
    /// Whom.
    #[serde(deserialize_with = "null_is_absent")]
    pub subjects: Vec<Subject>,
    /// What.
    #[serde(deserialize_with = "null_is_absent")]
    pub role_ref: RoleRef,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_unknown_fields_are_nothing() {
        let role: ClusterRole = serde_json::from_str(
            r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole",
                "metadata":{"name":"a","labels":null,"uid":"x"},"rules":null,
                "aggregationRule":null}"#,
        )
        .unwrap();
        assert_eq!((role.metadata.name.as_str(), role.rules.len()), ("a", 0));
        assert_eq!(role.aggregation_rule, None);
        let binding: RoleBinding = serde_json::from_str(
            r#"{"metadata":{"name":"b","namespace":"n"},"subjects":null,
                "roleRef":{"kind":"Role","name":"r"}}"#,
        )
        .unwrap();
        assert_eq!(
            (binding.subjects.len(), binding.role_ref.api_group.as_str()),
            (0, "")
        );
    }

    #[test]
    fn rules_in_messages() {
        let rule: PolicyRule = serde_json::from_str(
            r#"{"apiGroups":["","batch"],"resources":["jobs"],"verbs":["get"],
                "resourceNames":["a\"b"]}"#,
        )
        .unwrap();
        assert_eq!(
            rule.to_string(),
            r#"{APIGroups:["" "batch"], Resources:["jobs"], ResourceNames:["a\"b"], Verbs:["get"]}"#
        );
        let rule: PolicyRule =
            serde_json::from_str(r#"{"nonResourceURLs":["/metrics"],"verbs":["get"]}"#).unwrap();
        assert_eq!(
            rule.to_string(),
            r#"{NonResourceURLs:["/metrics"], Verbs:["get"]}"#
        );
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(json, r#"{"verbs":["get"],"nonResourceURLs":["/metrics"]}"#);
    }
}
