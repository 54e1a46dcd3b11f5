//! What appliers and updaters do to each other.

use serde_json::{Value, json};

use super::{ApplyError, Applying, Tracking, apply, track_update};
use crate::patch::any;
use crate::types::{Message, message};

const T1: &str = "2026-01-01T00:00:01Z";
const T2: &str = "2026-01-01T00:00:02Z";

fn job() -> Option<&'static Message> {
    message("batch.v1.Job")
}

fn applying(manager: &'static str, now: &'static str) -> Applying<'static> {
    Applying {
        manager,
        subresource: "",
        api_version: "batch/v1",
        now,
        force: false,
    }
}

fn object(spec: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": spec})
}

/// Applies `spec` as `manager`.
fn by(manager: &'static str, live: Option<&Value>, spec: Value) -> Result<Value, ApplyError> {
    apply(job(), live, &object(spec), applying(manager, T1))
}

fn forced(manager: &'static str, live: &Value, spec: Value) -> Value {
    let applying = Applying {
        force: true,
        ..applying(manager, T2)
    };
    apply(job(), Some(live), &object(spec), applying).unwrap()
}

/// Stores `new` instead of `old` as `manager`.
fn update(manager: &str, old: Option<&Value>, mut new: Value) -> Value {
    let tracking = Tracking {
        manager,
        subresource: "",
        api_version: "batch/v1",
        now: T1,
    };
    track_update(job(), old, &mut new, tracking);
    new
}

/// What the manager owns, by its only entry.
fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let entry = |entry: &&Value| entry["manager"] == manager;
    let entry = entries.into_iter().flatten().find(entry);
    entry.map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

fn entry<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().find(|e| e["manager"] == manager).unwrap()
}

fn conflict(result: Result<Value, ApplyError>) -> (String, Vec<(String, String)>) {
    match result {
        Err(ApplyError::Conflict(conflict)) => {
            let causes = conflict.causes.into_iter();
            (
                conflict.message,
                causes.map(|c| (c.message, c.field)).collect(),
            )
        }
        other => panic!("{other:?}"),
    }
}

fn containers(list: Value) -> Value {
    json!({"template": {"spec": {"containers": list}}})
}

#[test]
fn creating_by_apply_owns_what_was_sent() {
    let live = by(
        "a",
        None,
        json!({"suspend": true, "template": {"metadata": {}}}),
    )
    .unwrap();
    assert_eq!(
        live["metadata"]["managedFields"],
        json!([{
            "manager": "a", "operation": "Apply", "apiVersion": "batch/v1", "time": T1,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:suspend": {}, "f:template": {"f:metadata": {}}}},
        }])
    );
}

#[test]
fn applying_the_same_again_changes_nothing_at_all() {
    let live = by("a", None, containers(json!([{"name": "c", "image": "i"}]))).unwrap();
    let spec = containers(json!([{"name": "c", "image": "i"}]));
    let again = apply(job(), Some(&live), &object(spec), applying("a", T2)).unwrap();
    assert_eq!(again, live);
}

#[test]
fn the_same_value_is_shared() {
    let live = by("a", None, json!({"suspend": true})).unwrap();
    let shared = by("b", Some(&live), json!({"suspend": true})).unwrap();
    let owned = json!({"f:spec": {"f:suspend": {}}});
    assert_eq!(fields(&shared, "a"), owned);
    assert_eq!(fields(&shared, "b"), owned);
    // Given up by one, it stays; given up by both, it goes.
    let one = by("a", Some(&shared), json!({})).unwrap();
    assert_eq!(one["spec"]["suspend"], true);
    assert_eq!(fields(&one, "a"), json!({"f:spec": {}}));
    let none = by("b", Some(&one), json!({})).unwrap();
    assert!(none["spec"].get("suspend").is_none());
}

#[test]
fn another_value_is_a_conflict() {
    let live = by("a", None, json!({"suspend": true})).unwrap();
    let (message, causes) = conflict(by("b", Some(&live), json!({"suspend": false})));
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"a\": .spec.suspend"
    );
    let cause = ("conflict with \"a\"".to_owned(), ".spec.suspend".to_owned());
    assert_eq!(causes, [cause]);
}

