//! Who may give what to whom.

use super::*;
use crate::rbac::Objects;
use serde_json::json;

fn read<T: for<'de> serde::Deserialize<'de>>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

fn binding(name: &str, kind: &str, role: &str, user: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team"},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user}],
    })
}

fn cluster_role(name: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name}, "rules": rules})
}

/// root may do everything, lead everything with pods in `team`, broken has a
/// binding to nothing; the others may do one special thing.
fn rules() -> Rules {
    let all = json!([rule("*", "*", &["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
    let escalate = json!([rule(GROUP, "clusterroles", &["escalate"])]);
    let mut bind = rule(GROUP, "clusterroles", &["bind"]);
    bind["resourceNames"] = json!(["all"]);
    Rules::new(&Objects {
        roles: Vec::new(),
        cluster_roles: [
            cluster_role("all", all),
            cluster_role("pods", json!([rule("", "pods", &["*"])])),
            cluster_role("escalate", escalate),
            cluster_role("bind", json!([bind])),
        ]
        .map(read)
        .into(),
        role_bindings: [
            binding("lead", "ClusterRole", "pods", "lead"),
            binding("broken", "ClusterRole", "nothing", "broken"),
            binding("local-binder", "ClusterRole", "bind", "local-binder"),
        ]
        .map(read)
        .into(),
        cluster_role_bindings: [
            binding("root", "ClusterRole", "all", "root"),
            binding("escalator", "ClusterRole", "escalate", "escalator"),
            binding("binder", "ClusterRole", "bind", "binder"),
        ]
        .map(read)
        .into(),
    })
}

fn user(name: &str) -> User {
    match name.strip_prefix("group ") {
        Some(group) => User {
            groups: vec![group.to_owned()],
            ..User::default()
        },
        None => User {
            name: name.to_owned(),
            groups: vec!["g".to_owned()],
            ..User::default()
        },
    }
}

fn message(result: Result<(), GrantError>) -> String {
    result
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn roles() {
    let rules = rules();
    let secrets = rule("", "secrets", &["get", "list"]);
    let role: Role = read(json!({
        "metadata": {"name": "r"},
        "rules": [rule("", "pods", &["get"]), secrets],
    }));
    let check = |name: &str, role: &Role| {
        let write = Write {
            user: &user(name),
            namespace: "team",
            name: "",
        };
        message(rules.check_role(&write, role))
    };
    assert_eq!(check("root", &role), "");
    assert_eq!(check("group system:masters", &role), "");
    assert_eq!(
        check("lead", &role),
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"lead\" (groups=[\"g\"]) is \
         attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}"
    );
    assert!(
        check("escalator", &role).contains("is forbidden"),
        "only for cluster roles"
    );
    assert_eq!(
        check("broken", &role).lines().last(),
        Some(
            "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}; resolution \
             errors: [clusterroles.rbac.authorization.k8s.io \"nothing\" not found]"
        )
    );
    let pods = Role {
        rules: role.rules[..1].to_vec(),
        ..role
    };
    assert_eq!(check("lead", &pods), "");
}

#[test]
fn what_is_held_in_one_namespace_is_not_held_everywhere() {
    let rules = rules();
    let role: ClusterRole = read(cluster_role("x", json!([rule("", "pods", &["get"])])));
    let write = |user| Write {
        user,
        namespace: "",
        name: "",
    };
    let (lead, root, escalator) = (user("lead"), user("root"), user("escalator"));
    assert_eq!(
        message(rules.check_cluster_role(&write(&lead), &role, None)),
        "clusterroles.rbac.authorization.k8s.io \"x\" is forbidden: user \"lead\" \
         (groups=[\"g\"]) is attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}"
    );
    assert_eq!(
        message(rules.check_cluster_role(&write(&root), &role, None)),
        ""
    );
    assert_eq!(
        message(rules.check_cluster_role(&write(&escalator), &role, None)),
        ""
    );
}

#[test]
fn only_who_may_do_everything_chooses_what_a_sum_is_of() {
    let rules = rules();
    let sum = |selectors: Value| -> ClusterRole {
        read(json!({
            "metadata": {"name": "x"}, "aggregationRule": {"clusterRoleSelectors": selectors},
        }))
    };
    let (new, old) = (sum(json!([{}])), sum(json!([{"matchLabels": {"a": "b"}}])));
    let plain = read(cluster_role("x", json!([])));
    let check = |name: &str, role: &ClusterRole, old: Option<&ClusterRole>| {
        let write = Write {
            user: &user(name),
            namespace: "",
            name: "x",
        };
        message(rules.check_cluster_role(&write, role, old))
    };
    let refused = "clusterroles.rbac.authorization.k8s.io \"x\" is forbidden: must have \
                   cluster-admin privileges to use the aggregationRule";
    for (role, old, wanted) in [
        (&new, None, refused),
        (&new, Some(&old), refused),
        (&plain, Some(&old), refused),
        (&new, Some(&plain), refused),
        (&new, Some(&new), ""),
        (&plain, None, ""),
    ] {
        assert_eq!(check("lead", role, old), wanted);
        assert_eq!(check("root", role, old), "");
        assert_eq!(check("escalator", role, old), "");
    }
}

#[test]
fn bindings() {
    let rules = rules();
    let check = |name: &str, kind: &str, role: &str| {
        let write = Write {
            user: &user(name),
            namespace: "team",
            name: "",
        };
        let binding: RoleBinding = read(binding("b", kind, role, "x"));
        let local = rules.check_role_binding(&write, &binding);
        let binding: ClusterRoleBinding = read(self::binding("b", kind, role, "x"));
        (
            message(local),
            message(rules.check_cluster_role_binding(&write, &binding)),
        )
    };
    let ok = String::new;
    for name in ["root", "group system:masters", "binder"] {
        assert_eq!(check(name, "ClusterRole", "all"), (ok(), ok()), "{name}");
    }
    let (local, everywhere) = check("local-binder", "ClusterRole", "all");
    assert_eq!(local, "");
    assert!(everywhere.starts_with(
        "clusterrolebindings.rbac.authorization.k8s.io \"b\" is forbidden: user \"local-binder\""
    ));
    assert!(
        check("binder", "ClusterRole", "pods")
            .0
            .contains("is forbidden"),
        "another name"
    );
    let (local, everywhere) = check("lead", "ClusterRole", "pods");
    assert_eq!(local, "");
    assert!(everywhere.contains("not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"]"));
    assert_eq!(
        check("lead", "Role", "gone").0,
        "roles.rbac.authorization.k8s.io \"gone\" not found"
    );
    assert_eq!(
        check("root", "Role", "gone"),
        (ok(), ok()),
        "may bind anything"
    );
}

#[test]
fn messages_have_an_end() {
    let rules = rules();
    let resources: Vec<_> = (0..3_000).map(|n| n.to_string()).collect();
    let mut wanted: PolicyRule = read(rule("", "", &["get"]));
    wanted.resources = resources;
    let detail = rules.confirm_no_escalation(&user("lead"), "team", &[wanted.clone()]);
    let detail = detail.unwrap_err();
    assert_eq!(detail.lines().last(), Some("... and 2000 more"));
    wanted.api_groups = wanted.resources.clone();
    let detail = rules
        .confirm_no_escalation(&user("lead"), "team", &[wanted])
        .unwrap_err();
    assert!(detail.ends_with("not currently held:\n(too many to list)"));
}

#[test]
fn bookkeeping() {
    let old = json!({"metadata": {"name": "a", "finalizers": ["x"]}, "rules": []});
    for (new, wanted) in [
        (json!({"metadata": {"name": "a"}, "rules": []}), true),
        (
            json!({"metadata": {"name": "a", "ownerReferences": [{}]}, "rules": []}),
            true,
        ),
        (
            json!({"metadata": {"name": "a", "labels": {}}, "rules": []}),
            false,
        ),
        (json!({"metadata": {"name": "a"}, "rules": [{}]}), false),
        (json!([]), false),
    ] {
        assert_eq!(changes_only_bookkeeping(&old, &new), wanted, "{new}");
    }
}
