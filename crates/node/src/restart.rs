//! Whether a container that ended is started again.

use wasmjob_api::k8s_openapi::api::core::v1::Container;

/// The restart policy of a pod or of a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text? {
            "Always" => Some(Self::Always),
            "OnFailure" => Some(Self::OnFailure),
            "Never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// A container's `restartPolicyRules` entry.
#[derive(Clone, Debug)]
struct Rule {
    /// `In` if true, `NotIn` if false.
    listed: bool,
    codes: Vec<i32>,
}

/// When a container is started again.
#[derive(Clone, Debug)]
pub(crate) struct Restart {
    policy: RestartPolicy,
    rules: Vec<Rule>,
}

impl Restart {
    /// Reads a container's own policy and rules; without a policy the pod's counts.
    pub(crate) fn of(container: &Container, pod: RestartPolicy) -> Self {
        let rules = container.restart_policy_rules.iter().flatten();
        Self {
            policy: RestartPolicy::parse(container.restart_policy.as_deref()).unwrap_or(pod),
            rules: rules
                .filter(|rule| rule.action == "Restart")
                .filter_map(|rule| rule.exit_codes.as_ref())
                .map(|codes| Rule {
                    listed: codes.operator == "In",
                    codes: codes.values.clone().unwrap_or_default(),
                })
                .collect(),
        }
    }

    /// For an init container: one that succeeded is done, whatever the policy.
    pub(crate) fn after_init(&self, code: u8) -> bool {
        code != 0 && self.after(code)
    }

    /// Whether to start again after an exit with `code`.
    pub(crate) fn after(&self, code: u8) -> bool {
        let listed = |rule: &Rule| rule.codes.contains(&i32::from(code)) == rule.listed;
        self.rules.iter().any(listed)
            || match self.policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => code != 0,
                RestartPolicy::Never => false,
            }
    }

    /// An init container that runs beside the others for the pod's life.
    pub(crate) fn is_always(&self) -> bool {
        self.policy == RestartPolicy::Always
    }
}

#[cfg(test)]
mod tests {
    use wasmjob_api::k8s_openapi::api::core::v1::{
        ContainerRestartRule, ContainerRestartRuleOnExitCodes,
    };

    use super::*;

    #[test]
    fn a_rule_that_matches_restarts_whatever_the_policy() {
        let rule = |operator: &str, values: &[i32]| ContainerRestartRule {
            action: "Restart".to_owned(),
            exit_codes: Some(ContainerRestartRuleOnExitCodes {
                operator: operator.to_owned(),
                values: Some(values.to_vec()),
            }),
        };
        let container = |rules| Container {
            restart_policy: Some("Never".to_owned()),
            restart_policy_rules: Some(rules),
            ..Container::default()
        };
        let restart = Restart::of(
            &container(vec![rule("In", &[42])]),
            RestartPolicy::OnFailure,
        );
        assert!(restart.after(42) && !restart.after(1) && !restart.after(0));
        let restart = Restart::of(
            &container(vec![rule("NotIn", &[1])]),
            RestartPolicy::OnFailure,
        );
        assert!(restart.after(42) && !restart.after(1));
    }

    #[test]
    fn without_a_policy_of_its_own_the_pods_counts() {
        let of = |policy| Restart::of(&Container::default(), policy);
        assert!(of(RestartPolicy::OnFailure).after(1) && !of(RestartPolicy::OnFailure).after(0));
        assert!(!of(RestartPolicy::Never).after(1));
        assert!(of(RestartPolicy::Always).after(0) && !of(RestartPolicy::Always).after_init(0));
    }
}
