//! Recording what a write changes that is no apply.

use serde_json::Value;

use super::compare::{Comparison, EMPTY, compare};
use super::managed::{FIELDS_MAX, Managed, Manager, Owned, decode, encode, fold, is_reset};
use super::schema::Schema;
use super::scope::{Scope, set_managed, take_managed, without_identity};
use crate::patch::parts;
use crate::types::Message;

/// Who writes, where and when.
#[derive(Clone, Copy, Debug)]
pub struct Tracking<'a> {
    /// The field manager: the parameter, or the first part of the user agent.
    pub manager: &'a str,
    /// The subresource; empty for the object.
    pub subresource: &'a str,
    /// The version that is written, such as `batch/v1`.
    pub api_version: &'a str,
    /// Now, in RFC 3339 with whole seconds.
    pub now: &'a str,
}

/// Records in `new`, about to be stored instead of `old`, who owns what it changes.
///
/// The writer owns what it adds and changes, and nobody else does any more. What
/// `new` says in `metadata.managedFields` counts if it is well formed: an empty
/// list or `[{}]` forgets all managers, and nothing is then recorded until somebody
/// applies. Writes that change nothing leave the record as it is, and so do those of
/// an object of more fields than can be tracked.
pub fn track_update(
    message: Option<&'static Message>,
    old: Option<&Value>,
    new: &mut Value,
    tracking: Tracking<'_>,
) {
    let requested = take_managed(new);
    let mut before = old.cloned();
    let live = before.as_mut().and_then(take_managed);
    let mut managed = start(requested.as_ref(), live.as_ref(), tracking.subresource);
    if managed.is_empty() && old.is_some() {
        return;
    }
    if parts(new) > FIELDS_MAX {
        return set_managed(new, encode(&managed));
    }
    let before = before.as_ref().unwrap_or(&EMPTY);
    update(&mut managed, Schema::of(message), before, new, tracking);
    fold(&mut managed);
    set_managed(new, encode(&managed));
}

/// The managers that a write starts from.
fn start(requested: Option<&Value>, live: Option<&Value>, subresource: &str) -> Managed {
    let live = || decode(live).unwrap_or_default();
    if !subresource.is_empty() {
        return live();
    }
    if is_reset(requested) {
        return Managed::new();
    }
    match decode(requested) {
        Ok(managed) if !managed.is_empty() => managed,
        _ => live(),
    }
}

/// Moves what differs between the two objects to the writer.
pub(super) fn update(
    managed: &mut Managed,
    schema: Schema,
    old: &Value,
    new: &Value,
    tracking: Tracking<'_>,
) {
    let scope = Scope {
        subresource: tracking.subresource,
    };
    let comparison = scope.compared(compare(schema, old, new));
    take(managed, None, &comparison);
    let mut set = without_identity(&comparison.changed());
    if set.is_empty() {
        return;
    }
    let manager = Manager::updater(tracking.manager, tracking.api_version, tracking.subresource);
    if let Some(previous) = managed.get(&manager) {
        set.add(&previous.set);
    }
    let owned = Owned {
        set,
        version: tracking.api_version.to_owned(),
        time: Some(tracking.now.to_owned()),
    };
    managed.insert(manager, owned);
}

/// Takes what was changed or removed from all managers but one.
pub(super) fn take(managed: &mut Managed, except: Option<&Manager>, comparison: &Comparison) {
    let gone = comparison.changed().union(&comparison.removed);
    for (manager, owned) in managed.iter_mut() {
        if Some(manager) != except {
            owned.set = owned.set.difference(&gone);
        }
    }
    managed.retain(|manager, owned| Some(manager) == except || !owned.set.is_empty());
}
