//! `metadata.managedFields`: who owns what, read and written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::set::FieldSet;
use crate::patch::parts;

/// How many fields an object may have to be tracked: a set of them takes some hundred
/// bytes for each, and an operation holds a dozen sets.
pub(super) const FIELDS_MAX: usize = 32_768;

/// How a manager writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns; an applier is the same in all versions.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Empty for an applier.
    pub(super) version: String,
    pub(super) subresource: String,
}

impl Manager {
    pub(super) fn applier(name: &str, subresource: &str) -> Self {
        Self {
            name: name.to_owned(),
            operation: Operation::Apply,
            version: String::new(),
            subresource: subresource.to_owned(),
        }
    }

    pub(super) fn updater(name: &str, version: &str, subresource: &str) -> Self {
        Self {
            name: name.to_owned(),
            operation: Operation::Update,
            version: version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

/// What it owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owned {
    pub(super) set: FieldSet,
    pub(super) version: String,
    /// When it last changed something, in RFC 3339.
    pub(super) time: Option<String>,
}

/// All managers of an object.
pub(super) type Managed = BTreeMap<Manager, Owned>;

/// The entries of an object.
pub(super) fn decode(entries: Option<&Value>) -> Result<Managed, String> {
    let mut managed = Managed::new();
    let entries = match entries {
        None | Some(Value::Null) => return Ok(managed),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err("managedFields is no list".to_owned()),
    };
    let fields = entries.iter().map(|entry| parts(&entry["fieldsV1"]));
    if fields.sum::<usize>() > 4 * FIELDS_MAX {
        return Err("managedFields have too many fields".to_owned());
    }
    for (index, entry) in entries.iter().enumerate() {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        let version = text("apiVersion");
        if version.is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => {
                return Err(format!(
                    "missing fieldsType in managed fields entry {index}"
                ));
            }
            other => {
                return Err(format!(
                    "invalid fieldsType {other:?} in managed fields entry {index}"
                ));
            }
        }
        let set = FieldSet::from_fields(&entry["fieldsV1"])
            .map_err(|error| format!("error decoding set: {error}"))?;
        let manager = Manager {
            name: text("manager").to_owned(),
            operation,
            version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => version.to_owned(),
            },
            subresource: text("subresource").to_owned(),
        };
        let owned = Owned {
            set,
            version: version.to_owned(),
            time: entry["time"].as_str().map(str::to_owned),
        };
        managed.insert(manager, owned);
    }
    Ok(managed)
}

/// The entries as they are recorded: appliers first, then the older first.
pub(super) fn encode(managed: &Managed) -> Option<Value> {
    if managed.is_empty() {
        return None;
    }
    let mut entries: Vec<(&Manager, &Owned)> = managed.iter().collect();
    entries.sort_by_key(|(manager, owned)| {
        (
            manager.operation,
            seconds(owned),
            &manager.name,
            &owned.version,
            &manager.subresource,
        )
    });
    let entry = |(manager, owned): (&Manager, &Owned)| {
        let mut entry = Map::new();
        entry.insert("manager".to_owned(), json!(manager.name));
        entry.insert("operation".to_owned(), json!(manager.operation.as_str()));
        entry.insert("apiVersion".to_owned(), json!(owned.version));
        if let Some(time) = &owned.time {
            entry.insert("time".to_owned(), json!(time));
        }
        entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
        entry.insert("fieldsV1".to_owned(), owned.set.to_fields());
        if !manager.subresource.is_empty() {
            entry.insert("subresource".to_owned(), json!(manager.subresource));
        }
        Value::Object(entry)
    };
    Some(Value::Array(entries.into_iter().map(entry).collect()))
}

/// When it last changed something; long ago if it is not known.
fn seconds(owned: &Owned) -> i64 {
    let time = owned.time.as_deref().and_then(|time| time.parse().ok());
    time.map_or(0, jiff::Timestamp::as_second)
}

/// Whether a client asks to forget all managers: an empty list, or one empty entry.
pub(super) fn is_reset(entries: Option<&Value>) -> bool {
    let empty = |entry: &Value| match entry {
        Value::Object(fields) => fields.values().all(Value::is_null),
        other => other.is_null(),
    };
    match entries {
        Some(Value::Array(entries)) => match entries.as_slice() {
            [] => true,
            [entry] => empty(entry),
            _ => false,
        },
        _ => false,
    }
}

/// How many entries of updates an object may have.
const UPDATERS_MAX: usize = 10;

/// Folds the oldest entries of updates, those of one version together.
pub(super) fn fold(managed: &mut Managed) {
    let updaters = managed.keys().filter(|m| m.operation == Operation::Update);
    let mut updaters: Vec<(i64, Manager)> = updaters
        .map(|manager| (managed.get(manager).map_or(0, seconds), manager.clone()))
        .collect();
    let mut count = updaters.len();
    updaters.sort();
    let mut first: BTreeMap<String, Manager> = BTreeMap::new();
    for (_, manager) in updaters {
        if count <= UPDATERS_MAX {
            return;
        }
        let version = manager.version.clone();
        let Some(oldest) = first.get(&version) else {
            first.insert(version, manager);
            continue;
        };
        let bucket = Manager::updater("ancient-changes", &version, "");
        if !managed.contains_key(&bucket)
            && let Some(owned) = managed.remove(oldest)
        {
            managed.insert(bucket.clone(), owned);
        }
        if manager == bucket {
            continue;
        }
        if let Some(owned) = managed.remove(&manager)
            && let Some(into) = managed.get_mut(&bucket)
        {
            into.set.add(&owned.set);
            into.time = owned.time;
        }
        count -= 1;
    }
}
