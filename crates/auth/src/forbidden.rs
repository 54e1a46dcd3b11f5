//! A denial in words: the message of a 403, to the letter of Kubernetes.

use crate::attributes::Attributes;
use crate::text::quoted;

/// The message of the Status that answers a request which is not allowed. `reason`
/// is that of the decision, and may be empty.
///
/// The Status' details are `name`, `group` and, as `kind`, the resource.
#[must_use]
pub fn message(request: &Attributes<'_>, reason: &str) -> String {
    let mut what = what(request);
    if !reason.is_empty() {
        what.push_str(": ");
        what.push_str(reason);
    }
    if request.path.is_some() || request.resource.is_empty() {
        return format!("forbidden: {what}");
    }
    let mut resource = request.resource.to_owned();
    if !request.api_group.is_empty() {
        resource.push('.');
        resource.push_str(request.api_group);
    }
    match request.name {
        "" => format!("{resource} is forbidden: {what}"),
        name => format!("{resource} {} is forbidden: {what}", quoted(name)),
    }
}

fn what(request: &Attributes<'_>) -> String {
    let user = quoted(&request.user.name);
    let verb = request.verb;
    let what = match request.path {
        Some(path) => format!("User {user} cannot {verb} path {}", quoted(path)),
        None => {
            let resource = match request.subresource {
                "" => quoted(request.resource),
                subresource => quoted(&format!("{}/{subresource}", request.resource)),
            };
            let scope = match request.namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {}", quoted(namespace)),
            };
            let group = quoted(request.api_group);
            format!("User {user} cannot {verb} resource {resource} in API group {group} {scope}")
        }
    };
    // A browser that takes the text for HTML must find none in it.
    what.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::User;

    #[test]
    fn messages() {
        let user = User {
            name: "u".to_owned(),
            ..User::default()
        };
        let request = |verb, group, resource| Attributes::resource(&user, verb, group, resource);
        for (request, reason, wanted) in [
            (
                request("list", "", "namespaces"),
                "",
                r#"namespaces is forbidden: User "u" cannot list resource "namespaces" in API group "" at the cluster scope"#,
            ),
            (
                request("get", "batch", "jobs")
                    .subresource("status")
                    .namespace("ns")
                    .name("x"),
                "",
                r#"jobs.batch "x" is forbidden: User "u" cannot get resource "jobs/status" in API group "batch" in the namespace "ns""#,
            ),
            (
                request("delete", "", "pods").namespace("ns").name("x"),
                "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found",
                r#"pods "x" is forbidden: User "u" cannot delete resource "pods" in API group "" in the namespace "ns": RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#,
            ),
            (
                Attributes::path(&user, "get", "/metrics"),
                "",
                r#"forbidden: User "u" cannot get path "/metrics""#,
            ),
            (
                Attributes::path(&user, "get", "/<script>&\n"),
                "",
                r#"forbidden: User "u" cannot get path "/&lt;script&gt;&amp;\n""#,
            ),
            (
                request("impersonate", "authentication.k8s.io", "userextras")
                    .subresource("scopes")
                    .name("a\"b"),
                "",
                r#"userextras.authentication.k8s.io "a\"b" is forbidden: User "u" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope"#,
            ),
        ] {
            assert_eq!(message(&request, reason), wanted);
        }
        let nobody = User::anonymous();
        let request = Attributes::resource(&nobody, "create", "batch", "jobs").namespace("a");
        assert_eq!(
            message(&request, ""),
            r#"jobs.batch is forbidden: User "system:anonymous" cannot create resource "jobs" in API group "batch" in the namespace "a""#
        );
    }
}
