//! What a manager would change that others own, worded as upstream words it.

use std::collections::BTreeMap;

use super::managed::{Managed, Manager, Operation, Owned};
use super::path;
use super::set::FieldSet;

/// Others own what a manager would change (409, `Conflict`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The message of the status.
    pub message: String,
    /// The causes, reason `FieldManagerConflict`.
    pub causes: Vec<Cause>,
}

/// One field that somebody else owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// `conflict with "m" using v1`.
    pub message: String,
    /// The path of the field: `.spec.suspend`.
    pub field: String,
}

/// Who owns what of the fields in `changed`, but for `applier`.
pub(super) fn find(
    managed: &Managed,
    applier: &Manager,
    changed: &FieldSet,
) -> BTreeMap<Manager, FieldSet> {
    let others = managed.iter().filter(|(manager, _)| *manager != applier);
    others
        .map(|(manager, owned)| (manager.clone(), owned.set.intersection(changed)))
        .filter(|(_, set)| !set.is_empty())
        .collect()
}

/// The error that tells of them.
pub(super) fn error(managed: &Managed, conflicts: &BTreeMap<Manager, FieldSet>) -> Conflict {
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    let mut single = String::new();
    for (manager, set) in conflicts {
        let who = who(manager, managed.get(manager));
        lines.push(format!("conflicts with {who}:"));
        for path in set.paths() {
            let field = path::text(&path);
            single = format!("conflict with {who}: {field}");
            lines.push(format!("- {field}"));
            causes.push(Cause {
                message: format!("conflict with {who}"),
                field,
            });
        }
    }
    let message = match causes.len() {
        1 => format!("Apply failed with 1 conflict: {single}"),
        n => format!("Apply failed with {n} conflicts: {}", lines.join("\n")),
    };
    Conflict { message, causes }
}

fn who(manager: &Manager, owned: Option<&Owned>) -> String {
    let mut text = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", manager.subresource));
    }
    if manager.operation == Operation::Update {
        text.push_str(&format!(" using {}", manager.version));
        if let Some(time) = owned.and_then(|owned| owned.time.as_deref()) {
            let utc = time.parse::<jiff::Timestamp>().map(|time| time.to_string());
            text.push_str(&format!(" at {}", utc.as_deref().unwrap_or(time)));
        }
    }
    text
}
