//! Roles, and who has them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{age, list, name, text};
use super::{Cells, Column, Printer};

pub(super) const ROLE: Printer = Printer {
    columns: &[Column::NAME, Column::AGE],
    row: |object, now| vec![name(object), age(object, now)].into(),
};

pub(super) const BINDING: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Role", "The role that is given."),
        Column::AGE,
        Column::new("Users", "The users that have it.").wide(),
        Column::new("Groups", "The groups that have it.").wide(),
        Column::new("ServiceAccounts", "The service accounts that have it.").wide(),
    ],
    row: binding,
};

fn binding(binding: &Value, now: Timestamp) -> Cells {
    let role = &binding["roleRef"];
    let subjects = |kind: &str, namespaced: bool| {
        let subjects = list(&binding["subjects"]).iter();
        let names: Vec<String> = subjects
            .filter(|subject| subject["kind"] == kind)
            .map(|subject| match namespaced {
                true => format!("{}/{}", text(&subject["namespace"]), text(&subject["name"])),
                false => text(&subject["name"]).to_owned(),
            })
            .collect();
        json!(names.join(", "))
    };
    vec![
        name(binding),
        json!(format!("{}/{}", text(&role["kind"]), text(&role["name"]))),
        age(binding, now),
        subjects("User", false),
        subjects("Group", false),
        subjects("ServiceAccount", true),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::binding;
    use serde_json::json;

    #[test]
    fn bindings_name_their_subjects() {
        let object = json!({
            "metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [
                {"kind": "User", "name": "u"}, {"kind": "User", "name": "v"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
            ],
        });
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        assert_eq!(
            binding(&object, now).cells,
            ["b", "ClusterRole/view", "<unknown>", "u, v", "", "n/s"]
        );
    }
}
