//! Paths and what can be done at each, from the list of resources.

use serde_json::{Map, Value, json};

use super::schema::{KINDS, PATCH, has_list, list_name, reference, schema_name};
use super::{kind, path};
use crate::resource::{self, Resource, Subresource};

/// The types of patches.
const PATCHES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The types of answers.
const ANSWERS: &[&str] = &[
    "application/json",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
];

/// Query parameters: name, type, description.
type Query = (&'static str, &'static str, &'static str);

const DRY_RUN: Query = (
    "dryRun",
    "string",
    "When present, indicates that modifications should not be persisted. Valid values are: - All: all dry run stages will be processed",
);
const FIELD_MANAGER: Query = (
    "fieldManager",
    "string",
    "fieldManager is a name associated with the actor or entity that is making these changes.",
);
const FIELD_VALIDATION: Query = (
    "fieldValidation",
    "string",
    "fieldValidation instructs the server on how to handle objects in the request (POST/PUT/PATCH) containing unknown or duplicate fields. Valid values are: Ignore, Warn, Strict.",
);
const FORCE: Query = (
    "force",
    "boolean",
    "Force is going to \"force\" Apply requests. It means user will re-acquire conflicting fields owned by other people.",
);
const WRITE: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH_QUERY: &[Query] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const DELETE: &[Query] = &[
    DRY_RUN,
    (
        "gracePeriodSeconds",
        "integer",
        "The duration in seconds before the object should be deleted. The value zero indicates delete immediately.",
    ),
    (
        "orphanDependents",
        "boolean",
        "Deprecated: please use the PropagationPolicy.",
    ),
    (
        "propagationPolicy",
        "string",
        "Whether and how garbage collection will be performed: 'Orphan', 'Background' or 'Foreground'.",
    ),
];
const LIST: &[Query] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "allowWatchBookmarks requests watch events with type \"BOOKMARK\".",
    ),
    (
        "continue",
        "string",
        "The continue option should be set when retrieving more results from the server.",
    ),
    (
        "fieldSelector",
        "string",
        "A selector to restrict the list of returned objects by their fields.",
    ),
    (
        "labelSelector",
        "string",
        "A selector to restrict the list of returned objects by their labels.",
    ),
    (
        "limit",
        "integer",
        "limit is a maximum number of responses to return for a list call.",
    ),
    (
        "resourceVersion",
        "string",
        "resourceVersion sets a constraint on what resource versions a request may be served from.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "resourceVersionMatch determines how resourceVersion is applied to list calls.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "sendInitialEvents=true may be set together with watch=true to begin with the current state.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "Timeout for the list/watch call.",
    ),
    (
        "watch",
        "boolean",
        "Watch for changes to the described resources and return them as a stream of add, update, and remove notifications.",
    ),
];
const LOG: &[Query] = &[
    (
        "container",
        "string",
        "The container for which to stream logs.",
    ),
    ("follow", "boolean", "Follow the log stream of the pod."),
    (
        "limitBytes",
        "integer",
        "If set, the number of bytes to read before terminating the log output.",
    ),
    (
        "previous",
        "boolean",
        "Return previous terminated container logs.",
    ),
    (
        "sinceSeconds",
        "integer",
        "A relative time in seconds before the current time from which to show logs.",
    ),
    (
        "tailLines",
        "integer",
        "If set, the number of lines from the end of the logs to show.",
    ),
    (
        "timestamps",
        "boolean",
        "If true, add an RFC3339 timestamp at the beginning of every line of log output.",
    ),
];