#[test]
fn several_conflicts_are_told_by_manager() {
    let live = by("a", None, json!({"suspend": true, "parallelism": 1})).unwrap();
    let mut changed = live.clone();
    changed["spec"]["completions"] = json!(3);
    let live = update("u", Some(&live), changed);
    let (message, causes) = conflict(by(
        "b",
        Some(&live),
        json!({"suspend": false, "parallelism": 2, "completions": 4}),
    ));
    assert_eq!(
        message,
        "Apply failed with 3 conflicts: conflicts with \"a\":\n- .spec.parallelism\n- .spec.suspend\nconflicts with \"u\" using batch/v1 at 2026-01-01T00:00:01Z:\n- .spec.completions"
    );
    assert_eq!(causes.len(), 3);
    assert_eq!(
        causes[2].0,
        "conflict with \"u\" using batch/v1 at 2026-01-01T00:00:01Z"
    );
}

#[test]
fn conflicts_name_subresources_items_and_missing_times() {
    let live = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "x", "managedFields": [{
            "manager": "m", "operation": "Update", "apiVersion": "batch/v1",
            "fieldsType": "FieldsV1", "subresource": "scale",
            "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"c\"}": {"f:image": {}},
            }}}}},
        }]},
        "spec": containers(json!([{"name": "c", "image": "i"}])),
    });
    let (message, _) = conflict(by(
        "b",
        Some(&live),
        containers(json!([{"name": "c", "image": "j"}])),
    ));
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"m\" with subresource \"scale\" using batch/v1: .spec.template.spec.containers[name=\"c\"].image"
    );
}

#[test]
fn force_takes_over() {
    let live = by("a", None, json!({"suspend": true, "parallelism": 1})).unwrap();
    let taken = forced("b", &live, json!({"suspend": false}));
    assert_eq!(taken["spec"]["suspend"], false);
    assert_eq!(
        fields(&taken, "a"),
        json!({"f:spec": {"f:parallelism": {}}})
    );
    assert_eq!(fields(&taken, "b"), json!({"f:spec": {"f:suspend": {}}}));
    assert_eq!(entry(&taken, "a")["time"], T1);
    assert_eq!(entry(&taken, "b")["time"], T2);
    // The loser gave nothing up: it is no longer its.
    let left = by("a", Some(&taken), json!({})).unwrap();
    assert_eq!(left["spec"], json!({"suspend": false}));
}

#[test]
fn a_field_no_longer_applied_goes() {
    let spec = json!({"suspend": true, "template": {"spec": {"nodeSelector": {"a": "b"}}}});
    let live = by("a", None, spec).unwrap();
    let less = by("a", Some(&live), json!({"suspend": true})).unwrap();
    assert_eq!(less["spec"], json!({"suspend": true}));
    assert_eq!(fields(&less, "a"), json!({"f:spec": {"f:suspend": {}}}));
}

#[test]
fn what_nobody_owns_stays_when_siblings_go() {
    let live = by("a", None, json!({"suspend": true, "parallelism": 1})).unwrap();
    let mut defaulted = live.clone();
    defaulted["spec"]["backoffLimit"] = json!(6);
    let less = by("a", Some(&defaulted), json!({"suspend": true})).unwrap();
    assert_eq!(less["spec"], json!({"suspend": true, "backoffLimit": 6}));
    assert_eq!(less["metadata"]["name"], "x");
}

#[test]
fn handing_over_to_an_updater_keeps_the_field() {
    let live = by("a", None, json!({"parallelism": 1, "suspend": false})).unwrap();
    let mut scaled = live.clone();
    scaled["spec"]["parallelism"] = json!(5);
    let live = update("scaler", Some(&live), scaled);
    assert_eq!(
        fields(&live, "scaler"),
        json!({"f:spec": {"f:parallelism": {}}})
    );
    assert_eq!(fields(&live, "a"), json!({"f:spec": {"f:suspend": {}}}));
    let live = by("a", Some(&live), json!({"suspend": false})).unwrap();
    assert_eq!(live["spec"]["parallelism"], 5);
}

