//! How many requests were answered, and how.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use hyper::http::request::Parts;

use crate::request::{self, Query, Target};

/// What requests are told apart by. Everything is from our own tables, so there are
/// no more kinds of requests than those know, whatever clients send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Counted {
    /// As Kubernetes' metrics write it: `GET`, `LIST`, `DELETECOLLECTION`, …
    pub(crate) verb: &'static str,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    /// Empty for a path that is no resource.
    pub(crate) resource: &'static str,
    pub(crate) subresource: &'static str,
}

impl Counted {
    pub(crate) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        // Also `*`, which is no path.
        let target = match path.starts_with('/') {
            true => request::target(path),
            false => Target::Path,
        };
        let Target::Resource(target) = target else {
            return Self {
                verb: upper(request::verb(&parts.method, None, &Query::default())),
                group: "",
                version: "",
                resource: "",
                subresource: "",
            };
        };
        let subresource = target
            .subresource
            .map_or("", |subresource| subresource.name);
        let query = Query::read(parts.uri.query());
        Self {
            verb: match subresource {
                "exec" | "attach" | "portforward" => "CONNECT",
                _ => upper(request::verb(&parts.method, Some(&target), &query)),
            },
            group: target.resource.group,
            version: target.resource.version,
            resource: target.resource.plural,
            subresource,
        }
    }
}

fn upper(verb: &'static str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "head" => "HEAD",
        _ => "OTHER",
    }
}

/// The count of answers.
#[derive(Default)]
pub(crate) struct Requests(Mutex<BTreeMap<(Counted, u16), u64>>);

impl Requests {
    pub(crate) fn count(&self, counted: Counted, code: StatusCode) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((counted, code.as_u16())).or_default() += 1;
    }

    /// The answers so far, by request and code.
    pub(crate) fn counts(&self) -> BTreeMap<(Counted, u16), u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::Counted;

    fn counted(method: &str, uri: &str) -> (&'static str, &'static str, &'static str) {
        let request = Request::builder().method(method).uri(uri).body(());
        let (parts, ()) = request.unwrap().into_parts();
        let counted = Counted::of(&parts);
        (counted.verb, counted.resource, counted.subresource)
    }

    #[test]
    fn requests_are_told_apart_by_what_we_know_only() {
        let jobs = "/apis/batch/v1/namespaces/default/jobs";
        assert_eq!(counted("GET", jobs), ("LIST", "jobs", ""));
        assert_eq!(
            counted("GET", &format!("{jobs}?watch=1")),
            ("WATCH", "jobs", "")
        );
        assert_eq!(counted("DELETE", jobs), ("DELETECOLLECTION", "jobs", ""));
        assert_eq!(
            counted("PATCH", &format!("{jobs}/x/status")),
            ("PATCH", "jobs", "status")
        );
        assert_eq!(
            counted("GET", "/api/v1/namespaces/a/pods/b/exec?command=ls"),
            ("CONNECT", "pods", "exec")
        );
        assert_eq!(counted("GET", "/apis/batch/v1/zebras"), ("GET", "", ""));
        assert_eq!(counted("BREW", "/coffee"), ("GET", "", ""));
        assert_eq!(counted("OPTIONS", "*"), ("OTHER", "", ""));
    }
}
