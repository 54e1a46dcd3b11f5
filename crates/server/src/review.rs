//! Questions that clients ask as objects: who am I, what may I do, whose token is
//! this; and new tokens of service accounts. Nothing of it is kept.

use hyper::StatusCode;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use wasmjob_auth::attributes::Attributes;
use wasmjob_auth::identity::User;
use wasmjob_auth::identity::service_account::{Expiration, ObjectReference, TokenRequest};
use wasmjob_auth::rbac::RulesReview;
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::{Details, Status};

use crate::api::Api;
use crate::body::{self, Reply};
use crate::call::{Call, cause};
use crate::decode;
use crate::kinds::metadata;
use crate::render::seconds;
use crate::show;

/// Whether objects of the resource are questions.
pub(crate) fn is_review(resource: &Resource) -> bool {
    matches!(
        resource.group,
        "authentication.k8s.io" | "authorization.k8s.io"
    )
}

/// Answers a question.
pub(crate) fn answer(api: &Api, call: &Call, body: &[u8]) -> Result<Reply, Status> {
    let mut review = decode::object(call, body)?;
    call.check_options(None)?;
    let resource = call.target.resource;
    review["status"] = match resource.kind {
        "SelfSubjectReview" => json!({ "userInfo": user_info(&call.user) }),
        "SelfSubjectAccessReview" => access(api, resource, &call.user, &review["spec"])?,
        "SubjectAccessReview" => {
            let user = subject(resource, &review["spec"])?;
            access(api, resource, &user, &review["spec"])?
        }
        "LocalSubjectAccessReview" => {
            let namespace = review["spec"]["resourceAttributes"]["namespace"].as_str();
            if namespace.unwrap_or_default() != call.target.namespace.as_ref() {
                return Err(invalid(
                    resource,
                    "spec.resourceAttributes.namespace",
                    &format!(
                        "Invalid value: {:?}: must match metadata.namespace",
                        namespace.unwrap_or_default()
                    ),
                ));
            }
            let user = subject(resource, &review["spec"])?;
            access(api, resource, &user, &review["spec"])?
        }
        "SelfSubjectRulesReview" => {
            let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
            if namespace.is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            let rules = api
                .access
                .rules(&api.cache)
                .rules_for(&call.user, namespace);
            // Our own types always have a form as JSON.
            serde_json::to_value(RulesReview::from(&rules)).unwrap_or_default()
        }
        "TokenReview" => {
            if review["spec"]["token"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
            {
                return Err(Status::bad_request(
                    "token is required for TokenReview in authentication",
                ));
            }
            let status = token_status(api, &review["spec"]);
            // The token is the client's secret, and is not said back.
            review["spec"]["token"] = "".into();
            status
        }
        _ => return Err(Status::method_not_allowed()),
    };
    metadata(&mut review).insert("creationTimestamp".to_owned(), Value::Null);
    show::encoded(call, StatusCode::CREATED, &review)
}

fn invalid(resource: &Resource, field: &str, text: &str) -> Status {
    Status::invalid(resource, "", vec![cause(field, text)])
}

fn user_info(user: &User) -> Value {
    // Our own types always have a form as JSON.
    serde_json::to_value(user).unwrap_or_default()
}

/// The user that a review is about.
fn subject(resource: &Resource, spec: &Value) -> Result<User, Status> {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    let user = User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        uid: spec["uid"].as_str().unwrap_or_default().to_owned(),
        groups: list(&spec["groups"]),
        ..User::default()
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let text = "Required value: at least one of user or group must be specified";
        return Err(invalid(resource, "spec.user", text));
    }
    Ok(user)
}

