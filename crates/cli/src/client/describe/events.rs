//! What has happened to an object.

use serde_json::Value;
use wasmjob_machinery::resource::Resource;

use super::parts::{ago, moment, plain};
use super::{safe, unless_refused};
use crate::client::api::{Api, text};
use crate::client::failure::Result;
use crate::client::kinds::known;
use crate::client::tabs::Tabbed;
use crate::client::uri::Uri;

/// The events about an object; none if they cannot be had.
pub(super) async fn of(
    api: &Api,
    resource: &Resource,
    object: &Value,
) -> Result<Option<Vec<Value>>> {
    let field = |name: &str| text(object, &format!("/metadata/{name}")).to_owned();
    let fields = [
        ("name", field("name")),
        ("namespace", field("namespace")),
        ("kind", resource.kind.to_owned()),
        ("uid", field("uid")),
    ];
    let selector: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("involvedObject.{name}={value}"))
        .collect();
    let events = known("", "v1", "events")?;
    let namespace = field("namespace");
    let namespace = Some(namespace.as_str()).filter(|namespace| !namespace.is_empty());
    let list = Uri::list(events, namespace).with("fieldSelector", &selector.join(","));
    unless_refused(api.items(events, &list).await)
}

pub(super) fn describe(events: &[Value], out: &mut Tabbed) {
    if events.is_empty() {
        return out.field("Events", "<none>");
    }
    let mut events: Vec<&Value> = events.iter().collect();
    // Times are whole seconds; within one, the order of the commits tells.
    let revision = |event: &Value| text(event, "/metadata/resourceVersion").parse::<u64>().ok();
    events.sort_by_key(|event| (moment(last(event)), revision(event)));
    out.line("Events:");
    out.line("  Type\tReason\tAge\tFrom\tMessage");
    out.line("  ----\t------\t----\t----\t-------");
    for event in events {
        let source = match text(event, "/source/component") {
            "" => text(event, "/reportingComponent"),
            source => source,
        };
        let (kind, reason) = (text(event, "/type"), text(event, "/reason"));
        let message = safe(plain(&event["message"]).trim());
        let age = age(event);
        out.line(format_args!(
            "  {kind}\t{reason}\t{age}\t{source}\t{message}"
        ));
    }
}

fn last(event: &Value) -> &Value {
    match &event["lastTimestamp"] {
        Value::Null => &event["eventTime"],
        last => last,
    }
}

/// How long ago, and how often since when.
fn age(event: &Value) -> String {
    let first = match &event["eventTime"] {
        Value::Null => ago(&event["firstTimestamp"]),
        at => ago(at),
    };
    let series = &event["series"];
    let times =
        |count: &Value, last: &Value| format!("{} (x{} over {first})", ago(last), plain(count));
    match event["count"].as_i64() {
        _ if !series.is_null() => times(&series["count"], &series["lastObservedTime"]),
        Some(count) if count > 1 => times(&event["count"], &event["lastTimestamp"]),
        _ => first,
    }
}
