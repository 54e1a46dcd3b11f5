//! Who a client is.
//!
//! Each module takes one kind of evidence and gives a [`User`] or nothing:
//! [`certificate`], [`static_token`], [`service_account`]. Whether a service
//! account still exists, which evidence counts first, and what the user may do is
//! decided elsewhere.

pub mod bearer;
pub mod certificate;
pub mod impersonation;
pub mod service_account;
pub mod static_token;

use std::collections::BTreeMap;

use serde::Serialize;

/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of everybody who showed credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who showed none.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group that may do everything, whatever the rules say.
pub const MASTERS: &str = "system:masters";
/// The key in [`User::extra`] that names the credential itself.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Who somebody is, as Kubernetes' `user.Info`. It serialises as the `userInfo`
/// of a TokenReview or SelfSubjectReview.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct User {
    /// The unique name.
    #[serde(rename = "username", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tells users of one name apart over time; often empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups that the user is in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Anything else that is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user who showed credentials: one that is in `system:authenticated` too,
    /// unless it has the name or the group of those who did not.
    #[must_use]
    pub fn authenticated(name: impl Into<String>, groups: Vec<String>) -> Self {
        let mut user = Self {
            name: name.into(),
            groups,
            ..Self::default()
        };
        user.add_authenticated();
        user
    }

    /// The user of a request without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether the user is in a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    fn add_authenticated(&mut self) {
        // Who says that it is nobody is taken at its word.
        if self.name != ANONYMOUS && !self.is_in(AUTHENTICATED) && !self.is_in(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
    }

    fn add_extra(&mut self, key: &str, value: impl Into<String>) {
        self.extra
            .entry(key.to_owned())
            .or_default()
            .push(value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_added_once() {
        let user = User::authenticated("a", vec!["g".to_owned()]);
        assert_eq!(user.groups, ["g", "system:authenticated"]);
        let user = User::authenticated("a", user.groups);
        assert_eq!(user.groups, ["g", "system:authenticated"]);
        assert_eq!(User::authenticated(ANONYMOUS, Vec::new()).groups, [""; 0]);
        assert_eq!(User::anonymous().groups, ["system:unauthenticated"]);
    }

    #[test]
    fn users_as_a_review_shows_them() {
        let mut user = User::authenticated("a", Vec::new());
        user.add_extra("k", "v");
        let shown = serde_json::to_string(&user).unwrap();
        let wanted = r#"{"username":"a","groups":["system:authenticated"],"extra":{"k":["v"]}}"#;
        assert_eq!(shown, wanted);
    }
}
