//! What nodes and pods use (`metrics.k8s.io`).

use jiff::Timestamp;
use serde_json::{Value, json};
use wasmjob_api::Quantity;

use super::value::{list, name, text};
use super::{Cells, Column, Printer};

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::new("cpu", "").formatted("quantity"),
    Column::new("memory", "").formatted("quantity"),
    Column::new("Window", "").formatted("duration"),
];

pub(super) const NODE: Printer = Printer {
    columns: COLUMNS,
    row: |object, now| row(object, &[&object["usage"]], now),
};

pub(super) const POD: Printer = Printer {
    columns: COLUMNS,
    row: |object, now| {
        let containers = list(&object["containers"]).iter();
        let usages: Vec<&Value> = containers.map(|container| &container["usage"]).collect();
        row(object, &usages, now)
    },
};

fn row(object: &Value, usages: &[&Value], _: Timestamp) -> Cells {
    vec![
        name(object),
        json!(sum(usages, "cpu", cpu)),
        json!(sum(usages, "memory", memory)),
        json!(text(&object["window"])),
    ]
    .into()
}

/// One quantity as it is written; several summed up.
fn sum(usages: &[&Value], resource: &str, shown: fn(&[Quantity]) -> String) -> String {
    let texts: Vec<&str> = usages.iter().map(|usage| text(&usage[resource])).collect();
    if let [one] = texts.as_slice() {
        return (*one).to_owned();
    }
    let quantities: Vec<Quantity> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    shown(&quantities)
}

fn cpu(quantities: &[Quantity]) -> String {
    let milli = quantities
        .iter()
        .fold(0_i64, |sum, one| sum.saturating_add(one.milli()));
    match milli % 1000 {
        0 => (milli / 1000).to_string(),
        _ => format!("{milli}m"),
    }
}

fn memory(quantities: &[Quantity]) -> String {
    let bytes = quantities
        .iter()
        .fold(0_i64, |sum, one| sum.saturating_add(one.units()));
    match bytes % 1024 {
        0 if bytes != 0 => format!("{}Ki", bytes / 1024),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::POD;
    use serde_json::json;

    #[test]
    fn usage_of_containers_is_summed() {
        let object = json!({
            "metadata": {"name": "p"}, "window": "15s",
            "containers": [
                {"usage": {"cpu": "250m", "memory": "1Mi"}},
                {"usage": {"cpu": "1", "memory": "512Ki"}},
            ],
        });
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        assert_eq!(
            (POD.row)(&object, now).cells,
            ["p", "1250m", "1536Ki", "15s"]
        );
    }
}
