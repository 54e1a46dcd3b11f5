//! Events, in the fields of `v1` or of `events.k8s.io/v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::value::{or, since, text};
use super::{Cells, Column, Printer};

pub(super) const EVENT: Printer = Printer {
    columns: &[
        Column::new("Last Seen", "When it was last seen."),
        Column::new("Type", "Normal or Warning; others may come."),
        Column::new("Reason", "Why it happened, in one word."),
        Column::new("Object", "What it is about."),
        Column::new("Subobject", "The part of the object that it is about.").wide(),
        Column::new("Source", "Who reports it.").wide(),
        Column::new("Message", "What happened."),
        Column::new("First Seen", "When it was first seen.").wide(),
        Column::new("Count", "How often it was seen.").wide(),
        Column {
            priority: 1,
            ..Column::NAME
        },
    ],
    row,
};

fn row(event: &Value, now: Timestamp) -> Cells {
    let either = |old: &str, new: &str| match &event[old] {
        Value::Null => &event[new],
        value => value,
    };
    let object = either("involvedObject", "regarding");
    let source = either("source", "deprecatedSource");
    let first = match either("firstTimestamp", "deprecatedFirstTimestamp") {
        Value::Null => &event["eventTime"],
        time => time,
    };
    let last = match either("lastTimestamp", "deprecatedLastTimestamp") {
        Value::Null => first,
        time => time,
    };
    let count = either("count", "deprecatedCount")
        .as_i64()
        .unwrap_or(0)
        .max(1);
    let series = &event["series"];
    let (last, count) = match series.is_object() {
        true => (
            &series["lastObservedTime"],
            series["count"].as_i64().unwrap_or(0),
        ),
        false => (last, count),
    };
    let kind = text(&object["kind"]).to_lowercase();
    let target = match text(&object["name"]) {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let reporter = text(either("reportingComponent", "reportingController"));
    let component = or(text(&source["component"]), reporter);
    let instance = or(text(&source["host"]), text(&event["reportingInstance"]));
    let source = match instance {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    };
    vec![
        json!(since(last, now)),
        json!(text(&event["type"])),
        json!(text(&event["reason"])),
        json!(target),
        json!(text(&object["fieldPath"])),
        json!(source),
        json!(text(either("message", "note")).trim()),
        json!(since(first, now)),
        json!(count),
        json!(text(&event["metadata"]["name"])),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::row;
    use serde_json::json;

    #[test]
    fn events_of_both_apis_are_printed() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let old = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m\n",
            "involvedObject": {"kind": "Job", "name": "x"},
            "source": {"component": "c"}, "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:59:00Z",
        });
        assert_eq!(
            row(&old, now).cells,
            [
                json!("60s"),
                json!("Normal"),
                json!("R"),
                json!("job/x"),
                json!(""),
                json!("c"),
                json!("m"),
                json!("60m"),
                json!(3),
                json!("e"),
            ]
        );
        let new = json!({
            "metadata": {"name": "e"}, "reason": "R", "note": "m",
            "regarding": {"kind": "Pod", "name": "x", "fieldPath": "spec"},
            "reportingController": "c", "reportingInstance": "i",
            "eventTime": "2026-01-01T00:30:00.000000Z", "firstTimestamp": null,
        });
        assert_eq!(
            row(&new, now).cells,
            [
                json!("30m"),
                json!(""),
                json!("R"),
                json!("pod/x"),
                json!("spec"),
                json!("c, i"),
                json!("m"),
                json!("30m"),
                json!(1),
                json!("e"),
            ]
        );
        let mut series = new;
        series["series"] = json!({"count": 9, "lastObservedTime": "2026-01-01T00:59:50.000000Z"});
        let cells = row(&series, now).cells;
        assert_eq!((&cells[0], &cells[8]), (&json!("10s"), &json!(9)));
    }
}
