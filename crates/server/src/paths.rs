//! Everything that is no resource: the version, discovery, OpenAPI, health, metrics.

use std::sync::Arc;

use hyper::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::json;
use wasmjob::Health;
use wasmjob_machinery::negotiate::{self, Discovery};
use wasmjob_machinery::status::Status;
use wasmjob_machinery::{discovery, openapi};

use crate::api::Api;
use crate::body::{self, Reply};
use crate::call::takes_gzip;
use crate::request::Query;
use crate::review;

/// The version that is emulated; clients choose their own by it.
const MAJOR: &str = "1";
const MINOR: &str = "36";

/// Paths that `/` lists beside the groups.
const PATHS: [&str; 14] = [
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    "/healthz",
    "/healthz/ping",
    "/livez",
    "/livez/ping",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

/// Answers a request about a path.
pub(crate) async fn answer(
    api: &Arc<Api>,
    parts: &Parts,
    path: &str,
    query: &Query,
) -> Result<Reply, Status> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(not_found());
    }
    let accept = parts.headers.get(hyper::header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let path = path
        .strip_suffix('/')
        .filter(|path| !path.is_empty())
        .unwrap_or(path);
    let segments: Vec<&str> = path[1..].split('/').collect();
    match segments.as_slice() {
        [""] => Ok(body::json(StatusCode::OK, &json!({ "paths": all_paths() }))),
        ["version"] => Ok(body::json(StatusCode::OK, &version())),
        ["healthz" | "livez" | "readyz", check @ ..] => {
            Ok(health(api, segments[0], check, query).await)
        }
        ["metrics"] => crate::metrics::answer(api, parts).await,
        ["api"] | ["apis"] => discover(api, parts, path, accept),
        ["api", version] => legacy(discovery::api_resource_list("", version)),
        ["apis", group] => legacy(discovery::api_group(group)),
        ["apis", group, version] => legacy(discovery::api_resource_list(group, version)),
        ["openapi", "v3"] => Ok(openapi_document(parts, openapi::index())),
        ["openapi", "v3", rest @ ..] => {
            let Some(found) = openapi::v3(&rest.join("/")) else {
                return Ok(not_found());
            };
            let mut reply = openapi_document(parts, found);
            // Under its hash a document never changes.
            if query.get("hash") == Some(&found.hash) {
                let headers = reply.headers_mut();
                let value = HeaderValue::from_static("public, immutable");
                headers.insert(hyper::header::CACHE_CONTROL, value);
            }
            Ok(reply)
        }
        ["openapi", "v2"] => {
            if negotiate::openapi_v2_protobuf(accept)? {
                let found = openapi::v2_protobuf();
                let bytes = bytes::Bytes::from_static(&found.bytes);
                return Ok(document(parts, bytes, &found.hash, openapi::V2_PROTOBUF));
            }
            Ok(openapi_document(parts, openapi::v2()))
        }
        [".well-known", "openid-configuration"] => Ok(review::openid_configuration(api)),
        ["openid", "v1", "jwks"] => Ok(review::jwks(api)),
        _ => Ok(not_found()),
    }
}

fn openapi_document(parts: &Parts, found: &'static openapi::Document) -> Reply {
    let bytes = bytes::Bytes::from_static(&found.bytes);
    document(parts, bytes, &found.hash, "application/json")
}

/// As Go says it: a path that nothing serves has no Status.
fn not_found() -> Reply {
    body::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn legacy(found: Option<serde_json::Value>) -> Result<Reply, Status> {
    Ok(match found {
        Some(value) => body::json(StatusCode::OK, &value),
        None => not_found(),
    })
}

fn discover(api: &Api, parts: &Parts, path: &str, accept: Option<&str>) -> Result<Reply, Status> {
    let form = negotiate::discovery(accept)?;
    let core = path == "/api";
    let version = match form {
        Discovery::V2 => Some("v2"),
        Discovery::V2Beta1 => Some("v2beta1"),
        Discovery::Legacy => None,
    };
    let value = match (version, core) {
        (Some(version), true) => discovery::aggregated_api(version),
        (Some(version), false) => discovery::aggregated_apis(version),
        (None, true) => discovery::api_versions(&api.address.to_string()),
        (None, false) => discovery::api_group_list(),
    };
    // A value always has a form as text.
    let bytes = serde_json::to_vec(&value).unwrap_or_default();
    let hash = openapi::hash(&bytes);
    let mut reply = document(parts, bytes.into(), &hash, form.content_type());
    reply
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept"));
    Ok(reply)
}

/// A document that clients keep, under its hash.
fn document(parts: &Parts, bytes: bytes::Bytes, hash: &str, content_type: &'static str) -> Reply {
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).ok();
    let known = parts.headers.get(IF_NONE_MATCH);
    let is_known = known.is_some() && known == etag.as_ref();
    let mut reply = match is_known {
        true => body::reply(StatusCode::NOT_MODIFIED, content_type, body::whole("")),
        false => {
            let reply = body::reply(StatusCode::OK, content_type, body::whole(""));
            body::compressed(reply, bytes, takes_gzip(&parts.headers))
        }
    };
    if let Some(etag) = etag {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}

fn all_paths() -> Vec<String> {
    let mut paths: Vec<String> = PATHS.iter().map(|path| (*path).to_owned()).collect();
    for group in wasmjob_machinery::resource::groups() {
        paths.push(format!("/apis/{group}"));
        for version in wasmjob_machinery::resource::versions(group) {
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    paths.sort_unstable();
    paths
}

fn version() -> serde_json::Value {
    json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "35",
        "gitVersion": concat!("v1.36.0+wasmjob.", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

/// The processor, as Go and Kubernetes name it.
pub(crate) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `/livez`: the host's thread answers. `/readyz`: it can store things, too.
async fn health(api: &Api, which: &str, check: &[&str], query: &Query) -> Reply {
    let mut checks: Vec<(&str, Result<(), String>)> = vec![("ping", Ok(()))];
    let responsive = tokio::time::timeout(std::time::Duration::from_secs(5), async {
        api.host.is_responsive().await
    });
    let host = match responsive.await {
        Ok(true) => Ok(()),
        _ => Err("the host does not answer".to_owned()),
    };
    checks.push(("host", host));
    if which != "livez" {
        checks.push((
            "store",
            match api.host.health() {
                Health::Writable => Ok(()),
                Health::Stalled(why) | Health::Failed(why) => Err(why),
            },
        ));
        checks.push((
            "shutdown",
            match *api.ending.borrow() {
                true => Err("the server is ending".to_owned()),
                false => Ok(()),
            },
        ));
    }
    if let [wanted] = check {
        checks.retain(|(name, _)| name == wanted);
        if checks.is_empty() {
            return not_found();
        }
    }
    for excluded in query.all("exclude") {
        checks.retain(|(name, _)| *name != excluded);
    }
    let failed = checks.iter().any(|(_, result)| result.is_err());
    if !failed && !query.is_set("verbose") {
        return body::text(StatusCode::OK, "ok");
    }
    let mut text = String::new();
    for (name, result) in &checks {
        match result {
            Ok(()) => text += &format!("[+]{name} ok\n"),
            // The reason is for the operator, not for whoever asks.
            Err(_) => text += &format!("[-]{name} failed: reason withheld\n"),
        }
    }
    let (code, verdict) = match failed {
        true => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        false => (StatusCode::OK, "passed"),
    };
    text += &format!("{which} check {verdict}\n");
    body::text(code, text)
}
