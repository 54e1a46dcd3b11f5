//! `suspend` and `resume`: `spec.suspend` of Jobs and CronJobs.

use hyper::Method;
use serde_json::json;
use wasmjob_machinery::resource::Resource;

use super::api::Api;
use super::failure::{Failure, Result};
use super::kinds::Wanted;
use super::output::line;
use super::table::reference;
use super::uri::Uri;
use crate::args::NamedArgs;
use crate::exit::Exit;

pub(crate) async fn set(api: &Api, args: &NamedArgs, suspend: bool) -> Result<Exit> {
    let named = Wanted::read_named(&args.what)?;
    let mut exit = Exit::Complete;
    for (resource, name) in named {
        if let Err(failure) = one(api, args.daemon.namespace(), resource, &name, suspend).await {
            exit = failure.tell_and_go_on()?;
        }
    }
    Ok(exit)
}

async fn one(
    api: &Api,
    namespace: &str,
    resource: &Resource,
    name: &str,
    suspend: bool,
) -> Result<()> {
    if resource.group != "batch" {
        return Err(Failure::usage(format!(
            "{} cannot be suspended: only Jobs and CronJobs can",
            resource.plural
        )));
    }
    let before = api.object(resource, namespace, name).await?;
    let is_so = before["spec"]["suspend"].as_bool().unwrap_or(false) == suspend;
    let done = if suspend { "suspended" } else { "resumed" };
    if is_so {
        return line(&format!(
            "{} {done} (no change)",
            reference(resource, &before)
        ));
    }
    // A name of its own: what `apply` has set is left to `apply`.
    let uri = Uri::object(resource, namespace, name).with("fieldManager", "wasmjob-suspend");
    let patch = json!({ "spec": { "suspend": suspend } });
    let sent = api.send(Method::PATCH, &uri, "application/merge-patch+json", &patch);
    let (_, after) = sent.await?;
    line(&format!("{} {done}", reference(resource, &after)))
}
