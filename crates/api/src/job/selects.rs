//! Which pods a Job's selector takes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::JobSpec;

impl JobSpec {
    /// Whether the selector takes a pod with `labels`. One that is empty takes none.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.object
            .selector
            .as_ref()
            .is_some_and(|it| takes(it, labels))
    }

    /// `manualSelector`: the selector is its author's, and may take pods that are there already.
    #[must_use]
    pub fn has_manual_selector(&self) -> bool {
        self.object.manual_selector == Some(true)
    }
}

fn takes(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let pairs = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    let is_empty = pairs.clone().next().is_none() && expressions.clone().next().is_none();
    let has_pairs = pairs
        .clone()
        .all(|(key, value)| labels.get(key) == Some(value));
    let is_so = expressions.clone().all(|wanted| {
        let value = labels.get(&wanted.key);
        let is_one = |value: &String| wanted.values.iter().flatten().any(|it| it == value);
        match &*wanted.operator {
            "In" => value.is_some_and(is_one),
            "NotIn" => !value.is_some_and(is_one),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            // Validation knows no other.
            _ => false,
        }
    });
    !is_empty && has_pairs && is_so
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_selector_takes_what_fulfils_all_of_it() {
        let labels = [("app".to_owned(), "a".to_owned())].into();
        let takes = |selector: Value| takes(&serde_json::from_value(selector).unwrap(), &labels);
        let one = |operator: &str, key: &str, values: &[&str]| {
            takes(
                json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}),
            )
        };
        assert!(takes(json!({"matchLabels": {"app": "a"}})));
        assert!(!takes(json!({"matchLabels": {"app": "b"}})));
        assert!(!takes(json!({"matchLabels": {"app": "a", "x": "y"}})));
        assert!(!takes(json!({})));
        assert!(one("In", "app", &["b", "a"]) && !one("In", "x", &["a"]));
        assert!(one("NotIn", "x", &["a"]) && !one("NotIn", "app", &["a"]));
        assert!(one("Exists", "app", &[]) && !one("Exists", "x", &[]));
        assert!(one("DoesNotExist", "x", &[]) && !one("DoesNotExist", "app", &[]));
        assert!(!one("Like", "app", &["a"]));
        assert!(!takes(json!({"matchLabels": {"app": "a"},
            "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]})));
    }
}