#[test]
fn items_of_associative_lists_are_owned_one_by_one() {
    let live = by("a", None, containers(json!([{"name": "a", "image": "1"}]))).unwrap();
    let live = by(
        "b",
        Some(&live),
        containers(json!([{"name": "b", "image": "2"}])),
    )
    .unwrap();
    let at = "/spec/template/spec/containers";
    assert_eq!(
        live.pointer(at).unwrap(),
        &json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}])
    );
    // An item is dropped by the manager that owns it.
    let live = by("a", Some(&live), containers(json!([{"name": "c"}]))).unwrap();
    assert_eq!(
        live.pointer(at).unwrap(),
        &json!([{"name": "b", "image": "2"}, {"name": "c"}])
    );
    // One that others put fields into stays with those.
    let spec = containers(json!([{"name": "b", "tty": true}]));
    let live = by("d", Some(&live), spec).unwrap();
    let live = by("b", Some(&live), containers(json!([]))).unwrap();
    assert_eq!(
        live.pointer(at).unwrap(),
        &json!([{"name": "b", "tty": true}, {"name": "c"}])
    );
}

#[test]
fn ports_without_a_protocol_are_tcp() {
    let port = |port: Value| containers(json!([{"name": "c", "ports": [port]}]));
    let live = by("a", None, port(json!({"containerPort": 80}))).unwrap();
    let key = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
    let owned = fields(&live, "a");
    let ports = owned
        .pointer("/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"c\"}/f:ports")
        .unwrap();
    assert_eq!(ports, &json!({key: {".": {}, "f:containerPort": {}}}));
    // The default that the server fills in is the same port.
    let named = port(json!({"containerPort": 80, "protocol": "TCP", "name": "http"}));
    let live = by("b", Some(&live), named).unwrap();
    let ports = live
        .pointer("/spec/template/spec/containers/0/ports")
        .unwrap();
    assert_eq!(ports.as_array().unwrap().len(), 1);
    let udp = port(json!({"containerPort": 80, "protocol": "UDP"}));
    let live = by("c", Some(&live), udp).unwrap();
    let ports = live
        .pointer("/spec/template/spec/containers/0/ports")
        .unwrap();
    assert_eq!(ports.as_array().unwrap().len(), 2);
}

#[test]
fn atomic_lists_are_replaced_and_fought_over() {
    let args = |args: Value| containers(json!([{"name": "c", "args": args}]));
    let live = by("a", None, args(json!(["x"]))).unwrap();
    let (message, _) = conflict(by("b", Some(&live), args(json!(["x", "y"]))));
    assert!(
        message.ends_with(".spec.template.spec.containers[name=\"c\"].args"),
        "{message}"
    );
    let live = by("a", Some(&live), args(json!(["z"]))).unwrap();
    let args = live
        .pointer("/spec/template/spec/containers/0/args")
        .unwrap();
    assert_eq!(args, &json!(["z"]));
}

#[test]
fn atomic_maps_and_structs_are_owned_as_a_whole() {
    let spec = json!({
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"nodeSelector": {"a": "b"}}},
    });
    let live = by("a", None, spec).unwrap();
    assert_eq!(
        fields(&live, "a"),
        json!({"f:spec": {
            "f:selector": {},
            "f:template": {"f:spec": {"f:nodeSelector": {}}},
        }})
    );
    let other = json!({"template": {"spec": {"nodeSelector": {"c": "d"}}}});
    let (message, _) = conflict(by("b", Some(&live), other));
    assert!(
        message.ends_with(": .spec.template.spec.nodeSelector"),
        "{message}"
    );
}

fn with_metadata(metadata: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata})
}