/// All paths of a group version.
pub(super) fn of(group: &str, version: &str) -> Map<String, Value> {
    let mut paths = Map::new();
    let root = format!("/{}/", path(group, version));
    for resource in resource::of(group, version) {
        let plural = resource.plural;
        let base = if resource.namespaced {
            format!("{root}namespaces/{{namespace}}/{plural}")
        } else {
            format!("{root}{plural}")
        };
        add(&mut paths, base.clone(), collection(resource));
        if resource.namespaced && has_list(resource) {
            let everywhere = Path::new(resource, "").everywhere();
            let mut item = Map::new();
            item.insert("get".to_owned(), everywhere.list());
            add(&mut paths, format!("{root}{plural}"), item);
        }
        if resource.supports("get") {
            let base = format!("{base}/{{name}}");
            add(&mut paths, base.clone(), object(resource));
            for sub in resource.subresources {
                add(
                    &mut paths,
                    format!("{base}/{}", sub.name),
                    below(resource, sub),
                );
            }
        }
    }
    paths
}

/// Adds a path with the parameters that stand in it.
fn add(paths: &mut Map<String, Value>, path: String, mut item: Map<String, Value>) {
    if item.is_empty() {
        return;
    }
    let mut parameters: Vec<Value> = Vec::new();
    for (name, what) in [
        ("name", "name of the object"),
        (
            "namespace",
            "object name and auth scope, such as for teams and projects",
        ),
    ] {
        if path.contains(&format!("{{{name}}}")) {
            parameters.push(json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": what,
                "schema": {"type": "string", "uniqueItems": true},
            }));
        }
    }
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    paths.insert(path, Value::Object(item));
}

/// What can be done with all objects of a resource.
fn collection(resource: &'static Resource) -> Map<String, Value> {
    let path = Path::new(resource, "");
    let mut item = Map::new();
    if has_list(resource) {
        item.insert("get".to_owned(), path.list());
    }
    if resource.supports("create") {
        let post = path.operation("post", "create", "create", WRITE, Some(resource.message));
        item.insert("post".to_owned(), post);
    }
    if resource.supports("deletecollection") {
        let delete = Path {
            infix: "Collection",
            ..path
        };
        let query = [DELETE, LIST].concat();
        let mut operation = delete.operation(
            "deletecollection",
            "delete",
            "delete collection of",
            &query,
            None,
        );
        operation["requestBody"] = delete_options();
        operation["responses"] = responses(&schema_name("meta.v1.Status"));
        item.insert("delete".to_owned(), operation);
    }
    item
}

/// What can be done with one object.
fn object(resource: &'static Resource) -> Map<String, Value> {
    let path = Path::new(resource, "");
    let mut item = verbs(&path, resource.verbs, resource.message);
    if resource.supports("delete") {
        let mut operation = path.operation("delete", "delete", "delete", DELETE, None);
        operation["requestBody"] = delete_options();
        operation["responses"] = responses(&schema_name("meta.v1.Status"));
        item.insert("delete".to_owned(), operation);
    }
    item
}

/// What can be done with a subresource.
fn below(resource: &'static Resource, sub: &'static Subresource) -> Map<String, Value> {
    let suffix = capital(sub.name);
    let path = Path {
        kind: kind(&sub.api_version(resource), sub.kind),
        ..Path::new(resource, &suffix)
    };
    if sub.name == "log" {
        let mut log = path.operation("get", "read", "read log of the specified", LOG, None);
        log["responses"] = text();
        return Map::from_iter([("get".to_owned(), log)]);
    }
    if sub.message.is_empty() {
        // Streams: a request that becomes something else than HTTP.
        return [("get", "connectGet"), ("post", "connectPost")]
            .map(|(method, verb)| {
                let mut operation = path.operation("connect", verb, "connect to", &[], None);
                operation["responses"] = text();
                (method.to_owned(), operation)
            })
            .into_iter()
            .collect();
    }
    let mut item = verbs(&path, sub.verbs, sub.message);
    if sub.supports("create") {
        let post = path.operation("post", "create", "create", WRITE, Some(sub.message));
        item.insert("post".to_owned(), post);
    }
    item
}

