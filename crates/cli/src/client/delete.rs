//! `delete`: objects by name, by label or by file; and the wait until they are gone.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::timeout;
use wasmjob_machinery::resource::Resource;

use super::api::{Api, name, selected, text};
use super::failure::{Failure, Result};
use super::kinds::{Wanted, called};
use super::manifest::{self, Document};
use super::output::line;
use super::uri::Uri;
use super::watch::Changes;
use crate::args::{Cascade, DeleteArgs};
use crate::exit::{Exit, say};

/// An object to be deleted.
struct Doomed {
    resource: &'static Resource,
    namespace: String,
    name: String,
    file: Option<String>,
}

pub(crate) async fn delete(api: &Api, args: &DeleteArgs) -> Result<Exit> {
    let mut exit = Exit::Complete;
    let doomed = match args.files.is_empty() {
        true => named(api, args).await?,
        false => {
            let mut doomed = Vec::new();
            for document in manifest::read(&args.files, &args.daemon)? {
                match document {
                    Ok(document) => doomed.push(Doomed::from(document)),
                    Err(failure) => exit = failure.tell_and_go_on()?,
                }
            }
            doomed
        }
    };
    if doomed.is_empty() && exit == Exit::Complete {
        say("No resources found");
    }
    let mut going = Vec::new();
    for object in doomed {
        match one(api, args, &object).await {
            Ok(uid) => going.push((object, uid)),
            Err(failure) if failure.is_not_found() && args.ignore_not_found => {}
            Err(failure) => exit = failure.tell_and_go_on()?,
        }
    }
    if args.wait {
        for (object, uid) in going {
            if let Err(failure) = wait(api, &object, &uid, args.timeout).await {
                exit = failure.tell_and_go_on()?;
            }
        }
    }
    Ok(exit)
}

impl From<Document> for Doomed {
    fn from(document: Document) -> Self {
        Self {
            resource: document.resource,
            namespace: document.namespace,
            name: document.name,
            file: Some(document.file),
        }
    }
}

/// What arguments name, or select.
async fn named(api: &Api, args: &DeleteArgs) -> Result<Vec<Doomed>> {
    let namespace = args.daemon.namespace();
    let selects = args.select.selector.is_some() || args.select.field_selector.is_some();
    let mut doomed = Vec::new();
    match Wanted::read(&args.what)? {
        Wanted::Named(_) if selects || args.all || args.select.all_namespaces => {
            return Err(Failure::usage(
                "names do not go with --all, -A or a selector",
            ));
        }
        Wanted::Named(named) => doomed.extend(named.into_iter().map(|(resource, name)| Doomed {
            resource,
            namespace: namespace.to_owned(),
            name,
            file: None,
        })),
        Wanted::Every(_) if !selects && !args.all => {
            return Err(Failure::usage(
                "resource(s) were provided, but no name, label selector, or --all flag specified",
            ));
        }
        Wanted::Every(resources) => {
            for resource in resources {
                let list = selected(resource, namespace, &args.select);
                for item in api.items(resource, &list).await? {
                    doomed.push(Doomed {
                        resource,
                        namespace: text(&item, "/metadata/namespace").to_owned(),
                        name: name(&item).to_owned(),
                        file: None,
                    });
                }
            }
        }
    }
    Ok(doomed)
}

/// Deletes an object; the UID of what goes.
async fn one(api: &Api, args: &DeleteArgs, object: &Doomed) -> Result<String> {
    let policy = match args.cascade {
        Cascade::Background => "Background",
        Cascade::Foreground => "Foreground",
        Cascade::Orphan => "Orphan",
    };
    let mut options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": policy,
    });
    if let Some(seconds) = args.grace_period {
        options["gracePeriodSeconds"] = seconds.into();
    }
    let uri = Uri::object(object.resource, &object.namespace, &object.name);
    let sent = api
        .send(Method::DELETE, &uri, "application/json", &options)
        .await;
    let (_, answer) = sent.map_err(|failure| match &object.file {
        Some(file) => failure.when("deleting", file),
        None => failure,
    })?;
    let kind = called(object.resource);
    let from = match object.resource.namespaced {
        true => format!(" from {} namespace", object.namespace),
        false => String::new(),
    };
    line(&format!("{kind} {:?} deleted{from}", object.name))?;
    Ok(uid(&answer).to_owned())
}

/// Of a Status, or of the object as it is while it goes.
fn uid(answer: &Value) -> &str {
    match text(answer, "/details/uid") {
        "" => text(answer, "/metadata/uid"),
        uid => uid,
    }
}

async fn wait(api: &Api, object: &Doomed, uid: &str, most: Option<Duration>) -> Result<()> {
    let gone = gone(api, object, uid);
    let Some(most) = most else {
        return gone.await;
    };
    timeout(most, gone).await.unwrap_or_else(|_| {
        Err(Failure::other(format!(
            "timed out waiting for the condition on {}/{}",
            object.resource.plural, object.name
        )))
    })
}

/// What has changed too often meanwhile, or was not changed since the daemon began, is
/// looked at again.
fn again(told: Result<()>) -> Result<()> {
    match told {
        Err(Failure::Refused(refusal)) if refusal.code == 410 => Ok(()),
        told => told,
    }
}

/// Waits until the object is no more; another of its name does not count.
async fn gone(api: &Api, object: &Doomed, uid: &str) -> Result<()> {
    let uri = Uri::object(object.resource, &object.namespace, &object.name);
    let list = Uri::list(object.resource, Some(&object.namespace))
        .with("fieldSelector", &format!("metadata.name={}", object.name));
    loop {
        let now = match api.read(&uri).await {
            Ok(now) => now,
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(failure) => return Err(failure),
        };
        if !uid.is_empty() && text(&now, "/metadata/uid") != uid {
            return Ok(());
        }
        let revision = text(&now, "/metadata/resourceVersion");
        let changes = Changes::open(api, list.clone(), "application/json", revision).await;
        match changes {
            Ok(mut changes) => {
                let told = loop {
                    match changes.next().await {
                        Ok(Some((kind, _))) if kind == "DELETED" => break Ok(()),
                        Ok(None) => break Ok(()),
                        Ok(Some(_)) => {}
                        Err(failure) => break Err(failure),
                    }
                };
                again(told)?;
            }
            Err(failure) => again(Err(failure))?,
        }
    }
}
