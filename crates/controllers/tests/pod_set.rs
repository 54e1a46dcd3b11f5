//! A pod set that was kept up to date is one that was built anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1::PodSpec;
use proptest::prelude::*;
use wasmjob_api::{
    ContainerState, ContainerStatus, Deletion, Job, Phase, Pod, PodStatus, PodTemplate, Terminated,
    Uid, Usage,
};
use wasmjob_controllers::job::{PodSet, plan};

fn pod(number: u64) -> Pod {
    Pod {
        metadata: None,
        uid: Uid::from_random(u128::from(number)),
        namespace: "default".into(),
        name: format!("pod-{number}").into(),
        template: Arc::new(PodTemplate {
            metadata: Default::default(),
            spec: PodSpec::default().into(),
            owner: None,
            base: std::path::Path::new(".").into(),
        }),
        index: None,
        index_failure_count: None,
        index_ignored_failure_count: None,
        created: Timestamp::UNIX_EPOCH,
        deletion: None,
        tracked: true,
        status: PodStatus::default(),
    }
}

/// Any pod with one of a few UIDs, in any state.
fn any_pod() -> impl Strategy<Value = Pod> {
    let state = (
        0..4_usize,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..3_u32,
    );
    (0..8_u64, state, prop::option::of(0..4_u32), 0..3_i64).prop_map(
        |(number, (phase, deleted, tracked, ready, restarts), index, created)| {
            let phases = [
                Phase::Pending,
                Phase::Running,
                Phase::Succeeded,
                Phase::Failed,
            ];
            let mut pod = pod(number);
            pod.status.phase = phases[phase];
            pod.status.ready = ready;
            pod.status.containers = vec![ContainerStatus {
                restarts,
                ..ContainerStatus::default()
            }];
            pod.deletion = deleted.then_some(Deletion {
                at: Timestamp::UNIX_EPOCH,
                grace: Duration::ZERO,
            });
            pod.tracked = tracked;
            pod.index = index;
            pod.created += SignedDuration::from_secs(created);
            pod
        },
    )
}

proptest! {
    #[test]
    fn a_set_follows_from_its_pods(
        steps in prop::collection::vec((any_pod(), any::<bool>()), 0..60),
    ) {
        let mut kept = PodSet::new();
        let mut rows = BTreeMap::new();
        for (pod, stays) in steps {
            let pod = Arc::new(pod);
            if stays {
                rows.insert(pod.uid, Arc::clone(&pod));
                kept.update(pod);
            } else {
                rows.remove(&pod.uid);
                kept.remove(pod.uid);
            }
        }
        let built: PodSet = rows.values().rev().cloned().collect();
        prop_assert_eq!(format!("{kept:?}"), format!("{built:?}"));

        let active = |pod: &&Arc<Pod>| !pod.status.phase.is_terminal() && pod.deletion.is_none();
        prop_assert_eq!(kept.active() as usize, rows.values().filter(active).count());
        let ready = rows.values().filter(active).filter(|pod| pod.status.ready);
        prop_assert_eq!(kept.ready() as usize, ready.count());
        let unsettled = rows.values().filter(|pod| pod.tracked).filter(|pod| !active(pod));
        prop_assert_eq!(kept.unsettled().count(), unsettled.count());
    }
}

fn ended(number: u64, tracked: bool) -> Pod {
    let at = Timestamp::UNIX_EPOCH;
    let mut pod = pod(number);
    pod.tracked = tracked;
    pod.status.phase = Phase::Succeeded;
    pod.status.containers = vec![ContainerStatus {
        state: ContainerState::Terminated(Box::new(Terminated {
            exit_code: 0,
            reason: Cow::Borrowed("Completed"),
            message: "".into(),
            started: at,
            finished: at,
            usage: Usage::default(),
        })),
        ..ContainerStatus::default()
    }];
    pod
}

#[test]
fn a_plan_never_looks_at_pods_that_were_counted() {
    let object = batch::Job {
        spec: Some(batch::JobSpec {
            parallelism: Some(1),
            completions: Some(i32::MAX),
            ..batch::JobSpec::default()
        }),
        ..batch::Job::default()
    };
    let mut job = Job::new(object, Uid::from_random(1 << 90), Timestamp::UNIX_EPOCH);
    job.status.succeeded = 100_000;
    let mut pods: PodSet = (0..100_000).map(|n| Arc::new(ended(n, false))).collect();
    // If each of these 10,000 plans looked at all pods, they would take minutes.
    for number in 100_000..110_000 {
        pods.insert(Arc::new(ended(number, true)));
        let plan = plan(&job, &pods, Timestamp::UNIX_EPOCH);
        assert_eq!((plan.release.len(), plan.create.len()), (1, 1));
        job.status = plan.status.expect("the pod was counted");
        pods.update(Arc::new(ended(number, false)));
    }
    assert_eq!(job.status.succeeded, 110_000);
}
