//! What is secret stays out of logs, events and metrics, at every level.

use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Api, TOKENS, block_on};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn secrets_and_tokens_are_said_nowhere() {
    let lines = Lines::default();
    // Of the whole process: the host and the API have threads of their own.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(lines.clone())
        .finish();
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).unwrap();
    let api = Api::start();
    let mut canaries: Vec<String> = ["data", "text", "patch", "apply", "wrong", "review", "label"]
        .map(|name| format!("canary-of-{name}-9f2c"))
        .to_vec();
    canaries.extend(
        TOKENS
            .lines()
            .filter_map(|line| line.split(',').next())
            .map(str::to_owned),
    );
    let canary = |name: &str| format!("canary-of-{name}-9f2c");
    let told = block_on(async {
        let mut client = api.client();
        let secrets = "/api/v1/namespaces/default/secrets";
        let secret = json!({
            "metadata": { "name": "s" },
            "data": { "a": STANDARD.encode(canary("data")) },
            "stringData": { "b": canary("text") },
        });
        assert_eq!(client.json("POST", secrets, &secret).await.code, 201);
        // Refused, for several reasons.
        for (path, broken) in [
            (secrets.to_owned(), secret.clone()),
            (
                secrets.to_owned(),
                json!({ "metadata": { "name": "t" }, "data": { "a": canary("data") } }),
            ),
            (
                secrets.to_owned(),
                json!({ "metadata": { "name": "t" }, "stringData": { "a b": canary("text") } }),
            ),
            (
                format!("{secrets}?fieldValidation=Strict"),
                json!({ "metadata": { "name": "t" }, "bogus": canary("data") }),
            ),
            (
                secrets.to_owned(),
                json!({ "metadata": { "name": "t" }, "stringData": [canary("text")] }),
            ),
        ] {
            let answer = client.json("POST", &path, &broken).await;
            assert!(answer.code >= 400, "{}", answer.text());
        }
        let one = format!("{secrets}/s");
        let patch = json!({ "stringData": { "c": canary("patch") } }).to_string();
        for media in [
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ] {
            let headers = [("content-type", media)];
            let answer = client.send("PATCH", &one, &headers, patch.clone()).await;
            assert_eq!(answer.code, 200, "{}", answer.text());
        }
        let headers = [("content-type", "application/json-patch+json")];
        let patch = json!([{ "op": "test", "path": "/data/a", "value": canary("patch") }]);
        let answer = client
            .send("PATCH", &one, &headers, patch.to_string())
            .await;
        assert_eq!(answer.code, 422);
        let headers = [("content-type", "application/apply-patch+yaml")];
        let applied = json!({
            "apiVersion": "v1", "kind": "Secret",
            "data": { "a": STANDARD.encode(canary("apply")) },
        });
        for query in ["fieldManager=m", "fieldManager=m&force=true"] {
            let path = format!("{one}?{query}");
            client
                .send("PATCH", &path, &headers, applied.to_string())
                .await;
        }
        assert_eq!(client.get(&one).await.code, 200);
        client
            .get(&format!("{secrets}?watch=1&timeoutSeconds=1"))
            .await;
        // A pod that has it, and does not start.
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "c", "image": "none", "imagePullPolicy": "Never",
                    "env": [{ "name": "A", "valueFrom": {
                        "secretKeyRef": { "name": "s", "key": "b" } } }],
                }],
            },
        });
        client
            .json("POST", "/api/v1/namespaces/default/pods", &pod)
            .await;

        // Tokens, right and wrong.
        let body = json!({ "spec": { "expirationSeconds": 600 } });
        let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
        let minted = client.json("POST", path, &body).await.json();
        let minted = minted["status"]["token"].as_str().unwrap().to_owned();
        let signature = minted.rsplit('.').next().unwrap().to_owned();
        for token in [
            canary("wrong"),
            minted.clone(),
            format!("{minted}x"),
            "admin-token".to_owned(),
            "nobody-token".to_owned(),
        ] {
            let authorization = format!("Bearer {token}");
            let headers = [("authorization", authorization.as_str())];
            client.send("GET", &one, &headers, "").await;
            let review = json!({ "spec": { "token": token } });
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            client.json("POST", path, &review).await;
        }
        let review = json!({ "spec": { "token": canary("review") } });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        client.json("POST", path, &review).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let events = client.get("/api/v1/events").await.text();
        let metrics = client.get("/metrics").await.text();
        (signature, events, metrics)
    });
    drop(api);
    let (signature, events, metrics) = told;
    canaries.push(signature);
    let encoded: Vec<String> = canaries.iter().map(|it| STANDARD.encode(it)).collect();
    let lines = lines.0.lock().unwrap();
    let lines = String::from_utf8_lossy(&lines);
    assert!(lines.contains("a token was not accepted"), "{lines}");
    println!("{} lines of logs", lines.lines().count());
    for canary in canaries.iter().chain(&encoded) {
        for (place, text) in [
            ("logs", &*lines),
            ("events", &events),
            ("metrics", &metrics),
        ] {
            let found = text.lines().find(|line| line.contains(canary.as_str()));
            assert!(found.is_none(), "{canary} stands in the {place}: {found:?}");
        }
    }
}
