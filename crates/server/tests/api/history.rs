//! What clients see of each other's writes: one winner per version, watches without
//! gaps, lists that agree with them, pages of one state.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Api, Client, block_on};

const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";

fn object(name: &str, number: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": { "of": "history" } },
        "data": { "n": number.to_string() },
    })
}

fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.unwrap_or_else(|| panic!("{object}")).parse().unwrap()
}

fn number(object: &Value) -> u64 {
    object["data"]["n"].as_str().unwrap().parse().unwrap()
}

/// The events of a watch that ends after a second.
async fn watch(client: &mut Client, query: &str) -> Vec<(String, Value)> {
    let path = format!("{CONFIGMAPS}?watch=1&timeoutSeconds=1&{query}");
    let answer = client.get(&path).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    let lines = answer.text();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|event| {
            (
                event["type"].as_str().unwrap().to_owned(),
                event["object"].clone(),
            )
        })
        .collect()
}

#[test]
fn every_version_has_one_winner_and_every_revision_is_a_place_to_resume() {
    const CLIENTS: u64 = 8;
    const WINS: u64 = 25;
    let api = Api::start();
    block_on(async {
        let path = format!("{CONFIGMAPS}/counter");
        let mut client = api.client();
        let created = client.json("POST", CONFIGMAPS, &object("counter", 0)).await;
        assert_eq!(created.code, 201);
        let first = version(&created.json());
        let writer = async || {
            let mut client = api.client();
            let (mut won, mut lost) = (Vec::new(), 0);
            while (won.len() as u64) < WINS {
                let mut seen = client.get(&path).await.json();
                let (old, count) = (version(&seen), number(&seen));
                seen["data"]["n"] = (count + 1).to_string().into();
                let answer = client.json("PUT", &path, &seen).await;
                match answer.code {
                    200 => won.push((old, version(&answer.json()), count + 1)),
                    409 => {
                        assert_eq!(answer.json()["reason"], "Conflict");
                        lost += 1;
                    }
                    code => panic!("{code}: {}", answer.text()),
                }
            }
            (won, lost)
        };
        let written = join_all((0..CLIENTS).map(|_| writer())).await;
        let lost: u64 = written.iter().map(|(_, lost)| lost).sum();
        let mut won: Vec<_> = written.into_iter().flat_map(|(won, _)| won).collect();
        won.sort_unstable();
        println!("{} won, {lost} lost", won.len());
        // A chain: each write saw the one before it, and no version had two successors.
        let mut last = first;
        for (place, (old, new, count)) in won.iter().enumerate() {
            assert_eq!(*old, last);
            assert!(new > old);
            assert_eq!(*count, place as u64 + 1);
            last = *new;
        }
        assert_eq!(number(&client.get(&path).await.json()), CLIENTS * WINS);

        // From each version on, a watch tells all that came after it, once and in order.
        let mut versions = vec![first];
        versions.extend(won.iter().map(|(_, new, _)| *new));
        let resumed = versions.iter().enumerate().map(|(place, since)| {
            let (api, versions) = (&api, &versions);
            async move {
                let query =
                    format!("resourceVersion={since}&fieldSelector=metadata.name%3Dcounter");
                let events = watch(&mut api.client(), &query).await;
                let seen: Vec<u64> = events.iter().map(|(_, it)| version(it)).collect();
                assert_eq!(seen, versions[place + 1..], "since {since}");
                assert!(events.iter().all(|(kind, _)| kind == "MODIFIED"));
            }
        });
        join_all(resumed).await;
    });
}

/// Creates, changes and deletes a few objects over and over.
async fn churn(api: &Api, seed: u64, steps: u64) {
    let mut client = api.client();
    let mut random = seed;
    for step in 0..steps {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let name = format!("churn-{}", (random >> 33) % 12);
        let path = format!("{CONFIGMAPS}/{name}");
        let answer = match (random >> 40) % 4 {
            0 => client.send("DELETE", &path, &[], "").await,
            1 | 2 => client.json("PUT", &path, &object(&name, step)).await,
            _ => client.json("POST", CONFIGMAPS, &object(&name, step)).await,
        };
        assert!(
            matches!(answer.code, 200 | 201 | 404 | 409),
            "{}",
            answer.text()
        );
    }
}

fn by_name(list: &Value) -> BTreeMap<String, Value> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| {
            let name = item["metadata"]["name"].as_str().unwrap().to_owned();
            (name, item.clone())
        })
        .collect()
}

