//! Objects through protobuf and back; bytes that are none.

use std::fs;

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use serde_json::{Value, json};

use super::{ProtoError, decode, decode_delete_options, encode, wrap};
use crate::vectors;

/// Every object that a real server wrote in both forms.
fn samples() -> Vec<(String, Vec<u8>, Value)> {
    let Some(folder) = vectors::folder() else {
        return Vec::new();
    };
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder.join("roundtrip")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "pb") {
            let json = fs::read(path.with_extension("json")).unwrap();
            samples.push((
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
                serde_json::from_slice(&json).unwrap(),
            ));
        }
    }
    assert!(samples.len() > 20);
    samples
}

#[test]
fn what_a_server_wrote_is_read_as_its_json() {
    for (name, bytes, json) in samples() {
        let (api_version, kind, value) = decode(&bytes).unwrap();
        assert_eq!(json["apiVersion"], api_version);
        assert_eq!(json["kind"], kind);
        assert_same(&value, &json, &name);
    }
}

#[test]
fn what_is_written_is_read_again() {
    for (name, bytes, json) in samples() {
        let (api_version, kind, _) = decode(&bytes).unwrap();
        let ours = encode(&api_version, &kind, &json).unwrap();
        assert_same(&decode(&ours).unwrap().2, &json, &name);
        // The server reads it too: it writes empty members, which are left out here.
        assert!(ours.len() <= bytes.len(), "{name}");

        let mut item = json.clone();
        item.as_object_mut().unwrap().remove("apiVersion");
        item.as_object_mut().unwrap().remove("kind");
        let list = json!({"apiVersion": api_version, "kind": format!("{kind}List"),
            "metadata": {"resourceVersion": "7"}, "items": [item, item]});
        let ours = encode(&api_version, &format!("{kind}List"), &list).unwrap();
        assert_same(&decode(&ours).unwrap().2, &list, &name);
    }
}

/// Compares, and names the first field that differs.
fn assert_same(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in theirs {
                let ours = ours.get(key).unwrap_or(&Value::Null);
                assert_same(ours, value, &format!("{at}.{key}"));
            }
            for key in ours.keys() {
                assert!(theirs.contains_key(key), "{at}.{key} is not theirs");
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_same(ours, theirs, &format!("{at}[{index}]"));
            }
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}

fn round(api_version: &str, kind: &str, mut value: Value) -> Value {
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    let bytes = encode(api_version, kind, &value).unwrap();
    decode(&bytes).unwrap().2
}

