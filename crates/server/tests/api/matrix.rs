//! Who may use which route: every route × every verb × every kind of caller.
//!
//! The routes come from the table of resources and from what the server itself lists;
//! `routes.txt` says who may use each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wasmjob::{Clock, Host};
use wasmjob_machinery::resource::{RESOURCES, Resource};

use crate::support::{Api, Client, block_on};

const ROUTES: &str = include_str!("../routes.txt");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Granted,
    Known,
    All,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    Stranger,
    Wrong,
    Expired,
    Unauthorised,
    Granted,
    Administrator,
}

const CALLERS: [Caller; 6] = [
    Caller::Stranger,
    Caller::Wrong,
    Caller::Expired,
    Caller::Unauthorised,
    Caller::Granted,
    Caller::Administrator,
];

struct Route {
    /// As `routes.txt` has it.
    name: String,
    method: &'static str,
    path: String,
    /// What a role must allow.
    verb: &'static str,
}

fn rules() -> BTreeMap<&'static str, Rule> {
    let lines = ROUTES.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(' '));
    lines
        .map(|(route, rule)| {
            let rule = match rule.trim() {
                "granted" => Rule::Granted,
                "known" => Rule::Known,
                "all" => Rule::All,
                other => panic!("what is {other}?"),
            };
            (route, rule)
        })
        .collect()
}

/// Where the objects of a resource are, and one of them.
fn paths(resource: &Resource) -> (String, String) {
    let root = match resource.group {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    let collection = match resource.namespaced {
        true => format!("{root}/namespaces/matrix/{}", resource.plural),
        false => format!("{root}/{}", resource.plural),
    };
    let one = format!("{collection}/matrix");
    (collection, one)
}

/// How a verb is asked for: with which method, of one object or of all.
fn method(verb: &str) -> (&'static str, bool) {
    match verb {
        "create" => ("POST", false),
        "delete" => ("DELETE", true),
        "deletecollection" => ("DELETE", false),
        "get" => ("GET", true),
        "list" | "watch" => ("GET", false),
        "patch" => ("PATCH", true),
        "update" => ("PUT", true),
        other => panic!("what is {other}?"),
    }
}

fn resource_routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for resource in RESOURCES {
        let name = resource.qualified().to_string();
        let (collection, one) = paths(resource);
        for verb in resource.verbs {
            let (method, is_one) = method(verb);
            let path = if is_one { &one } else { &collection };
            let query = match *verb {
                "watch" => "?watch=1&resourceVersion=none",
                "list" | "deletecollection" => "?labelSelector=none",
                _ => "",
            };
            routes.push(Route {
                name: name.clone(),
                method,
                path: format!("{path}{query}"),
                verb,
            });
        }
        for subresource in resource.subresources {
            for verb in subresource.verbs {
                let (method, _) = method(verb);
                routes.push(Route {
                    name: format!("{name}/{}", subresource.name),
                    method,
                    path: format!("{one}/{}", subresource.name),
                    verb,
                });
            }
        }
    }
    routes
}

async fn path_routes(client: &mut Client) -> Vec<Route> {
    let listed = client.get("/").await.json();
    let paths = listed["paths"].as_array().unwrap().clone();
    let paths = std::iter::once("/".to_owned())
        .chain(paths.iter().map(|path| path.as_str().unwrap().to_owned()));
    paths
        .map(|path| Route {
            name: match path.strip_prefix("/apis/") {
                Some(_) => "/apis/*".to_owned(),
                None => path.clone(),
            },
            method: "GET",
            path,
            verb: "get",
        })
        .collect()
}

/// A clock that a test moves.
pub(crate) struct Moved(pub(crate) Arc<AtomicI64>);

impl Clock for Moved {
    fn wall(&self) -> Timestamp {
        let seconds = SignedDuration::from_secs(self.0.load(Ordering::Relaxed));
        Timestamp::now() + seconds
    }

    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

async fn token(client: &mut Client, seconds: i64) -> String {
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": { "expirationSeconds": seconds },
    });
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let answer = client.json("POST", path, &body).await;
    let value = answer.json();
    value["status"]["token"]
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Waits until the host's thread has looked at the clock, and the token has ended.
async fn ends(client: &mut Client, token: &str) {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    for _ in 0..200 {
        if client.send("GET", "/version", &headers, "").await.code == 401 {
            return;
        }
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "generateName": "look-" },
        });
        let path = "/api/v1/namespaces/default/configmaps";
        client.json("POST", path, &namespace).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the token never ended");
}

