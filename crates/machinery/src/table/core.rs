//! Kinds of few columns, and all kinds that have none of their own.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{age, count, name, text};
use super::{Cells, Column, Printer};

pub(super) const ANY: Printer = Printer {
    columns: &[Column::NAME, Column::CREATED],
    row: |object, _| {
        let created = text(&object["metadata"]["creationTimestamp"]);
        vec![name(object), json!(created)].into()
    },
};

pub(super) const NAMESPACE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Status", "The status of the namespace"),
        Column::AGE,
    ],
    row: |object, now| {
        let phase = text(&object["status"]["phase"]);
        vec![name(object), json!(phase), age(object, now)].into()
    },
};

pub(super) const SECRET: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Type", "What the secret is for."),
        Column::new("Data", "How many values it has."),
        Column::AGE,
    ],
    row: |object, now| {
        vec![
            name(object),
            json!(text(&object["type"])),
            json!(count(&object["data"])),
            age(object, now),
        ]
        .into()
    },
};

pub(super) const CONFIG_MAP: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Data", "How many values it has."),
        Column::AGE,
    ],
    row: |object, now| {
        let values = count(&object["data"]) + count(&object["binaryData"]);
        vec![name(object), json!(values), age(object, now)].into()
    },
};

pub(super) const SERVICE_ACCOUNT: Printer = Printer {
    columns: &[Column::NAME, Column::AGE],
    row: |object, now| vec![name(object), age(object, now)].into(),
};

pub(super) const LEASE: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Holder", "Who holds the lease."),
        Column::AGE,
    ],
    row: |object, now| {
        let holder = text(&object["spec"]["holderIdentity"]);
        vec![name(object), json!(holder), age(object, now)].into()
    },
};

pub(super) const RESOURCE_QUOTA: Printer = Printer {
    columns: &[
        Column::NAME,
        Column::new("Request", "What is used of what may be requested."),
        Column::new("Limit", "What is used of what limits may come to."),
        Column::AGE,
    ],
    row: resource_quota,
};

fn resource_quota(quota: &Value, now: Timestamp) -> Cells {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    let hard = quota["status"]["hard"].as_object();
    let mut hard: Vec<(&String, &Value)> = hard.into_iter().flatten().collect();
    hard.sort_by_key(|(resource, _)| *resource);
    for (resource, hard) in hard {
        let used = match text(&quota["status"]["used"][resource]) {
            "" => "0",
            used => used,
        };
        let cell = format!("{resource}: {used}/{}", text(hard));
        match resource.starts_with("limits") {
            true => limits.push(cell),
            false => requests.push(cell),
        }
    }
    vec![
        name(quota),
        json!(requests.join(", ")),
        json!(limits.join(", ")),
        age(quota, now),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::{ANY, CONFIG_MAP, resource_quota};
    use serde_json::json;

    #[test]
    fn few_columns_have_what_they_say() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let object = json!({
            "metadata": {"name": "o", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {"a": "", "b": ""}, "binaryData": {"c": ""},
            "status": {
                "hard": {"limits.cpu": "2", "pods": "5", "configmaps": "3"},
                "used": {"pods": "1"},
            },
        });
        assert_eq!((ANY.row)(&object, now).cells, ["o", "2026-01-01T00:00:00Z"]);
        assert_eq!(
            (CONFIG_MAP.row)(&object, now).cells,
            [json!("o"), json!(3), json!("60m")]
        );
        assert_eq!(
            resource_quota(&object, now).cells,
            ["o", "configmaps: 0/3, pods: 1/5", "limits.cpu: 0/2", "60m"]
        );
    }
}
