//! Failures in Kubernetes' words.

use serde_json::json;
use wasmjob_api::field::{Error, Path};

use super::{Cause, Denied, Status, deleted};
use crate::resource::{Qualified, Resource, find};
use crate::vectors;

fn jobs() -> &'static Resource {
    find("batch", "v1", "jobs").unwrap()
}

fn pods() -> &'static Resource {
    find("", "v1", "pods").unwrap()
}

#[test]
fn a_missing_object_is_named_with_its_group() {
    assert_eq!(
        Status::not_found(jobs(), "x").to_value(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "jobs.batch \"x\" not found", "reason": "NotFound", "code": 404,
            "details": {"name": "x", "group": "batch", "kind": "jobs"}})
    );
    assert_eq!(
        Status::not_found(pods(), "x").to_string(),
        "pods \"x\" not found"
    );
    let nothing = Status::no_such_resource().to_value();
    assert_eq!(nothing["details"], json!({}));
}

#[test]
fn invalid_fields_read_as_those_of_a_real_server() {
    let spec = Path::new("spec");
    let pod = spec.child("template.spec");
    let errors = [
        Error::invalid(
            &spec.child("parallelism"),
            &-1,
            "must be greater than or equal to 0",
        ),
        Error::required(&pod.child("containers"), ""),
        Error::required(
            &pod.child("restartPolicy"),
            "valid values: \"OnFailure\", \"Never\"",
        ),
    ];
    let status = Status::invalid(jobs(), "bad", errors.iter().map(Cause::from).collect());
    if let Some(theirs) = vectors::json("create-invalid.json") {
        assert_eq!(status.to_value(), theirs);
    }
    let options = Qualified {
        name: "PatchOptions",
        group: "meta.k8s.io",
    };
    let path = Path::new("fieldManager");
    let cause = Cause::from(&Error::required(&path, "is required for apply patch"));
    assert_eq!(
        Status::invalid_kind(options, "", vec![cause]).message,
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    );
}

#[test]
fn who_may_not_is_told_what() {
    let mut request = Denied {
        user: "u",
        verb: "list",
        resource: "namespaces",
        ..Denied::default()
    };
    let status = Status::forbidden(&request);
    assert_eq!(
        status.message,
        "namespaces is forbidden: User \"u\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope"
    );
    assert_eq!(status.to_value()["details"], json!({"kind": "namespaces"}));
    request = Denied {
        verb: "get",
        group: "batch",
        resource: "jobs",
        subresource: "status",
        namespace: "n",
        name: "x",
        ..request
    };
    assert_eq!(
        Status::forbidden(&request).message,
        "jobs.batch \"x\" is forbidden: User \"u\" cannot get resource \"jobs/status\" in API group \"batch\" in the namespace \"n\""
    );
    let path = Status::forbidden_path("u", "get", "/metrics");
    assert_eq!(
        path.message,
        "forbidden: User \"u\" cannot get path \"/metrics\""
    );
    assert_eq!(path.to_value()["details"], json!({}));
}

#[test]
fn times_to_try_again_are_in_the_details() {
    assert_eq!(
        Status::too_large_resource_version(9, 5).to_value(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Timeout: Too large resource version: 9, current: 5",
            "reason": "Timeout", "code": 504,
            "details": {"retryAfterSeconds": 1, "causes": [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}})
    );
    let busy = Status::too_many_requests("Too many requests", 1);
    assert_eq!(busy.to_value()["details"], json!({"retryAfterSeconds": 1}));
}

#[test]
fn the_other_texts() {
    let check = |status: Status, code: u16, reason: &str, message: &str| {
        assert_eq!((status.code, status.reason), (code, reason));
        assert_eq!(status.message, message);
    };
    check(
        Status::modified(jobs(), "x"),
        409,
        "Conflict",
        "Operation cannot be fulfilled on jobs.batch \"x\": the object has been modified; please apply your changes to the latest version and try again",
    );
    check(
        Status::already_exists(pods(), "x"),
        409,
        "AlreadyExists",
        "pods \"x\" already exists",
    );
    check(
        Status::not_acceptable(&["application/json", "application/yaml"]),
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/yaml",
    );
    check(
        Status::internal_error("disk"),
        500,
        "InternalError",
        "Internal error occurred: disk",
    );
    check(
        Status::request_entity_too_large(3_145_728),
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
    );
    check(
        Status::method_not_supported(jobs(), "delete"),
        405,
        "MethodNotAllowed",
        "delete is not supported on resources of kind \"jobs.batch\"",
    );
}

#[test]
fn a_deletion_tells_whom_it_took() {
    assert_eq!(
        deleted(jobs(), "x", "u-1")["details"],
        json!({"name": "x", "group": "batch", "kind": "jobs", "uid": "u-1"})
    );
}

#[test]
fn a_denial_holds_no_html() {
    let denied = Status::forbidden(&Denied {
        user: "<script>&",
        verb: "get",
        group: "",
        resource: "pods",
        subresource: "",
        namespace: "n",
        name: "",
        why: "",
    });
    assert_eq!(
        denied.message,
        "pods is forbidden: User \"&lt;script&gt;&amp;\" cannot get resource \"pods\" in API group \"\" in the namespace \"n\""
    );
}