#[test]
fn items_of_sets_are_owned_one_by_one() {
    let finalizers = |items: Value| with_metadata(json!({"name": "x", "finalizers": items}));
    let a = applying("a", T1);
    let b = applying("b", T1);
    let live = apply(job(), None, &finalizers(json!(["e/a", "e/s"])), a).unwrap();
    let live = apply(job(), Some(&live), &finalizers(json!(["e/b", "e/s"])), b).unwrap();
    assert_eq!(live["metadata"]["finalizers"], json!(["e/a", "e/b", "e/s"]));
    assert_eq!(
        fields(&live, "b"),
        json!({"f:metadata": {"f:finalizers": {"v:\"e/b\"": {}, "v:\"e/s\"": {}}}})
    );
    let live = apply(job(), Some(&live), &finalizers(json!([])), a).unwrap();
    assert_eq!(live["metadata"]["finalizers"], json!(["e/b", "e/s"]));
    let live = apply(job(), Some(&live), &with_metadata(json!({"name": "x"})), b).unwrap();
    assert!(live["metadata"].get("finalizers").is_none());
}

#[test]
fn owner_references_are_items_owned_as_a_whole() {
    let owner = json!({"apiVersion": "v1", "kind": "A", "name": "n", "uid": "u"});
    let config = with_metadata(json!({"name": "x", "ownerReferences": [owner]}));
    let live = apply(job(), None, &config, applying("a", T1)).unwrap();
    assert_eq!(
        fields(&live, "a"),
        json!({"f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"u\"}": {}}}})
    );
}

#[test]
fn labels_come_and_go_one_by_one() {
    let labels = |labels: Value| with_metadata(json!({"name": "x", "labels": labels}));
    let a = applying("a", T1);
    let live = apply(job(), None, &labels(json!({"k": "1", "l": "2"})), a).unwrap();
    assert_eq!(
        fields(&live, "a"),
        json!({"f:metadata": {"f:labels": {"f:k": {}, "f:l": {}}}})
    );
    let live = apply(job(), Some(&live), &labels(json!({"l": "2"})), a).unwrap();
    assert_eq!(live["metadata"]["labels"], json!({"l": "2"}));
    let live = apply(job(), Some(&live), &with_metadata(json!({"name": "x"})), a).unwrap();
    assert_eq!(live["metadata"], json!({"name": "x"}));
}

#[test]
fn what_the_server_owns_is_nobodys() {
    let live = by("a", None, json!({"suspend": true})).unwrap();
    let mut live = live;
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["creationTimestamp"] = json!(T1);
    live["status"] = json!({"active": 1});
    // As exported manifests have it.
    let config = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "x", "creationTimestamp": null, "uid": "u"},
        "spec": {"suspend": true, "template": {"metadata": {"creationTimestamp": null}}},
        "status": {"active": 7},
    });
    let result = apply(job(), Some(&live), &config, applying("b", T1)).unwrap();
    assert_eq!(result["metadata"]["creationTimestamp"], T1);
    assert_eq!(result["status"], json!({"active": 1}));
    assert_eq!(
        fields(&result, "b"),
        json!({"f:spec": {"f:suspend": {}, "f:template": {"f:metadata": {"f:creationTimestamp": {}}}}})
    );
}

#[test]
fn the_status_endpoint_owns_status_and_nothing_else() {
    let live = by("a", None, json!({"suspend": true})).unwrap();
    let config = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "x", "labels": {"a": "b"}},
        "spec": {"suspend": false}, "status": {"active": 1},
    });
    let status = Applying {
        subresource: "status",
        ..applying("a", T2)
    };
    let live = apply(job(), Some(&live), &config, status).unwrap();
    assert_eq!(
        (&live["spec"], &live["status"]),
        (&json!({"suspend": true}), &json!({"active": 1}))
    );
    assert!(live["metadata"].get("labels").is_none());
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(
        entries[1]["fieldsV1"],
        json!({"f:status": {"f:active": {}}})
    );
    // Writing the object does not record what it says of its status.
    let mut written = live.clone();
    written["status"]["active"] = json!(9);
    written["spec"]["suspend"] = json!(false);
    let live = update("u", Some(&live), written);
    assert_eq!(fields(&live, "u"), json!({"f:spec": {"f:suspend": {}}}));
}

