//! LimitRanges (`ValidateLimitRange`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::{Errors, resources};
use crate::Amount;
use crate::field::{Error, ErrorList, Path};

type Amounts = BTreeMap<String, Text>;

/// What is wrong with a LimitRange, but for its metadata.
#[must_use]
pub fn validate_limit_range(limit_range: &LimitRange) -> ErrorList {
    let mut errors = Errors::new();
    let mut types = BTreeSet::new();
    let limits = limit_range.spec.iter().flat_map(|spec| &spec.limits);
    for (index, limit) in limits.enumerate() {
        let path = Path::new("spec.limits").index(index);
        let type_path = path.child("type");
        errors.qualified_name(&limit.type_, &type_path);
        let known = ["Container", "Pod", "PersistentVolumeClaim"];
        if !limit.type_.contains('/') && !known.contains(&limit.type_.as_str()) {
            let message = "must be a standard limit type or fully qualified";
            errors.push(Error::invalid(&type_path, &limit.type_, message));
        }
        if !types.insert(&limit.type_) {
            errors.push(Error::duplicate(&type_path, &limit.type_));
        }
        item(&mut errors, limit, &path);
    }
    errors.into_list()
}

fn item(errors: &mut Errors, limit: &LimitRangeItem, path: &Path) {
    let is_pod = limit.type_ == "Pod";
    let lists = [
        ("max", &limit.max),
        ("min", &limit.min),
        ("default", &limit.default),
        ("defaultRequest", &limit.default_request),
        ("maxLimitRequestRatio", &limit.max_limit_request_ratio),
    ];
    for (field, list) in lists {
        let path = path.child(field);
        let mut list = list.iter().flatten().peekable();
        if is_pod && field.starts_with("default") {
            if list.peek().is_some() {
                let message = "may not be specified when `type` is 'Pod'";
                errors.push(Error::forbidden(&path, message));
            }
            continue;
        }
        for (name, amount) in list {
            let path = path.key(name);
            match limit.type_.as_str() {
                "Container" | "Pod" => resources::container_resource_name(errors, name, &path),
                _ => errors.qualified_name(name, &path),
            }
            resources::quantity(errors, amount, &path);
        }
    }
    let storage =
        |list: &Option<Amounts>| list.as_ref().is_some_and(|it| it.contains_key("storage"));
    if limit.type_ == "PersistentVolumeClaim" && !storage(&limit.min) && !storage(&limit.max) {
        let message =
            "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), message));
    }
    let names: BTreeSet<&String> = lists
        .iter()
        .flat_map(|(_, list)| list.iter().flatten())
        .map(|(name, _)| name)
        .collect();
    for name in names {
        compare(errors, limit, name, path);
    }
}

/// The amounts of one resource make sense together.
fn compare(errors: &mut Errors, limit: &LimitRangeItem, name: &str, path: &Path) {
    let of = |list: &Option<Amounts>| list.as_ref()?.get(name)?.0.parse::<Amount>().ok();
    let (min, max) = (of(&limit.min), of(&limit.max));
    let is_pod = limit.type_ == "Pod";
    let default = of(&limit.default).filter(|_| !is_pod);
    let request = of(&limit.default_request).filter(|_| !is_pod);
    let mut in_order = |small: Option<Amount>,
                        large: Option<Amount>,
                        field,
                        words: [&str; 2],
                        shown: Option<Amount>| {
        if let (Some(small), Some(large), Some(shown)) = (small, large, shown)
            && small.quantity > large.quantity
        {
            let [small_word, large_word] = words;
            let text =
                format!("{small_word} value {small} is greater than {large_word} value {large}");
            let path = path.child(field).key(name);
            errors.push(Error::invalid(&path, &shown.to_string(), text));
        }
    };
    in_order(min, max, "min", ["min", "max"], min);
    in_order(
        min,
        request,
        "defaultRequest",
        ["min", "default request"],
        request,
    );
    in_order(
        request,
        max,
        "defaultRequest",
        ["default request", "max"],
        request,
    );
    in_order(
        request,
        default,
        "defaultRequest",
        ["default request", "default limit"],
        request,
    );
    in_order(min, default, "default", ["min", "default"], min);
    in_order(default, max, "default", ["default", "max"], max);
    let Some(ratio) = of(&limit.max_limit_request_ratio) else {
        return;
    };
    let path = path.child("maxLimitRequestRatio").key(name);
    if ratio.quantity < Amount::of(1).quantity {
        let text = format!("ratio {ratio} is less than 1");
        errors.push(Error::invalid(&path, &ratio.to_string(), text));
    }
    if let (Some(min), Some(max)) = (min, max)
        && !(min.quantity.is_zero() || min.quantity.is_negative())
        && max.quantity.ratio(min.quantity) < ratio.quantity.ratio(Amount::of(1).quantity)
    {
        let most = max.quantity.ratio(min.quantity);
        let text = format!("ratio {ratio} is greater than max/min = {most:.6}");
        errors.push(Error::invalid(&path, &ratio.to_string(), text));
    }
}

#[cfg(test)]
mod tests {
    use super::validate_limit_range;

    fn texts(json: &str) -> Vec<String> {
        let json = format!(r#"{{"metadata":{{"name":"l"}},"spec":{{"limits":[{json}]}}}}"#);
        let limit_range = serde_json::from_str(&json).unwrap();
        let errors = validate_limit_range(&limit_range);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_usual_one_is_valid() {
        let valid = r#"{"type":"Container","max":{"memory":"1Gi","cpu":"2"},"min":{"memory":"16Mi"},
            "default":{"memory":"128Mi"},"defaultRequest":{"memory":"64Mi"},"maxLimitRequestRatio":{"memory":"4"}},
            {"type":"Pod","max":{"memory":"2Gi"}},{"type":"PersistentVolumeClaim","max":{"storage":"5Gi"}}"#;
        assert_eq!(texts(valid), [""; 0]);
    }

    #[test]
    fn amounts_that_contradict_each_other_are_refused_in_kubernetes_words() {
        for (json, wanted) in [
            (
                r#"{"type":"Container","min":{"memory":"2Gi"},"max":{"memory":"1024Mi"}}"#,
                "spec.limits[0].min[memory]: Invalid value: \"2Gi\": min value 2Gi is greater than max value 1Gi",
            ),
            (
                r#"{"type":"Container","default":{"cpu":"1"},"defaultRequest":{"cpu":"1500m"}}"#,
                "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1500m\": default request value 1500m is greater than default limit value 1",
            ),
            (
                r#"{"type":"Pod","default":{"cpu":"1"}}"#,
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ),
            (
                r#"{"type":"Box"}"#,
                "spec.limits[0].type: Invalid value: \"Box\": must be a standard limit type or fully qualified",
            ),
            (
                r#"{"type":"Pod"},{"type":"Pod"}"#,
                "spec.limits[1].type: Duplicate value: \"Pod\"",
            ),
            (
                r#"{"type":"PersistentVolumeClaim","min":{"other":"1"}}"#,
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            ),
            (
                r#"{"type":"Container","maxLimitRequestRatio":{"cpu":"0.5"}}"#,
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
            ),
            (
                r#"{"type":"Container","min":{"cpu":"1"},"max":{"cpu":"2"},"maxLimitRequestRatio":{"cpu":"3"}}"#,
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = 2.000000",
            ),
            (
                r#"{"type":"Container","max":{"pods":"1"}}"#,
                "spec.limits[0].max[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ),
        ] {
            assert_eq!(texts(json), [wanted], "{json}");
        }
    }
}
