//! Creating, changing, listing and deleting.

use std::collections::BTreeSet;

use kube::api::{
    Api, DeleteParams, EvictParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::json;
use wasmjob::api::k8s_openapi::api::batch::v1::{CronJob, Job};
use wasmjob::api::k8s_openapi::api::core::v1::{ConfigMap, Pod};

use crate::serve::{PATIENCE, Serve, config_map, job, pods_of, refusal, running_pod, soon};

#[tokio::test]
async fn a_job_runs_to_its_end() {
    let serve = Serve::start();
    let client = serve.client().await;
    let version = client.apiserver_version().await.unwrap();
    assert_eq!(
        (version.major.as_str(), version.minor.as_str()),
        ("1", "36")
    );
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let made = jobs
        .create(
            &PostParams::default(),
            &job("greets", "echo hello", json!({"completions": 2})),
        )
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(made.spec.as_ref().unwrap().backoff_limit, Some(6));
    let ends = await_condition(jobs.clone(), "greets", conditions::is_job_completed());
    tokio::time::timeout(PATIENCE, ends).await.unwrap().unwrap();
    let status = jobs.get_status("greets").await.unwrap().status.unwrap();
    assert_eq!(status.succeeded, Some(2));
    let pods = pods_of(&client, "greets").await;
    assert_eq!(pods.len(), 2);
    for pod in pods {
        let owner = &pod.owner_references()[0];
        assert_eq!(owner.uid, made.uid().unwrap());
        assert_eq!(owner.controller, Some(true));
    }
}

#[tokio::test]
async fn a_second_creation_and_a_late_replacement_conflict() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let create = PostParams::default();
    let first = maps.create(&create, &config_map("a", "1")).await.unwrap();
    let status = refusal(maps.create(&create, &config_map("a", "2")).await);
    assert_eq!(
        (status.code, status.reason.as_str()),
        (409, "AlreadyExists")
    );
    assert_eq!(status.message, "configmaps \"a\" already exists");
    // Without a version it is replaced whatever there is; with one, only that.
    maps.replace("a", &create, &config_map("a", "3"))
        .await
        .unwrap();
    let status = refusal(maps.replace("a", &create, &first).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(status.message.contains("the object has been modified"));
    let mut now = maps.get("a").await.unwrap();
    let version = now.resource_version();
    now.data.as_mut().unwrap().insert("key".into(), "4".into());
    let replaced = maps.replace("a", &create, &now).await.unwrap();
    assert_ne!(replaced.resource_version(), version);
    // What changes nothing makes no version.
    let again = maps.replace("a", &create, &replaced).await.unwrap();
    assert_eq!(again.resource_version(), replaced.resource_version());
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    maps.create(&dry, &config_map("dry", "1")).await.unwrap();
    assert!(maps.get_opt("dry").await.unwrap().is_none());
}

#[tokio::test]
async fn what_somebody_applied_is_theirs() {
    let serve = Serve::start();
    let cron_jobs: Api<CronJob> = Api::default_namespaced(serve.client().await);
    let nightly = |schedule: &str| {
        Patch::Apply(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly"},
            "spec": {
                "schedule": schedule,
                "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "busybox"}]
                }}}}
            }
        }))
    };
    let (ops, dev) = (PatchParams::apply("ops"), PatchParams::apply("dev"));
    let made = cron_jobs
        .patch("nightly", &ops, &nightly("0 3 * * *"))
        .await;
    let made = made.unwrap();
    let same = cron_jobs
        .patch("nightly", &ops, &nightly("0 3 * * *"))
        .await;
    assert_eq!(same.unwrap().resource_version(), made.resource_version());
    let status = refusal(
        cron_jobs
            .patch("nightly", &dev, &nightly("0 4 * * *"))
            .await,
    );
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"ops\": .spec.schedule"
    );
    let cause = &status.details.as_ref().unwrap().causes[0];
    assert_eq!(cause.reason, "FieldManagerConflict");
    assert_eq!(cause.field, ".spec.schedule");
    let forced = cron_jobs
        .patch("nightly", &dev.clone().force(), &nightly("0 4 * * *"))
        .await
        .unwrap();
    assert_eq!(forced.spec.schedule, "0 4 * * *");
    // What its only owner leaves out goes.
    let labelled = |labels: serde_json::Value| {
        Patch::Apply(json!({
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "nightly", "labels": labels},
        }))
    };
    let third = PatchParams::apply("third");
    let (one, none) = (labelled(json!({"tier": "night"})), labelled(json!({})));
    let made = cron_jobs.patch("nightly", &third, &one).await.unwrap();
    assert_eq!(made.labels()["tier"], "night");
    let bare = cron_jobs.patch("nightly", &third, &none).await.unwrap();
    assert!(bare.labels().is_empty());
    assert_eq!(bare.spec.schedule, "0 4 * * *");
}

