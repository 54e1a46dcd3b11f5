//! `describe`: all about an object for people, and its events.

mod containers;
mod cron_job;
mod events;
mod job;
mod network_policy;
mod other;
mod parts;
mod pod;
mod policy;
mod volumes;

use serde_json::Value;
use wasmjob_machinery::resource::Resource;

use super::api::{Api, name, selected};
use super::failure::{Failure, Result};
use super::kinds::Wanted;
use super::output::print;
use super::tabs::Tabbed;
use super::uri::Uri;
use crate::args::DescribeArgs;
use crate::exit::{Exit, say};

pub(crate) async fn describe(api: &Api, args: &DescribeArgs) -> Result<Exit> {
    let namespace = args.daemon.namespace();
    let mut found: Vec<(&Resource, Value)> = Vec::new();
    let mut exit = Exit::Complete;
    match Wanted::read(&args.what)? {
        Wanted::Every(resources) => {
            for resource in resources {
                let list = selected(resource, namespace, &args.select);
                let items = api.items(resource, &list).await?;
                found.extend(items.into_iter().map(|item| (resource, item)));
            }
            if found.is_empty() {
                match args.select.all_namespaces {
                    true => say("No resources found"),
                    false => say(format_args!("No resources found in {namespace} namespace.")),
                }
            }
        }
        Wanted::Named(named) => {
            for (resource, name) in named {
                match by_name(api, resource, namespace, &name).await {
                    Ok(objects) => found.extend(objects.into_iter().map(|it| (resource, it))),
                    Err(failure) => exit = failure.tell_and_go_on()?,
                }
            }
        }
    }
    for (place, (resource, object)) in found.iter().enumerate() {
        let text = text(api, resource, object).await?;
        let gap = if place > 0 { "\n\n" } else { "" };
        print(&format!("{gap}{text}"))?;
    }
    Ok(exit)
}

/// The object of that name, or else those whose names begin so.
async fn by_name(
    api: &Api,
    resource: &Resource,
    namespace: &str,
    wanted: &str,
) -> Result<Vec<Value>> {
    let failure = match api.object(resource, namespace, wanted).await {
        Ok(object) => return Ok(vec![object]),
        Err(failure) if failure.is_not_found() && resource.supports("list") => failure,
        Err(failure) => return Err(failure),
    };
    let list = Uri::list(resource, Some(namespace));
    let items = api.items(resource, &list).await?.into_iter();
    let found: Vec<Value> = items
        .filter(|item| name(item).starts_with(wanted))
        .collect();
    match found.is_empty() {
        true => Err(failure),
        false => Ok(found),
    }
}

async fn text(api: &Api, resource: &Resource, object: &Value) -> Result<String> {
    let events = match resource.kind {
        // kubectl shows none of these.
        "Event" | "LimitRange" | "NetworkPolicy" | "ResourceQuota" => None,
        _ => events::of(api, resource, object).await?,
    };
    let mut out = Tabbed::default();
    match (resource.group, resource.kind) {
        ("batch", "Job") => job::describe(object, &mut out),
        ("batch", "CronJob") => cron_job::describe(object, &mut out),
        ("", "Pod") => pod::describe(object, &mut out),
        ("networking.k8s.io", "NetworkPolicy") => network_policy::describe(object, &mut out),
        ("", "ResourceQuota") => policy::quota(object, &mut out),
        ("", "LimitRange") => policy::limit_range(object, &mut out),
        _ => other::describe(object, &mut out),
    }
    if let Some(events) = &events {
        events::describe(events, &mut out);
    }
    Ok(out.finish())
}

/// What an object says is not for the terminal to obey.
fn safe(text: &str) -> String {
    super::table::printable(text)
}

/// An unreachable answer is a failure, a refused one is none.
fn unless_refused<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Refused(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}