#[test]
fn pointers_keep_their_empty_values_and_others_do_not() {
    let job = json!({"metadata": {"name": "", "labels": {"a": ""}, "creationTimestamp": null},
        "spec": {"backoffLimit": 0, "suspend": false, "template": {"metadata": {}, "spec": {
            "securityContext": {}, "serviceAccountName": "", "hostNetwork": false,
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{"name": "c", "env": [{"name": "A", "value": ""}], "resources": {}}],
        }}}, "status": {}});
    let read = round("batch/v1", "Job", job);
    assert_eq!(
        read,
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"labels": {"a": ""}},
            "spec": {"backoffLimit": 0, "suspend": false, "template": {"spec": {
                "securityContext": {}, "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{"name": "c", "env": [{"name": "A"}]}]}}}})
    );
}

#[test]
fn special_types_are_read_as_json_has_them() {
    let secret = json!({"data": {"a": "AAH/", "b": ""}, "stringData": {"c": "ü"}});
    let read = round("v1", "Secret", secret.clone());
    assert_eq!(read["data"], secret["data"]);
    assert_eq!(read["stringData"], secret["stringData"]);

    let lease =
        json!({"spec": {"renewTime": "1969-12-31T23:59:59.250000Z", "leaseTransitions": -1}});
    assert_eq!(
        round("coordination.k8s.io/v1", "Lease", lease.clone())["spec"],
        lease["spec"]
    );
    let pod = json!({"spec": {"containers": [
        {"name": "a", "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 3},
            "resources": {"limits": {"cpu": "500m"}}},
        {"name": "b", "livenessProbe": {"tcpSocket": {"port": 80}}},
    ]}});
    assert_eq!(round("v1", "Pod", pod.clone())["spec"], pod["spec"]);
    let review = json!({"spec": {"user": "u", "extra": {"k": ["a", "b"], "none": []}}});
    assert_eq!(
        round(
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            review.clone()
        )["spec"],
        review["spec"]
    );
}

#[test]
fn options_of_a_deletion_need_no_envelope() {
    let bare = [
        8, 0, 18, 3, 10, 1, b'u', 34, 6, b'O', b'r', b'p', b'h', b'a', b'n',
    ];
    let expected = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan"});
    assert_eq!(decode_delete_options(&bare).unwrap(), expected);
    let full = wrap("batch/v1", "DeleteOptions", &bare);
    let read = decode_delete_options(&full).unwrap();
    assert_eq!(read["propagationPolicy"], "Orphan");
    assert_eq!(decode_delete_options(&[]).unwrap(), json!({}));
    assert!(decode_delete_options(&wrap("v1", "Pod", &[])).is_err());
}

#[test]
fn what_is_no_object_is_refused() {
    let check = |raw: &[u8], error: &str| {
        let refused = decode(&wrap("v1", "Pod", raw)).unwrap_err();
        assert_eq!(refused.to_string(), error);
    };
    assert_eq!(decode(b"{}"), Err(ProtoError::NoMagic));
    assert_eq!(
        decode(&wrap("v1", "Foo", &[])).unwrap_err().to_string(),
        "no kind \"Foo\" is registered for version \"v1\""
    );
    check(&[10], "unexpected EOF");
    check(&[10, 5, 1], "unexpected EOF");
    check(&[8, 1], "proto: wrong wireType = 0 for field metadata");
    check(
        &[10, 3, 10, 1, 0xff],
        "proto: field name contains invalid UTF-8",
    );
    check(&[0xff; 11], "proto: integer overflow");
    check(&[3], "proto: illegal tag 3");
    // A number that is not known is skipped, whatever it holds.
    let pod = decode(&wrap(
        "v1",
        "Pod",
        &[
            0xf8, 0x07, 1, 0xfa, 0x07, 1, 9, 0xf9, 7, 1, 2, 3, 4, 5, 6, 7, 8,
        ],
    ));
    assert_eq!(pod.unwrap().2, json!({"apiVersion": "v1", "kind": "Pod"}));
    // Two bytes for each of very many containers.
    let many = [&[0x12, 0x80, 0x80, 0x80, 1][..], &[0x12, 0].repeat(1 << 20)].concat();
    assert!(
        decode(&wrap("v1", "Pod", &many))
            .unwrap_err()
            .to_string()
            .contains("too many")
    );
}

#[test]
fn what_a_message_cannot_hold_is_not_written() {
    let check = |spec: Value, error: &str| {
        let refused = encode("batch/v1", "Job", &json!({"spec": spec})).unwrap_err();
        assert_eq!(refused.to_string(), error);
    };
    check(
        json!({"parallelism": "1"}),
        "proto: field parallelism: not a whole number",
    );
    check(
        json!({"parallelism": 1_u64 << 40}),
        "proto: field parallelism: number out of range",
    );
    check(json!({"suspend": 1}), "proto: field suspend: not a Boolean");
    check(json!([]), "proto: field spec: not an object");
    assert!(encode("batch/v1", "Job", &json!(3)).is_err());
    assert!(encode("metrics.k8s.io/v1beta1", "PodMetrics", &json!({})).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    /// No bytes make it panic, and what is read can be written and read again.
    #[test]
    fn damaged_bytes_are_refused_or_read(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut samples = samples();
        samples.push((String::new(), wrap("v1", "Pod", &[10, 3, 10, 1, b'a', 18, 0]), Value::Null));
        let (_, mut bytes, _) = samples.swap_remove(which.index(samples.len()));
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok((api_version, kind, value)) = decode(&bytes)
            && let Ok(again) = encode(&api_version, &kind, &value)
        {
            proptest::prop_assert_eq!(decode(&again).unwrap().2, value);
        }
    }

    #[test]
    fn any_bytes_do(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in ["Pod", "PodList", "Secret", "DeleteOptions"] {
            let _ = decode(&wrap("v1", kind, &raw));
        }
        let _ = decode(&raw);
        let _ = decode_delete_options(&raw);
    }
}
