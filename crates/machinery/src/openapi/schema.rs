//! Schemas from the table of fields.

use serde_json::{Map, Value, json};

use super::{kind, texts};
use crate::resource::{self, RESOURCES, Resource, join};
use crate::types::{self, Field, Message, Topology, Type};

/// The extension that tells which kinds a schema is.
pub(super) const KINDS: &str = "x-kubernetes-group-version-kind";

/// What fields are where they are left out and a list needs them to tell items apart.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("core.v1.ContainerPort", "protocol", "TCP"),
    ("core.v1.ServicePort", "protocol", "TCP"),
];

/// Messages that have a form of their own in JSON, and are no object there.
const SCALARS: [(&str, &str); 5] = [
    (
        "api.resource.Quantity",
        "Quantity is a fixed-point representation of a number, such as 100m or 1.5Gi.",
    ),
    (
        "meta.v1.FieldsV1",
        "FieldsV1 stores a set of fields in a data structure like a Trie, in JSON format.",
    ),
    (
        "meta.v1.MicroTime",
        "MicroTime is version of Time with microsecond level precision.",
    ),
    ("meta.v1.Time", "Time is a time of RFC 3339."),
    (
        "util.intstr.IntOrString",
        "IntOrString is a type that can hold an int32 or a string.",
    ),
];

/// The schema of PATCH bodies; a patch may be anything.
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The name that the schema of a message has upstream, e.g. `io.k8s.api.batch.v1.Job`.
#[must_use]
pub fn schema_name(message: &str) -> String {
    match message.split('.').next().unwrap_or_default() {
        "api" | "runtime" | "util" => format!("io.k8s.apimachinery.pkg.{message}"),
        "meta" => format!("io.k8s.apimachinery.pkg.apis.{message}"),
        "metrics" => format!("io.k8s.metrics.pkg.apis.{message}"),
        _ => format!("io.k8s.api.{message}"),
    }
}

/// A reference to the schema of that name.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Whether objects of the resource stand in lists.
pub(super) fn has_list(resource: &Resource) -> bool {
    resource.supports("list")
}

/// All schemas that a group version needs.
pub(super) fn of(group: &str, version: &str) -> Map<String, Value> {
    let mut schemas = Schemas {
        group,
        version,
        done: Map::new(),
    };
    for resource in resource::of(group, version) {
        schemas.add(resource.message);
        for sub in resource
            .subresources
            .iter()
            .filter(|s| !s.message.is_empty())
        {
            schemas.add(sub.message);
        }
        if has_list(resource) {
            schemas.add_list(resource);
        }
    }
    schemas.add("meta.v1.DeleteOptions");
    schemas.add("meta.v1.Status");
    schemas.done.insert(
        PATCH.to_owned(),
        json!({
            "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
            "type": "object",
        }),
    );
    schemas.done
}

struct Schemas<'a> {
    group: &'a str,
    version: &'a str,
    done: Map<String, Value>,
}

