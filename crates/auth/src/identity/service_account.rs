//! Service accounts: the users that pods are, and their tokens.
//!
//! A token is a JWT with Kubernetes' claims, signed with ES256 and nothing else.
//! This module makes and checks tokens; whether the account, and the pod that a
//! token is bound to, still exist with the same UID is asked by whoever knows the
//! objects, with the [`Claims`] that a check gives back.

mod claims;
mod expiration;
mod jwt;

use crate::names::{is_dns_label, is_dns_subdomain};

pub use self::claims::{Claims, ObjectReference};
pub use self::expiration::{Expiration, ExpirationError};
pub use self::jwt::{KeyError, Token, TokenAuthority, TokenError, TokenRequest};

const PREFIX: &str = "system:serviceaccount:";
/// The group of all service accounts.
pub const ALL_SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// The user name of a service account.
#[must_use]
pub fn username(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name in the user name of a service account, if it is one.
#[must_use]
pub fn split_username(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(PREFIX)?.split_once(':')?;
    (is_dns_label(namespace) && is_dns_subdomain(name)).then_some((namespace, name))
}

/// The groups of every service account in a namespace, beside `system:authenticated`.
#[must_use]
pub fn groups(namespace: &str) -> Vec<String> {
    vec![
        ALL_SERVICE_ACCOUNTS.to_owned(),
        format!("{ALL_SERVICE_ACCOUNTS}:{namespace}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_together_and_apart() {
        assert_eq!(
            username("team", "deploy.er"),
            "system:serviceaccount:team:deploy.er"
        );
        assert_eq!(
            split_username("system:serviceaccount:team:deploy.er"),
            Some(("team", "deploy.er"))
        );
        for other in [
            "",
            "alice",
            "system:serviceaccount:",
            "system:serviceaccount:team",
            "system:serviceaccount::name",
            "system:serviceaccount:team:",
            "system:serviceaccount:team:a:b",
            "system:serviceaccount:te.am:a",
            "system:serviceaccount:Team:a",
            "System:serviceaccount:team:a",
        ] {
            assert_eq!(split_username(other), None, "{other:?}");
        }
    }
}
