//! Answers about objects in the form that the client asked for: whole, as a table, or
//! their metadata alone; as JSON, YAML or protobuf.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wasmjob_machinery::negotiate::{Answer, Encoding, View};
use wasmjob_machinery::proto;
use wasmjob_machinery::resource::Resource;
use wasmjob_machinery::status::Status;
use wasmjob_machinery::table::{self, IncludeObject};

use crate::body::{self, Reply};
use crate::cache::{Entry, Event, EventKind, frame};
use crate::call::Call;
use crate::convert;

/// A page of a list.
pub(crate) struct Page {
    pub(crate) revision: u64,
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) continues: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// One object, as it is kept.
pub(crate) fn entry(call: &Call, entry: &Entry, now: Timestamp) -> Result<Reply, Status> {
    let resource = call.target.resource;
    let is_plain = call.accepted.view == View::Full && call.accepted.encoding == Encoding::Json;
    if is_plain && !convert::is_converted(resource) {
        return Ok(plain(call, entry.json()));
    }
    value(call, StatusCode::OK, entry.value(), now)
}

/// One object in the version that it is kept in.
pub(crate) fn value(
    call: &Call,
    code: StatusCode,
    value: Value,
    now: Timestamp,
) -> Result<Reply, Status> {
    let resource = call.target.resource;
    let value = convert::from_kept(resource, value);
    let shown = match call.accepted.view {
        View::Full => value,
        View::Metadata | View::MetadataList => partial(&value, call.accepted),
        View::Table => {
            let include = include(call)?;
            let row = row(resource, &value, now, include, call.accepted);
            let version = &value["metadata"]["resourceVersion"];
            let metadata = json!({ "resourceVersion": version });
            in_version(
                table::table(resource.kind, metadata, true, vec![row]),
                call.accepted,
            )
        }
    };
    encoded(call, code, &shown)
}

/// A page of a list.
pub(crate) fn page(call: &Call, page: Page, now: Timestamp) -> Result<Reply, Status> {
    let resource = call.target.resource;
    let answer = call.accepted;
    let mut metadata = Map::new();
    metadata.insert(
        "resourceVersion".to_owned(),
        page.revision.to_string().into(),
    );
    if let Some(token) = &page.continues {
        metadata.insert("continue".to_owned(), token.as_str().into());
    }
    if let Some(remaining) = page.remaining {
        metadata.insert("remainingItemCount".to_owned(), remaining.into());
    }
    let metadata = Value::Object(metadata);
    let is_plain = answer.view == View::Full && answer.encoding == Encoding::Json;
    if is_plain && !convert::is_converted(resource) {
        return Ok(plain(call, joined(resource, &metadata, &page.entries)));
    }
    let values = page.entries.iter();
    let values = values.map(|entry| convert::from_kept(resource, entry.value()));
    list(call, &metadata, values, now)
}

/// Objects in the version that is asked for, as a list.
pub(crate) fn list(
    call: &Call,
    metadata: &Value,
    values: impl Iterator<Item = Value>,
    now: Timestamp,
) -> Result<Reply, Status> {
    let (resource, answer) = (call.target.resource, call.accepted);
    let list = match answer.view {
        View::Full => json!({
            "kind": resource.list_kind(),
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": values.collect::<Vec<_>>(),
        }),
        View::Metadata | View::MetadataList => in_version(
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": values.map(|value| partial(&value, answer)).collect::<Vec<_>>(),
            }),
            answer,
        ),
        View::Table => {
            let include = include(call)?;
            let rows = values.map(|value| row(resource, &value, now, include, answer));
            let rows = rows.collect();
            in_version(
                table::table(resource.kind, metadata.clone(), true, rows),
                answer,
            )
        }
    };
    encoded(call, StatusCode::OK, &list)
}

/// A list whose items are put together as they were rendered.
fn joined(resource: &Resource, metadata: &Value, entries: &[Arc<Entry>]) -> Bytes {
    let items: Vec<Bytes> = entries.iter().map(|entry| entry.json()).collect();
    let bytes = items.iter().map(|item| item.len() + 1).sum::<usize>();
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        resource.list_kind(),
        resource.api_version()
    );
    let mut list = Vec::with_capacity(head.len() + bytes + 3);
    list.extend_from_slice(head.as_bytes());
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            list.push(b',');
        }
        list.extend_from_slice(item);
    }
    list.extend_from_slice(b"]}\n");
    list.into()
}

