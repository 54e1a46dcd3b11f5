//! The built-in roles, and what a start writes of them.

use super::*;
use crate::attributes::Attributes;
use crate::identity::User;
use crate::rbac::{
    ClusterRole, ClusterRoleBinding, Objects, RoleBinding, Rules, aggregated_rules,
    validate_cluster_role, validate_cluster_role_binding,
};

fn read<T: for<'de> serde::Deserialize<'de>>(values: Vec<Value>) -> Vec<T> {
    values
        .into_iter()
        .map(|value| serde_json::from_value(value).unwrap())
        .collect()
}

/// The built-in rules, and for each of admin, edit and view a user of that name who
/// has the role in the namespace `team`.
fn rules() -> Rules {
    let local = ["admin", "edit", "view"].map(|role| {
        json!({
            "metadata": {"name": role, "namespace": "team"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": role}],
        })
    });
    Rules::new(&Objects {
        roles: Vec::new(),
        cluster_roles: read(cluster_roles()),
        role_bindings: read::<RoleBinding>(local.into()),
        cluster_role_bindings: read(cluster_role_bindings()),
    })
}

#[test]
fn they_are_what_the_api_would_let_in() {
    for role in read::<ClusterRole>(cluster_roles()) {
        assert_eq!(validate_cluster_role(&role), [], "{}", role.metadata.name);
    }
    for binding in read::<ClusterRoleBinding>(cluster_role_bindings()) {
        assert_eq!(
            validate_cluster_role_binding(&binding),
            [],
            "{}",
            binding.metadata.name
        );
    }
    for object in cluster_roles().iter().chain(&cluster_role_bindings()) {
        assert_eq!(
            object["metadata"]["labels"]["kubernetes.io/bootstrapping"],
            "rbac-defaults"
        );
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(
            annotations["rbac.authorization.kubernetes.io/autoupdate"],
            "true"
        );
        assert_eq!(object["apiVersion"], "rbac.authorization.k8s.io/v1");
    }
}

#[test]
fn what_the_roles_of_a_namespace_may_do() {
    let rules = rules();
    // Who may: a for admin, e for edit, v for view.
    for (verb, group, resource, who) in [
        ("get", "", "pods", "aev"),
        ("list", "", "pods/log", "aev"),
        ("create", "", "pods", "ae"),
        ("create", "", "pods/exec", "ae"),
        ("get", "", "pods/exec", "ae"),
        ("create", "", "pods/eviction", "ae"),
        ("update", "", "pods/status", ""),
        ("get", "", "pods/status", "aev"),
        ("deletecollection", "batch", "jobs", "ae"),
        ("watch", "batch", "cronjobs", "aev"),
        ("patch", "batch", "jobs/status", ""),
        ("get", "batch", "jobs/status", "aev"),
        ("get", "", "secrets", "ae"),
        ("get", "", "configmaps", "aev"),
        ("create", "", "events", "ae"),
        ("create", "", "serviceaccounts/token", "ae"),
        ("impersonate", "", "serviceaccounts", "ae"),
        ("impersonate", "", "users", ""),
        ("get", "", "namespaces", "aev"),
        ("delete", "", "namespaces", ""),
        (
            "create",
            "authorization.k8s.io",
            "localsubjectaccessreviews",
            "a",
        ),
        ("create", "authorization.k8s.io", "subjectaccessreviews", ""),
        ("create", RBAC, "rolebindings", "a"),
        ("get", RBAC, "roles", "a"),
        ("escalate", RBAC, "roles", ""),
        ("bind", RBAC, "roles", ""),
        ("get", "", "nodes", ""),
    ] {
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let may = |name: &str, namespace: &str| {
            let user = User {
                name: name.to_owned(),
                ..User::default()
            };
            let request = Attributes::resource(&user, verb, group, plural)
                .subresource(subresource)
                .namespace(namespace);
            rules.authorize(&request).allowed
        };
        let allowed: String = ["admin", "edit", "view"]
            .iter()
            .filter(|name| may(name, "team"))
            .map(|name| &name[..1])
            .collect();
        assert_eq!(allowed, who, "{verb} {group} {resource}");
        for name in ["admin", "edit", "view"] {
            assert!(
                !may(name, "other") && !may(name, ""),
                "{name} outside of its namespace"
            );
        }
        let admin = User {
            groups: vec![ADMIN_GROUP.to_owned()],
            ..User::default()
        };
        let request = Attributes::resource(&admin, verb, group, plural).subresource(subresource);
        assert!(
            rules.authorize(&request).allowed,
            "administrators: {verb} {resource}"
        );
    }
}

#[test]
fn paths() {
    let rules = rules();
    let group = |group: &str| User {
        groups: vec![group.to_owned()],
        ..User::default()
    };
    let users = [
        ("n", User::anonymous()),
        ("u", User::authenticated("x", Vec::new())),
        (
            "s",
            User::authenticated("x", vec![ALL_SERVICE_ACCOUNTS.to_owned()]),
        ),
        ("m", group("system:monitoring")),
        ("a", group(ADMIN_GROUP)),
    ];
    for (verb, path, who) in [
        ("get", "/healthz", "nusma"),
        ("get", "/livez/etcd", "ma"),
        ("get", "/version", "nusa"),
        ("get", "/api", "usa"),
        ("get", "/apis/batch/v1", "usa"),
        ("get", "/openapi/v3", "usa"),
        ("get", "/metrics", "ma"),
        ("get", "/openid/v1/jwks", "sa"),
        ("post", "/healthz", "a"),
        ("get", "/", "a"),
        ("get", "/debug/pprof", "a"),
    ] {
        let allowed: String = users
            .iter()
            .filter(|(_, user)| rules.authorize(&Attributes::path(user, verb, path)).allowed)
            .map(|(letter, _)| *letter)
            .collect();
        assert_eq!(allowed, who, "{verb} {path}");
    }
}

#[test]
fn anonymous_users_see_no_object() {
    let rules = rules();
    let anonymous = rules.rules_for(&User::anonymous(), "team");
    assert!(anonymous.rules.iter().all(|rule| rule.resources.is_empty()));
    assert_eq!(anonymous.errors, []);
    let known = rules.rules_for(&User::authenticated("x", Vec::new()), "team");
    let resources: Vec<_> = known
        .rules
        .iter()
        .flat_map(|rule| &rule.resources)
        .collect();
    assert_eq!(
        resources,
        [
            "selfsubjectaccessreviews",
            "selfsubjectrulesreviews",
            "selfsubjectreviews"
        ]
    );
}

/// A store that does what it is told.
fn apply(changes: Vec<Change>, roles: &mut Vec<Value>, bindings: &mut Vec<Value>) {
    for change in changes {
        let new = match change {
            Change::Create(new) | Change::Update(new) | Change::Recreate { new, .. } => new,
        };
        let store = if new["kind"] == "ClusterRole" {
            &mut *roles
        } else {
            &mut *bindings
        };
        store.retain(|old| old["metadata"]["name"] != new["metadata"]["name"]);
        store.push(new);
    }
}

#[test]
fn a_second_start_changes_nothing() {
    let (mut roles, mut bindings) = (Vec::new(), Vec::new());
    let changes = reconcile(&roles, &bindings);
    assert_eq!(
        changes.len(),
        cluster_roles().len() + cluster_role_bindings().len()
    );
    assert!(matches!(&changes[0], Change::Create(role) if role["kind"] == "ClusterRole"));
    apply(changes, &mut roles, &mut bindings);
    assert_eq!(reconcile(&roles, &bindings), []);
    // A controller writes the sums' rules into them.
    let sums = aggregated_rules(&read(roles.clone()));
    for role in &mut roles {
        if let Some(rules) = role["metadata"]["name"]
            .as_str()
            .and_then(|name| sums.get(name))
        {
            role["rules"] = json!(rules);
        }
    }
    assert_eq!(reconcile(&roles, &bindings), []);
}

#[test]
fn what_was_taken_away_comes_back_and_what_was_added_stays() {
    let (mut roles, mut bindings) = (cluster_roles(), cluster_role_bindings());
    let role = roles
        .iter_mut()
        .find(|role| role["metadata"]["name"] == "system:basic-user");
    let role = role.unwrap();
    role["metadata"]["resourceVersion"] = json!("7");
    role["metadata"]["labels"] = json!({"mine": "x", "kubernetes.io/bootstrapping": "changed"});
    role["metadata"]["annotations"] = json!(null);
    let mine = rule(&["x"], &["y"], &["get"]);
    role["rules"] = json!([
        mine,
        rule(&[AUTHENTICATION], &["selfsubjectreviews"], &["create"])
    ]);
    let sum = roles
        .iter_mut()
        .find(|role| role["metadata"]["name"] == "view")
        .unwrap();
    sum["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"mine": "x"}}]});
    let binding = &mut bindings[1];
    binding["subjects"] = json!([{"kind": "User", "name": "me"}]);

    let changes = reconcile(&roles, &bindings);
    let [
        Change::Update(role),
        Change::Update(sum),
        Change::Update(binding),
    ] = &changes[..]
    else {
        panic!("{changes:?}")
    };
    assert_eq!(
        role["metadata"],
        json!({
            "name": "system:basic-user",
            "resourceVersion": "7",
            "labels": {"mine": "x", "kubernetes.io/bootstrapping": "changed"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        })
    );
    let reviews = |name: &str| rule(&[AUTHORIZATION], &[name], &["create"]);
    assert_eq!(
        role["rules"],
        json!([
            mine,
            rule(&[AUTHENTICATION], &["selfsubjectreviews"], &["create"]),
            reviews("selfsubjectaccessreviews"),
            reviews("selfsubjectrulesreviews"),
        ])
    );
    assert_eq!(
        sum["aggregationRule"]["clusterRoleSelectors"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        binding["subjects"],
        json!([
            {"kind": "User", "name": "me"},
            {"kind": "Group", "apiGroup": RBAC, "name": "wasmjob:admins"},
        ])
    );
    apply(changes, &mut roles, &mut bindings);
    assert_eq!(reconcile(&roles, &bindings), []);
}

#[test]
fn objects_that_opted_out_are_left_alone() {
    let (mut roles, mut bindings) = (cluster_roles(), cluster_role_bindings());
    for object in roles.iter_mut().chain(&mut bindings) {
        let annotations = &mut object["metadata"]["annotations"];
        annotations["rbac.authorization.kubernetes.io/autoupdate"] = json!("false");
        object["rules"] = json!([]);
        object["subjects"] = json!([]);
        object["roleRef"] = json!({});
    }
    assert_eq!(reconcile(&roles, &bindings), []);
}

#[test]
fn a_binding_to_another_role_is_made_anew() {
    let (roles, mut bindings) = (cluster_roles(), cluster_role_bindings());
    bindings[0]["roleRef"]["name"] = json!("view");
    let old = bindings[0].clone();
    let new = cluster_role_bindings().remove(0);
    assert_eq!(
        reconcile(&roles, &bindings),
        [Change::Recreate { old, new }]
    );
}

#[test]
fn a_role_that_became_a_sum_is_none_again() {
    let (mut roles, bindings) = (cluster_roles(), cluster_role_bindings());
    roles[0]["aggregationRule"] = json!({"clusterRoleSelectors": [{}]});
    let [Change::Update(role)] = &reconcile(&roles, &bindings)[..] else {
        panic!()
    };
    assert_eq!(role.get("aggregationRule"), None);
}

#[test]
fn objects_of_any_shape_do_no_harm() {
    let named = |value: Value| {
        let mut value = value;
        if let Some(object) = value.as_object_mut() {
            object.insert("metadata".to_owned(), json!({"name": "admin", "labels": 3}));
        }
        value
    };
    for odd in [
        json!(null),
        json!([]),
        json!({}),
        json!({"rules": 3, "subjects": "x"}),
    ] {
        let _ = reconcile(
            &[odd.clone(), named(odd.clone())],
            &[odd.clone(), named(odd)],
        );
    }
}
