//! Questions to roles and bindings, and their answers.

use serde_json::{Value, json};

use super::*;
use crate::rbac::{GROUP, RulesReview};

fn read<T: for<'de> serde::Deserialize<'de>>(values: Value) -> Vec<T> {
    serde_json::from_value(values).unwrap()
}

fn rule(resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [""], "resources": resources, "verbs": verbs})
}

fn objects() -> Objects {
    let role_ref = |kind: &str, name: &str| json!({"apiGroup": GROUP, "kind": kind, "name": name});
    Objects {
        roles: read(json!([
            {"metadata": {"name": "local", "namespace": "a"}, "rules": [rule(&["pods"], &["delete"])]},
            {"metadata": {"name": "local", "namespace": "b"}, "rules": [rule(&["pods"], &["patch"])]},
        ])),
        cluster_roles: read(json!([
            {"metadata": {"name": "read"}, "rules": [
                rule(&["pods"], &["get"]), {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
            ]},
            {"metadata": {"name": "write"}, "rules": [rule(&["pods"], &["create"])]},
        ])),
        role_bindings: read(json!([
            {"metadata": {"name": "l", "namespace": "a"}, "roleRef": role_ref("Role", "local"),
             "subjects": [{"kind": "ServiceAccount", "name": "bot"}]},
            {"metadata": {"name": "w", "namespace": "a"}, "roleRef": role_ref("ClusterRole", "write"),
             "subjects": [{"kind": "User", "name": "x"}, {"kind": "Group", "name": "team"},
                          {"kind": "Group", "name": "team 2"}]},
            {"metadata": {"name": "m", "namespace": "b"}, "roleRef": role_ref("ClusterRole", "read"),
             "subjects": [{"kind": "User", "name": "only b"}]},
            {"metadata": {"name": "gone", "namespace": "b"}, "roleRef": role_ref("Role", "gone"),
             "subjects": [{"kind": "User", "name": "only b"}]},
            {"metadata": {"name": "odd", "namespace": "b"}, "roleRef": role_ref("Rule", "odd"),
             "subjects": [{"kind": "User", "name": "only b"}, {"kind": "User", "name": "only b"}]},
        ])),
        cluster_role_bindings: read(json!([
            {"metadata": {"name": "r"}, "roleRef": role_ref("ClusterRole", "read"),
             "subjects": [{"kind": "Group", "name": "everyone"},
                          {"kind": "ServiceAccount", "namespace": "b", "name": "bot"},
                          {"kind": "ServiceAccount", "name": "nowhere"},
                          {"kind": "Robot", "name": "anna"}]},
        ])),
    }
}

fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    User {
        name: name.to_owned(),
        groups,
        ..User::default()
    }
}

const BOT_A: &str = "system:serviceaccount:a:bot";
const BOT_B: &str = "system:serviceaccount:b:bot";

