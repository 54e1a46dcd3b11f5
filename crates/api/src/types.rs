//! The table of field facts: every message that is served, its fields, their
//! protobuf numbers, and how lists of them merge.
//!
//! The facts are those of Kubernetes 1.36 (`types.tsv` beside this file: message,
//! protobuf number, JSON name, type, pointer, `omitempty`, list and patch rules).

use std::collections::HashMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("types.tsv");

/// A message, such as `batch.v1.Job`.
#[derive(Debug)]
pub struct Message {
    /// Its name: `group.version.Kind`, the group without its domain.
    pub name: &'static str,
    /// Its fields, in the table's order; inlined messages are one field here.
    pub fields: Vec<Field>,
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its protobuf number.
    pub number: u32,
    /// Its JSON name; empty if it is inlined, so that its fields stand in the parent.
    pub name: &'static str,
    /// What it holds.
    pub ty: Type,
    /// Whether it is a pointer in Go: an empty value is a value, and kept.
    pub pointer: bool,
    /// Whether an empty value is left out of JSON.
    pub omit_empty: bool,
    /// How a list or map of it is owned and applied (`x-kubernetes-list-type`).
    pub topology: Topology,
    /// `patchMergeKey` of a list whose patch strategy is `merge`; an empty one
    /// merges scalars. `None`: a patch replaces the list.
    pub merge_key: Option<&'static str>,
    /// Whether the patch strategy has `retainKeys`.
    pub retain_keys: bool,
}

/// How a list or map is owned and applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topology {
    /// The default: maps and structs field by field, lists as a whole.
    Default,
    /// As a whole.
    Atomic,
    /// A list of scalars, each once.
    Set,
    /// A list of structs told apart by these fields.
    Map(Vec<&'static str>),
}

/// Messages that are owned and applied as a whole wherever they stand
/// (`x-kubernetes-map-type: atomic` of the type itself).
const ATOMIC: &[&str] = &[
    "core.v1.ConfigMapKeySelector",
    "core.v1.FileKeySelector",
    "core.v1.LocalObjectReference",
    "core.v1.NodeSelector",
    "core.v1.NodeSelectorTerm",
    "core.v1.ObjectFieldSelector",
    "core.v1.ObjectReference",
    "core.v1.ResourceFieldSelector",
    "core.v1.ScopeSelector",
    "core.v1.SecretKeySelector",
    "core.v1.SecretReference",
    "core.v1.TopologySelectorTerm",
    "core.v1.TypedLocalObjectReference",
    "meta.v1.LabelSelector",
    "meta.v1.OwnerReference",
    "rbac.v1.RoleRef",
    "rbac.v1.Subject",
];

/// What a field holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    /// Text.
    String,
    /// A Boolean.
    Bool,
    /// A number of 32 bits.
    Int32,
    /// A number of 64 bits.
    Int64,
    /// Bytes; base64 in JSON.
    Bytes,
    /// `meta.v1.Time`: RFC 3339 of whole seconds in JSON.
    Time,
    /// `meta.v1.MicroTime`: RFC 3339 with six digits in JSON.
    MicroTime,
    /// A quantity, text in JSON.
    Quantity,
    /// A number or text.
    IntOrString,
    /// `meta.v1.FieldsV1`: any JSON, as its bytes in protobuf.
    FieldsV1,
    /// A struct; its index in the table.
    Message(usize),
    /// A list.
    List(Box<Self>),
    /// A map from text.
    Map(Box<Self>),
}

struct Types {
    messages: Vec<Message>,
    by_name: HashMap<&'static str, usize>,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| read(TABLE));

/// The message of that name, such as `batch.v1.Job`.
#[must_use]
pub fn message(name: &str) -> Option<&'static Message> {
    let types = &*TYPES;
    types.by_name.get(name).map(|index| &types.messages[*index])
}

/// All messages, in the table's order.
#[must_use]
pub fn messages() -> &'static [Message] {
    &TYPES.messages
}

impl Type {
    /// The message that it is, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&'static Message> {
        match self {
            Self::Message(index) => Some(&TYPES.messages[*index]),
            _ => None,
        }
    }
}

impl Message {
    /// Whether it is owned and applied as a whole wherever it stands, unless a field
    /// says otherwise.
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        ATOMIC.contains(&self.name)
    }

    /// The field with that JSON name, also one of an inlined message.
    #[must_use]
    pub fn field(&'static self, name: &str) -> Option<&'static Field> {
        self.json_fields().find(|field| field.name == name)
    }

    /// All fields as JSON has them: those of inlined messages stand in their place.
    pub fn json_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().flat_map(|field| {
            match field.ty.message().filter(|_| field.name.is_empty()) {
                Some(inlined) => inlined.fields.as_slice(),
                None => std::slice::from_ref(field),
            }
        })
    }
}