/// Gives `granted` exactly what the rules of `routes.txt` call granted.
async fn grant(client: &mut Client) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "all-granted" },
        "rules": [
            { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
            { "nonResourceURLs": ["*"], "verbs": ["get"] },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "all-granted" },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all-granted",
        },
        "subjects": [{
            "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "granted",
        }],
    });
    for (plural, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{plural}");
        assert_eq!(client.json("POST", &path, &object).await.code, 201);
    }
}

/// What the caller must get.
fn is_right(rule: Rule, caller: Caller, code: u16) -> bool {
    let may = match caller {
        Caller::Wrong | Caller::Expired => return code == 401,
        Caller::Stranger => rule == Rule::All,
        Caller::Unauthorised => rule != Rule::Granted,
        Caller::Granted | Caller::Administrator => true,
    };
    match may {
        // It goes on to be answered, as well or as badly as it deserves.
        true => !matches!(code, 401 | 403),
        false => code == 403,
    }
}

#[test]
fn every_route_asks_who_it_is_and_what_it_may() {
    let offset = Arc::new(AtomicI64::new(0));
    let clock = Moved(Arc::clone(&offset));
    let api = Api::start_with(Host::builder().clock(Arc::new(clock)));
    let rules = rules();
    let failures = block_on(async {
        let mut client = api.client();
        let mut stranger = api.stranger().await;
        grant(&mut client).await;
        let expired = token(&mut client, 600).await;
        offset.store(2 * 3_600, Ordering::Relaxed);
        ends(&mut client, &expired).await;
        let mut routes = path_routes(&mut client).await;
        routes.extend(resource_routes());
        let mut failures = Vec::new();
        for route in &routes {
            let Some(rule) = rules.get(route.name.as_str()) else {
                failures.push(format!("{} has no entry in routes.txt", route.name));
                continue;
            };
            for caller in CALLERS {
                let authorization = match caller {
                    Caller::Stranger => None,
                    Caller::Wrong => Some("Bearer wrong".to_owned()),
                    Caller::Expired => Some(format!("Bearer {expired}")),
                    Caller::Unauthorised => Some("Bearer nobody-token".to_owned()),
                    Caller::Granted => Some("Bearer granted-token".to_owned()),
                    Caller::Administrator => Some("Bearer admin-token".to_owned()),
                };
                let mut headers = vec![("content-type", "application/json")];
                // Who writes to the socket and shows nothing is its owner.
                let client = match &authorization {
                    Some(text) => {
                        headers.push(("authorization", text));
                        &mut client
                    }
                    None => &mut stranger,
                };
                let answer = client.send(route.method, &route.path, &headers, "").await;
                if !is_right(*rule, caller, answer.code) {
                    failures.push(format!(
                        "{} {} ({}) as {caller:?}: {} {}",
                        route.method,
                        route.path,
                        route.verb,
                        answer.code,
                        answer.text().lines().next().unwrap_or_default(),
                    ));
                }
            }
        }
        println!("{} routes × {} callers", routes.len(), CALLERS.len());
        failures
    });
    assert!(
        failures.is_empty(),
        "{}:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_entry_is_a_route() {
    let api = Api::start();
    let routes = block_on(async {
        let mut routes = path_routes(&mut api.client()).await;
        routes.extend(resource_routes());
        routes
    });
    for name in rules().keys() {
        assert!(
            routes.iter().any(|route| route.name == *name),
            "{name} is gone"
        );
    }
}

#[test]
fn a_refusal_tells_nothing_of_what_is_there() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let headers = [("authorization", "Bearer nobody-token")];
        let mut refusals: Vec<Value> = Vec::new();
        // There, not there, and in a namespace that is not there.
        for path in [
            "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
            "/api/v1/namespaces/default/configmaps/nope",
            "/api/v1/namespaces/nope/configmaps/nope",
        ] {
            let answer = client.send("GET", path, &headers, "").await;
            assert_eq!(answer.code, 403, "{path}");
            let text = answer.text().replace("kube-root-ca.crt", "nope");
            let text = text.replace("namespace \\\"default\\\"", "namespace \\\"nope\\\"");
            refusals.push(serde_json::from_str(&text).unwrap());
        }
        assert_eq!(refusals[0], refusals[1]);
        assert_eq!(refusals[1], refusals[2]);
    });
}