#[test]
fn a_list_and_what_a_watch_tells_after_it_make_the_next_list() {
    let api = Api::start();
    block_on(async {
        let observe = async |seed: u64| {
            let mut client = api.client();
            let mut state: Option<(u64, BTreeMap<String, Value>)> = None;
            for _ in 0..3 {
                let query = "labelSelector=of%3Dhistory";
                let list = client.get(&format!("{CONFIGMAPS}?{query}")).await.json();
                let revision = version(&list);
                let listed = by_name(&list);
                if let Some((since, mut known)) = state.take() {
                    let query = format!("{query}&resourceVersion={since}");
                    let mut last = since;
                    for (kind, object) in watch(&mut client, &query).await {
                        let at = version(&object);
                        // Each is a place from which another watch could go on.
                        assert!(at > last, "{seed}: {at} after {last}");
                        last = at;
                        if at > revision {
                            break;
                        }
                        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
                        match kind.as_str() {
                            "DELETED" => assert!(known.remove(&name).is_some(), "{name}"),
                            "ADDED" => assert!(known.insert(name, object).is_none()),
                            "MODIFIED" => assert!(known.insert(name, object).is_some()),
                            other => panic!("{other}"),
                        }
                    }
                    assert_eq!(known, listed, "{seed}: from {since} to {revision}");
                }
                state = Some((revision, listed));
                tokio::time::sleep(std::time::Duration::from_millis(20 * seed)).await;
            }
        };
        let writers = join_all((0..4).map(|seed| churn(&api, seed, 400)));
        let observers = join_all((0..4).map(observe));
        futures_util::future::join(writers, observers).await;
    });
}

#[test]
fn bookmarks_stand_between_what_was_told_and_what_comes() {
    let api = Api::start();
    block_on(async {
        let watcher = async |query: &'static str| {
            let mut client = api.client();
            let (mut told, mut marked, mut marks) = (0, 0, 0);
            let query = format!("allowWatchBookmarks=true&{query}");
            for (kind, object) in watch(&mut client, &query).await {
                let at = version(&object);
                if kind == "BOOKMARK" {
                    assert!(at >= told, "{at} < {told}");
                    assert_eq!(object["kind"], "ConfigMap");
                    assert_eq!(object["data"], Value::Null);
                    marked = at;
                    marks += 1;
                } else {
                    assert!(at > marked, "{at} <= {marked}");
                    told = told.max(at);
                }
            }
            // The last one says how far the client has come, before it is over.
            assert!(marks >= 1);
            assert!(marked >= told);
        };
        let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let watchers = futures_util::future::join(watcher("resourceVersion=0"), watcher(initial));
        futures_util::future::join(churn(&api, 7, 800), watchers).await;
        let events = watch(
            &mut api.client(),
            &format!("allowWatchBookmarks=true&{initial}"),
        )
        .await;
        let ends: Vec<usize> = events
            .iter()
            .enumerate()
            .filter(|(_, (_, object))| {
                object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
            })
            .map(|(place, _)| place)
            .collect();
        assert_eq!(ends.len(), 1, "{events:?}");
        assert!(events[..ends[0]].iter().all(|(kind, _)| kind == "ADDED"));
    });
}

#[test]
fn pages_are_of_one_state_whatever_is_written_meanwhile() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        for index in 0..60 {
            let name = format!("churn-{index}");
            client.json("POST", CONFIGMAPS, &object(&name, 0)).await;
        }
        let reader = async |limit: usize| {
            let mut client = api.client();
            for _ in 0..10 {
                let mut path = format!("{CONFIGMAPS}?labelSelector=of%3Dhistory&limit={limit}");
                let (mut names, mut revision) = (BTreeSet::new(), None);
                loop {
                    let answer = client.get(&path).await;
                    assert_eq!(answer.code, 200, "{}", answer.text());
                    let list = answer.json();
                    let at = version(&list);
                    assert_eq!(*revision.get_or_insert(at), at);
                    for (name, item) in by_name(&list) {
                        assert!(version(&item) <= at, "{name} is of the future");
                        assert!(names.insert(name.clone()), "{name} twice");
                    }
                    match list["metadata"]["continue"].as_str() {
                        Some(token) => {
                            path = format!(
                                "{CONFIGMAPS}?labelSelector=of%3Dhistory&limit={limit}&continue={token}"
                            );
                        }
                        None => break,
                    }
                }
                // Those that nobody deletes are on one page each.
                for index in 12..60 {
                    assert!(names.contains(&format!("churn-{index}")), "{index}");
                }
            }
        };
        let readers = join_all([1, 7, 50].map(reader));
        futures_util::future::join(churn(&api, 3, 600), readers).await;
    });
}

#[test]
fn what_begins_or_ceases_to_match_is_added_or_deleted() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let created = client
            .json("POST", CONFIGMAPS, &object("moody", 0))
            .await
            .json();
        let since = version(&created);
        let mut wanted = Vec::new();
        for step in 0..20_u64 {
            let mut object = object("moody", step);
            let mood = if step % 3 == 0 { "good" } else { "bad" };
            object["metadata"]["labels"]["mood"] = mood.into();
            let path = format!("{CONFIGMAPS}/moody");
            let answer = client.json("PUT", &path, &object).await.json();
            match step % 3 {
                0 => wanted.push(("ADDED".to_owned(), version(&answer), "good")),
                // As it was when it matched, under the version that made it cease to.
                1 => wanted.push(("DELETED".to_owned(), version(&answer), "good")),
                _ => {}
            }
        }
        let query = format!("resourceVersion={since}&labelSelector=mood%3Dgood");
        let events = watch(&mut client, &query).await;
        let seen: Vec<(String, u64, &str)> = events
            .iter()
            .map(|(kind, it)| {
                let mood = it["metadata"]["labels"]["mood"].as_str().unwrap_or("none");
                (kind.clone(), version(it), mood)
            })
            .collect();
        assert_eq!(seen, wanted);
    });
}
