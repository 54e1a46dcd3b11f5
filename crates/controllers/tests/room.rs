//! Plans where quotas leave room for some pods only.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1 as batch;
use wasmjob_api::{
    ContainerState, ContainerStatus, Job, Phase, Pod, PodStatus, Terminated, Uid, defaults,
};
use wasmjob_controllers::job::{Plan, PodSet, plan, plan_within};

fn job(spec: &str) -> Job {
    let json = format!(
        r#"{{"metadata":{{"name":"j","namespace":"default"}},"spec":{{{spec},"template":{{"spec":{{"restartPolicy":"Never","containers":[{{"name":"c","image":"x"}}]}}}}}}}}"#
    );
    let mut object: batch::Job = serde_json::from_str(&json).unwrap();
    defaults::job(&mut object);
    let uid = Uid::from_random(1);
    defaults::prepare_job(&mut object, uid);
    Job::new(object, uid, Timestamp::UNIX_EPOCH)
}

fn failed(job: &Job, index: u32, at: Timestamp) -> Arc<Pod> {
    let end = Terminated {
        exit_code: 1,
        reason: "Error".into(),
        message: "".into(),
        started: at,
        finished: at,
        usage: Default::default(),
    };
    Arc::new(Pod {
        metadata: None,
        uid: Uid::from_random(100 + u128::from(index)),
        namespace: "default".into(),
        name: "p".into(),
        template: Arc::clone(&job.spec.template),
        index: Some(index),
        index_failure_count: Some(2),
        index_ignored_failure_count: None,
        created: at,
        deletion: None,
        tracked: true,
        status: PodStatus {
            phase: Phase::Failed,
            containers: vec![ContainerStatus {
                state: ContainerState::Terminated(Box::new(end)),
                ..ContainerStatus::default()
            }],
            ..PodStatus::default()
        },
    })
}

fn said(plan: &Plan) -> (usize, u32, Option<u32>) {
    let active = plan.status.as_ref().map(|status| status.active);
    (plan.create.len(), plan.refused, active)
}

#[test]
fn no_more_pods_are_made_than_there_is_room_for() {
    let now = Timestamp::UNIX_EPOCH;
    let none = PodSet::new();
    let plain = job(r#""completions":5,"parallelism":4"#);
    assert_eq!(said(&plan(&plain, &none, now)), (4, 0, Some(4)));
    for room in 0..4 {
        let plan = plan_within(&plain, &none, now, room);
        assert_eq!(said(&plan), (room as usize, 4 - room, Some(room)));
        // Who waits for room is told when there is some.
        assert_eq!(plan.look_again, None);
    }
    assert_eq!(said(&plan_within(&plain, &none, now, 4)), (4, 0, Some(4)));
    let indexed = job(r#""completions":5,"parallelism":4,"completionMode":"Indexed""#);
    let plan = plan_within(&indexed, &none, now, 2);
    let indexes: Vec<_> = plan.create.iter().map(|new| new.index).collect();
    assert_eq!(indexes, [Some(0), Some(1)]);
    assert_eq!(plan.refused, 2);
    // What is beyond one plan is not refused by it.
    let huge = job(r#""completions":2000,"parallelism":2000"#);
    assert_eq!(
        said(&plan_within(&huge, &none, now, 600)),
        (500, 0, Some(500))
    );
}

#[test]
fn the_failures_of_an_index_wait_for_its_replacement() {
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
    let job = job(
        r#""completions":2,"parallelism":1,"completionMode":"Indexed","backoffLimitPerIndex":5"#,
    );
    let pods: PodSet = [failed(&job, 0, Timestamp::UNIX_EPOCH)]
        .into_iter()
        .collect();
    let refused = plan_within(&job, &pods, now, 0);
    assert_eq!(refused.refused, 1);
    assert!(refused.release.is_empty(), "it carries the count on");
    let made = plan_within(&job, &pods, now, 1);
    assert_eq!(made.create[0].index_failure_count, Some(3));
    assert_eq!(made.release.len(), 1);
    // One that waits for its back-off is not refused.
    let pods: PodSet = [failed(&job, 0, now)].into_iter().collect();
    assert_eq!(plan_within(&job, &pods, now, 0).refused, 0);
}