fn read(table: &'static str) -> Types {
    let rows: Vec<Vec<&'static str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    let mut by_name = HashMap::new();
    for row in &rows {
        let next = by_name.len();
        by_name.entry(row[0]).or_insert(next);
    }
    let mut messages: Vec<Message> = Vec::with_capacity(by_name.len());
    for row in &rows {
        if messages.last().is_none_or(|last| last.name != row[0]) {
            messages.push(Message {
                name: row[0],
                fields: Vec::new(),
            });
        }
        if let Some(last) = messages.last_mut() {
            last.fields.push(field(row, &by_name));
        }
    }
    Types { messages, by_name }
}

fn field(row: &[&'static str], by_name: &HashMap<&'static str, usize>) -> Field {
    let mut topology = Topology::Default;
    let mut merge_key = None;
    let mut retain_keys = false;
    for rule in row[6].split(' ').filter(|rule| !rule.is_empty()) {
        match rule.split_once('=') {
            Some(("list" | "map", "atomic")) => topology = Topology::Atomic,
            Some(("list", "set")) => topology = Topology::Set,
            Some(("keys", keys)) => topology = Topology::Map(keys.split('+').collect()),
            Some(("patch", strategy)) => {
                merge_key = merge_key.or(Some(""));
                retain_keys = strategy.contains("retainKeys");
            }
            Some(("mergekey", key)) => merge_key = Some(key),
            // `list=map` says no more than its keys; `map=granular` is the default.
            _ => {}
        }
    }
    Field {
        number: row[1].parse().unwrap_or_default(),
        name: if row[2] == "<inline>" { "" } else { row[2] },
        ty: type_of(row[3], row[0], by_name),
        pointer: row[4] == "ptr",
        omit_empty: row[5] == "omitempty",
        topology,
        merge_key,
        retain_keys,
    }
}

fn type_of(text: &'static str, within: &str, by_name: &HashMap<&'static str, usize>) -> Type {
    if let Some(item) = text.strip_prefix("[]") {
        return Type::List(Box::new(type_of(item, within, by_name)));
    }
    if let Some(value) = text.strip_prefix("map<string, ") {
        let value = value.strip_suffix('>').unwrap_or(value);
        return Type::Map(Box::new(type_of(value, within, by_name)));
    }
    match text.strip_prefix('.').unwrap_or(text) {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "bytes" => Type::Bytes,
        "meta.v1.Time" | "Time" => Type::Time,
        "meta.v1.MicroTime" | "MicroTime" => Type::MicroTime,
        "api.resource.Quantity" => Type::Quantity,
        "util.intstr.IntOrString" => Type::IntOrString,
        "meta.v1.FieldsV1" | "FieldsV1" => Type::FieldsV1,
        // A message around a list in protobuf, where a map cannot hold lists.
        "ExtraValue" => Type::List(Box::new(Type::String)),
        name => {
            let package = within.rsplit_once('.').map_or("", |(package, _)| package);
            let local = by_name.get(&*format!("{package}.{name}"));
            let index = local.or_else(|| by_name.get(name)).copied();
            // The tests read the whole table: every name in it is known.
            index.map_or(Type::String, Type::Message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TABLE, Topology, Type, message, messages};

    #[test]
    fn every_row_is_read_and_every_type_is_known() {
        let rows = TABLE.lines().count() - 1;
        assert_eq!(
            messages().iter().map(|m| m.fields.len()).sum::<usize>(),
            rows
        );
        for (line, row) in TABLE
            .lines()
            .skip(1)
            .map(|line| (line, line.split('\t').collect::<Vec<_>>()))
        {
            let field = message(row[0])
                .unwrap()
                .fields
                .iter()
                .find(|f| f.number.to_string() == row[1])
                .unwrap();
            if field.ty == Type::String {
                assert_eq!(row[3], "string", "{line}");
            }
        }
    }

    #[test]
    fn a_field_of_an_inlined_message_stands_in_its_parent() {
        let volume = message("core.v1.Volume").unwrap();
        let empty_dir = volume.field("emptyDir").unwrap();
        assert_eq!(
            empty_dir.ty.message().unwrap().name,
            "core.v1.EmptyDirVolumeSource"
        );
        assert!(volume.json_fields().any(|field| field.name == "emptyDir"));
        assert!(volume.field("").is_none());
    }

    #[test]
    fn rules_of_lists_are_read() {
        let container = message("core.v1.Container").unwrap();
        let ports = container.field("ports").unwrap();
        assert_eq!(
            ports.topology,
            Topology::Map(vec!["containerPort", "protocol"])
        );
        assert_eq!(ports.merge_key, Some("containerPort"));
        let finalizers = message("meta.v1.ObjectMeta")
            .unwrap()
            .field("finalizers")
            .unwrap();
        assert_eq!(
            (&finalizers.topology, finalizers.merge_key),
            (&Topology::Set, Some(""))
        );
        assert!(
            message("core.v1.PodSpec")
                .unwrap()
                .field("volumes")
                .unwrap()
                .retain_keys
        );
    }
}
