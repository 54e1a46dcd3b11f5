//! The short notation for pods and conditions; `tests/job/README.md` explains it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, PodSpec};
use wasmjob_api::{
    ContainerState, ContainerStatus, Deletion, Disruption, JobCondition, JobConditionType, Phase,
    Pod, PodStatus, PodTemplate, Terminated, Uid, Usage,
};

/// The time of every plan; all times in rows are seconds before or after it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

pub(crate) fn at(seconds: f64) -> Timestamp {
    now() + SignedDuration::from_secs_f64(seconds)
}

/// Reads pods such as `3 Running ready` or `#2 Failed failures=1 code=3`.
pub(crate) fn pods(texts: &[String]) -> Vec<Pod> {
    let mut pods = Vec::new();
    for text in texts {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let mut count = 1;
        if let Ok(number) = words[0].parse() {
            count = number;
            words.remove(0);
        }
        for _ in 0..count {
            let number = pods.len();
            pods.push(pod(&words, number));
        }
    }
    pods
}

/// Finished long ago, so that no back-off is left.
const LONG_AGO: f64 = -1e6;

struct Draft {
    containers: Vec<(String, ContainerStatus)>,
    init_containers: Vec<(String, ContainerStatus)>,
    finished: f64,
    restarts: u32,
    grace: u64,
}

fn pod(words: &[&str], number: usize) -> Pod {
    let mut pod = Pod {
        metadata: None,
        uid: Uid::from_random(number as u128 + 1),
        namespace: "default".into(),
        name: format!("mypod-{number}").into(),
        template: Arc::new(PodTemplate {
            metadata: Default::default(),
            spec: PodSpec::default().into(),
            owner: None,
            base: std::path::Path::new(".").into(),
        }),
        index: None,
        index_failure_count: None,
        index_ignored_failure_count: None,
        created: at(LONG_AGO),
        deletion: None,
        tracked: true,
        status: PodStatus::default(),
    };
    let mut draft = Draft {
        containers: Vec::new(),
        init_containers: Vec::new(),
        finished: LONG_AGO,
        restarts: 0,
        grace: 0,
    };
    // What gives times and restarts comes before the containers that have them.
    let (late, early): (Vec<&str>, Vec<&str>) = words
        .iter()
        .partition(|word| word.starts_with("code=") || word.starts_with("init="));
    for word in early.into_iter().chain(late) {
        apply(word, &mut pod, &mut draft);
    }
    if draft.containers.is_empty() {
        let code = (pod.status.phase != Phase::Succeeded).into();
        let state = match pod.status.phase {
            Phase::Succeeded | Phase::Failed if !words.contains(&"bare") => {
                ended(code, draft.finished)
            }
            _ => ContainerState::default(),
        };
        draft
            .containers
            .push(("main".to_owned(), status(state, draft.restarts)));
    }
    if words.contains(&"bare") && draft.restarts == 0 {
        draft.containers.clear();
    }
    let named = |list: &[(String, ContainerStatus)]| -> Vec<Container> {
        let container = |(name, _): &(String, _)| Container {
            name: name.clone(),
            restart_policy: name.starts_with("sidecar").then(|| "Always".to_owned()),
            ..Container::default()
        };
        list.iter().map(container).collect()
    };
    pod.template = Arc::new(PodTemplate {
        metadata: Default::default(),
        spec: PodSpec {
            containers: named(&draft.containers),
            init_containers: Some(named(&draft.init_containers)),
            ..PodSpec::default()
        }
        .into(),
        owner: None,
        base: std::path::Path::new(".").into(),
    });
    pod.status.containers = draft
        .containers
        .into_iter()
        .map(|(_, status)| status)
        .collect();
    pod.status.init_containers = draft.init_containers.into_iter().map(|(_, s)| s).collect();
    pod
}

fn apply(word: &str, pod: &mut Pod, draft: &mut Draft) {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let seconds = || value.parse::<f64>().unwrap();
    match key {
        "Pending" => pod.status.phase = Phase::Pending,
        "Running" => {
            pod.status.phase = Phase::Running;
            pod.status.scheduled = Some(at(LONG_AGO));
        }
        "Succeeded" => pod.status.phase = Phase::Succeeded,
        "Failed" => pod.status.phase = Phase::Failed,
        "ready" => pod.status.ready = true,
        "ready_since" | "unready_since" => {
            pod.status.ready = key == "ready_since";
            pod.status.ready_transition = Some(at(seconds()));
            pod.status.started = Some(at(LONG_AGO));
        }
        "disrupted" => pod.status.disruption = Some(disruption()),
        "untracked" => pod.tracked = false,
        "bare" => {}
        "grace" => draft.grace = value.parse().unwrap(),
        "deleted" => {
            let ends = if value.is_empty() { 0.0 } else { seconds() };
            pod.deletion = Some(Deletion {
                at: at(ends),
                grace: Duration::from_secs(draft.grace),
            });
        }
        "created" => pod.created = at(seconds()),
        "name" => pod.name = value.into(),
        "failures" => pod.index_failure_count = value.parse().ok(),
        "ignored" => pod.index_ignored_failure_count = value.parse().ok(),
        "finished" => draft.finished = seconds(),
        "restarts" => draft.restarts = value.parse().unwrap(),
        "code" => draft.containers = containers(value, draft),
        "init" => draft.init_containers = containers(value, draft),
        _ => match word.strip_prefix('#') {
            Some(index) => pod.index = Some(index.parse().unwrap()),
            None => panic!("unknown word {word:?}"),
        },
    }
}