impl Schemas<'_> {
    /// Adds the schema of that message, and all that it refers to.
    fn add(&mut self, name: &'static str) {
        let full = schema_name(name);
        if self.done.contains_key(&full) {
            return;
        }
        if let Some((_, description)) = SCALARS.iter().find(|(known, _)| *known == name) {
            self.done.insert(full, scalar(name, description));
            return;
        }
        let Some(message) = types::message(name) else {
            return;
        };
        // Taken before its fields are, so that a message may hold itself.
        self.done.insert(full.clone(), Value::Null);
        let schema = self.object(message);
        self.done.insert(full, schema);
    }

    fn object(&mut self, message: &'static Message) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let kinds = self.kinds(message.name);
        if !kinds.is_empty() {
            add_type_meta(&mut properties);
        }
        for field in message.json_fields() {
            let text = texts::of(message.name, field.name);
            if text.is_some_and(|text| text.required) {
                required.push(field.name);
            }
            let mut property = self.property(field);
            if let Some(text) = text.filter(|text| !text.description.is_empty()) {
                property["description"] = text.description.as_str().into();
            }
            let default = DEFAULTS
                .iter()
                .find(|(within, name, _)| (*within, *name) == (message.name, field.name));
            if let Some((_, _, default)) = default {
                property["default"] = (*default).into();
            }
            properties.insert(field.name.to_owned(), property);
        }
        let mut schema = json!({"type": "object"});
        if let Some(text) = texts::of(message.name, "") {
            schema["description"] = text.description.as_str().into();
        }
        if !properties.is_empty() {
            schema["properties"] = Value::Object(properties);
        }
        if !required.is_empty() {
            required.sort_unstable();
            schema["required"] = required.into();
        }
        if !kinds.is_empty() {
            schema[KINDS] = kinds.into();
        }
        if message.is_atomic() {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        schema
    }

    fn property(&mut self, field: &'static Field) -> Value {
        let mut property = self.ty(&field.ty);
        match (&field.topology, &field.ty) {
            (Topology::Default, _) => {}
            (Topology::Atomic, Type::List(_)) => {
                property["x-kubernetes-list-type"] = "atomic".into();
            }
            (Topology::Atomic, _) => property["x-kubernetes-map-type"] = "atomic".into(),
            (Topology::Set, _) => property["x-kubernetes-list-type"] = "set".into(),
            (Topology::Map(keys), _) => {
                property["x-kubernetes-list-type"] = "map".into();
                property["x-kubernetes-list-map-keys"] = keys.as_slice().into();
            }
        }
        if let Some(key) = field.merge_key {
            let strategy = if field.retain_keys {
                "merge,retainKeys"
            } else {
                "merge"
            };
            property["x-kubernetes-patch-strategy"] = strategy.into();
            if !key.is_empty() {
                property["x-kubernetes-patch-merge-key"] = key.into();
            }
        }
        property
    }

    fn ty(&mut self, ty: &'static Type) -> Value {
        let named = match ty {
            Type::String => return json!({"type": "string"}),
            Type::Bool => return json!({"type": "boolean"}),
            Type::Int32 => return json!({"type": "integer", "format": "int32"}),
            Type::Int64 => return json!({"type": "integer", "format": "int64"}),
            Type::Bytes => return json!({"type": "string", "format": "byte"}),
            Type::List(item) => return json!({"type": "array", "items": self.ty(item)}),
            Type::Map(value) => {
                return json!({"type": "object", "additionalProperties": self.ty(value)});
            }
            Type::Time => "meta.v1.Time",
            Type::MicroTime => "meta.v1.MicroTime",
            Type::Quantity => "api.resource.Quantity",
            Type::IntOrString => "util.intstr.IntOrString",
            Type::FieldsV1 => "meta.v1.FieldsV1",
            Type::Message(_) => match ty.message() {
                Some(message) => message.name,
                None => return json!({}),
            },
        };
        self.add(named);
        // A reference may have nothing beside it, and fields have descriptions.
        json!({"allOf": [reference(&schema_name(named))]})
    }

    /// The schema of a list of the resource.
    fn add_list(&mut self, resource: &'static Resource) {
        self.add("meta.v1.ListMeta");
        let mut properties = Map::new();
        add_type_meta(&mut properties);
        let list_meta = reference(&schema_name("meta.v1.ListMeta"));
        properties.insert(
            "metadata".to_owned(),
            json!({"description": "Standard list metadata.", "allOf": [list_meta]}),
        );
        let item = reference(&schema_name(resource.message));
        properties.insert(
            "items".to_owned(),
            json!({
                "description": format!("Items is the list of {}.", resource.plural),
                "type": "array",
                "items": {"allOf": [item]},
            }),
        );
        let list = json!({
            "description": format!("{} is a collection of {}.", resource.list_kind(), resource.plural),
            "type": "object",
            "properties": properties,
            "required": ["items"],
            KINDS: [kind(&resource.api_version(), &resource.list_kind())],
        });
        self.done.insert(list_name(resource), list);
    }

    /// The kinds that a message is in this group version.
    fn kinds(&self, message: &str) -> Vec<Value> {
        let this = join(self.group, self.version);
        let mut kinds = Vec::new();
        let mut add = |value: Value| {
            if !kinds.contains(&value) {
                kinds.push(value);
            }
        };
        if message == "meta.v1.Status" {
            add(kind("v1", "Status"));
        }
        for resource in RESOURCES {
            let api_version = resource.api_version();
            if message == "meta.v1.DeleteOptions" {
                add(kind(&api_version, "DeleteOptions"));
                continue;
            }
            if api_version != this {
                continue;
            }
            if resource.message == message {
                add(kind(&api_version, resource.kind));
            }
            for sub in resource
                .subresources
                .iter()
                .filter(|s| s.message == message)
            {
                add(kind(&sub.api_version(resource), sub.kind));
            }
        }
        kinds
    }
}

/// The name of the schema of a list of the resource.
pub(super) fn list_name(resource: &Resource) -> String {
    format!("{}List", schema_name(resource.message))
}

fn add_type_meta(properties: &mut Map<String, Value>) {
    let texts = [
        (
            "apiVersion",
            "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        ),
        (
            "kind",
            "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        ),
    ];
    for (name, description) in texts {
        properties.insert(
            name.to_owned(),
            json!({"type": "string", "description": description}),
        );
    }
}

fn scalar(name: &'static str, description: &str) -> Value {
    let description = texts::of(name, "").map_or(description, |text| text.description.as_str());
    let mut schema = match name {
        "api.resource.Quantity" => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        "meta.v1.FieldsV1" => json!({"type": "object"}),
        "util.intstr.IntOrString" => {
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
        }
        _ => json!({"type": "string", "format": "date-time"}),
    };
    schema["description"] = description.into();
    schema
}
