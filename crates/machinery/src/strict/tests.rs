//! Unknown, doubled and mistyped fields.

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::{Value, json};

use super::{
    DecodeError, check, parse_json, parse_yaml, plain_json, plain_yaml_or_json, refusal,
    strict_error,
};
use crate::types::{Message, message};
use crate::vectors;

fn job() -> &'static Message {
    message("batch.v1.Job").unwrap()
}

fn problems(text: &str) -> Vec<String> {
    parse_json(job(), text.as_bytes()).unwrap().problems
}

fn type_error(text: &str) -> String {
    match parse_json(job(), text.as_bytes()) {
        Err(DecodeError::Type(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_and_duplicate_fields_are_told_in_order() {
    let text = r#"{"apiVersion": "batch/v1", "kind": "Job", "Metadata": {},
        "spec": {"bogus": {"a": 1, "a": 2}, "parallelism": 1, "template": {"spec": {
            "containers": [{"name": "a"}, {"name": "b", "name": "c", "foo": 1}],
            "nodeSelector": {"x": "1", "x": "2"}, "volumes": [{"emptyDir": {"y": 1}}]}},
            "parallelism": 2, "bogus": 1}}"#;
    let decoded = parse_json(job(), text.as_bytes()).unwrap();
    assert_eq!(
        decoded.problems,
        [
            r#"unknown field "Metadata""#,
            r#"unknown field "spec.bogus""#,
            r#"duplicate field "spec.template.spec.containers[1].name""#,
            r#"unknown field "spec.template.spec.containers[1].foo""#,
            r#"duplicate field "spec.template.spec.nodeSelector.x""#,
            r#"unknown field "spec.template.spec.volumes[0].emptyDir.y""#,
            r#"duplicate field "spec.parallelism""#,
        ]
    );
    assert_eq!(
        decoded.value,
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"parallelism": 2,
            "template": {"spec": {"containers": [{"name": "a"}, {"name": "c"}],
                "nodeSelector": {"x": "2"}, "volumes": [{"emptyDir": {}}]}}}})
    );
    let jobs = crate::resource::find("batch", "v1", "jobs").unwrap();
    let status = refusal(jobs, &strict_error(&decoded.problems[1..3]));
    assert_eq!(
        status.message,
        r#"Job in version "v1" cannot be handled as a Job: strict decoding error: unknown field "spec.bogus", duplicate field "spec.template.spec.containers[1].name""#
    );
    assert_eq!(
        problems(r#"{"spec": {"kind": "Job"}}"#),
        [r#"unknown field "spec.kind""#]
    );
}

#[test]
fn wrong_types_read_as_go_words_them() {
    let check = |text: &str, expected: &str| assert_eq!(type_error(text), expected);
    check(
        r#"{"spec": {"parallelism": "1", "suspend": 1}}"#,
        "json: cannot unmarshal string into Go struct field JobSpec.spec.parallelism of type int32",
    );
    check(
        r#"{"spec": {"parallelism": 1.5}}"#,
        "json: cannot unmarshal number 1.5 into Go struct field JobSpec.spec.parallelism of type int32",
    );
    check(
        r#"{"spec": {"parallelism": 2147483648}}"#,
        "json: cannot unmarshal number 2147483648 into Go struct field JobSpec.spec.parallelism of type int32",
    );
    check(
        r#"{"spec": {"suspend": "true"}}"#,
        "json: cannot unmarshal string into Go struct field JobSpec.spec.suspend of type bool",
    );
    check(
        r#"{"spec": {"template": {"spec": {"containers": [{"env": [{"value": 1}]}]}}}}"#,
        "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
    );
    check(
        r#"{"spec": {"template": {"spec": {"containers": {}}}}}"#,
        "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
    );
    check(
        r#"{"metadata": {"labels": {"a": 1}}}"#,
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
    );
    check(
        r#"{"spec": []}"#,
        "json: cannot unmarshal array into Go struct field Job.spec of type v1.JobSpec",
    );
    check(
        r#"{"spec": {"template": {"spec": {"restartPolicy": false}}}}"#,
        "json: cannot unmarshal bool into Go struct field PodSpec.spec.template.spec.restartPolicy of type v1.RestartPolicy",
    );
    check(
        "[]",
        "json: cannot unmarshal array into Go value of type v1.Job",
    );
    check(
        r#"{"kind": 1}"#,
        "json: cannot unmarshal number into Go struct field Job.kind of type string",
    );
    check(
        r#"{"metadata": {"creationTimestamp": "yesterday"}}"#,
        "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"",
    );
}

#[test]
fn values_come_out_as_a_typed_object_has_them() {
    let pod = message("core.v1.Pod").unwrap();
    let text = r#"{"metadata": {"creationTimestamp": null, "labels": {"a": null},
        "deletionTimestamp": "2026-11-21T12:00:00+02:00",
        "managedFields": [{"fieldsV1": {"f:a": {"x": null}}}]},
        "spec": {"containers": [null, {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"port": 80}}}]}}"#;
    assert_eq!(
        parse_json(pod, text.as_bytes()).unwrap().value,
        json!({"metadata": {"labels": {"a": ""}, "deletionTimestamp": "2026-11-21T10:00:00Z",
            "managedFields": [{"fieldsV1": {"f:a": {"x": null}}}]},
            "spec": {"containers": [{}, {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"port": 80}}}]}})
    );
    let secret = message("core.v1.Secret").unwrap();
    let error = parse_json(secret, br#"{"data": {"a": "AA*="}}"#).unwrap_err();
    assert_eq!(error.to_string(), "illegal base64 data at input byte 2");
    let eviction = message("policy.v1.Eviction").unwrap();
    let text = br#"{"deleteOptions": {"kind": "DeleteOptions", "gracePeriodSeconds": 0}}"#;
    assert!(parse_json(eviction, text).unwrap().problems.is_empty());
}

