//! Which fields an endpoint can own: never the identity of an object, on the
//! object no status, on its status nothing else.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::compare::Comparison;
use super::path::Element;
use super::set::FieldSet;

/// What nobody owns: it says which object it is, or is the server's.
static IDENTITY: LazyLock<FieldSet> = LazyLock::new(|| {
    let mut set = FieldSet::default();
    for top in ["apiVersion", "kind", "metadata"] {
        set.insert(&[Element::field(top)]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    set
});

/// What of `metadata` a configuration has no say in.
const SERVER_OWNED: [&str; 4] = [
    "creationTimestamp",
    "selfLink",
    "generation",
    "managedFields",
];

/// The endpoint that is written to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) subresource: &'a str,
}

impl Scope<'_> {
    /// Those of the fields that the endpoint writes.
    pub(super) fn written(self, set: FieldSet) -> FieldSet {
        let status = Element::field("status");
        match self.subresource {
            "" => set.without_tree(&status),
            "status" => set.only_tree(&status),
            _ => set,
        }
    }

    pub(super) fn compared(self, comparison: Comparison) -> Comparison {
        comparison.map(|set| self.written(set))
    }

    /// What of a configuration the endpoint writes.
    pub(super) fn config(self, config: &Value) -> Value {
        let mut fields = config.as_object().cloned().unwrap_or_default();
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.retain(|name, _| !SERVER_OWNED.contains(&name.as_str()));
        }
        match self.subresource {
            "" => {
                fields.remove("status");
            }
            "status" => {
                fields.retain(|name, _| {
                    ["apiVersion", "kind", "metadata", "status"].contains(&name.as_str())
                });
                if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
                    metadata.retain(|name, _| {
                        ["name", "namespace", "uid", "resourceVersion"].contains(&name.as_str())
                    });
                }
            }
            _ => {}
        }
        Value::Object(fields)
    }
}

/// The set without what nobody owns.
pub(super) fn without_identity(set: &FieldSet) -> FieldSet {
    set.difference(&IDENTITY)
}

/// What every object has, whatever is applied.
pub(super) fn identity() -> &'static FieldSet {
    &IDENTITY
}

/// The object without its `metadata.managedFields`, and those.
pub(super) fn take_managed(object: &mut Value) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    metadata.remove("managedFields")
}

/// Puts them back.
pub(super) fn set_managed(object: &mut Value, managed: Option<Value>) {
    let Some(managed) = managed else {
        take_managed(object);
        return;
    };
    let Value::Object(fields) = object else {
        return;
    };
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        metadata.insert("managedFields".to_owned(), managed);
    }
}
