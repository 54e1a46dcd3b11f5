//! Which fields the messages of the Kubernetes API have, and of which types.
//!
//! The table is Kubernetes 1.36's own (`k8s-types.tsv`, from its `.proto` files);
//! it is parsed once.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The type of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    String,
    Bool,
    Int32,
    Int64,
    /// Base64 text.
    Bytes,
    /// RFC 3339.
    Time,
    /// A quantity: a text or a number.
    Quantity,
    /// A number or a text, as ports are.
    IntOrString,
    /// Anything; kept as it is.
    Free,
    List(Box<Self>),
    Map(Box<Self>),
    /// Another message, by its full name.
    Message(&'static str),
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
}

type Table = HashMap<&'static str, Vec<Field>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("k8s-types.tsv")));

/// The fields of the message `name`, e.g. `batch.v1.JobSpec`; `None` if there is no such message.
pub(crate) fn fields(name: &str) -> Option<&'static [Field]> {
    TABLE.get(name).map(Vec::as_slice)
}

fn parse(text: &'static str) -> Table {
    let mut table = Table::new();
    let mut inlined: Vec<(&'static str, &'static str)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (Some(message), _, Some(field), Some(kind)) = (
            columns.next(),
            columns.next(),
            columns.next(),
            columns.next(),
        ) else {
            continue;
        };
        let kind = parse_type(kind, package(message));
        let fields = table.entry(message).or_default();
        match (field, kind) {
            ("<inline>", Type::Message(other)) => inlined.push((message, other)),
            (name, kind) => fields.push(Field { name, kind }),
        }
    }
    for (message, other) in inlined {
        let more: Vec<Field> = table
            .get(other)
            .into_iter()
            .flatten()
            .map(|field| Field {
                name: field.name,
                kind: field.kind.clone(),
            })
            .collect();
        table.entry(message).or_default().extend(more);
    }
    table
}

/// `batch.v1` of `batch.v1.Job`.
fn package(message: &'static str) -> &'static str {
    message.rsplit_once('.').map_or("", |(package, _)| package)
}

fn parse_type(text: &'static str, package: &'static str) -> Type {
    if let Some(item) = text.strip_prefix("[]") {
        return Type::List(Box::new(parse_type(item, package)));
    }
    if let Some(value) = text
        .strip_prefix("map<string, ")
        .and_then(|t| t.strip_suffix('>'))
    {
        return Type::Map(Box::new(parse_type(value.trim_start_matches('.'), package)));
    }
    match text {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "bytes" => Type::Bytes,
        "api.resource.Quantity" => Type::Quantity,
        "util.intstr.IntOrString" => Type::IntOrString,
        "meta.v1.Time" | "meta.v1.MicroTime" => Type::Time,
        "Time" | "MicroTime" if package == "meta.v1" => Type::Time,
        "FieldsV1" => Type::Free,
        // A named list of texts.
        "ExtraValue" => Type::List(Box::new(Type::String)),
        name if name.contains('.') => Type::Message(name),
        name => Type::Message(qualified(package, name)),
    }
}

/// `batch.v1.JobSpec` for the `JobSpec` that a message of `batch.v1` names. The
/// table lives as long as the program, and so do its few hundred names.
fn qualified(package: &str, name: &str) -> &'static str {
    Box::leak(format!("{package}.{name}").into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::{TABLE, Type, fields};

    #[test]
    fn every_message_reachable_from_ours_is_in_the_table() {
        let mut open = vec!["batch.v1.Job", "batch.v1.CronJob", "core.v1.Pod"];
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = open.pop() {
            let fields = fields(name).unwrap_or_else(|| panic!("no message {name}"));
            for field in fields {
                let mut kind = &field.kind;
                while let Type::List(inner) | Type::Map(inner) = kind {
                    kind = inner;
                }
                if let Type::Message(other) = kind
                    && seen.insert(*other)
                {
                    open.push(other);
                }
            }
        }
        assert!(seen.len() > 100, "{}", seen.len());
        assert!(
            TABLE["core.v1.Volume"]
                .iter()
                .any(|field| field.name == "emptyDir")
        );
    }
}
