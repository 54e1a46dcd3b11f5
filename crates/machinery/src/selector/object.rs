//! `meta.v1.LabelSelector`: `matchLabels` and `matchExpressions` of an object.

use serde_json::Value;
use wasmjob_api::field::{Error, ErrorList, Path};

use super::label::{Operator, Requirement};

/// The requirements of `selector`, which is no null.
pub(super) fn requirements(selector: &Value, path: &Path) -> Result<Vec<Requirement>, ErrorList> {
    let mut errors = ErrorList::new();
    let mut requirements = Vec::new();
    let mut add = |result: Result<Requirement, ErrorList>| match result {
        Ok(requirement) => requirements.push(requirement),
        Err(wrong) => errors.extend(wrong),
    };
    let labels = selector["matchLabels"].as_object();
    for (key, value) in labels.into_iter().flatten() {
        let values = vec![value.as_str().unwrap_or_default().to_owned()];
        let at = path.child("matchLabels");
        add(Requirement::new(key, Operator::Equals, values, &at));
    }
    let expressions = selector["matchExpressions"].as_array();
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let at = path.child("matchExpressions").index(index);
        let text = |field: &str| expression[field].as_str().unwrap_or_default();
        let operator = match text("operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                let message = "not a valid selector operator";
                let error = Error::invalid(&at.child("operator"), other, message);
                add(Err(vec![error]));
                continue;
            }
        };
        let values = expression["values"].as_array();
        let values = values.into_iter().flatten();
        let values = values.map(|v| v.as_str().unwrap_or_default().to_owned());
        add(Requirement::new(
            text("key"),
            operator,
            values.collect(),
            &at,
        ));
    }
    match errors.is_empty() {
        true => Ok(requirements),
        false => Err(errors),
    }
}