/// A Status of success.
pub(crate) fn status(call: &Call, code: StatusCode, status: &Value) -> Result<Reply, Status> {
    let full = Answer {
        view: View::Full,
        ..call.accepted
    };
    write(code, status, full, call.takes_gzip())
}

fn plain(call: &Call, json: Bytes) -> Reply {
    let reply = body::reply(StatusCode::OK, "application/json", body::whole(""));
    body::compressed(reply, json, call.takes_gzip())
}

/// An object of that form.
pub(crate) fn encoded(call: &Call, code: StatusCode, value: &Value) -> Result<Reply, Status> {
    write(code, value, call.accepted, call.takes_gzip())
}

fn write(code: StatusCode, value: &Value, answer: Answer, gzip: bool) -> Result<Reply, Status> {
    let bytes: Bytes = match answer.encoding {
        // A value always has a form as text.
        Encoding::Json => serde_json::to_vec(value).unwrap_or_default().into(),
        Encoding::Yaml => crate::yaml::write(value).into(),
        Encoding::Protobuf => {
            let text = |field: &str| value[field].as_str().unwrap_or_default();
            let bytes = proto::encode(text("apiVersion"), text("kind"), value);
            bytes.map_err(Status::internal_error)?.into()
        }
    };
    let reply = body::reply(code, answer.encoding.media_type(), body::whole(""));
    Ok(body::compressed(reply, bytes, gzip))
}

/// What of each object a row of a table carries.
fn include(call: &Call) -> Result<IncludeObject, Status> {
    let text = call.query.get("includeObject").unwrap_or_default();
    IncludeObject::parse(text).map_err(Status::bad_request)
}

fn row(
    resource: &Resource,
    value: &Value,
    now: Timestamp,
    include: IncludeObject,
    answer: Answer,
) -> Value {
    let mut row = table::row(resource.kind, value, now, include);
    if include == IncludeObject::Metadata {
        row["object"] = in_version(row["object"].take(), answer);
    }
    row
}

fn partial(value: &Value, answer: Answer) -> Value {
    let object = json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": value["metadata"],
    });
    in_version(object, answer)
}

fn in_version(mut value: Value, answer: Answer) -> Value {
    if answer.meta_version != "v1" {
        value["apiVersion"] = format!("meta.k8s.io/{}", answer.meta_version).into();
    }
    value
}

/// How a watch shows its events.
pub(crate) struct Show {
    resource: &'static Resource,
    answer: Answer,
    include: IncludeObject,
    is_plain: bool,
    /// A table's columns are told once.
    with_columns: bool,
}

impl Show {
    pub(crate) fn for_watch(call: &Call) -> Result<Self, Status> {
        let resource = call.target.resource;
        Ok(Self {
            resource,
            answer: call.accepted,
            include: include(call)?,
            is_plain: call.accepted.view == View::Full && !convert::is_converted(resource),
            with_columns: true,
        })
    }

    /// An event as a line; `shared` is it as others get it, too.
    pub(crate) fn event(
        &mut self,
        kind: EventKind,
        entry: &Entry,
        shared: Option<&Event>,
        now: Timestamp,
    ) -> Bytes {
        if self.is_plain {
            return match shared {
                Some(event) => event.frame(),
                None => frame(kind.as_str(), &entry.json()),
            };
        }
        let value = convert::from_kept(self.resource, entry.value());
        let shown = self.shown(value, now);
        // A value always has a form as text.
        frame(
            kind.as_str(),
            &serde_json::to_vec(&shown).unwrap_or_default(),
        )
    }

    fn shown(&mut self, value: Value, now: Timestamp) -> Value {
        match self.answer.view {
            View::Full => value,
            View::Metadata | View::MetadataList => partial(&value, self.answer),
            View::Table => {
                let metadata = json!({ "resourceVersion": value["metadata"]["resourceVersion"] });
                let row = row(self.resource, &value, now, self.include, self.answer);
                let columns = std::mem::take(&mut self.with_columns);
                let table = table::table(self.resource.kind, metadata, columns, vec![row]);
                in_version(table, self.answer)
            }
        }
    }

    /// An object of the kind with nothing but this metadata.
    pub(crate) fn bookmark(&mut self, metadata: Value, now: Timestamp) -> Value {
        let object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": metadata,
        });
        match self.answer.view {
            View::Table => self.shown(object, now),
            View::Full => object,
            View::Metadata | View::MetadataList => partial(&object, self.answer),
        }
    }
}