/// Whether the user may do what the review asks.
fn access(api: &Api, resource: &Resource, user: &User, spec: &Value) -> Result<Value, Status> {
    let (about, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let question = match (about.is_object(), path.is_object()) {
        (true, false) => {
            let text = |field: &str| about[field].as_str().unwrap_or_default();
            let mut question =
                Attributes::resource(user, text("verb"), text("group"), text("resource"))
                    .namespace(text("namespace"))
                    .subresource(text("subresource"))
                    .name(text("name"));
            question.api_version = text("version");
            question
        }
        (false, true) => {
            let text = |field: &str| path[field].as_str().unwrap_or_default();
            Attributes::path(user, text("verb"), text("path"))
        }
        (true, true) => {
            let text = format!(
                "Invalid value: {path}: cannot be specified in combination with resourceAttributes"
            );
            return Err(invalid(resource, "spec.nonResourceAttributes", &text));
        }
        (false, false) => {
            let text = "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
            return Err(invalid(resource, "spec.resourceAttributes", text));
        }
    };
    let decision = api.access.decide(api, &question);
    let mut status = json!({ "allowed": decision.allowed });
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Ok(status)
}

fn token_status(api: &Api, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    let wanted: Vec<&str> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let own = [api.access.tokens.issuer()];
    let audiences = match wanted.as_slice() {
        [] => &own[..],
        wanted => wanted,
    };
    match api.access.bearer(api, token, audiences) {
        Ok((user, meant)) => json!({
            "authenticated": true,
            "user": user_info(&user),
            "audiences": meant,
        }),
        Err(_) => json!({ "error": "[invalid bearer token]", "user": {} }),
    }
}

/// A new token of a service account.
pub(crate) async fn token(api: &Api, call: &Call, body: Incoming) -> Result<Reply, Status> {
    let _room = api.room(&call.method)?;
    let body = body::read(body).await?;
    let mut request = decode::subresource(call, &body)?;
    let account = api.entry(call)?;
    let spec = &request["spec"];
    let seconds_wanted = spec["expirationSeconds"].as_i64();
    let expiration = Expiration::of_request(seconds_wanted, Expiration::SECONDS_MAX_DEFAULT)
        .map_err(|error| {
            let value = seconds_wanted.unwrap_or_default();
            let text = format!("Invalid value: {value}: {error}");
            let wrong = cause("spec.expirationSeconds", text);
            let kind = wasmjob_machinery::resource::Qualified {
                name: "TokenRequest",
                group: "authentication.k8s.io",
            };
            Status::invalid_kind(kind, "", vec![wrong])
        })?;
    if let Some(text) = expiration.warning() {
        call.warn(text);
    }
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect();
    let namespace = call.target.namespace.as_ref();
    let bound = bound(api, namespace, &spec["boundObjectRef"])?;
    let node = bound.pod.as_ref().and_then(|_| {
        let node = api.cache.get("nodes", "", api.cache.node())?;
        Some(ObjectReference {
            name: api.cache.node().to_string(),
            uid: node.object.key().uid.to_string(),
        })
    });
    let id = api.stamp().uid.to_string();
    let service_account = ObjectReference {
        name: call.name().to_owned(),
        uid: account.object.key().uid.to_string(),
    };
    let token = api.access.tokens.mint(
        &TokenRequest {
            namespace,
            service_account: &service_account,
            pod: bound.pod.as_ref(),
            node: node.as_ref(),
            secret: bound.secret.as_ref(),
            audiences: &audiences,
            expiration,
            id: &id,
        },
        api.now(),
    );
    let token = token.map_err(Status::internal_error)?;
    let expires = Timestamp::from_second(token.claims().expires).unwrap_or(Timestamp::MAX);
    let shown = token.claims().audiences.clone();
    request["spec"]["audiences"] = shown.into();
    request["spec"]["expirationSeconds"] = expiration.seconds().into();
    request["status"] = json!({
        "token": token.expose(),
        "expirationTimestamp": seconds(expires),
    });
    let fields = metadata(&mut request);
    fields.insert("name".to_owned(), call.name().into());
    fields.insert("namespace".to_owned(), namespace.into());
    fields.insert("creationTimestamp".to_owned(), seconds(api.now()).into());
    show::encoded(call, StatusCode::CREATED, &request)
}

/// What a token is bound to.
#[derive(Default)]
struct Bound {
    pod: Option<ObjectReference>,
    secret: Option<ObjectReference>,
}

fn bound(api: &Api, namespace: &str, reference: &Value) -> Result<Bound, Status> {
    let mut bound = Bound::default();
    let Some(kind) = reference["kind"].as_str() else {
        return Ok(bound);
    };
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let (resource, place) = match kind {
        "Pod" => ("pods", &mut bound.pod),
        "Secret" => ("secrets", &mut bound.secret),
        other => {
            return Err(Status::bad_request(format!(
                "cannot bind token to object of type /{}, Kind={other}",
                text("apiVersion")
            )));
        }
    };
    let missing = || {
        let resource = wasmjob_machinery::resource::find("", "v1", resource);
        match resource {
            Some(resource) => Status::not_found(resource, text("name")),
            None => Status::no_such_resource(),
        }
    };
    let entry = api.cache.get(resource, namespace, text("name"));
    let entry = entry.ok_or_else(missing)?;
    let uid = entry.object.key().uid.to_string();
    let wanted = text("uid");
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        // Of the kind, and not of the resource as elsewhere.
        let message = format!(
            "Operation cannot be fulfilled on {kind} {:?}: {why}",
            text("name")
        );
        return Err(Status {
            details: Some(Box::new(Details {
                name: text("name").to_owned(),
                kind: kind.to_owned(),
                ..Details::default()
            })),
            ..Status::new(409, "Conflict", message)
        });
    }
    *place = Some(ObjectReference {
        name: text("name").to_owned(),
        uid,
    });
    Ok(bound)
}

/// Where others learn how to check tokens.
pub(crate) fn openid_configuration(api: &Api) -> Reply {
    let issuer = api.access.tokens.issuer();
    body::json(
        StatusCode::OK,
        &json!({
            "issuer": issuer,
            "jwks_uri": format!("https://{}/openid/v1/jwks", api.address),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }),
    )
}

/// The keys to check tokens with.
pub(crate) fn jwks(api: &Api) -> Reply {
    let keys = api.access.tokens.key_set();
    // A value always has a form as text.
    let bytes = serde_json::to_vec(&keys).unwrap_or_default();
    body::reply(
        StatusCode::OK,
        "application/jwk-set+json",
        body::whole(bytes),
    )
}
