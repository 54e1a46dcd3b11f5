//! Watching: what is told, and what happens when a client has been away.

use std::fmt::Debug;
use std::pin::pin;

use futures_util::{Stream, StreamExt};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::watcher::{self, watcher};
use wasmjob::api::k8s_openapi::api::core::v1::ConfigMap;

use crate::serve::{PATIENCE, Serve, config_map};

/// The next of a stream, which does not take for ever.
async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
    next.expect("nothing came").expect("the stream ended")
}

fn tell(event: WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(map) => format!("added {}", map.name_any()),
        WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
        WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
        WatchEvent::Bookmark(bookmark) => {
            let annotations = &bookmark.metadata.annotations;
            match annotations.contains_key("k8s.io/initial-events-end") {
                true => "that was all".to_owned(),
                false => "bookmark".to_owned(),
            }
        }
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_the_list_ended() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let create = PostParams::default();
    let labelled = |name: &str, value: &str| {
        let mut map = config_map(name, value);
        map.labels_mut().insert("tier".into(), value.into());
        map
    };
    maps.create(&create, &labelled("before", "x"))
        .await
        .unwrap();
    let list = maps.list(&ListParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    maps.create(&create, &labelled("a", "x")).await.unwrap();
    let params = WatchParams::default().labels("tier=x");
    let mut watch = pin!(maps.watch(&params, &version).await.unwrap());
    assert_eq!(tell(next(&mut watch).await.unwrap()), "added a");
    // What ceases to match is deleted for who watches.
    maps.replace("a", &create, &labelled("a", "y"))
        .await
        .unwrap();
    assert_eq!(tell(next(&mut watch).await.unwrap()), "deleted a");
    maps.replace("a", &create, &labelled("a", "x"))
        .await
        .unwrap();
    assert_eq!(tell(next(&mut watch).await.unwrap()), "added a");
    let mut annotated = labelled("a", "x");
    annotated
        .annotations_mut()
        .insert("note".into(), "1".into());
    maps.replace("a", &create, &annotated).await.unwrap();
    assert_eq!(tell(next(&mut watch).await.unwrap()), "modified a");
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(tell(next(&mut watch).await.unwrap()), "deleted a");
}

#[tokio::test]
async fn a_watch_can_begin_with_what_there_is() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let params = WatchParams::streaming_lists().fields("metadata.name=a");
    let mut watch = pin!(maps.watch(&params, "0").await.unwrap());
    assert_eq!(tell(next(&mut watch).await.unwrap()), "added a");
    assert_eq!(tell(next(&mut watch).await.unwrap()), "that was all");
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(tell(next(&mut watch).await.unwrap()), "deleted a");
}

#[tokio::test]
async fn a_watch_ends_when_it_is_asked_to() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let params = WatchParams::default()
        .timeout(1)
        .fields("metadata.name=none");
    let watch = maps.watch(&params, "0").await.unwrap();
    let told: Vec<_> = tokio::time::timeout(PATIENCE, watch.collect())
        .await
        .unwrap();
    // It says how far it has come before it ends.
    let told: Vec<_> = told.into_iter().map(|event| tell(event.unwrap())).collect();
    assert_eq!(told, ["bookmark"]);
}

/// The next event of a watcher; failures are what it is there to bear.
async fn event<K: Debug>(
    stream: &mut (impl Stream<Item = watcher::Result<watcher::Event<K>>> + Unpin),
    refusals: &mut Vec<u16>,
) -> watcher::Event<K> {
    loop {
        match next(stream).await {
            Ok(event) => return event,
            Err(watcher::Error::WatchError(status)) => refusals.push(status.code),
            // The server is away.
            Err(watcher::Error::WatchFailed(_)) => {}
            Err(watcher::Error::WatchStartFailed(kube::Error::Service(_))) => {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// All that a watcher lists, up to the end of the list.
async fn listed(
    stream: &mut (impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
    refusals: &mut Vec<u16>,
) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        match event(stream, refusals).await {
            watcher::Event::Init => names.clear(),
            watcher::Event::InitApply(map) => names.push(map.name_any()),
            watcher::Event::InitDone => return names,
            other => panic!("in a list: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_watcher_lists_again_when_its_place_is_forgotten() {
    let mut serve = Serve::start();
    let client = serve.client().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let create = PostParams::default();
    let old = maps.create(&create, &config_map("a", "1")).await.unwrap();
    let only = watcher::Config::default().fields("metadata.name!=kube-root-ca.crt");
    let mut stream = Box::pin(watcher(maps.clone(), only));
    let mut refusals = Vec::new();
    assert_eq!(listed(&mut stream, &mut refusals).await, ["a"]);
    // Nobody has read that yet when the server is gone; and what has happened before its
    // start it does not tell one by one.
    maps.create(&create, &config_map("b", "1")).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    serve.restart().await;
    let late = WatchParams::default();
    let late = maps.watch(&late, &old.resource_version().unwrap()).await;
    match next(&mut pin!(late.unwrap())).await {
        Ok(WatchEvent::Error(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
        }
        other => panic!("{other:?}"),
    }
    // What it had been told already comes first.
    let names = loop {
        match event(&mut stream, &mut refusals).await {
            watcher::Event::Init => break listed(&mut stream, &mut refusals).await,
            watcher::Event::Apply(map) => assert_eq!(map.name_any(), "b"),
            watcher::Event::Delete(map) => assert_eq!(map.name_any(), "a"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names, ["b"]);
    assert_eq!(refusals, [410]);
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    match event(&mut stream, &mut refusals).await {
        watcher::Event::Delete(map) => assert_eq!(map.name_any(), "b"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watcher_can_stream_its_list() {
    let serve = Serve::start();
    let maps: Api<ConfigMap> = Api::default_namespaced(serve.client().await);
    let create = PostParams::default();
    for name in ["a", "b", "c"] {
        maps.create(&create, &config_map(name, "1")).await.unwrap();
    }
    let config = watcher::Config::default()
        .streaming_lists()
        .fields("metadata.name!=kube-root-ca.crt");
    let mut stream = Box::pin(watcher(maps.clone(), config));
    let mut refusals = Vec::new();
    assert_eq!(listed(&mut stream, &mut refusals).await, ["a", "b", "c"]);
    maps.create(&create, &config_map("d", "1")).await.unwrap();
    match event(&mut stream, &mut refusals).await {
        watcher::Event::Apply(map) => assert_eq!(map.name_any(), "d"),
        other => panic!("{other:?}"),
    }
    assert_eq!(refusals, [0; 0]);
}
