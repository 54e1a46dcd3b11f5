//! `apply`: server-side apply, told as `kubectl apply` tells it.

use hyper::Method;

use super::api::{Api, text};
use super::failure::{Failure, Result};
use super::images;
use super::manifest::{self, Document};
use super::output::line;
use super::table::reference;
use super::uri::Uri;
use crate::args::ApplyArgs;
use crate::exit::{Exit, say};

/// Who owns the fields that are applied.
const MANAGER: &str = "wasmjob";

pub(crate) async fn apply(api: &Api, args: &ApplyArgs) -> Result<Exit> {
    let mut exit = Exit::Complete;
    for document in manifest::read(&args.files, &args.daemon)? {
        let applied = match document {
            Ok(document) => one(api, args, document).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = applied {
            let is_conflict = matches!(&failure, Failure::Refused(refusal) if refusal.code == 409);
            exit = failure.tell_and_go_on()?;
            if is_conflict && !args.force_conflicts {
                say(
                    "hint: others have set these fields: leave them out, or take them over with --force-conflicts",
                );
            }
        }
    }
    Ok(exit)
}

async fn one(api: &Api, args: &ApplyArgs, mut document: Document) -> Result<()> {
    let dir = document.dir().to_owned();
    images::resolve(&mut document.object, &dir);
    let Document {
        resource,
        namespace,
        name,
        mut object,
        file,
    } = document;
    if resource.namespaced {
        object["metadata"]["namespace"] = namespace.as_str().into();
    }
    let uri = Uri::object(resource, &namespace, &name);
    // What is there already tells whether anything changes.
    let before = match api.read(&uri).await {
        Ok(before) => Some(text(&before, "/metadata/resourceVersion").to_owned()),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(failure.when("retrieving current configuration of", &file)),
    };
    let uri = uri
        .with("fieldManager", MANAGER)
        .with("fieldValidation", "Strict")
        .with(
            "force",
            if args.force_conflicts {
                "true"
            } else {
                "false"
            },
        );
    let sent = api.send(Method::PATCH, &uri, "application/apply-patch+yaml", &object);
    let (code, after) = sent.await.map_err(|failure| match failure {
        // It speaks of nothing but this object.
        Failure::Refused(refusal) if refusal.code == 409 => Failure::Refused(refusal),
        failure => failure.when("applying", &file),
    })?;
    let is_same = before.as_deref() == Some(text(&after, "/metadata/resourceVersion"));
    let done = match (code, is_same) {
        (201, _) => "created",
        (_, true) => "unchanged",
        (_, false) => "configured",
    };
    line(&format!("{} {done}", reference(resource, &after)))
}
