//! Priorities (`plugin/pkg/admission/priority`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::scheduling::v1 as scheduling;
use wasmjob_api::validation::SYSTEM_PRIORITY_CLASSES;

/// A PriorityClass, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriorityClass {
    value: i32,
    is_default: bool,
    never_preempts: bool,
}

impl PriorityClass {
    /// Reads a PriorityClass.
    #[must_use]
    pub fn read(object: &scheduling::PriorityClass) -> Self {
        Self {
            value: object.value.unwrap_or_default(),
            is_default: object.global_default == Some(true),
            never_preempts: object.preemption_policy.as_deref() == Some("Never"),
        }
    }
}

/// The PriorityClasses by name.
#[derive(Clone, Debug, Default)]
pub struct Priorities(BTreeMap<String, PriorityClass>);

impl Priorities {
    /// A class is there, or is another one.
    pub fn insert(&mut self, name: &str, class: PriorityClass) {
        self.0.insert(name.to_owned(), class);
    }

    /// A class is gone.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The class that pods have which name none. Of several it is the lowest, as in
    /// Kubernetes.
    fn global_default(&self) -> Option<(&str, &PriorityClass)> {
        let defaults = self.0.iter().filter(|(_, class)| class.is_default);
        let lowest = defaults.min_by_key(|(_, class)| class.value)?;
        Some((lowest.0, lowest.1))
    }

    /// Whether pods that name no class have one.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.global_default().is_some()
    }

    /// Whether `name` may be the default for all: one other may not be it already.
    ///
    /// # Errors
    ///
    /// One is.
    pub fn check_default(&self, name: &str) -> Result<(), String> {
        match self.global_default() {
            Some((other, _)) if other != name => Err(format!(
                "PriorityClass {other} is already marked as default. Only one default can exist"
            )),
            _ => Ok(()),
        }
    }

    /// Gives a pod the priority of its class. One that has none, where there is no
    /// default, stays as it is: its priority is 0.
    ///
    /// # Errors
    ///
    /// There is no such class, or the pod says otherwise.
    pub fn fill(&self, spec: &mut PodSpec) -> Result<bool, String> {
        let named = spec.priority_class_name.as_deref().unwrap_or_default();
        let (name, class) = match named {
            "" => match self.global_default() {
                Some((name, class)) => (name.to_owned(), class.clone()),
                None => (
                    String::new(),
                    PriorityClass {
                        value: 0,
                        is_default: false,
                        never_preempts: false,
                    },
                ),
            },
            named => {
                let class = self.0.get(named).cloned().or_else(|| system(named));
                let missing = || format!("no PriorityClass with name {named} was found");
                (named.to_owned(), class.ok_or_else(missing)?)
            }
        };
        let value = class.value;
        if let Some(given) = spec.priority.filter(|given| *given != value) {
            return Err(format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
            ));
        }
        let policy = match class.never_preempts {
            true => "Never",
            false => "PreemptLowerPriority",
        };
        if let Some(given) = spec
            .preemption_policy
            .as_deref()
            .filter(|given| *given != policy)
        {
            return Err(format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            ));
        }
        if name.is_empty() {
            return Ok(false);
        }
        let is_same = spec.priority == Some(value) && spec.preemption_policy.is_some();
        spec.priority_class_name = Some(name);
        spec.priority = Some(value);
        spec.preemption_policy = Some(policy.to_owned());
        Ok(!is_same)
    }
}

/// The classes that are there also before anybody has made them.
fn system(name: &str) -> Option<PriorityClass> {
    let known = SYSTEM_PRIORITY_CLASSES.iter().find(|known| known.0 == name);
    known.map(|(_, value)| PriorityClass {
        value: *value,
        is_default: false,
        never_preempts: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(all: &[(&str, i32, bool)]) -> Priorities {
        let mut priorities = Priorities::default();
        for (name, value, is_default) in all {
            let class = PriorityClass {
                value: *value,
                is_default: *is_default,
                never_preempts: *name == "meek",
            };
            priorities.insert(name, class);
        }
        priorities
    }

    fn filled(priorities: &Priorities, json: &str) -> String {
        let mut spec: PodSpec = serde_json::from_str(json).unwrap();
        match priorities.fill(&mut spec) {
            Err(text) => text,
            Ok(_) => format!("{:?} {:?}", spec.priority_class_name, spec.priority),
        }
    }

    #[test]
    fn a_pod_has_the_priority_of_its_class() {
        let known = classes(&[("high", 1000, false), ("meek", 5, false)]);
        let check = |json: &str, wanted: &str| assert_eq!(filled(&known, json), wanted, "{json}");
        check(r#"{"containers":[]}"#, "None None");
        check(
            r#"{"containers":[],"priorityClassName":"high"}"#,
            "Some(\"high\") Some(1000)",
        );
        check(
            r#"{"containers":[],"priorityClassName":"system-node-critical"}"#,
            "Some(\"system-node-critical\") Some(2000001000)",
        );
        check(
            r#"{"containers":[],"priorityClassName":"x"}"#,
            "no PriorityClass with name x was found",
        );
        check(
            r#"{"containers":[],"priority":7}"#,
            "the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
        );
        check(
            r#"{"containers":[],"priorityClassName":"meek","preemptionPolicy":"PreemptLowerPriority"}"#,
            "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from the given PriorityClass name",
        );
    }

    #[test]
    fn one_class_may_be_the_default() {
        let known = classes(&[("low", -5, true), ("high", 1000, false)]);
        assert_eq!(
            filled(&known, r#"{"containers":[]}"#),
            "Some(\"low\") Some(-5)"
        );
        assert!(known.check_default("low").is_ok());
        assert_eq!(
            known.check_default("high").unwrap_err(),
            "PriorityClass low is already marked as default. Only one default can exist"
        );
    }
}