#[test]
fn yaml_is_read_by_the_same_rules() {
    let text = b"kind: Job\nspec:\n  suspend: yes\n  bogus: 1\n  suspend: no\n";
    let decoded = parse_yaml(job(), text).unwrap();
    assert_eq!(decoded.value["spec"], json!({"suspend": true}));
    assert_eq!(
        decoded.problems,
        [
            "yaml: unmarshal errors:\n  line 5: key \"suspend\" already set in map",
            "unknown field \"spec.bogus\"",
        ]
    );
    assert!(matches!(
        parse_yaml(job(), b"a: b: c"),
        Err(DecodeError::Syntax(_))
    ));
    let apply = plain_yaml_or_json(br#"{"a": 1, "b": null, "a": 2}"#).unwrap();
    assert_eq!(apply.value, json!({"a": 2, "b": null}));
    assert_eq!(apply.problems, ["duplicate field \"a\""]);
    let apply = plain_yaml_or_json(b"a: {b: [1]}").unwrap();
    assert_eq!(apply.value, json!({"a": {"b": [1]}}));
}

#[test]
fn what_is_no_json_is_refused() {
    let refused = |bytes: &[u8]| parse_json(job(), bytes).unwrap_err().to_string();
    assert_eq!(refused(b""), "unexpected end of JSON input");
    assert_eq!(refused(b"{\"a\": "), "unexpected end of JSON input");
    assert!(refused(b"{} {}").starts_with("trailing"));
    let deep = [&b"[".repeat(100_000)[..], &b"]".repeat(100_000)].concat();
    assert!(refused(&deep).contains("recursion"));
    assert!(plain_json(b"\xff").is_err());
    assert_eq!(problems(&unknown_fields(300)).len(), 100);
}

fn unknown_fields(count: usize) -> String {
    let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\": 1")).collect();
    format!("{{{}}}", fields.join(","))
}

/// What a real server writes has no problems, and comes out as it went in.
#[test]
fn objects_of_a_real_server_pass_unchanged() {
    let Some(folder) = vectors::folder() else {
        return;
    };
    for entry in std::fs::read_dir(folder.join("roundtrip")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        let api_version = value["apiVersion"].as_str().unwrap();
        let message = crate::gvk::message(api_version, value["kind"].as_str().unwrap()).unwrap();
        let decoded = match parse_json(message, &text) {
            Ok(decoded) => decoded,
            Err(error) => panic!("{}: {error}", path.display()),
        };
        assert_eq!(decoded.problems, [""; 0], "{}", path.display());
        assert_eq!(decoded.value, value, "{}", path.display());
        assert_eq!(check(message, value).unwrap(), decoded);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"a-c0-9 .\n&*<|>-]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for bytes in [text.as_bytes(), &bytes] {
            let _ = parse_json(job(), bytes);
            let _ = parse_yaml(job(), bytes);
            let _ = plain_yaml_or_json(bytes);
        }
    }
}
