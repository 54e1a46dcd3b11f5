//! What pods may be run by, and before whom.

use serde_json::json;

use super::value::{age, name, text};
use super::{Column, Printer};

pub(super) const RUNTIME_CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Handler", "What runs the pods."),
        Column::AGE,
    ],
    row: |object, now| {
        let handler = text(&object["handler"]);
        vec![name(object), json!(handler), age(object, now)].into()
    },
};

pub(super) const PRIORITY_CLASS: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Value", "The priority; the larger, the sooner.").typed("integer"),
        Column::new(
            "Global-Default",
            "Whether it is that of pods without a class.",
        ),
        Column::AGE,
        Column::new("PreemptionPolicy", "Whether pods of it displace others."),
    ],
    row: |object, now| {
        let default = object["globalDefault"].as_bool().unwrap_or(false);
        vec![
            name(object),
            json!(object["value"].as_i64().unwrap_or(0)),
            json!(default.to_string()),
            age(object, now),
            json!(text(&object["preemptionPolicy"])),
        ]
        .into()
    },
};
