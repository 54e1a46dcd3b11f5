//! Logs as streams.

use futures_util::{AsyncBufReadExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::{Api, LogParams};
use serde_json::json;
use wasmjob::api::k8s_openapi::api::core::v1::Pod;

use crate::serve::{PATIENCE, Serve, job, refusal, running_pod};

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let serve = Serve::start();
    let client = serve.client().await;
    let counts = job(
        "counts",
        "for i in 1 2 3 4; do echo $i; sleep 0.3; done",
        json!({}),
    );
    let pod = running_pod(&client, &counts).await.name_any();
    let pods: Api<Pod> = Api::default_namespaced(client);
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let lines = pods.log_stream(&pod, &follow).await.unwrap().lines();
    let lines = tokio::time::timeout(PATIENCE, lines.try_collect::<Vec<_>>()).await;
    assert_eq!(lines.unwrap().unwrap(), ["1", "2", "3", "4"]);
    // Afterwards it is there as a whole, and in parts.
    let whole = pods.logs(&pod, &LogParams::default()).await.unwrap();
    assert_eq!(whole, "1\n2\n3\n4\n");
    let tail = LogParams {
        tail_lines: Some(2),
        timestamps: true,
        container: Some("main".into()),
        ..LogParams::default()
    };
    let tail = pods.logs(&pod, &tail).await.unwrap();
    let (at, three) = tail.lines().next().unwrap().split_once(' ').unwrap();
    at.parse::<jiff::Timestamp>().unwrap();
    assert_eq!((three, tail.lines().count()), ("3", 2));
    let start = LogParams {
        limit_bytes: Some(3),
        ..LogParams::default()
    };
    assert_eq!(pods.logs(&pod, &start).await.unwrap(), "1\n2");
    let other = LogParams {
        container: Some("other".into()),
        ..LogParams::default()
    };
    let status = refusal(pods.logs(&pod, &other).await);
    assert_eq!(status.code, 400);
    assert_eq!(
        status.message,
        format!("container other is not valid for pod {pod}")
    );
}
