//! The values of the fields that objects are selected by, from their JSON.

use serde_json::Value;

/// The value of `field` of an object of `kind`; empty if it has none.
///
/// Most fields are what stands at their path. Some have a default that Go's typed
/// objects show (`spec.hostNetwork`), and some stand elsewhere (`status.successful`
/// of a Job, `source` of an Event).
#[must_use]
pub fn value(kind: &str, field: &str, object: &Value) -> String {
    match (kind, field) {
        ("Job", "status.successful") => number_or_zero(&object["status"]["succeeded"]),
        ("Pod", "spec.hostNetwork") => flag(&object["spec"]["hostNetwork"]),
        ("Node", "spec.unschedulable") => flag(&object["spec"]["unschedulable"]),
        ("Pod", "status.podIPs") => {
            let addresses = object["status"]["podIPs"].as_array();
            let addresses = addresses.into_iter().flatten();
            let addresses: Vec<&str> = addresses.filter_map(|ip| ip["ip"].as_str()).collect();
            addresses.join(",")
        }
        ("Pod", "status.podIP") => {
            let address = text(&object["status"]["podIP"]);
            match address.is_empty() {
                true => text(&object["status"]["podIPs"][0]["ip"]),
                false => address,
            }
        }
        ("Event", "source") => {
            // `source.component`, or who reports in the newer API.
            let component = text(&object["source"]["component"]);
            match component.is_empty() {
                true => value(kind, "reportingComponent", object),
                false => component,
            }
        }
        ("Event", "reportingComponent") => {
            let component = text(&object["reportingComponent"]);
            match component.is_empty() {
                true => text(&object["reportingController"]),
                false => component,
            }
        }
        ("Event", _) if field.starts_with("involvedObject.") && object["regarding"].is_object() => {
            let rest = field.trim_start_matches("involvedObject.");
            text(&object["regarding"][rest])
        }
        _ => text(field.split('.').fold(object, |at, name| &at[name])),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number_or_zero(value: &Value) -> String {
    value.as_i64().unwrap_or(0).to_string()
}

fn flag(value: &Value) -> String {
    value.as_bool().unwrap_or(false).to_string()
}

#[cfg(test)]
mod tests {
    use super::value;
    use serde_json::json;

    #[test]
    fn values_are_found_where_they_stand() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"nodeName": "here"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        });
        for (field, expected) in [
            ("metadata.name", "p"),
            ("metadata.namespace", "n"),
            ("spec.nodeName", "here"),
            ("spec.hostNetwork", "false"),
            ("spec.schedulerName", ""),
            ("status.podIP", "10.0.0.1"),
            ("status.podIPs", "10.0.0.1,fd00::1"),
        ] {
            assert_eq!(value("Pod", field, &pod), expected, "{field}");
        }
        let job = json!({"status": {"succeeded": 3}});
        assert_eq!(value("Job", "status.successful", &job), "3");
        assert_eq!(value("Job", "status.successful", &json!({})), "0");
        assert_eq!(value("Node", "spec.unschedulable", &json!({})), "false");
    }

    #[test]
    fn events_of_both_apis_have_the_same_fields() {
        let old = json!({"involvedObject": {"kind": "Pod"}, "source": {"component": "x"}});
        let new = json!({"regarding": {"kind": "Pod"}, "reportingController": "x"});
        for event in [old, new] {
            assert_eq!(value("Event", "involvedObject.kind", &event), "Pod");
            assert_eq!(value("Event", "source", &event), "x");
        }
    }
}