/// `name:code@finished,…`; without name `main`, without code it runs.
fn containers(text: &str, draft: &Draft) -> Vec<(String, ContainerStatus)> {
    let one = |part: &str| {
        let (rest, finished) = part
            .split_once('@')
            .map_or((part, draft.finished), |(rest, at)| {
                (rest, at.parse().unwrap())
            });
        let (name, code) = rest.split_once(':').unwrap_or(("main", rest));
        let state = match code.parse() {
            Ok(code) => ended(code, finished),
            Err(_) => ContainerState::Running {
                started: at(LONG_AGO),
            },
        };
        (name.to_owned(), status(state, draft.restarts))
    };
    text.split(',').map(one).collect()
}

fn status(state: ContainerState, restarts: u32) -> ContainerStatus {
    ContainerStatus {
        state,
        restarts,
        ..ContainerStatus::default()
    }
}

fn ended(exit_code: u8, finished: f64) -> ContainerState {
    ContainerState::Terminated(Box::new(Terminated {
        exit_code,
        reason: Cow::Borrowed("Error"),
        message: "".into(),
        started: at(finished),
        finished: at(finished),
        usage: Usage::default(),
    }))
}

fn disruption() -> Box<Disruption> {
    Box::new(Disruption {
        reason: Cow::Borrowed("TerminationByKubelet"),
        message: Cow::Borrowed(""),
        at: now(),
    })
}

/// Reads conditions such as `Suspended JobSuspended` or, with status False,
/// `!Suspended JobResumed`; `failed R`, `failing R`, `complete R` and `met R`
/// stand for the pairs and single ones that end a Job.
pub(crate) fn conditions(texts: &[String]) -> Vec<JobCondition> {
    let mut conditions = Vec::new();
    for text in texts {
        let (head, message) = text.split_once(" | ").unwrap_or((text, ""));
        let (kind, reason) = head.split_once(' ').unwrap_or((head, ""));
        let kinds: &[(JobConditionType, bool)] = match kind {
            "failed" => &[
                (JobConditionType::FailureTarget, true),
                (JobConditionType::Failed, true),
            ],
            "failing" | "FailureTarget" => &[(JobConditionType::FailureTarget, true)],
            "complete" => &[
                (JobConditionType::SuccessCriteriaMet, true),
                (JobConditionType::Complete, true),
            ],
            "met" => &[(JobConditionType::SuccessCriteriaMet, true)],
            "!FailureTarget" => &[(JobConditionType::FailureTarget, false)],
            "!SuccessCriteriaMet" => &[(JobConditionType::SuccessCriteriaMet, false)],
            "!Failed" => &[(JobConditionType::Failed, false)],
            "Failed" => &[(JobConditionType::Failed, true)],
            "Complete" => &[(JobConditionType::Complete, true)],
            "Suspended" => &[(JobConditionType::Suspended, true)],
            "!Suspended" => &[(JobConditionType::Suspended, false)],
            _ => panic!("unknown condition {text:?}"),
        };
        let message = if message.is_empty() {
            usual_message(reason)
        } else {
            message
        };
        for (condition_type, status) in kinds {
            conditions.push(JobCondition {
                condition_type: *condition_type,
                status: *status,
                reason: reason.to_owned().into(),
                message: message.to_owned().into(),
                last_probe: at(LONG_AGO),
                last_transition: at(LONG_AGO),
            });
        }
    }
    conditions
}

/// The message that goes with a reason wherever no other is given.
fn usual_message(reason: &str) -> &'static str {
    match reason {
        "BackoffLimitExceeded" => "Job has reached the specified backoff limit",
        "CompletionsReached" => "Reached expected number of succeeded pods",
        "DeadlineExceeded" => "Job was active longer than specified deadline",
        "FailedIndexes" => "Job has failed indexes",
        "JobResumed" => "Job resumed",
        "JobSuspended" => "Job suspended",
        "MaxFailedIndexesExceeded" => {
            "Job has exceeded the specified maximal number of failed indexes"
        }
        "SuccessPolicy" => "Matched rules at index 0",
        _ => "",
    }
}
