//! What a token says.

use serde::{Deserialize, Serialize};

use super::{groups, username};
use crate::identity::{CREDENTIAL_ID, User};

/// A name, and the UID that tells objects of one name apart over time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectReference {
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
}

/// The claims of a token, as Kubernetes names them. Times are in seconds since 1970.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Whom the token is for.
    #[serde(rename = "aud", deserialize_with = "one_or_more")]
    pub audiences: Vec<String>,
    /// When it ends.
    #[serde(rename = "exp")]
    pub expires: i64,
    /// When it was made.
    #[serde(rename = "iat")]
    pub issued: i64,
    /// Who made it.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// A name of its own.
    #[serde(rename = "jti", default)]
    pub id: String,
    #[serde(rename = "kubernetes.io")]
    pub(super) kubernetes: Kubernetes,
    /// When it starts.
    #[serde(rename = "nbf", default)]
    pub not_before: i64,
    /// The user name.
    #[serde(rename = "sub")]
    pub subject: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Kubernetes {
    pub(super) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<ObjectReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pod: Option<ObjectReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<ObjectReference>,
    pub(super) serviceaccount: ObjectReference,
}

impl Claims {
    /// The namespace of the service account.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.kubernetes.namespace
    }

    /// The service account; it must still exist with this UID.
    #[must_use]
    pub const fn service_account(&self) -> &ObjectReference {
        &self.kubernetes.serviceaccount
    }

    /// The pod that the token is bound to; if there is one, it must still exist
    /// with this UID.
    #[must_use]
    pub const fn pod(&self) -> Option<&ObjectReference> {
        self.kubernetes.pod.as_ref()
    }

    /// The Secret that the token is bound to; if there is one, it must still exist
    /// with this UID.
    #[must_use]
    pub const fn secret(&self) -> Option<&ObjectReference> {
        self.kubernetes.secret.as_ref()
    }

    /// The node of the pod, or the node that the token is bound to.
    #[must_use]
    pub const fn node(&self) -> Option<&ObjectReference> {
        self.kubernetes.node.as_ref()
    }

    /// The user that the token makes of its bearer.
    #[must_use]
    pub fn user(&self) -> User {
        let Kubernetes {
            namespace,
            node,
            pod,
            serviceaccount,
            ..
        } = &self.kubernetes;
        let mut user =
            User::authenticated(username(namespace, &serviceaccount.name), groups(namespace));
        user.uid.clone_from(&serviceaccount.uid);
        if !self.id.is_empty() {
            user.add_extra(CREDENTIAL_ID, format!("JTI={}", self.id));
        }
        for (kind, reference) in [("pod", pod), ("node", node)] {
            if let Some(ObjectReference { name, uid }) = reference {
                user.add_extra(&format!("authentication.kubernetes.io/{kind}-name"), name);
                user.add_extra(&format!("authentication.kubernetes.io/{kind}-uid"), uid);
            }
        }
        user
    }

    /// Whether the claims tell one story: the subject is the service account.
    pub(super) fn are_consistent(&self) -> bool {
        let Kubernetes {
            namespace,
            serviceaccount,
            ..
        } = &self.kubernetes;
        !serviceaccount.uid.is_empty()
            && super::split_username(&self.subject)
                == Some((namespace.as_str(), serviceaccount.name.as_str()))
    }
}

/// RFC 7519 allows one audience to stand without a list.
fn one_or_more<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(audience) => vec![audience],
        OneOrMore::More(audiences) => audiences,
    })
}
