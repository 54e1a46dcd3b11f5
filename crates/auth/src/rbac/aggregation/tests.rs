//! Roles that are sums of others.

use super::*;
use serde_json::{Value, json};

fn role(name: &str, labels: Value, verbs: &[&str], selectors: Value) -> ClusterRole {
    let rules: Vec<_> = verbs
        .iter()
        .map(|verb| json!({"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}))
        .collect();
    let aggregation = match selectors {
        Value::Null => Value::Null,
        selectors => json!({"clusterRoleSelectors": selectors}),
    };
    let role = json!({
        "metadata": {"name": name, "labels": labels}, "rules": rules,
        "aggregationRule": aggregation,
    });
    serde_json::from_value(role).unwrap()
}

fn verbs(roles: &[ClusterRole], name: &str) -> String {
    let rules = &all_rules(roles)[name];
    let verbs: Vec<_> = rules.iter().map(|rule| rule.verbs[0].as_str()).collect();
    verbs.join(" ")
}

#[test]
fn sums_of_sums() {
    let to = |name: &str| json!({format!("to-{name}"): "true"});
    let from = |name: &str| json!([{"matchLabels": {format!("to-{name}"): "true"}}]);
    let roles = [
        role("admin", json!({}), &["stored"], from("admin")),
        role("edit", to("admin"), &[], from("edit")),
        role("view", to("edit"), &[], from("view")),
        role("part-admin", to("admin"), &["bind", "get"], Value::Null),
        role("part-edit", to("edit"), &["create"], Value::Null),
        role("part-view", to("view"), &["get", "list"], Value::Null),
        role("other", json!({"x": "y"}), &["other"], Value::Null),
    ];
    assert_eq!(verbs(&roles, "view"), "get list");
    assert_eq!(verbs(&roles, "edit"), "create get list");
    assert_eq!(verbs(&roles, "admin"), "create get list bind");
    assert_eq!(verbs(&roles, "other"), "other");
    let sums = aggregated_rules(&roles);
    assert_eq!(sums.keys().collect::<Vec<_>>(), ["admin", "edit", "view"]);
    assert_eq!(sums["view"].len(), 2);
}

#[test]
fn circles_and_oneself() {
    let all = json!([{}]);
    let roles = [
        role("a", json!({}), &["a"], all.clone()),
        role("b", json!({}), &["b"], all),
        role("c", json!({}), &["c"], Value::Null),
    ];
    assert_eq!(
        (verbs(&roles, "a"), verbs(&roles, "b")),
        ("c".to_owned(), "c".to_owned())
    );
}

#[test]
fn a_long_chain() {
    let roles: Vec<_> = (0..2_000)
        .map(|n| {
            let next = json!([{"matchLabels": {"n": (n + 1).to_string()}}]);
            let selectors = if n == 1_999 { Value::Null } else { next };
            role(
                &format!("{n:05}"),
                json!({"n": n.to_string()}),
                &["end"],
                selectors,
            )
        })
        .collect();
    let index = Index::new(&roles);
    assert_eq!(index.rules_of("00000").len(), 1);
}

#[test]
fn selectors() {
    let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    for (selector, wanted) in [
        (json!({}), true),
        (json!({"matchLabels": {"a": "1"}}), true),
        (json!({"matchLabels": {"a": "2"}}), false),
        (json!({"matchLabels": {"a": "1", "b": ""}}), false),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["2", "1"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}),
            false,
        ),
        (
            json!({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
            true,
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}),
            false,
        ),
        (
            json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["1"]}]}),
            false,
        ),
    ] {
        let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
        assert_eq!(read.matches(&labels), wanted, "{selector}");
    }
}
