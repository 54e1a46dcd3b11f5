//! Objects of RBAC that are refused, in Kubernetes' words.

use super::*;
use serde_json::{Value, json};

fn shown(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn role(rules: Value) -> Value {
    json!({"metadata": {"name": "a:b c"}, "rules": rules})
}

fn check_role(value: Value) -> Vec<String> {
    shown(&validate_role(&serde_json::from_value(value).unwrap()))
}

fn check_cluster_role(value: Value) -> Vec<String> {
    shown(&validate_cluster_role(
        &serde_json::from_value(value).unwrap(),
    ))
}

#[test]
fn rules() {
    for (rule, wanted) in [
        (
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}),
            &[][..],
        ),
        (
            json!({}),
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one \
                 api group",
                "rules[0].resources: Required value: resource rules must supply at least one \
                 resource",
            ],
        ),
        (
            json!({"nonResourceURLs": ["/a"], "verbs": ["get"], "apiGroups": [""]}),
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both \
                 regular resources and non-resource URLs",
            ],
        ),
    ] {
        assert_eq!(check_cluster_role(role(json!([rule]))), wanted);
    }
    assert_eq!(
        check_role(role(json!([{"nonResourceURLs": ["/a"], "verbs": ["get"]}]))),
        [
            "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: namespaced rules cannot apply \
             to non-resource URLs"
        ]
    );
    assert_eq!(check_role(role(json!(null))), [""; 0]);
}

#[test]
fn names() {
    for (name, wanted) in [
        (
            "",
            &["metadata.name: Required value: name or generateName is required"][..],
        ),
        (
            ".",
            &["metadata.name: Invalid value: \".\": may not be '.'"],
        ),
        (
            "..",
            &["metadata.name: Invalid value: \"..\": may not be '..'"],
        ),
        (
            "a/b%",
            &[
                "metadata.name: Invalid value: \"a/b%\": may not contain '/'",
                "metadata.name: Invalid value: \"a/b%\": may not contain '%'",
            ],
        ),
        ("System:any Thing", &[]),
    ] {
        assert_eq!(check_role(json!({"metadata": {"name": name}})), wanted);
    }
    assert_eq!(
        check_role(json!({"metadata": {"generateName": "a-"}})),
        [""; 0]
    );
}

#[test]
fn sums() {
    let sum = |selectors: Value| {
        let aggregation = json!({"clusterRoleSelectors": selectors});
        check_cluster_role(json!({"metadata": {"name": "a"}, "aggregationRule": aggregation}))
    };
    assert_eq!(
        sum(json!([])),
        [
            "aggregationRule.clusterRoleSelectors: Required value: at least one \
             clusterRoleSelector required if aggregationRule is non-nil"
        ]
    );
    let expressions = json!([{"matchExpressions": [
        {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["x"]},
        {"key": "a", "operator": "in"}, {"key": "a", "operator": "NotIn", "values": ["x"]},
    ]}]);
    assert_eq!(
        sum(expressions),
        [
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values: Required \
             value: must be specified when `operator` is 'In' or 'NotIn'",
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[1].values: Forbidden: may \
             not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[2].operator: Invalid \
             value: \"in\": not a valid selector operator",
        ]
    );
}

#[test]
fn bindings() {
    let good = json!({
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "r"},
        "subjects": [
            {"kind": "User", "apiGroup": GROUP, "name": "any one"},
            {"kind": "Group", "apiGroup": GROUP, "name": "g"},
            {"kind": "ServiceAccount", "name": "s"},
        ],
    });
    let local = |value: &Value| -> RoleBinding { serde_json::from_value(value.clone()).unwrap() };
    let everywhere =
        |value: &Value| -> ClusterRoleBinding { serde_json::from_value(value.clone()).unwrap() };
    assert_eq!(validate_role_binding(&local(&good)), []);
    assert_eq!(
        shown(&validate_cluster_role_binding(&everywhere(&good))),
        [
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[2].namespace: Required value",
        ]
    );
    let bad = json!({
        "metadata": {"name": "b"},
        "roleRef": {"apiGroup": "x", "kind": "Rule", "name": "a/b"},
        "subjects": [
            {"kind": "User"}, {"kind": "Group", "apiGroup": "x", "name": "g"},
            {"kind": "ServiceAccount", "name": "S", "apiGroup": GROUP}, {"kind": "Robot", "name": "r"},
        ],
    });
    assert_eq!(
        shown(&validate_role_binding(&local(&bad))),
        [
            "roleRef.apiGroup: Unsupported value: \"x\": supported values: \
             \"rbac.authorization.k8s.io\"",
            "roleRef.kind: Unsupported value: \"Rule\": supported values: \"Role\", \
             \"ClusterRole\"",
            "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
            "subjects[0].name: Required value",
            "subjects[0].name: Invalid value: \"\": user name cannot be empty",
            "subjects[0].apiGroup: Unsupported value: \"\": supported values: \
             \"rbac.authorization.k8s.io\"",
            "subjects[1].apiGroup: Unsupported value: \"x\": supported values: \
             \"rbac.authorization.k8s.io\"",
            &format!("subjects[2].name: Invalid value: \"S\": {SUBDOMAIN}"),
            "subjects[2].apiGroup: Unsupported value: \"rbac.authorization.k8s.io\": supported \
             values: \"\"",
            "subjects[3].kind: Unsupported value: \"Robot\": supported values: \
             \"ServiceAccount\", \"User\", \"Group\"",
        ]
    );
    let mut other = good.clone();
    other["roleRef"]["name"] = json!("q");
    let changed = [
        "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\
         \"name\":\"q\"}: cannot change roleRef",
    ];
    let errors = validate_role_binding_update(&local(&other), &local(&good));
    assert_eq!(shown(&errors), changed);
    let errors = validate_cluster_role_binding_update(&everywhere(&other), &everywhere(&good));
    assert_eq!(shown(&errors[2..]), changed);
    assert_eq!(
        validate_role_binding_update(&local(&good), &local(&good)),
        []
    );
}
