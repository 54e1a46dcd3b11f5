//! Tables: what `kubectl get` shows, printed by the server (`meta.k8s.io/v1`, `Table`).
//!
//! Columns of priority 1 are those of `-o wide`; they are always sent. A kind that
//! has no columns of its own shows its name and when it was created.

mod age;
mod batch;
mod column;
mod core;
mod event;
mod metrics;
mod network;
mod node;
mod pod;
mod rbac;
mod scheduling;
mod service;
mod storage;
mod value;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use age::human_duration;
pub use column::Column;

/// What of each object a row carries (`includeObject`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IncludeObject {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it, as it is given: with its `apiVersion` and `kind`.
    Object,
    /// Nothing.
    None,
}

impl IncludeObject {
    /// What the query parameter means; empty is the default.
    ///
    /// # Errors
    ///
    /// The text of upstream's error.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(format!("unrecognized includeObject value: {other:?}")),
        }
    }
}

/// The cells of one row, and the conditions of it.
struct Cells {
    cells: Vec<Value>,
    conditions: Option<Value>,
}

impl From<Vec<Value>> for Cells {
    fn from(cells: Vec<Value>) -> Self {
        Self {
            cells,
            conditions: None,
        }
    }
}

/// How a kind is printed.
struct Printer {
    columns: &'static [Column],
    row: fn(&Value, Timestamp) -> Cells,
}

fn printer(kind: &str) -> Printer {
    match kind {
        "Job" => batch::JOB,
        "CronJob" => batch::CRON_JOB,
        "Pod" => pod::POD,
        "Event" => event::EVENT,
        "Node" => node::NODE,
        "Namespace" => core::NAMESPACE,
        "Secret" => core::SECRET,
        "ConfigMap" => core::CONFIG_MAP,
        "ServiceAccount" => core::SERVICE_ACCOUNT,
        "Lease" => core::LEASE,
        "ResourceQuota" => core::RESOURCE_QUOTA,
        "Service" => service::SERVICE,
        "PersistentVolumeClaim" => storage::CLAIM,
        "PersistentVolume" => storage::VOLUME,
        "StorageClass" => storage::CLASS,
        "Role" | "ClusterRole" => rbac::ROLE,
        "RoleBinding" | "ClusterRoleBinding" => rbac::BINDING,
        "RuntimeClass" => scheduling::RUNTIME_CLASS,
        "PriorityClass" => scheduling::PRIORITY_CLASS,
        "NetworkPolicy" => network::POLICY,
        "NodeMetrics" => metrics::NODE,
        "PodMetrics" => metrics::POD,
        _ => core::ANY,
    }
}

/// The column definitions of `kind`.
#[must_use]
pub fn columns(kind: &str) -> Value {
    let columns = printer(kind).columns.iter();
    Value::Array(columns.map(Column::definition).collect())
}

/// The row of `object`, of that `kind`.
#[must_use]
pub fn row(kind: &str, object: &Value, now: Timestamp, include: IncludeObject) -> Value {
    let Cells { cells, conditions } = (printer(kind).row)(object, now);
    let mut row = Map::new();
    row.insert("cells".to_owned(), Value::Array(cells));
    if let Some(conditions) = conditions {
        row.insert("conditions".to_owned(), conditions);
    }
    let object = match include {
        IncludeObject::None => Value::Null,
        IncludeObject::Object => object.clone(),
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
        }),
    };
    row.insert("object".to_owned(), object);
    Value::Object(row)
}

/// A table of rows; `metadata` is that of the list, or of the object with its
/// `resourceVersion` only. A watch leaves out the columns after its first event.
#[must_use]
pub fn table(kind: &str, metadata: Value, with_columns: bool, rows: Vec<Value>) -> Value {
    let columns = match with_columns {
        true => columns(kind),
        false => Value::Null,
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::{IncludeObject, columns, printer, row, table};
    use crate::patch::any;
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    fn vector(file: &str) -> Option<Value> {
        let start = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let file = start
            .ancestors()
            .map(|folder| folder.join("shared/vectors/kubernetes-1.36").join(file))
            .find(|path| path.exists());
        if file.is_none() {
            println!("skipped: no folder shared/vectors is above the crate");
        }
        serde_json::from_str(&std::fs::read_to_string(file?).unwrap()).unwrap()
    }

    #[test]
    fn jobs_are_the_table_of_a_real_server() {
        let list = vector("apis_batch_v1_namespaces_default_jobs.json");
        let expected = vector("jobs-table.json");
        let (Some(list), Some(expected)) = (list, expected) else {
            return;
        };
        let now: Timestamp = "2026-11-21T00:20:43Z".parse().unwrap();
        let items = list["items"].as_array().unwrap().iter();
        let rows = items.map(|job| row("Job", job, now, IncludeObject::Metadata));
        let actual = table("Job", list["metadata"].clone(), true, rows.collect());
        assert_eq!(actual, expected);
    }

    #[test]
    fn pods_of_a_real_server_are_printed() {
        let Some(list) = vector("api_v1_namespaces_default_pods.json") else {
            return;
        };
        let now: Timestamp = "2026-11-21T00:20:43Z".parse().unwrap();
        for pod in list["items"].as_array().unwrap() {
            let row = row("Pod", pod, now, IncludeObject::None);
            let phase = pod["status"]["phase"].as_str().unwrap();
            assert_eq!(row["cells"][1], "0/1");
            assert_eq!(row["conditions"][0]["reason"], phase);
            assert_eq!(row["object"], Value::Null);
        }
    }

    const KINDS: [&str; 25] = [
        "Job",
        "CronJob",
        "Pod",
        "Event",
        "Node",
        "Namespace",
        "Secret",
        "ConfigMap",
        "ServiceAccount",
        "Lease",
        "ResourceQuota",
        "Service",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "StorageClass",
        "Role",
        "ClusterRole",
        "RoleBinding",
        "ClusterRoleBinding",
        "RuntimeClass",
        "PriorityClass",
        "NodeMetrics",
        "PodMetrics",
        "LimitRange",
        "NetworkPolicy",
    ];

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        for kind in KINDS {
            let columns = columns(kind);
            let row = row(
                kind,
                &json!({}),
                Timestamp::UNIX_EPOCH,
                IncludeObject::Object,
            );
            let cells = row["cells"].as_array().unwrap();
            assert_eq!(cells.len(), columns.as_array().unwrap().len(), "{kind}");
            let names = columns.as_array().unwrap().iter();
            for (cell, column) in cells.iter().zip(names) {
                let fits = match column["type"].as_str().unwrap() {
                    "integer" => cell.is_i64(),
                    _ => cell.is_string() || column["name"] == "Data" || column["name"] == "Count",
                };
                assert!(fits, "{kind} {column} {cell}");
            }
            assert!(!printer(kind).columns.is_empty());
        }
    }

    #[test]
    fn include_object_is_read() {
        assert_eq!(IncludeObject::parse(""), Ok(IncludeObject::Metadata));
        assert_eq!(IncludeObject::parse("None"), Ok(IncludeObject::None));
        assert!(IncludeObject::parse("All").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(object in any::value(), seconds in i32::MIN..i32::MAX) {
            let now = Timestamp::from_second(i64::from(seconds)).unwrap();
            for kind in KINDS {
                let _ = row(kind, &object, now, IncludeObject::Metadata);
            }
        }
    }
}
