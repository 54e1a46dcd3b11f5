//! Who may do what, where one thing could stand in for another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Client, block_on};

const CORE: &str = "/api/v1/namespaces/default";
const NOBODY: (&str, &str) = ("authorization", "Bearer nobody-token");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Lets `nobody` do what `rules` say.
async fn grant(client: &mut Client, rules: Value) {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({ "metadata": { "name": "some" }, "rules": rules });
    let binding = json!({
        "metadata": { "name": "some" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "some" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nobody" }],
    });
    for (resource, object) in [("clusterroles", role), ("clusterrolebindings", binding)] {
        let path = format!("{rbac}/{resource}");
        let answer = client.json("POST", &path, &object).await;
        assert_eq!(answer.code, 201, "{}", answer.text());
    }
}

async fn make(client: &mut Client, path: &str, object: Value) -> Value {
    let answer = client.json("POST", path, &object).await;
    assert_eq!(answer.code, 201, "{path}: {}", answer.text());
    answer.json()
}

async fn as_nobody(client: &mut Client, method: &str, path: &str, body: &Value) -> Answer {
    client
        .send(method, path, &[NOBODY, JSON], body.to_string())
        .await
}

fn continued(list: &Answer) -> Value {
    let list = list.json();
    let token = list["metadata"]["continue"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap()
}

#[test]
fn a_continue_token_that_is_forged_reaches_no_other_list() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let rule = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }]);
        grant(&mut client, rule).await;
        for name in ["a", "b", "c"] {
            let object = json!({ "metadata": { "name": name } });
            make(&mut client, &format!("{CORE}/configmaps"), object.clone()).await;
            let secret = json!({ "metadata": { "name": name }, "data": { "x": "aHVudGVyMg==" } });
            make(&mut client, &format!("{CORE}/secrets"), secret).await;
        }
        // Both lists are kept, for whoever reads them in pages.
        let theirs = client.get("/api/v1/secrets?limit=1").await;
        let theirs = continued(&theirs);
        let path = format!("{CORE}/configmaps?limit=1");
        let own = as_nobody(&mut client, "GET", &path, &Value::Null).await;
        let own = continued(&own);
        for forged in [
            json!({ "of": own["of"], "rv": theirs["rv"], "seen": 0, "list": theirs["list"] }),
            json!({ "of": theirs["of"], "rv": theirs["rv"], "seen": 0 }),
        ] {
            let token = URL_SAFE_NO_PAD.encode(forged.to_string());
            let path = format!("{CORE}/configmaps?limit=9&continue={token}");
            let answer = as_nobody(&mut client, "GET", &path, &Value::Null).await;
            assert!(!answer.text().contains("aHVudGVyMg"), "{}", answer.text());
            let items = answer.json()["items"].as_array().cloned();
            let only = items
                .iter()
                .flatten()
                .all(|it| it["data"].is_null() || it["data"]["ca.crt"].is_string());
            assert!(only, "{}", answer.text());
        }
    });
}

#[test]
fn who_may_only_patch_creates_nothing() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let rule = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"] }]);
        grant(&mut client, rule).await;
        let object =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "new" } });
        let path = format!("{CORE}/configmaps/new?fieldManager=x");
        let headers = [NOBODY, ("content-type", "application/apply-patch+yaml")];
        let answer = client
            .send("PATCH", &path, &headers, object.to_string())
            .await;
        assert_eq!(answer.code, 403, "{}", answer.text());
        assert!(
            answer.text().contains("cannot create resource"),
            "{}",
            answer.text()
        );
        let found = client.get(&format!("{CORE}/configmaps/new")).await;
        assert_eq!(found.code, 404);
        // What is there, it may apply to.
        make(
            &mut client,
            &format!("{CORE}/configmaps"),
            json!({ "metadata": { "name": "new" } }),
        )
        .await;
        let answer = client
            .send("PATCH", &path, &headers, object.to_string())
            .await;
        assert_eq!(answer.code, 200, "{}", answer.text());
    });
}

#[test]
fn a_role_for_one_name_lists_and_watches_it() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let rule = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"],
            "resourceNames": ["mine"] }]);
        grant(&mut client, rule).await;
        let mut code = async |query: &str| {
            let path = format!("{CORE}/configmaps?{query}");
            as_nobody(&mut client, "GET", &path, &Value::Null)
                .await
                .code
        };
        let mine = "fieldSelector=metadata.name%3Dmine";
        assert_eq!(code(mine).await, 200);
        assert_eq!(
            code(&format!("{mine}&watch=true&timeoutSeconds=1")).await,
            200
        );
        for other in [
            "",
            "fieldSelector=metadata.name%3Dyours",
            "fieldSelector=metadata.name%21%3Dmine",
        ] {
            assert_eq!(code(other).await, 403, "{other}");
        }
    });
}

