//! The roles and bindings that every cluster has.
//!
//! Those of Kubernetes that mean something here, restricted to the resources that
//! are served, with the labels and annotations by which tools know them, and one of
//! our own: the group of administrators. What of them must be created or mended at
//! a start is [`reconcile`]'s answer; writing it is the caller's.
//!
//! Rights are taken from the administrators' group by setting the annotation
//! `rbac.authorization.kubernetes.io/autoupdate` of the binding `wasmjob:admins` to
//! `"false"` and removing its subject; a binding that was just deleted comes back.

mod reconcile;

use serde_json::{Value, json};

use crate::identity::service_account::ALL_SERVICE_ACCOUNTS;
use crate::identity::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};
use crate::pki::ADMIN_GROUP;
use crate::rbac::GROUP as RBAC;

pub use self::reconcile::{Change, reconcile};

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
const READ_WRITE: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const HEALTH: [&str; 5] = ["/livez", "/readyz", "/healthz", "/version", "/version/"];

/// The built-in `ClusterRole`s, as JSON objects to create.
#[must_use]
pub fn cluster_roles() -> Vec<Value> {
    let mut roles = vec![
        role(
            "cluster-admin",
            json!([rule(&["*"], &["*"], &["*"]), paths(&["*"], &["*"])]),
        ),
        role(
            "system:discovery",
            json!([paths(
                &[
                    &HEALTH[..],
                    &[
                        "/openapi",
                        "/openapi/*",
                        "/api",
                        "/api/*",
                        "/apis",
                        "/apis/*"
                    ]
                ]
                .concat(),
                &["get"]
            )]),
        ),
        role(
            "system:basic-user",
            json!([
                rule(
                    &[AUTHORIZATION],
                    &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                    &["create"]
                ),
                rule(&[AUTHENTICATION], &["selfsubjectreviews"], &["create"]),
            ]),
        ),
        role(
            "system:public-info-viewer",
            json!([paths(&HEALTH, &["get"])]),
        ),
        role(
            "system:monitoring",
            json!([paths(
                &[
                    "/metrics",
                    "/metrics/slis",
                    "/livez",
                    "/readyz",
                    "/healthz",
                    "/livez/*",
                    "/readyz/*",
                    "/healthz/*",
                ],
                &["get"]
            )]),
        ),
        role(
            "system:auth-delegator",
            json!([
                rule(&[AUTHENTICATION], &["tokenreviews"], &["create"]),
                rule(&[AUTHORIZATION], &["subjectaccessreviews"], &["create"]),
            ]),
        ),
        role(
            "system:service-account-issuer-discovery",
            json!([paths(
                &[
                    "/.well-known/openid-configuration",
                    "/.well-known/openid-configuration/",
                    "/openid/v1/jwks",
                    "/openid/v1/jwks/",
                ],
                &["get"]
            )]),
        ),
    ];
    roles.extend(sums_and_parts());
    roles
}

/// `admin`, `edit` and `view`, each the sum of the part of its name and of the next
/// lower role; a role of somebody else joins in by the same label.
fn sums_and_parts() -> [Value; 6] {
    let mut edit = sum("edit");
    add_label(&mut edit, &aggregate_to("admin"), "true");
    let mut view = sum("view");
    add_label(&mut view, &aggregate_to("edit"), "true");
    [
        sum("admin"),
        edit,
        view,
        part(
            "admin",
            json!([
                rule(
                    &[AUTHORIZATION],
                    &["localsubjectaccessreviews"],
                    &["create"]
                ),
                rule(&[RBAC], &["roles", "rolebindings"], &READ_WRITE),
            ]),
        ),
        part(
            "edit",
            json!([
                // Reading these is as good as acting as somebody else, so it is no part of `view`.
                rule(
                    &[""],
                    &["pods/attach", "pods/exec", "pods/portforward", "secrets"],
                    &READ
                ),
                rule(&[""], &["serviceaccounts"], &["impersonate"]),
                rule(
                    &[""],
                    &["pods", "pods/attach", "pods/exec", "pods/portforward"],
                    &WRITE
                ),
                rule(&[""], &["pods/eviction"], &["create"]),
                rule(
                    &[""],
                    &[
                        "configmaps",
                        "events",
                        "persistentvolumeclaims",
                        "secrets",
                        "serviceaccounts",
                        "services",
                    ],
                    &WRITE
                ),
                rule(&[""], &["serviceaccounts/token"], &["create"]),
                rule(&["batch"], &["cronjobs", "jobs"], &WRITE),
                rule(&["networking.k8s.io"], &["networkpolicies"], &WRITE),
            ]),
        ),
        part(
            "view",
            json!([
                rule(
                    &[""],
                    &[
                        "configmaps",
                        "limitranges",
                        "persistentvolumeclaims",
                        "persistentvolumeclaims/status",
                        "pods",
                        "resourcequotas",
                        "resourcequotas/status",
                        "serviceaccounts",
                        "services",
                    ],
                    &READ
                ),
                rule(
                    &[""],
                    &["events", "namespaces/status", "pods/log", "pods/status"],
                    &READ
                ),
                // In a namespace: this namespace, and no other.
                rule(&[""], &["namespaces"], &READ),
                rule(
                    &["batch"],
                    &["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
                    &READ
                ),
                rule(&["networking.k8s.io"], &["networkpolicies"], &READ),
            ]),
        ),
    ]
}

/// The built-in `ClusterRoleBinding`s, as JSON objects to create.
#[must_use]
pub fn cluster_role_bindings() -> Vec<Value> {
    vec![
        binding("cluster-admin", "cluster-admin", &[MASTERS]),
        binding(ADMIN_GROUP, "cluster-admin", &[ADMIN_GROUP]),
        binding("system:discovery", "system:discovery", &[AUTHENTICATED]),
        binding("system:basic-user", "system:basic-user", &[AUTHENTICATED]),
        binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &[AUTHENTICATED, UNAUTHENTICATED],
        ),
        binding(
            "system:monitoring",
            "system:monitoring",
            &["system:monitoring"],
        ),
        binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            &[ALL_SERVICE_ACCOUNTS],
        ),
    ]
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn paths(paths: &[&str], verbs: &[&str]) -> Value {
    json!({"nonResourceURLs": paths, "verbs": verbs})
}

fn object(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        },
    })
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
    object
}

fn role(name: &str, rules: Value) -> Value {
    with(object("ClusterRole", name), "rules", rules)
}

fn aggregate_to(name: &str) -> String {
    format!("{RBAC}/aggregate-to-{name}")
}

fn sum(name: &str) -> Value {
    let selector = json!({"matchLabels": {aggregate_to(name): "true"}});
    let aggregation = json!({"clusterRoleSelectors": [selector]});
    with(role(name, json!([])), "aggregationRule", aggregation)
}

fn part(of: &str, rules: Value) -> Value {
    let mut part = role(&format!("system:aggregate-to-{of}"), rules);
    add_label(&mut part, &aggregate_to(of), "true");
    part
}

fn add_label(object: &mut Value, key: &str, value: &str) {
    let labels = object
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        labels.insert(key.to_owned(), value.into());
    }
}

fn binding(name: &str, role: &str, groups: &[&str]) -> Value {
    let subjects: Vec<_> = groups
        .iter()
        .map(|group| json!({"kind": "Group", "apiGroup": RBAC, "name": group}))
        .collect();
    let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role});
    with(
        with(object("ClusterRoleBinding", name), "roleRef", role),
        "subjects",
        json!(subjects),
    )
}

#[cfg(test)]
mod tests;