#[tokio::test]
async fn patches_merge_as_their_kind_says() {
    let serve = Serve::start();
    let cron_jobs: Api<CronJob> = Api::default_namespaced(serve.client().await);
    let spec = |containers: serde_json::Value| json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}});
    let mut object = spec(json!([{"name": "a", "image": "busybox"}]));
    object["apiVersion"] = "batch/v1".into();
    object["kind"] = "CronJob".into();
    object["metadata"] = json!({"name": "c"});
    object["spec"]["schedule"] = "@daily".into();
    object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
    let object: CronJob = serde_json::from_value(object).unwrap();
    cron_jobs
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let names = |cron_job: CronJob| -> Vec<String> {
        let spec = cron_job.spec.job_template.spec.unwrap();
        let containers = spec.template.spec.unwrap().containers;
        containers.into_iter().map(|it| it.name).collect()
    };
    let more = spec(json!([{"name": "b", "image": "busybox"}]));
    let params = PatchParams::default();
    let merged = cron_jobs
        .patch("c", &params, &Patch::Strategic(&more))
        .await;
    assert_eq!(names(merged.unwrap()), ["b", "a"]);
    let replaced = cron_jobs.patch("c", &params, &Patch::Merge(&more)).await;
    assert_eq!(names(replaced.unwrap()), ["b"]);
    let status = Patch::Merge(json!({"status": {"lastScheduleTime": "2024-01-01T00:00:00Z"}}));
    let patched = cron_jobs.patch("c", &params, &status).await.unwrap();
    assert_eq!(patched.status.unwrap_or_default().last_schedule_time, None);
    let patched = cron_jobs.patch_status("c", &params, &status).await.unwrap();
    assert!(patched.status.unwrap().last_schedule_time.is_some());
}

