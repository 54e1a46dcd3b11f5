//! Random Jobs, and random edits of them.

use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::rng::Rng;

/// The exit codes that guests end with, beside 0.
pub(crate) const CODES: [u8; 4] = [1, 2, 3, 137];

/// A Job that validation would accept, of any feature.
pub(crate) fn job(rng: &mut Rng) -> batch::Job {
    let indexed = rng.chance(50);
    let completions = match (indexed, rng.below(10)) {
        (false, 0..=3) => None,
        (_, 4) => Some(0),
        _ => Some(1 + rng.below(6) as i32),
    };
    let completions = if indexed {
        completions.or(Some(3))
    } else {
        completions
    };
    let per_index = (indexed && rng.chance(40)).then(|| rng.below(3) as i32);
    let on_failure = rng.chance(30);
    let pod_failure_policy =
        (!on_failure && rng.chance(35)).then(|| policy(rng, per_index.is_some()));
    let replacement = match pod_failure_policy {
        Some(_) => "Failed",
        None => rng.pick(&["Failed", "TerminatingOrFailed"]),
    };
    let default_limit = if per_index.is_some() { i32::MAX } else { 6 };
    let max_failed_indexes = per_index
        .and_then(|_| rng.some(40, |rng| rng.below(3) as i32))
        .map(|max| max.min(completions.unwrap_or(0)));
    let success_policy =
        (indexed && rng.chance(30)).then(|| success(rng, completions.unwrap_or(1)));
    batch::Job {
        metadata: ObjectMeta {
            name: Some("sim".to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(batch::JobSpec {
            parallelism: Some(rng.below(5) as i32),
            completions,
            completion_mode: Some(if indexed { "Indexed" } else { "NonIndexed" }.to_owned()),
            backoff_limit: Some(
                rng.some(70, |rng| rng.below(5) as i32)
                    .unwrap_or(default_limit),
            ),
            backoff_limit_per_index: per_index,
            max_failed_indexes,
            active_deadline_seconds: rng.some(20, |rng| rng.below(400) as i64),
            ttl_seconds_after_finished: rng.some(30, |rng| rng.below(100) as i32),
            suspend: Some(rng.chance(15)),
            pod_replacement_policy: Some(replacement.to_owned()),
            pod_failure_policy,
            success_policy,
            managed_by: rng.some(2, |_| "acme.io/other".to_owned()),
            template: PodTemplateSpec {
                metadata: None,
                spec: Some(PodSpec {
                    containers: vec![Container {
                        name: "main".to_owned(),
                        ..Container::default()
                    }],
                    restart_policy: Some(if on_failure { "OnFailure" } else { "Never" }.to_owned()),
                    ..PodSpec::default()
                }),
            },
            ..batch::JobSpec::default()
        }),
        status: None,
    }
}

fn policy(rng: &mut Rng, per_index: bool) -> batch::PodFailurePolicy {
    let actions: &[&str] = match per_index {
        true => &["FailIndex", "Ignore", "Count", "FailJob", "FailIndex"],
        false => &["Ignore", "Count", "FailJob"],
    };
    let rules = (0..1 + rng.below(3)).map(|_| {
        let on_condition = rng.chance(30);
        batch::PodFailurePolicyRule {
            action: rng.pick(actions).to_owned(),
            on_exit_codes: (!on_condition).then(|| batch::PodFailurePolicyOnExitCodesRequirement {
                container_name: rng.some(30, |_| "main".to_owned()),
                operator: rng.pick(&["In", "In", "NotIn"]).to_owned(),
                values: vec![i32::from(rng.pick(&CODES))],
            }),
            on_pod_conditions: on_condition.then(|| {
                vec![batch::PodFailurePolicyOnPodConditionsPattern {
                    type_: "DisruptionTarget".to_owned(),
                    status: Some("True".to_owned()),
                }]
            }),
        }
    });
    batch::PodFailurePolicy {
        rules: rules.collect(),
    }
}

fn success(rng: &mut Rng, completions: i32) -> batch::SuccessPolicy {
    let last = completions.max(1) - 1;
    let rules = (0..1 + rng.below(2)).map(|_| batch::SuccessPolicyRule {
        succeeded_count: Some(1 + rng.below(completions.max(1) as u64) as i32),
        succeeded_indexes: rng.some(50, |rng| match rng.below(last as u64 + 1) {
            first if first < last as u64 => format!("{first}-{last}"),
            first => first.to_string(),
        }),
    });
    batch::SuccessPolicy {
        rules: rules.collect(),
    }
}

/// Changes what may be changed in a running Job.
pub(crate) fn edit(spec: &mut batch::JobSpec, rng: &mut Rng) {
    match rng.below(7) {
        0 => spec.parallelism = Some(rng.below(6) as i32),
        1 | 2 => spec.suspend = Some(!spec.suspend.unwrap_or(false)),
        3 => spec.active_deadline_seconds = rng.some(50, |rng| rng.below(900) as i64),
        4 => spec.backoff_limit = Some(rng.below(7) as i32),
        5 if spec.backoff_limit_per_index.is_some() => {
            let completions = spec.completions.unwrap_or(0).max(0) as u64;
            spec.max_failed_indexes = rng.some(60, |rng| rng.below(completions + 1) as i32);
        }
        _ if spec.completion_mode.as_deref() == Some("Indexed") => {
            let both = rng.below(7) as i32;
            (spec.completions, spec.parallelism) = (Some(both), Some(both));
            let max = spec.max_failed_indexes;
            spec.max_failed_indexes = max.map(|max| max.min(both));
        }
        _ => {
            let policy = &mut spec.pod_replacement_policy;
            if spec.pod_failure_policy.is_none() {
                *policy = Some(rng.pick(&["Failed", "TerminatingOrFailed"]).to_owned());
            }
        }
    }
}

/// Makes a Job that can end by itself: it runs, and has room to run.
pub(crate) fn calm(spec: &mut batch::JobSpec) {
    spec.suspend = Some(false);
    spec.parallelism = Some(spec.parallelism.unwrap_or(1).max(1));
}