#[test]
fn a_token_is_for_the_audiences_that_it_is_for() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let request = json!({ "spec": { "audiences": ["vault"] } });
        let path = format!("{CORE}/serviceaccounts/default/token");
        let made = client.json("POST", &path, &request).await.json();
        let token = made["status"]["token"].as_str().unwrap().to_owned();
        let mut review = async |token: &str, audiences: &[&str]| {
            let review = json!({ "spec": { "token": token, "audiences": audiences } });
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            client.json("POST", path, &review).await.json()["status"].clone()
        };
        let status = review(&token, &["vault", "db"]).await;
        assert_eq!(
            (&status["authenticated"], &status["audiences"]),
            (&json!(true), &json!(["vault"]))
        );
        assert_ne!(review(&token, &["db"]).await["authenticated"], true);
        assert_eq!(review("nobody-token", &[]).await["authenticated"], true);
        assert_ne!(review("nobody-token", &["db"]).await["authenticated"], true);
    });
}

#[test]
fn a_namespace_is_let_go_by_its_own_subresource_only() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let path = "/api/v1/namespaces";
        let object =
            json!({ "metadata": { "name": "n" }, "spec": { "finalizers": ["example.com/x"] } });
        let made = make(&mut client, path, object).await;
        assert_eq!(
            made["spec"]["finalizers"],
            json!(["example.com/x", "kubernetes"])
        );
        let patch = json!({ "spec": { "finalizers": [] } });
        let headers = [("content-type", "application/merge-patch+json")];
        let answer = client
            .send("PATCH", &format!("{path}/n"), &headers, patch.to_string())
            .await;
        assert_eq!(answer.json()["spec"], made["spec"], "{}", answer.text());
        let mut freed = answer.json();
        freed["spec"]["finalizers"] = json!(["kubernetes"]);
        let answer = client
            .json("PUT", &format!("{path}/n/finalize"), &freed)
            .await;
        assert_eq!(
            answer.json()["spec"]["finalizers"],
            json!(["kubernetes"]),
            "{}",
            answer.text()
        );
    });
}

#[test]
fn objects_are_deleted_in_one_namespace_at_a_time_and_bound_by_nobody() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        for path in ["/api/v1/configmaps", "/apis/batch/v1/jobs"] {
            let answer = client.send("DELETE", path, &[], "").await;
            assert_eq!(answer.code, 405, "{path}: {}", answer.text());
        }
        let binding = json!({ "metadata": { "name": "p" }, "target": { "name": "elsewhere" } });
        let answer = client
            .json("POST", &format!("{CORE}/bindings"), &binding)
            .await;
        assert_eq!(answer.code, 404, "{}", answer.text());
        let pod = json!({ "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "c", "image": "none" }] } });
        make(&mut client, &format!("{CORE}/pods"), pod).await;
        let answer = client
            .json("POST", &format!("{CORE}/bindings"), &binding)
            .await;
        assert_eq!(answer.code, 409, "{}", answer.text());
        // A rehearsal evicts nobody, wherever it says that it is one.
        let path = format!("{CORE}/pods/p/eviction");
        let eviction =
            json!({ "metadata": { "name": "p" }, "deleteOptions": { "dryRun": ["All"] } });
        let answer = client.json("POST", &path, &eviction).await;
        assert_eq!(answer.code, 201, "{}", answer.text());
        let other = json!({ "metadata": { "name": "p" }, "deleteOptions": {
            "preconditions": { "uid": "00000000-0000-4000-8000-000000000000" } } });
        let answer = client.json("POST", &path, &other).await;
        assert_eq!(answer.code, 409, "{}", answer.text());
        let found = client.get(&format!("{CORE}/pods/p")).await.json();
        assert_eq!(found["metadata"]["deletionTimestamp"], Value::Null);
        // What goes at once is answered with itself, where typed clients expect that.
        let account = json!({ "metadata": { "name": "short" } });
        make(&mut client, &format!("{CORE}/serviceaccounts"), account).await;
        for (path, kind) in [
            ("pods/p?gracePeriodSeconds=0", "Pod"),
            ("serviceaccounts/short", "ServiceAccount"),
        ] {
            let answer = client
                .send("DELETE", &format!("{CORE}/{path}"), &[], "")
                .await;
            assert_eq!(
                (answer.code, &answer.json()["kind"]),
                (200, &json!(kind)),
                "{}",
                answer.text()
            );
        }
    });
}

#[test]
fn an_object_grows_no_further_than_a_body_may() {
    let api = Api::start();
    block_on(async {
        let mut client = api.client();
        let path = format!("{CORE}/serviceaccounts/default");
        let names: Vec<Value> = (0..20_000)
            .map(|n| json!({ "name": format!("{n:0100}") }))
            .collect();
        let patch: Vec<Value> = names
            .iter()
            .map(|name| json!({ "op": "add", "path": "/secrets/-", "value": name }))
            .collect();
        let headers = [("content-type", "application/json-patch+json")];
        let first = json!([{ "op": "add", "path": "/secrets", "value": [] }]);
        client
            .send("PATCH", &path, &headers, first.to_string())
            .await;
        let mut codes = Vec::new();
        for part in patch.chunks(8_000).cycle().take(8) {
            let answer = client
                .send("PATCH", &path, &headers, json!(part).to_string())
                .await;
            codes.push(answer.code);
        }
        assert!(codes.contains(&413), "{codes:?}");
        let size = client.get(&path).await.body.len();
        assert!(size < 4 << 20, "{size}");
    });
}
