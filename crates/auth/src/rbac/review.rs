//! What a user may do, as a `SelfSubjectRulesReview` shows it.

use serde::Serialize;

use super::error::RoleError;
use super::rules::UserRules;

/// The `status` of a `SelfSubjectRulesReview`; it serialises as that.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RulesReview {
    /// Rules about resources.
    pub resource_rules: Vec<ResourceRule>,
    /// Rules about paths.
    pub non_resource_rules: Vec<NonResourceRule>,
    /// Whether there may be more.
    pub incomplete: bool,
    /// Why there may be more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
}

/// One rule about resources.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRule {
    /// `*` for all.
    pub verbs: Vec<String>,
    /// `*` for all.
    pub api_groups: Vec<String>,
    /// `*` for all.
    pub resources: Vec<String>,
    /// Empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
}

/// One rule about paths.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NonResourceRule {
    /// `*` for all.
    pub verbs: Vec<String>,
    /// With `*` at the end for anything.
    #[serde(rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
}

impl From<&UserRules> for RulesReview {
    fn from(given: &UserRules) -> Self {
        let mut review = Self {
            evaluation_error: RoleError::shown(&given.errors).unwrap_or_default(),
            ..Self::default()
        };
        for rule in &given.rules {
            if !rule.resources.is_empty() {
                review.resource_rules.push(ResourceRule {
                    verbs: rule.verbs.clone(),
                    api_groups: rule.api_groups.clone(),
                    resources: rule.resources.clone(),
                    resource_names: rule.resource_names.clone(),
                });
            }
            if !rule.non_resource_urls.is_empty() {
                review.non_resource_rules.push(NonResourceRule {
                    verbs: rule.verbs.clone(),
                    non_resource_urls: rule.non_resource_urls.clone(),
                });
            }
        }
        review
    }
}
