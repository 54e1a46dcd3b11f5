//! Hints: what a valid-looking or invalid value was most likely meant to be.

use k8s_openapi::api::core::v1::PodSpec;

use super::check::did_you_mean;
use crate::field::{Error, ErrorKind, Path};

/// What might help with `error`.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    match error.kind {
        ErrorKind::NotSupported => {
            let value: String = serde_json::from_str(error.value.as_deref()?).ok()?;
            let supported = error.detail.strip_prefix("supported values: ")?;
            let names = supported.split(", ").map(|name| name.trim_matches('"'));
            did_you_mean(&value, names).map(|name| format!("did you mean `{name}`?"))
        }
        ErrorKind::Required if error.field.ends_with("template.spec.restartPolicy") => Some(
            "a Job's pods say `restartPolicy: Never` (a new pod for every try) or `OnFailure` \
             (restart in place)"
                .to_owned(),
        ),
        ErrorKind::Invalid if error.detail.contains("RFC 1123") => lower_case(error),
        _ => None,
    }
}

fn lower_case(error: &Error) -> Option<String> {
    let value: String = serde_json::from_str(error.value.as_deref()?).ok()?;
    let better: String = value
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let better = better.trim_matches(['-', '.']);
    (!better.is_empty() && better.len() <= 63 && better != value)
        .then(|| format!("`{better}` would do"))
}

/// What looks like a mistake in `spec` and is none for Kubernetes: path and message.
pub(crate) fn lints(spec: &PodSpec, path: &Path) -> Vec<(Path, String)> {
    let mut lints = Vec::new();
    let groups = [
        (
            "initContainers",
            spec.init_containers.as_deref().unwrap_or_default(),
        ),
        ("containers", spec.containers.as_slice()),
    ];
    for (name, containers) in groups {
        for (index, container) in containers.iter().enumerate() {
            let path = path.child(name).index(index);
            let program = container.command.as_deref().unwrap_or_default().first();
            if program.is_some_and(|program| program.contains(" - ")) {
                let path = path.child("command").index(0);
                let message = "contains ` - `: did you mean a list?".to_owned();
                lints.push((path, message));
            }
        }
    }
    lints
}