/// `get`, `put` and `patch`.
fn verbs(path: &Path, verbs: &[&str], message: &'static str) -> Map<String, Value> {
    let mut item = Map::new();
    if verbs.contains(&"get") {
        let mut get = path.operation("get", "read", "read the specified", &[], None);
        get["responses"] = responses(&schema_name(message));
        item.insert("get".to_owned(), get);
    }
    if verbs.contains(&"update") {
        let put = path.operation(
            "put",
            "replace",
            "replace the specified",
            WRITE,
            Some(message),
        );
        item.insert("put".to_owned(), put);
    }
    if verbs.contains(&"patch") {
        let mut patch = path.operation(
            "patch",
            "patch",
            "partially update the specified",
            PATCH_QUERY,
            Some(message),
        );
        patch["requestBody"] = body(PATCHES, PATCH);
        item.insert("patch".to_owned(), patch);
    }
    item
}

/// What the operations of one path have in common.
#[derive(Clone)]
struct Path {
    resource: &'static Resource,
    kind: Value,
    /// What stands in the name of an operation between its verb and the kind.
    infix: &'static str,
    suffix: String,
    namespaced: bool,
}

impl Path {
    fn new(resource: &'static Resource, suffix: &str) -> Self {
        Self {
            resource,
            kind: kind(&resource.api_version(), resource.kind),
            infix: "",
            suffix: suffix.to_owned(),
            namespaced: resource.namespaced,
        }
    }

    /// The same for the objects of all namespaces.
    fn everywhere(self) -> Self {
        Self {
            namespaced: false,
            suffix: "ForAllNamespaces".to_owned(),
            ..self
        }
    }

    fn list(&self) -> Value {
        let what = "list or watch objects of kind";
        let mut list = self.operation("list", "list", what, LIST, None);
        list["responses"] = responses(&list_name(self.resource));
        list
    }

    /// An operation; with a message, it takes and gives that.
    fn operation(
        &self,
        action: &str,
        verb: &str,
        what: &str,
        query: &[Query],
        message: Option<&'static str>,
    ) -> Value {
        let group = self.resource.group.split(".k8s.io").next().unwrap_or("");
        let group = if group.is_empty() { "core" } else { group };
        let version = self.resource.version;
        let tag = format!("{}_{version}", group.replace('.', "_"));
        let id = format!(
            "{verb}{}{}{}{}{}{}",
            capitals(group),
            capital(version),
            self.infix,
            if self.namespaced { "Namespaced" } else { "" },
            self.resource.kind,
            self.suffix,
        );
        let parameters: Vec<Value> = query
            .iter()
            .map(|(name, ty, description)| {
                json!({
                    "name": name,
                    "in": "query",
                    "description": description,
                    "schema": {"type": ty, "uniqueItems": true},
                })
            })
            .collect();
        let mut operation = json!({
            "description": format!("{what} {}", self.resource.kind),
            "operationId": id,
            "tags": [tag],
            "x-kubernetes-action": action,
            KINDS: self.kind,
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(message) = message {
            operation["requestBody"] = body(&["*/*"], &schema_name(message));
            operation["responses"] = responses(&schema_name(message));
        }
        operation
    }
}

fn body(types: &[&str], schema: &str) -> Value {
    let content: Map<String, Value> = types
        .iter()
        .map(|ty| ((*ty).to_owned(), json!({"schema": reference(schema)})))
        .collect();
    json!({"content": content, "required": true})
}

/// The body of a deletion, which may be left out.
fn delete_options() -> Value {
    let mut body = body(&["*/*"], &schema_name("meta.v1.DeleteOptions"));
    body["required"] = false.into();
    body
}

fn responses(schema: &str) -> Value {
    let content: Map<String, Value> = ANSWERS
        .iter()
        .map(|ty| ((*ty).to_owned(), json!({"schema": reference(schema)})))
        .collect();
    json!({
        "200": {"description": "OK", "content": content},
        "401": {"description": "Unauthorized"},
    })
}

fn text() -> Value {
    json!({
        "200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}},
        "401": {"description": "Unauthorized"},
    })
}

/// `rbac.authorization` as `RbacAuthorization`.
fn capitals(text: &str) -> String {
    text.split('.').map(capital).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
