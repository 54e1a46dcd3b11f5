//! Requests of the API that commands have in common.

use hyper::Method;
use serde_json::Value;
use wasmjob_machinery::resource::Resource;

use super::failure::{Failure, Result};
use super::socket::{Answer, Message, Socket};
use super::uri::Uri;
use crate::args::SelectArgs;

const JSON: &str = "application/json";

/// What the daemon shows as a table, and what cannot be one as JSON.
pub(crate) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A daemon that is asked.
pub(crate) struct Api {
    socket: Socket,
}

impl Api {
    pub(crate) const fn new(socket: Socket) -> Self {
        Self { socket }
    }

    /// An object, or a list.
    pub(crate) async fn read(&self, uri: &Uri) -> Result<Value> {
        self.read_as(uri, JSON).await
    }

    /// An object or a list in the form that `accept` asks for.
    pub(crate) async fn read_as(&self, uri: &Uri, accept: &str) -> Result<Value> {
        value(self.open(uri, accept).await?)
            .await
            .map(|(_, value)| value)
    }

    /// An answer that goes on.
    pub(crate) async fn open(&self, uri: &Uri, accept: &str) -> Result<Answer> {
        let message = Message {
            method: Method::GET,
            uri,
            accept,
            body: None,
        };
        self.socket.send(message).await
    }

    /// Sends `body`; the code of the answer, and the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: &Uri,
        content_type: &str,
        body: &Value,
    ) -> Result<(u16, Value)> {
        let message = Message {
            method,
            uri,
            accept: JSON,
            body: Some((content_type, body.to_string().into_bytes())),
        };
        value(self.socket.send(message).await?).await
    }

    pub(crate) async fn object(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Value> {
        self.read(&Uri::object(resource, namespace, name)).await
    }

    /// The objects of a list, each with its kind.
    pub(crate) async fn items(&self, resource: &Resource, uri: &Uri) -> Result<Vec<Value>> {
        let mut list = self.read(uri).await?;
        let items = match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        Ok(items
            .into_iter()
            .map(|item| typed(resource, item))
            .collect())
    }
}

/// Objects in lists do not always say what they are.
fn typed(resource: &Resource, mut item: Value) -> Value {
    item["apiVersion"] = resource.api_version().into();
    item["kind"] = resource.kind.into();
    item
}

async fn value(mut answer: Answer) -> Result<(u16, Value)> {
    let body = answer.whole().await?;
    let value = serde_json::from_slice(&body)
        .map_err(|error| Failure::other(format!("the daemon's answer is no JSON: {error}")))?;
    Ok((answer.code, value))
}

/// The list that is selected.
pub(crate) fn selected(resource: &Resource, namespace: &str, select: &SelectArgs) -> Uri {
    let namespace = (!select.all_namespaces).then_some(namespace);
    Uri::list(resource, namespace)
        .with_some("labelSelector", select.selector.as_deref())
        .with_some("fieldSelector", select.field_selector.as_deref())
}

/// A text within an object; empty if it is not there.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}
