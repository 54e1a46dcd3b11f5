//! Kubernetes' own round-trip data: objects with every field set. The schema must
//! know each field, and nothing may get lost on the way.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests"
)]

use serde_json::Value as Json;
use wasmjob_api::manifest::{Source, read};

/// The object with every field set, or nothing (and a notice) without the vectors.
fn full(kind: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "../../../shared/vectors/kubernetes-1.36/roundtrip/{kind}.json"
    ));
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        println!("skipped: there is no {}", path.display());
    }
    text.ok()
}

/// Reading it gives complaints about values, which are made up, and none about fields.
#[track_caller]
fn check(kind: &str) {
    let Some(text) = full(kind) else { return };
    let problems = match read(&Source {
        name: "full.json",
        bytes: text.as_bytes(),
    }) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    };
    assert!(!problems.is_empty(), "made-up values are not valid");
    for problem in problems {
        let text = problem.to_string();
        assert!(!problem.message.starts_with("unknown field"), "{text}");
        assert!(!problem.message.starts_with("expected"), "{text}");
        assert!(!problem.message.starts_with("not understood"), "{text}");
        assert!(!problem.path.is_empty(), "{text}");
    }
}

#[test]
fn the_schema_knows_every_field_of_a_job() {
    check("batch.v1.Job");
}

#[test]
fn the_schema_knows_every_field_of_a_cron_job() {
    check("batch.v1.CronJob");
}

#[test]
fn the_schema_knows_every_field_of_a_pod() {
    check("core.v1.Pod");
}

#[test]
fn a_field_that_kubernetes_does_not_have_is_found_among_all_of_them() {
    let Some(text) = full("batch.v1.Job") else {
        return;
    };
    let mut json: Json = serde_json::from_str(&text).unwrap();
    json["spec"]["template"]["spec"]["containers"][0]["imaje"] = Json::from("x");
    let text = json.to_string();
    let problems = read(&Source {
        name: "x",
        bytes: text.as_bytes(),
    })
    .unwrap_err();
    let unknown: Vec<_> = problems
        .0
        .iter()
        .filter(|problem| problem.message == "unknown field")
        .collect();
    assert_eq!(unknown.len(), 1);
    assert_eq!(unknown[0].path, "spec.template.spec.containers[0].imaje");
    assert_eq!(unknown[0].hint.as_deref(), Some("did you mean `image`?"));
}
