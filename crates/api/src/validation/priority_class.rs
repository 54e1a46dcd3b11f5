//! PriorityClasses (`ValidatePriorityClass`).

use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::{Errors, text};
use crate::field::{Error, ErrorList, Path};

/// The highest value of a class that users make.
pub const USER_PRIORITY_MAX: i32 = 1_000_000_000;

/// The classes that every cluster has, with their values.
pub const SYSTEM_PRIORITY_CLASSES: [(&str, i32); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

const SYSTEM_PREFIX: &str = "system-";

/// What is wrong with a PriorityClass, but for its metadata.
#[must_use]
pub fn validate_priority_class(class: &PriorityClass) -> ErrorList {
    let mut errors = Errors::new();
    let name = text(&class.metadata.name);
    let value = class.value.unwrap_or_default();
    if name.starts_with(SYSTEM_PREFIX) {
        if let Some(error) = not_a_system_class(class, name, value) {
            let message = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {error}"
            );
            errors.push(Error::forbidden(&Path::new("metadata.name"), message));
        }
    } else if value > USER_PRIORITY_MAX {
        let message =
            format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        errors.push(Error::forbidden(&Path::new("value"), message));
    }
    if let Some(policy) = &class.preemption_policy {
        let known = ["Never", "PreemptLowerPriority"];
        errors.one_of(policy, &known, &Path::new("preemptionPolicy"));
    }
    errors.into_list()
}

/// What of an update of a PriorityClass is not allowed.
#[must_use]
pub fn validate_priority_class_update(new: &PriorityClass, old: &PriorityClass) -> ErrorList {
    let mut errors = Errors::new();
    let value = |class: &PriorityClass| class.value.unwrap_or_default();
    if value(new) != value(old) {
        let message = "may not be changed in an update.";
        errors.push(Error::forbidden(&Path::new("value"), message));
    }
    let policy = |class: &PriorityClass| match text(&class.preemption_policy) {
        "" => "PreemptLowerPriority".to_owned(),
        policy => policy.to_owned(),
    };
    let path = Path::new("preemptionPolicy");
    errors.immutable(&policy(new), &policy(old), &path);
    errors.into_list()
}

/// Why it is none of [`SYSTEM_PRIORITY_CLASSES`].
fn not_a_system_class(class: &PriorityClass, name: &str, value: i32) -> Option<String> {
    let known = SYSTEM_PRIORITY_CLASSES.iter().find(|known| known.0 == name);
    match known {
        None => Some(format!("{name} is not a known system priority class")),
        Some((_, wanted)) if *wanted != value => {
            Some(format!("value of {name} PriorityClass must be {wanted}"))
        }
        Some(_) if class.global_default == Some(true) => Some(format!(
            "globalDefault of {name} PriorityClass must be false"
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::validate_priority_class;

    #[test]
    fn names_and_values_of_the_system_are_its_own() {
        for (json, wanted) in [
            (r#"{"metadata":{"name":"high"},"value":1000000000}"#, ""),
            (
                r#"{"metadata":{"name":"high"},"value":1000000001}"#,
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
            ),
            (
                r#"{"metadata":{"name":"system-node-critical"},"value":2000001000}"#,
                "",
            ),
            (
                r#"{"metadata":{"name":"system-x"},"value":1}"#,
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class",
            ),
            (
                r#"{"metadata":{"name":"a"},"value":1,"preemptionPolicy":"Maybe"}"#,
                "preemptionPolicy: Unsupported value: \"Maybe\": supported values: \"Never\", \"PreemptLowerPriority\"",
            ),
        ] {
            let class = serde_json::from_str(json).unwrap();
            let errors = validate_priority_class(&class);
            let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(texts.join(", "), wanted, "{json}");
        }
    }
}
