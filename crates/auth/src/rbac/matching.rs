//! Whether one rule allows one request.

use super::objects::PolicyRule;
use crate::attributes::Attributes;

/// Stands for any verb, group, resource or path.
pub(super) const ALL: &str = "*";

impl PolicyRule {
    /// Whether this rule alone allows the request.
    #[must_use]
    pub fn allows(&self, request: &Attributes<'_>) -> bool {
        if !has_or_all(&self.verbs, request.verb) {
            return false;
        }
        match request.path {
            Some(path) => self
                .non_resource_urls
                .iter()
                .any(|url| url_covers(url, path)),
            None => {
                has_or_all(&self.api_groups, request.api_group)
                    && self.has_resource(request.resource, request.subresource)
                    && (self.resource_names.is_empty() || has(&self.resource_names, request.name))
            }
        }
    }

    fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|own| {
            if own == ALL {
                return true;
            }
            if subresource.is_empty() {
                return own == resource;
            }
            // Not `split_once`: with impersonation a subresource may contain anything.
            let rest = own.strip_prefix("*/").map(|rest| rest == subresource);
            let named = own
                .strip_prefix(resource)
                .and_then(|rest| rest.strip_prefix('/'))
                .map(|rest| rest == subresource);
            rest == Some(true) || named == Some(true)
        })
    }
}

/// Whether a path of a rule, perhaps with `*` at its end, covers a path.
pub(super) fn url_covers(url: &str, path: &str) -> bool {
    url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

pub(super) fn has(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == wanted)
}

pub(super) fn has_or_all(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value == ALL || value == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::User;

    fn list(values: &str) -> Vec<String> {
        values.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn resources() {
        // Groups, resources and verbs of the rule; group, resource/subresource and
        // verb of the request.
        for (groups, resources, verbs, request, wanted) in [
            ("", "pods", "get", ("", "pods", "get"), true),
            ("", "pods", "get", ("", "pods", "list"), false),
            ("", "pods", "get", ("batch", "pods", "get"), false),
            ("", "pods", "get", ("", "jobs", "get"), false),
            ("", "pods", "get", ("", "pods/log", "get"), false),
            ("", "pods/log", "get", ("", "pods/log", "get"), true),
            ("", "pods/log", "get", ("", "pods", "get"), false),
            ("", "pods/log", "get", ("", "pods/exec", "get"), false),
            (
                "",
                "pods,pods/log",
                "get,list",
                ("", "pods/log", "list"),
                true,
            ),
            ("*", "pods", "*", ("any", "pods", "delete"), true),
            ("batch,", "*", "get", ("", "pods", "get"), true),
            ("batch", "*", "get", ("batch", "jobs/status", "get"), true),
            (
                "batch",
                "*/status",
                "get",
                ("batch", "jobs/status", "get"),
                true,
            ),
            ("batch", "*/status", "get", ("batch", "jobs", "get"), false),
            (
                "batch",
                "*/status",
                "get",
                ("batch", "jobs/xstatus", "get"),
                false,
            ),
            ("batch", "*/", "get", ("batch", "jobs", "get"), false),
            (
                "batch",
                "jobs/*",
                "get",
                ("batch", "jobs/status", "get"),
                false,
            ),
            ("", "pods", "GET", ("", "pods", "get"), false),
            (
                "a",
                "userextras/x/y",
                "get",
                ("a", "userextras/x/y", "get"),
                true,
            ),
            ("a", "*/x/y", "get", ("a", "userextras/x/y", "get"), true),
            ("a", "*/y", "get", ("a", "userextras/x/y", "get"), false),
        ] {
            let rule = PolicyRule {
                api_groups: list(groups),
                resources: list(resources),
                verbs: list(verbs),
                ..PolicyRule::default()
            };
            let user = User::default();
            let (group, resource, verb) = request;
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let request =
                Attributes::resource(&user, verb, group, resource).subresource(subresource);
            assert_eq!(rule.allows(&request), wanted, "{rule} {request:?}");
            let path = Attributes::path(&user, verb, "/");
            assert!(!rule.allows(&path), "{rule} must not allow a path");
        }
    }

    #[test]
    fn names() {
        let user = User::default();
        let mut rule = PolicyRule {
            api_groups: list("*"),
            resources: list("*"),
            verbs: list("*"),
            resource_names: list("a,b"),
            ..PolicyRule::default()
        };
        let request = Attributes::resource(&user, "get", "", "pods");
        assert!(rule.allows(&request.name("a")) && rule.allows(&request.name("b")));
        assert!(!rule.allows(&request.name("c")) && !rule.allows(&request.name("*")));
        assert!(!rule.allows(&request), "a list has no name");
        rule.resource_names = list("*");
        assert!(!rule.allows(&request.name("a")), "no wildcard for names");
    }

    #[test]
    fn paths() {
        let user = User::default();
        for (urls, path, wanted) in [
            ("/metrics", "/metrics", true),
            ("/metrics", "/metrics/", false),
            ("/metrics", "/metric", false),
            ("/healthz/*", "/healthz/etcd", true),
            ("/healthz/*", "/healthz/", true),
            ("/healthz/*", "/healthz", false),
            ("/healthz*", "/healthzoo", true),
            ("*", "/anything", true),
            ("/**", "/anything", true),
            ("/api,/apis/*", "/apis/batch", true),
            ("/*/x", "/a/x", false),
            ("", "/", false),
        ] {
            let rule = PolicyRule {
                non_resource_urls: list(urls),
                verbs: list("get"),
                ..PolicyRule::default()
            };
            assert_eq!(
                rule.allows(&Attributes::path(&user, "get", path)),
                wanted,
                "{urls} {path}"
            );
            assert!(!rule.allows(&Attributes::path(&user, "post", path)));
            assert!(!rule.allows(&Attributes::resource(&user, "get", "", "pods")));
        }
    }
}
