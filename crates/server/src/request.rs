//! What a request is about: its path and query, read once.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::Method;
use wasmjob_machinery::resource::{self, Resource, Subresource};

/// What the path of a request names.
pub(crate) enum Target {
    /// An object, or all of a resource.
    Resource(ResourceTarget),
    /// Anything else: `/version`, `/openapi/v3`, …
    Path,
    /// A resource of a known group that does not exist.
    UnknownResource,
}

/// An object, or all of a resource.
#[derive(Clone)]
pub(crate) struct ResourceTarget {
    pub(crate) resource: &'static Resource,
    /// Empty: all namespaces, or an object of the whole cluster.
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) subresource: Option<&'static Subresource>,
}

/// Reads a path, which begins with a slash.
///
/// Namespaces have their own subresources: `/api/v1/namespaces/x/status` is the
/// status of a namespace, `/api/v1/namespaces/x/pods` the pods in it.
pub(crate) fn target(path: &str) -> Target {
    let segments: Option<Vec<Cow<'_, str>>> = path[1..].split('/').map(decode).collect();
    let Some(segments) = segments else {
        return Target::Path;
    };
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Target::Path,
    };
    if !resource::versions(group).contains(&version)
        || rest.iter().any(|segment| segment.is_empty())
    {
        return Target::Path;
    }
    let find = |plural: &str| resource::find(group, version, plural);
    let found = match *rest {
        ["namespaces", namespace, plural, ref rest @ ..]
            if !(group.is_empty() && is_of_namespace(plural)) =>
        {
            find(plural)
                .filter(|resource| resource.namespaced)
                .map(|resource| (resource, namespace, rest))
        }
        [plural, ref rest @ ..] => find(plural).map(|resource| (resource, "", rest)),
        [] => None,
    };
    let Some((resource, namespace, rest)) = found else {
        return Target::UnknownResource;
    };
    let (name, subresource) = match *rest {
        [] => (None, None),
        [name] => (Some(name), None),
        [name, subresource] => {
            let known = resource.subresource(subresource);
            let Some(known) = known else {
                return Target::UnknownResource;
            };
            (Some(name), Some(known))
        }
        _ => return Target::UnknownResource,
    };
    // An object in a namespace is not to be had without it.
    if name.is_some() && resource.namespaced && namespace.is_empty() {
        return Target::UnknownResource;
    }
    Target::Resource(ResourceTarget {
        resource,
        namespace: namespace.into(),
        name: name.map(Arc::from),
        subresource,
    })
}

fn is_of_namespace(segment: &str) -> bool {
    matches!(segment, "status" | "finalize")
}

/// A segment without its escapes; none if it is no text, or would be more than one.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let text = unescape(segment, false)?;
    (!text.contains(['/', '\0'])).then_some(Cow::Owned(text))
}

/// Undoes percent escapes; `plus` stands for a space in a query.
fn unescape(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push((high * 16 + low) as u8);
            }
            b'+' if plus => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a query, in its order.
#[derive(Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query; what is not escaped well is left out, as Go does.
    pub(crate) fn read(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&');
        let pairs = pairs.filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((unescape(name, true)?, unescape(value, true)?))
        });
        Self(pairs.collect())
    }

    /// The first value of that name, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it is there and not false.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        match self.all(name).next() {
            // `?watch` alone is true, as in Kubernetes.
            Some(value) => !matches!(value, "0" | "f" | "F" | "false" | "False" | "FALSE"),
            None => false,
        }
    }
}

/// The verb that an authorizer is asked about, and that the metrics count.
pub(crate) fn verb(
    method: &Method,
    target: Option<&ResourceTarget>,
    query: &Query,
) -> &'static str {
    let Some(target) = target else {
        return match *method {
            Method::POST => "post",
            Method::PUT => "put",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            Method::HEAD => "head",
            Method::OPTIONS => "options",
            _ => "get",
        };
    };
    let is_named = target.name.is_some();
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if is_named => "delete",
        Method::DELETE => "deletecollection",
        _ if is_named => "get",
        _ if query.is_set("watch") => "watch",
        _ => "list",
    }
}