#[tokio::test]
async fn an_object_with_a_finalizer_waits_for_it() {
    let serve = Serve::start();
    let client = serve.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let mut held = config_map("held", "1");
    held.metadata.finalizers = Some(vec!["wasmjob.dev/test".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    finalizes(&maps, "held").await;
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let mut held = job("held", "true", json!({"suspend": true}));
    held.metadata.finalizers = Some(vec!["wasmjob.dev/test".to_owned()]);
    jobs.create(&PostParams::default(), &held).await.unwrap();
    finalizes(&jobs, "held").await;
}

/// Deletes what has a finalizer: it stays until that is taken away.
async fn finalizes<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let deleted = api.delete(name, &DeleteParams::background()).await.unwrap();
    let going = deleted.left().unwrap();
    assert!(going.meta().deletion_timestamp.is_some());
    assert!(api.get_opt(name).await.unwrap().is_some());
    let bare = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch(name, &PatchParams::default(), &bare)
        .await
        .unwrap();
    soon(async || api.get_opt(name).await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn deletion_treats_pods_as_it_is_told() {
    let serve = Serve::start();
    let client = serve.client().await;
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    for policy in [
        PropagationPolicy::Background,
        PropagationPolicy::Foreground,
        PropagationPolicy::Orphan,
    ] {
        let name = format!("{policy:?}").to_lowercase();
        running_pod(&client, &job(&name, "sleep 600", json!({}))).await;
        let params = DeleteParams {
            propagation_policy: Some(policy.clone()),
            ..DeleteParams::default()
        };
        jobs.delete(&name, &params).await.unwrap();
        soon(async || jobs.get_opt(&name).await.unwrap().is_none().then_some(())).await;
        match policy {
            PropagationPolicy::Foreground => assert!(pods_of(&client, &name).await.is_empty()),
            PropagationPolicy::Background => {
                soon(async || pods_of(&client, &name).await.is_empty().then_some(())).await;
            }
            PropagationPolicy::Orphan => {
                let orphan = soon(async || {
                    let pod = pods_of(&client, &name).await.pop().unwrap();
                    pod.owner_references().is_empty().then_some(pod)
                })
                .await;
                assert_eq!(orphan.status.unwrap().phase.unwrap(), "Running");
            }
        }
    }
}

#[tokio::test]
async fn preconditions_hold_a_deletion_back() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let map = config_map("a", "1");
    let made = maps.create(&PostParams::default(), &map).await.unwrap();
    let only = |uid: Option<String>, resource_version: Option<String>| {
        DeleteParams::default().preconditions(Preconditions {
            uid,
            resource_version,
        })
    };
    let other = only(Some("8b2e6a2c-0000-4000-8000-000000000000".into()), None);
    let status = refusal(maps.delete("a", &other).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let old = only(None, Some("1".into()));
    assert_eq!(refusal(maps.delete("a", &old).await).code, 409);
    let this = only(made.uid(), made.resource_version());
    let gone = maps.delete("a", &this).await.unwrap().right().unwrap();
    assert!(gone.is_success());
    assert_eq!(gone.details.unwrap().uid, made.uid().unwrap());
    assert_eq!(refusal(maps.delete("a", &this).await).code, 404);
}

#[tokio::test]
async fn pages_are_of_one_moment() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    for n in 0..25 {
        let map = config_map(&format!("map-{n:02}"), "1");
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let page = ListParams::default().limit(10);
    let first = maps.list(&page).await.unwrap();
    assert_eq!(first.items.len(), 10);
    // There is the one with the authority's certificate, too.
    assert_eq!(first.metadata.remaining_item_count, Some(16));
    // What comes and goes meanwhile is not in it.
    maps.create(&PostParams::default(), &config_map("map-99", "1"))
        .await
        .unwrap();
    maps.delete("map-24", &DeleteParams::default())
        .await
        .unwrap();
    let mut names: BTreeSet<_> = first.items.iter().map(ResourceExt::name_any).collect();
    let mut token = first.metadata.continue_.clone();
    while let Some(next) = token.filter(|token| !token.is_empty()) {
        let more = maps
            .list(&page.clone().continue_token(&next))
            .await
            .unwrap();
        assert_eq!(
            more.metadata.resource_version,
            first.metadata.resource_version
        );
        names.extend(more.items.iter().map(ResourceExt::name_any));
        token = more.metadata.continue_.clone();
    }
    assert_eq!(names.len(), 26);
    assert!(names.contains("map-24") && !names.contains("map-99"));
    let forged = maps.list(&page.continue_token("bm8gdG9rZW4")).await;
    assert_eq!(refusal(forged).code, 400);
}

#[tokio::test]
async fn selectors_choose() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "z")] {
        let mut map = config_map(name, "1");
        map.labels_mut().insert("tier".into(), tier.into());
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let names = async |params: ListParams| -> String {
        let list = maps.list(&params).await.unwrap();
        list.iter().map(ResourceExt::name_any).collect()
    };
    let labels = |text: &str| ListParams::default().labels(text);
    assert_eq!(names(labels("tier in (x, z)")).await, "ac");
    assert_eq!(names(labels("tier,tier!=x")).await, "bc");
    let fields = |text: &str| ListParams::default().fields(text);
    assert_eq!(names(fields("metadata.name=b")).await, "b");
    let wrong = maps.list(&fields("spec.nothing=b")).await;
    assert_eq!(refusal(wrong).code, 400);
    let params = DeleteParams::default();
    let deleted = maps.delete_collection(&params, &labels("tier=x")).await;
    assert_eq!(deleted.unwrap().left().unwrap().items.len(), 1);
    assert_eq!(names(labels("tier")).await, "bc");
}

#[tokio::test]
async fn an_evicted_pod_is_replaced() {
    let serve = Serve::start();
    let client: Client = serve.client().await;
    let pod = running_pod(&client, &job("stays", "sleep 600", json!({}))).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let status = pods.evict(&pod.name_any(), &EvictParams::default()).await;
    assert!(status.unwrap().is_success());
    soon(async || {
        let others = pods_of(&client, "stays").await;
        let runs = |it: &&Pod| it.status.as_ref().unwrap().phase.as_deref() == Some("Running");
        let other = others.iter().find(runs)?.uid();
        (other != pod.uid()).then_some(())
    })
    .await;
    let status = refusal(pods.evict("nobody", &EvictParams::default()).await);
    assert_eq!(status.code, 404);
}
