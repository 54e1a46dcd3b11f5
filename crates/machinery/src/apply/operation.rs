//! Applying a configuration.

use serde_json::Value;

use super::compare::{EMPTY, compare};
use super::conflict::{self, Conflict};
use super::field_set::strict;
use super::managed::{FIELDS_MAX, Manager, Owned, decode, encode};
use super::merge::merge;
use super::prune::prune;
use super::schema::Schema;
use super::scope::{Scope, identity, set_managed, take_managed, without_identity};
use super::update::{Tracking, take, update};
use super::{last_applied, set::FieldSet};
use crate::patch::{DEPTH_MAX, fits, parts, same};
use crate::types::Message;

/// Who applies, where and when, and whether against all owners.
#[derive(Clone, Copy, Debug)]
pub struct Applying<'a> {
    /// The field manager; it must be given.
    pub manager: &'a str,
    /// The subresource; empty for the object.
    pub subresource: &'a str,
    /// The version that is applied, such as `batch/v1`.
    pub api_version: &'a str,
    /// Now, in RFC 3339 with whole seconds.
    pub now: &'a str,
    /// Whether to take from others what they own.
    pub force: bool,
}

/// Why a configuration was not applied.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApplyError {
    /// No field manager is given (422, `Invalid`).
    #[error(
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    )]
    NoManager,
    /// The configuration is not one (400).
    #[error("{0}")]
    BadRequest(String),
    /// A list in it has an item without its key, or the same one twice (upstream: 500).
    #[error("{0}")]
    Malformed(String),
    /// Others own what it would change (409).
    #[error("{}", .0.message)]
    Conflict(Conflict),
}

/// The name of who owns what an object had before anybody was recorded.
const BEFORE: &str = "before-first-apply";

/// The object that is to be stored when `config` is applied to `live`: a `message`,
/// or a kind without one.
///
/// The result is `live` itself if nothing changes. What the server sets on creation
/// (uid, defaults, ...) is the caller's to add, and so is checking a
/// `resourceVersion` or `uid` in `config`, which the result then has.
///
/// # Errors
///
/// See [`ApplyError`].
pub fn apply(
    message: Option<&'static Message>,
    live: Option<&Value>,
    config: &Value,
    applying: Applying<'_>,
) -> Result<Value, ApplyError> {
    check(config, applying)?;
    let schema = Schema::of(message);
    let scope = Scope {
        subresource: applying.subresource,
    };
    let config = scope.config(config);
    let set = strict(schema, &config).map_err(|error| {
        let text = |name: &str| {
            config["metadata"][name]
                .as_str()
                .unwrap_or("<unknown>")
                .to_owned()
        };
        ApplyError::Malformed(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): {error}",
            text("namespace"),
            text("name"),
            config["apiVersion"].as_str().unwrap_or_default(),
            config["kind"].as_str().unwrap_or_default(),
        ))
    })?;
    let set = scope.written(set);

    let mut before = live.cloned();
    let recorded = before.as_mut().and_then(take_managed);
    let mut managed = decode(recorded.as_ref()).map_err(|error| {
        ApplyError::BadRequest(format!("failed to decode managed fields: {error}"))
    })?;
    if let Some(before) = before.as_ref().filter(|_| managed.is_empty()) {
        let tracking = Tracking {
            manager: BEFORE,
            subresource: applying.subresource,
            api_version: applying.api_version,
            now: applying.now,
        };
        update(&mut managed, schema, &EMPTY, before, tracking);
    }
    let before = before.as_ref().unwrap_or(&EMPTY);

    let applier = Manager::applier(applying.manager, applying.subresource);
    let last = managed.get(&applier).cloned();
    let merged = merge(schema, before, &config);
    let after = match &last {
        None => merged,
        Some(last) => {
            let mut owned = set.union(identity());
            let others = managed.iter().filter(|(manager, _)| **manager != applier);
            others.for_each(|(_, other)| owned.add(&other.set));
            prune(schema, &merged, &last.set, &owned)
        }
    };

    let comparison = scope.compared(compare(schema, before, &after));
    let mut conflicts = conflict::find(&managed, &applier, &comparison.changed());
    if !applying.force && !conflicts.is_empty() {
        let excused = match applying.manager {
            last_applied::MANAGER => last_applied::owned(schema, before, applying.api_version),
            _ => None,
        };
        let excused = excused.unwrap_or_default();
        conflicts
            .values_mut()
            .for_each(|set| *set = set.difference(&excused));
        conflicts.retain(|_, set| !set.is_empty());
        if !conflicts.is_empty() {
            let error = conflict::error(&managed, &conflicts);
            return Err(ApplyError::Conflict(error));
        }
    }
    take(&mut managed, Some(&applier), &comparison);

    let changed = !same(before, &after);
    record(
        &mut managed,
        applier,
        without_identity(&set),
        last,
        changed,
        applying,
    );
    let mut result = after;
    if applying.manager == last_applied::MANAGER {
        last_applied::refresh(&mut result, &config);
    }
    set_managed(&mut result, encode(&managed));
    match live {
        // Only the order of what is equal may differ, and that is no change.
        Some(live) if same(live, &result) => Ok(live.clone()),
        _ => Ok(result),
    }
}

fn check(config: &Value, applying: Applying<'_>) -> Result<(), ApplyError> {
    let bad = |message: String| Err(ApplyError::BadRequest(message));
    if applying.manager.is_empty() {
        return Err(ApplyError::NoManager);
    }
    if !config.is_object() {
        return bad("a configuration is an object".to_owned());
    }
    if !fits(config, DEPTH_MAX) {
        return bad(format!(
            "the configuration nests deeper than {DEPTH_MAX} levels"
        ));
    }
    if parts(config) > FIELDS_MAX {
        return bad(format!(
            "the configuration sets more than {FIELDS_MAX} fields"
        ));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return bad("metadata.managedFields must be nil".to_owned());
    }
    let version = config["apiVersion"].as_str().unwrap_or_default();
    if version != applying.api_version {
        return bad(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, expected: {}",
            applying.api_version
        ));
    }
    Ok(())
}

/// Records what the applier owns; the time is that of its last change of the object.
fn record(
    managed: &mut super::managed::Managed,
    applier: Manager,
    set: FieldSet,
    last: Option<Owned>,
    changed: bool,
    applying: Applying<'_>,
) {
    if set.is_empty() {
        managed.remove(&applier);
        return;
    }
    let time = match changed {
        true => Some(applying.now.to_owned()),
        false => last.and_then(|last| last.time),
    };
    let owned = Owned {
        set,
        version: applying.api_version.to_owned(),
        time,
    };
    managed.insert(applier, owned);
}