#[test]
fn who_may_do_what_where() {
    let rules = Rules::new(&objects());
    let everyone =
        r#"RBAC: allowed by ClusterRoleBinding "r" of ClusterRole "read" to Group "everyone""#;
    let bot_b = r#"RBAC: allowed by ClusterRoleBinding "r" of ClusterRole "read" to ServiceAccount "bot/b""#;
    let bot_a = r#"RBAC: allowed by RoleBinding "l/a" of Role "local" to ServiceAccount "bot/a""#;
    let team = r#"RBAC: allowed by RoleBinding "w/a" of ClusterRole "write" to Group "team""#;
    let x = r#"RBAC: allowed by RoleBinding "w/a" of ClusterRole "write" to User "x""#;
    let broken = r#"RBAC: [role.rbac.authorization.k8s.io "gone" not found, unsupported role reference kind: "Rule"]"#;
    type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, Option<&'a str>);
    let cases: [Case<'_>; 20] = [
        ("anna", &["everyone"], "get", "", Some(everyone)),
        ("anna", &["everyone"], "get", "a", Some(everyone)),
        ("anna", &["everyone"], "delete", "a", None),
        (
            "anna",
            &["x", "everyone"],
            "get",
            "no such namespace",
            Some(everyone),
        ),
        ("anna", &[], "get", "", None),
        ("everyone", &[], "get", "", None),
        (BOT_B, &[], "get", "a", Some(bot_b)),
        (BOT_A, &[], "get", "a", None),
        (BOT_A, &[], "delete", "a", Some(bot_a)),
        (BOT_A, &[], "delete", "b", None),
        (BOT_A, &[], "patch", "a", None),
        (BOT_A, &[], "delete", "", None),
        ("anna", &["team"], "create", "a", Some(team)),
        ("anna", &["team"], "create", "b", None),
        ("x", &["team"], "create", "a", Some(x)),
        ("system:serviceaccount::nowhere", &[], "get", "", None),
        (
            "only b",
            &[],
            "get",
            "b",
            Some(r#"RBAC: allowed by RoleBinding "m/b" of ClusterRole "read" to User "only b""#),
        ),
        ("only b", &[], "delete", "b", Some(broken)),
        ("anna", &["system:masters"], "anything", "b", Some("")),
        ("system:masters", &[], "get", "b", None),
    ];
    for (name, groups, verb, namespace, wanted) in cases {
        let user = user(name, groups);
        let request = Attributes::resource(&user, verb, "", "pods").namespace(namespace);
        let Decision { allowed, reason } = rules.authorize(&request);
        let case = format!("{name} {groups:?} {verb} {namespace:?}: {reason}");
        assert_eq!(
            allowed,
            wanted.is_some() && wanted != Some(broken),
            "{case}"
        );
        assert_eq!(reason, wanted.unwrap_or_default(), "{case}");
    }
}

#[test]
fn paths_are_allowed_by_bindings_of_the_cluster_only() {
    let rules = Rules::new(&objects());
    for (name, groups, wanted) in [
        ("anna", &["everyone"][..], true),
        ("only b", &[], false),
        (BOT_B, &[], true),
    ] {
        let user = user(name, groups);
        let request = Attributes::path(&user, "get", "/metrics").namespace("b");
        assert_eq!(rules.authorize(&request).allowed, wanted, "{name}");
    }
}

#[test]
fn nothing_is_allowed_without_rules() {
    let rules = Rules::default();
    let user = user("a", &["system:authenticated"]);
    let denied = Decision {
        allowed: false,
        reason: String::new(),
    };
    assert_eq!(
        rules.authorize(&Attributes::path(&user, "get", "/")),
        denied
    );
    assert_eq!(
        rules.authorize(&Attributes::resource(&user, "get", "", "pods")),
        denied
    );
}

#[test]
fn rules_as_a_review_shows_them() {
    let rules = Rules::new(&objects());
    let shown = |user: &User, namespace: &str| {
        serde_json::to_value(RulesReview::from(&rules.rules_for(user, namespace))).unwrap()
    };
    let twice = user("x", &["team", "team 2", "everyone"]);
    assert_eq!(
        shown(&twice, "a"),
        json!({
            "resourceRules": [
                {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]},
                {"verbs": ["create"], "apiGroups": [""], "resources": ["pods"]},
            ],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}],
            "incomplete": false,
        })
    );
    let nothing = json!({"resourceRules": [], "nonResourceRules": [], "incomplete": false});
    assert_eq!(shown(&user("nobody", &[]), "a"), nothing);
    let broken = shown(&user("only b", &[]), "b");
    assert_eq!(broken["resourceRules"].as_array().unwrap().len(), 1);
    assert_eq!(
        broken["evaluationError"],
        r#"[role.rbac.authorization.k8s.io "gone" not found, unsupported role reference kind: "Rule"]"#
    );
}

#[test]
fn bindings_to_nothing_do_not_make_endless_answers() {
    let binding = |n: usize| {
        json!({"metadata": {"name": n.to_string(), "namespace": "a"},
               "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": format!("gone-{n}")},
               "subjects": [{"kind": "User", "name": "x"}]})
    };
    let role_bindings = read((0..10_000).map(binding).collect());
    let rules = Rules::new(&Objects {
        role_bindings,
        ..Objects::default()
    });
    let user = user("x", &[]);
    let request = Attributes::resource(&user, "get", "", "pods").namespace("a");
    assert!(rules.authorize(&request).reason.len() < 2_000);
    assert_eq!(rules.rules_for(&user, "a").errors.len(), 16);
}
