//! What a user may do: role-based access control, as Kubernetes' RBAC authorizer.
//!
//! [`Rules`] is an index over all roles and bindings. It is built anew when one of
//! them changes, and is never changed itself, so a request sees one state of them
//! all. A question costs what the user has been given, not what exists: bindings
//! are found by the names of the user and of its groups.
//!
//! Rules only ever allow. What no rule allows is denied, and a binding to a role
//! that does not exist gives nothing.
//!
//! ```
//! use wasmjob_auth::attributes::Attributes;
//! use wasmjob_auth::identity::User;
//! use wasmjob_auth::rbac::{Objects, Rules};
//! # fn main() -> Result<(), serde_json::Error> {
//! let cluster_roles = serde_json::from_str(
//!     r#"[{"metadata": {"name": "job-reader"}, "rules": [
//!         {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}]}]"#,
//! )?;
//! let role_bindings = serde_json::from_str(
//!     r#"[{"metadata": {"name": "readers", "namespace": "team"},
//!          "roleRef": {"kind": "ClusterRole", "name": "job-reader"},
//!          "subjects": [{"kind": "Group", "name": "readers"}]}]"#,
//! )?;
//! let rules = Rules::new(&Objects { cluster_roles, role_bindings, ..Objects::default() });
//!
//! let ada = User::authenticated("ada", vec!["readers".to_owned()]);
//! let get = Attributes::resource(&ada, "get", "batch", "jobs").name("backup");
//! let decision = rules.authorize(&get.namespace("team"));
//! assert_eq!(
//!     decision.reason,
//!     r#"RBAC: allowed by RoleBinding "readers/team" of ClusterRole "job-reader" to Group "readers""#
//! );
//! assert!(!rules.authorize(&get.namespace("other")).allowed);
//! # Ok(())
//! # }
//! ```

mod aggregation;
mod covers;
mod defaults;
mod error;
mod escalation;
mod matching;
mod objects;
mod review;
mod rules;
mod validation;

pub use self::aggregation::aggregated_rules;
pub(crate) use self::covers::covers;
pub use self::defaults::set_binding_defaults;
pub use self::error::RoleError;
pub use self::escalation::{GrantError, Write, changes_only_bookkeeping};
pub use self::objects::{
    AggregationRule, ClusterRole, ClusterRoleBinding, GROUP, LabelSelector,
    LabelSelectorRequirement, ObjectMeta, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
pub use self::review::{NonResourceRule, ResourceRule, RulesReview};
pub use self::rules::{Decision, Objects, Rules, UserRules};
pub use self::validation::{
    validate_cluster_role, validate_cluster_role_binding, validate_cluster_role_binding_update,
    validate_role, validate_role_binding, validate_role_binding_update,
};
