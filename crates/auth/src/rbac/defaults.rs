//! What Kubernetes fills in where a binding says nothing.

use serde_json::Value;

use super::objects::GROUP;

/// Sets the defaults of a `RoleBinding` or `ClusterRoleBinding`: the API group of
/// the role, and of subjects that are users or groups.
pub fn set_binding_defaults(binding: &mut Value) {
    if let Some(role) = binding.get_mut("roleRef") {
        set_group(role);
    }
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if matches!(
            subject.get("kind").and_then(Value::as_str),
            Some("User" | "Group")
        ) {
            set_group(subject);
        }
    }
}

fn set_group(value: &mut Value) {
    let Some(object) = value.as_object_mut() else {
        return;
    };
    let group = object.entry("apiGroup").or_insert(Value::Null);
    if group.is_null() || group.as_str() == Some("") {
        *group = GROUP.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_are_filled_in() {
        let mut binding = json!({
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "u"}, {"kind": "Group", "name": "g", "apiGroup": ""},
                {"kind": "ServiceAccount", "name": "s"},
                {"kind": "User", "name": "v", "apiGroup": "else"}, "odd",
            ],
        });
        set_binding_defaults(&mut binding);
        assert_eq!(
            binding,
            json!({
                "roleRef": {"kind": "Role", "name": "r", "apiGroup": GROUP},
                "subjects": [
                    {"kind": "User", "name": "u", "apiGroup": GROUP},
                    {"kind": "Group", "name": "g", "apiGroup": GROUP},
                    {"kind": "ServiceAccount", "name": "s"},
                    {"kind": "User", "name": "v", "apiGroup": "else"}, "odd",
                ],
            })
        );
        for mut odd in [
            json!(null),
            json!([]),
            json!({"roleRef": [], "subjects": {}}),
        ] {
            let before = odd.clone();
            set_binding_defaults(&mut odd);
            assert_eq!(odd, before);
        }
    }
}
