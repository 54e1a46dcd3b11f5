//! Acting as somebody else, by `Impersonate-*` headers.
//!
//! The headers say who the request wants to be; each part of that is a question to
//! authorization, with the verb `impersonate`, about the user who really asks. Only
//! if all are allowed does the request go on as [`Impersonation::user`]. The headers
//! must not be handed on to anybody.

use super::service_account::{self, split_username};
use super::{ANONYMOUS, UNAUTHENTICATED, User};
use crate::attributes::Attributes;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The headers make no sense: 400.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImpersonationError {
    /// Groups, a uid or extras without a user, in Kubernetes' words.
    #[error("requested [{0}] without impersonating a user")]
    NoUser(String),
    /// A header that may stand once stands twice; which one counts would depend on
    /// who reads them.
    #[error("more than one {0} header")]
    Twice(&'static str),
    /// Not UTF-8.
    #[error("an impersonation header is not UTF-8")]
    NotText,
}

/// Who a request wants to be, and what must be allowed for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Impersonation {
    user: User,
    requests: Vec<Request>,
}

/// One part of the wanted user.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Request {
    User(String),
    ServiceAccount { namespace: String, name: String },
    Group(String),
    Extra { key: String, value: String },
    Uid(String),
}

impl Impersonation {
    /// Reads the headers of a request; others than those of impersonation are
    /// skipped. Nothing, if the request does not want to be somebody else.
    ///
    /// # Errors
    ///
    /// When the headers make no sense.
    pub fn read<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Option<Self>, ImpersonationError> {
        let (mut user, mut uid) = (None, None);
        let (mut groups, mut extras) = (Vec::new(), Vec::new());
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if !is_impersonation(&name) {
                continue;
            }
            let value = std::str::from_utf8(value).map_err(|_| ImpersonationError::NotText)?;
            match name.as_str() {
                USER if user.replace(value).is_some() => {
                    return Err(ImpersonationError::Twice("Impersonate-User"));
                }
                UID if uid.replace(value).is_some() => {
                    return Err(ImpersonationError::Twice("Impersonate-Uid"));
                }
                USER | UID => {}
                GROUP => groups.push(value.to_owned()),
                other => extras.push(Request::Extra {
                    key: unescape(other.strip_prefix(EXTRA).unwrap_or_default()),
                    value: value.to_owned(),
                }),
            }
        }
        let user = user.filter(|user| !user.is_empty());
        let mut requests: Vec<_> = user.map(Request::user).into_iter().collect();
        requests.extend(groups.into_iter().map(Request::Group));
        requests.append(&mut extras);
        requests.extend(
            uid.filter(|uid| !uid.is_empty())
                .map(|uid| Request::Uid(uid.to_owned())),
        );
        match user {
            Some(name) => Ok(Some(Self {
                user: wanted(name, &requests),
                requests,
            })),
            None if requests.is_empty() => Ok(None),
            None => {
                let requests: Vec<_> = requests.iter().map(Request::shown).collect();
                Err(ImpersonationError::NoUser(requests.join(" ")))
            }
        }
    }

    /// What `requestor` must be allowed, all of it, before the request goes on as
    /// [`Self::user`]. The first question that is denied makes the 403.
    pub fn questions<'a>(
        &'a self,
        requestor: &'a User,
    ) -> impl Iterator<Item = Attributes<'a>> + use<'a> {
        self.requests
            .iter()
            .map(|request| request.question(requestor))
    }

    /// Who the request wants to be.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.user
    }
}

/// Whether a header, in lower case, is one of impersonation.
fn is_impersonation(name: &str) -> bool {
    matches!(name, USER | GROUP | UID) || name.starts_with(EXTRA)
}

impl Request {
    fn user(name: &str) -> Self {
        match split_username(name) {
            Some((namespace, name)) => Self::ServiceAccount {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            None => Self::User(name.to_owned()),
        }
    }

    fn question<'a>(&'a self, requestor: &'a User) -> Attributes<'a> {
        let core = |resource| Attributes::resource(requestor, "impersonate", "", resource);
        let authentication = |resource| {
            let mut attributes =
                Attributes::resource(requestor, "impersonate", AUTHENTICATION, resource);
            attributes.api_version = "v1";
            attributes
        };
        match self {
            Self::User(name) => core("users").name(name),
            Self::ServiceAccount { namespace, name } => {
                core("serviceaccounts").namespace(namespace).name(name)
            }
            Self::Group(name) => core("groups").name(name),
            Self::Extra { key, value } => authentication("userextras").subresource(key).name(value),
            Self::Uid(uid) => authentication("uids").name(uid),
        }
    }

    /// As Go prints Kubernetes' `ObjectReference`.
    fn shown(&self) -> String {
        let (kind, namespace, name, version, path) = match self {
            Self::User(name) => ("User", "", name, "", ""),
            Self::ServiceAccount { namespace, name } => {
                ("ServiceAccount", namespace.as_str(), name, "", "")
            }
            Self::Group(name) => ("Group", "", name, "", ""),
            Self::Extra { key, value } => (
                "UserExtra",
                "",
                value,
                "authentication.k8s.io/v1",
                key.as_str(),
            ),
            Self::Uid(uid) => ("UID", "", uid, "authentication.k8s.io/v1", ""),
        };
        format!("{{{kind} {namespace} {name}  {version}  {path}}}")
    }
}

fn wanted(name: &str, requests: &[Request]) -> User {
    let mut user = User {
        name: name.to_owned(),
        ..User::default()
    };
    for request in requests {
        match request {
            Request::Group(group) => user.groups.push(group.clone()),
            Request::Extra { key, value } => user.add_extra(key, value),
            Request::Uid(uid) => user.uid.clone_from(uid),
            Request::User(_) | Request::ServiceAccount { .. } => {}
        }
    }
    if user.groups.is_empty()
        && let Some(Request::ServiceAccount { namespace, .. }) = requests.first()
    {
        user.groups = service_account::groups(namespace);
    }
    if name != ANONYMOUS {
        user.add_authenticated();
    } else if !user.is_in(UNAUTHENTICATED) {
        user.groups.push(UNAUTHENTICATED.to_owned());
    }
    user
}

/// Decodes `%xx`. A key that is not encoded properly stays as it is, as in Kubernetes.
fn unescape(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |byte: &u8| {
            char::from(*byte)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        match tail {
            [high, low, tail @ ..] => {
                let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                    return key.to_owned();
                };
                bytes.push(high << 4 | low);
                rest = tail;
            }
            _ => return key.to_owned(),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

#[cfg(test)]
mod tests;
