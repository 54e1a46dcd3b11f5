//! What a request wants: the question that authorization answers.
//!
//! Made from a request by whoever understands URLs; answered by the rules of RBAC;
//! put into words when the answer is no.

use crate::identity::User;

/// One question: may this user do this? Absent parts are empty texts, as in
/// Kubernetes' `authorizer.Attributes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a User,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`,
    /// `deletecollection`, or a special verb such as `impersonate`; of a path the
    /// HTTP method in lower case.
    pub verb: &'a str,
    /// Empty for the core group.
    pub api_group: &'a str,
    /// The version in the URL; no rule looks at it.
    pub api_version: &'a str,
    /// The plural, e.g. `jobs`.
    pub resource: &'a str,
    /// E.g. `status`.
    pub subresource: &'a str,
    /// Empty at the cluster scope.
    pub namespace: &'a str,
    /// Empty for lists, for creating and for collections.
    pub name: &'a str,
    /// Of a request for no resource, such as `/metrics`; the other parts are then
    /// not looked at.
    pub path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// A question for a resource at the cluster scope.
    #[must_use]
    pub const fn resource(
        user: &'a User,
        verb: &'a str,
        api_group: &'a str,
        resource: &'a str,
    ) -> Self {
        Self {
            user,
            verb,
            api_group,
            api_version: "*",
            resource,
            subresource: "",
            namespace: "",
            name: "",
            path: None,
        }
    }

    /// A question for a path that is no resource.
    #[must_use]
    pub const fn path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        let mut attributes = Self::resource(user, verb, "", "");
        attributes.path = Some(path);
        attributes
    }

    /// The same, of a subresource.
    #[must_use]
    pub const fn subresource(mut self, subresource: &'a str) -> Self {
        self.subresource = subresource;
        self
    }

    /// The same, in a namespace.
    #[must_use]
    pub const fn namespace(mut self, namespace: &'a str) -> Self {
        self.namespace = namespace;
        self
    }

    /// The same, of one object.
    #[must_use]
    pub const fn name(mut self, name: &'a str) -> Self {
        self.name = name;
        self
    }
}