#[test]
fn creating_owns_defaults_too() {
    let mut new = object(containers(
        json!([{"name": "c", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]),
    ));
    new["metadata"]["labels"] = json!({"a": "b"});
    let live = update("kubectl-create", None, new);
    assert_eq!(
        fields(&live, "kubectl-create"),
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                ".": {}, "f:name": {}, "f:resources": {},
                "f:ports": {".": {}, "k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {
                    ".": {}, "f:containerPort": {}, "f:protocol": {},
                }},
            }}}}},
        })
    );
}

#[test]
fn an_update_without_changes_leaves_the_record() {
    let live = update("a", None, object(json!({"suspend": true})));
    assert_eq!(update("b", Some(&live), live.clone()), live);
    // Clients that know nothing of the record do not delete it.
    let mut bare = live.clone();
    bare["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    assert_eq!(update("b", Some(&live), bare), live);
}

#[test]
fn removing_a_field_takes_it_from_all() {
    let live = by("a", None, json!({"suspend": true, "parallelism": 1})).unwrap();
    let mut less = live.clone();
    less["spec"].as_object_mut().unwrap().remove("suspend");
    let live = update("u", Some(&live), less);
    assert_eq!(fields(&live, "a"), json!({"f:spec": {"f:parallelism": {}}}));
    assert_eq!(fields(&live, "u"), Value::Null);
}

#[test]
fn clients_can_forget_all_managers() {
    let live = update("a", None, object(json!({"suspend": true})));
    for reset in [json!([]), json!([{}])] {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = reset;
        new["spec"]["suspend"] = json!(false);
        let new = update("b", Some(&live), new);
        assert!(new["metadata"].get("managedFields").is_none());
        // Nothing is recorded until somebody applies; then it is as if found.
        let mut more = new.clone();
        more["spec"]["parallelism"] = json!(2);
        let more = update("b", Some(&new), more);
        assert!(more["metadata"].get("managedFields").is_none());
        let applied = by("c", Some(&more), json!({"backoffLimit": 1})).unwrap();
        assert_eq!(
            fields(&applied, "before-first-apply"),
            json!({"f:spec": {"f:parallelism": {}, "f:suspend": {}}})
        );
        let (message, _) = conflict(by("c", Some(&more), json!({"parallelism": 1})));
        assert!(
            message.contains("\"before-first-apply\" using batch/v1"),
            "{message}"
        );
    }
}

#[test]
fn clients_can_rewrite_the_record() {
    // As client-go's upgrade of client-side apply does.
    let live = update(
        "kubectl-client-side-apply",
        None,
        object(json!({"suspend": true})),
    );
    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    new["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    let new = update("x", Some(&live), new);
    let entries = new["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["operation"], "Apply");
    // What is no record is ignored, and so is one written through a subresource.
    let mut bad = live.clone();
    bad["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(update("x", Some(&live), bad), live);
    let mut status = live.clone();
    status["metadata"]["managedFields"] = json!([]);
    let tracking = Tracking {
        manager: "s",
        subresource: "status",
        api_version: "batch/v1",
        now: T1,
    };
    track_update(job(), Some(&live), &mut status, tracking);
    assert_eq!(status, live);
}

#[test]
fn eleven_updaters_become_ten() {
    let mut live = update("m00", None, object(json!({"suspend": true})));
    for n in 1..=12 {
        let mut new = live.clone();
        new["metadata"]["labels"][format!("l{n}")] = json!("x");
        let now = format!("2026-01-01T00:01:{n:02}Z");
        let manager = format!("m{n:02}");
        let tracking = Tracking {
            manager: &manager,
            subresource: "",
            api_version: "batch/v1",
            now: &now,
        };
        track_update(job(), Some(&live), &mut new, tracking);
        live = new;
    }
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(entries.len(), 10);
    let ancient = entry(&live, "ancient-changes");
    assert_eq!(ancient["time"], "2026-01-01T00:01:03Z");
    assert_eq!(
        ancient["fieldsV1"],
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:l1": {}, "f:l2": {}, "f:l3": {}}},
            "f:spec": {"f:suspend": {}},
        })
    );
}

#[test]
fn fields_that_no_table_knows_are_owned_without_a_schema() {
    let config = json!({
        "apiVersion": "batch/v1", "kind": "Thing", "metadata": {"name": "x"},
        "spec": {"map": {"a": {"b": 1}}, "list": [{"name": "n"}]},
    });
    for message in [None, job()] {
        let live = apply(message, None, &config, applying("a", T1)).unwrap();
        assert_eq!(
            fields(&live, "a")["f:spec"],
            match message {
                None => json!({
                    ".": {}, "f:list": {}, "f:map": {".": {}, "f:a": {".": {}, "f:b": {}}},
                }),
                Some(_) => json!({
                    "f:list": {}, "f:map": {".": {}, "f:a": {".": {}, "f:b": {}}},
                }),
            }
        );
        let mut other = config.clone();
        other["spec"]["map"] = json!({"c": 2});
        other["spec"].as_object_mut().unwrap().remove("list");
        let live = apply(message, Some(&live), &other, applying("b", T1)).unwrap();
        assert_eq!(live["spec"]["map"], json!({"a": {"b": 1}, "c": 2}));
    }
}

#[test]
fn what_is_no_configuration_is_refused() {
    let refused = |config: Value| apply(job(), None, &config, applying("a", T1)).unwrap_err();
    assert_eq!(
        refused(json!([])),
        ApplyError::BadRequest("a configuration is an object".into())
    );
    let mut config = object(json!({}));
    config["metadata"]["managedFields"] = json!([]);
    assert_eq!(
        refused(config),
        ApplyError::BadRequest("metadata.managedFields must be nil".into())
    );
    let mut config = object(json!({}));
    config["apiVersion"] = json!("batch/v2");
    assert_eq!(
        refused(config).to_string(),
        "Incorrect version specified in apply patch. Specified patch version: batch/v2, expected: batch/v1"
    );
    assert_eq!(
        refused(object(containers(json!([{"name": "c"}, {"name": "c"}])))),
        ApplyError::Malformed(
            "failed to create typed patch object (<unknown>/x; batch/v1, Kind=Job): .spec.template.spec.containers: duplicate entries for key [name=\"c\"]".into()
        )
    );
    assert!(
        refused(object(containers(json!([{"image": "c"}]))))
            .to_string()
            .ends_with(".spec.template.spec.containers: element 0: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)")
    );
    let nameless = Applying {
        manager: "",
        ..applying("a", T1)
    };
    let error = apply(job(), None, &object(json!({})), nameless).unwrap_err();
    assert_eq!(error, ApplyError::NoManager);
}

#[test]
fn kubectl_takes_over_what_it_applied_from_the_client() {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    let mut created = object(json!({"suspend": true, "parallelism": 1}));
    let applied = created.to_string();
    created["metadata"]["annotations"] = json!({annotation: applied});
    let live = update("kubectl-client-side-apply", None, created);
    // What the annotation and the object agree on may change.
    let result = by(
        "kubectl",
        Some(&live),
        json!({"suspend": false, "parallelism": 1}),
    )
    .unwrap();
    assert_eq!(result["spec"]["suspend"], false);
    let text = result["metadata"]["annotations"][annotation]
        .as_str()
        .unwrap();
    assert_eq!(
        text,
        "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"x\"},\"spec\":{\"parallelism\":1,\"suspend\":false}}\n"
    );
    // Others may not, and neither may kubectl change what came from elsewhere.
    assert!(by("helm", Some(&live), json!({"suspend": false})).is_err());
    let mut scaled = live.clone();
    scaled["spec"]["parallelism"] = json!(7);
    let live = update("scaler", Some(&live), scaled);
    let (message, _) = conflict(by(
        "kubectl",
        Some(&live),
        json!({"suspend": false, "parallelism": 1}),
    ));
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"scaler\" using batch/v1 at 2026-01-01T00:00:01Z: .spec.parallelism"
    );
}

#[test]
fn items_follow_the_order_of_the_configuration() {
    let named = |names: &[&str]| {
        let items: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        containers(json!(items))
    };
    let names = |object: &Value| -> Vec<String> {
        let items = object.pointer("/spec/template/spec/containers").unwrap();
        let items = items.as_array().unwrap().iter();
        items
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect()
    };
    for (live, config, expected) in [
        (&["a", "b"][..], &["b", "a"][..], &["b", "a"][..]),
        (&["a", "b", "c"], &["c", "x", "a"], &["b", "c", "x", "a"]),
        (&["a", "b"], &["x", "b"], &["a", "x", "b"]),
        (&["a", "s", "b"], &["a", "n", "b"], &["a", "s", "n", "b"]),
        (&["s"], &["a"], &["s", "a"]),
        (&["a", "z"], &["a"], &["a", "z"]),
    ] {
        let live = by("a", None, named(live)).unwrap();
        let result = by("b", Some(&live), named(config)).unwrap();
        assert_eq!(names(&result), expected, "{config:?}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(old in any::value(), new in any::value(), config in any::value()) {
        for kind in ["batch.v1.Job", "core.v1.Pod", "core.v1.PodSpec", "core.v1.Container"] {
            let message = message(kind);
            let tracking = Tracking { manager: "u", subresource: "", api_version: "v1", now: T1 };
            let mut created = old.clone();
            track_update(message, None, &mut created, tracking);
            let mut changed = new.clone();
            track_update(message, Some(&created), &mut changed, tracking);
            let mut config = config.clone();
            if let Value::Object(fields) = &mut config {
                fields.insert("apiVersion".to_owned(), json!("v1"));
            }
            let applying = Applying { manager: "a", subresource: "", api_version: "v1", now: T1, force: true };
            if let Ok(applied) = apply(message, Some(&created), &config, applying) {
                // The same again is no change.
                let again = apply(message, Some(&applied), &config, Applying { now: T2, force: false, ..applying });
                proptest::prop_assert_eq!(again.as_ref(), Ok(&applied));
            }
        }
    }
}

#[test]
fn large_objects_are_cheap() {
    // A chain of objects, and many fields at its end.
    let mut deep = Value::Object((0..10_000).map(|n| (format!("f{n}"), json!(n))).collect());
    for _ in 0..100 {
        deep = json!({"a": deep});
    }
    let items: Vec<Value> = (0..5_000).map(|n| json!({"name": n.to_string()})).collect();
    let mut spec = containers(json!(items));
    spec["deep"] = deep;
    let live = by("a", None, spec.clone()).unwrap();
    let again = by("a", Some(&live), spec.clone()).unwrap();
    assert_eq!(again, live);
    let mut other = live.clone();
    other["spec"]["suspend"] = json!(true);
    let other = update("b", Some(&live), other);
    assert_eq!(fields(&other, "b"), json!({"f:spec": {"f:suspend": {}}}));
}

#[test]
fn huge_objects_are_not_tracked() {
    let many: Vec<Value> = (0..40_000)
        .map(|n| json!({"name": n.to_string()}))
        .collect();
    let spec = containers(json!(many));
    assert_eq!(
        by("a", None, spec.clone()).unwrap_err(),
        ApplyError::BadRequest("the configuration sets more than 32768 fields".into())
    );
    let live = update("a", None, object(json!({"suspend": true})));
    let huge = update("b", Some(&live), object(spec));
    assert_eq!(
        huge["metadata"]["managedFields"],
        live["metadata"]["managedFields"]
    );
    let record: Value = (0..140_000)
        .map(|n| (format!("f:{n}"), json!({})))
        .collect();
    let mut claimed = live.clone();
    claimed["metadata"]["managedFields"][0]["fieldsV1"] = record;
    assert_eq!(update("b", Some(&live), claimed), live);
}
