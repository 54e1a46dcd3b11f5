//! How Go names the types of fields, for messages that people search for.

use crate::types::{Field, Type};

/// Texts that have a type of their own in Go: message, field, type.
const NAMED: &[(&str, &str, &str)] = &[
    (
        "batch.v1.CronJobSpec",
        "concurrencyPolicy",
        "v1.ConcurrencyPolicy",
    ),
    ("batch.v1.JobSpec", "completionMode", "v1.CompletionMode"),
    (
        "batch.v1.JobSpec",
        "podReplacementPolicy",
        "v1.PodReplacementPolicy",
    ),
    ("core.v1.Container", "imagePullPolicy", "v1.PullPolicy"),
    (
        "core.v1.Container",
        "terminationMessagePolicy",
        "v1.TerminationMessagePolicy",
    ),
    ("core.v1.ContainerPort", "protocol", "v1.Protocol"),
    ("core.v1.PodSpec", "dnsPolicy", "v1.DNSPolicy"),
    ("core.v1.PodSpec", "restartPolicy", "v1.RestartPolicy"),
    ("core.v1.Secret", "type", "v1.SecretType"),
    ("core.v1.ServicePort", "protocol", "v1.Protocol"),
    ("core.v1.ServiceSpec", "type", "v1.ServiceType"),
    ("meta.v1.ObjectMeta", "uid", "types.UID"),
    ("meta.v1.OwnerReference", "uid", "types.UID"),
];

/// The name of a field's type, where the field is in the message of that name.
pub(super) fn name_in(message: &str, field: &Field) -> String {
    let named = NAMED
        .iter()
        .find(|(within, name, _)| (*within, *name) == (message, field.name));
    match named {
        Some((_, _, name)) => (*name).to_owned(),
        None => name(&field.ty),
    }
}

/// The name of a type.
pub(super) fn name(ty: &Type) -> String {
    match ty {
        Type::String | Type::Quantity | Type::Time | Type::MicroTime => "string".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int32 | Type::IntOrString => "int32".to_owned(),
        Type::Int64 => "int64".to_owned(),
        Type::Bytes => "[]uint8".to_owned(),
        Type::FieldsV1 => "v1.FieldsV1".to_owned(),
        Type::Message(_) => ty
            .message()
            .map_or_else(String::new, |m| message(m.name).to_owned()),
        Type::List(item) => format!("[]{}", name(item)),
        Type::Map(value) if **value == Type::Quantity => "v1.ResourceList".to_owned(),
        Type::Map(value) => format!("map[string]{}", name(value)),
    }
}

/// The name of a message with its package: `v1.JobSpec`.
pub(super) fn message(name: &str) -> &str {
    match name.match_indices('.').nth_back(1) {
        Some((dot, _)) => &name[dot + 1..],
        None => name,
    }
}

/// The name of a message alone: `JobSpec`.
pub(super) fn local(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
