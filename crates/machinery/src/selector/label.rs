//! Label selectors: `app=web,tier in (front, back),!legacy`, parsed and matched.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use wasmjob_api::field::{Error, ErrorList, Path, aggregate};
use wasmjob_api::validation::names;

use super::{label_text, object};

/// How the value of a label is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values, or no such label.
    NotIn,
    /// `=`: the value.
    Equals,
    /// `==`: the value.
    DoubleEquals,
    /// `!=`: not the value, or no such label.
    NotEquals,
    /// There is such a label.
    Exists,
    /// There is no such label.
    DoesNotExist,
    /// `>`: a larger whole number.
    GreaterThan,
    /// `<`: a smaller whole number.
    LessThan,
}

/// One condition on one label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// Conditions on labels, all of which must hold; none of them selects everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Requirement {
    /// A condition whose key and values are checked; `path` is what errors name.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the key, the number of values and the values.
    pub fn new(
        key: &str,
        operator: Operator,
        mut values: Vec<String>,
        path: &Path,
    ) -> Result<Self, ErrorList> {
        let mut errors = ErrorList::new();
        errors.extend(wrong_key(key, &path.child("key")));
        let at = path.child("values");
        let message = match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                Some("for 'in', 'notin' operators, values set can't be empty")
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals
                if values.len() != 1 =>
            {
                Some("exact-match compatibility requires one single value")
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                Some("values set must be empty for exists and does not exist")
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                Some("for 'Gt', 'Lt' operators, exactly one value is required")
            }
            _ => None,
        };
        if let Some(message) = message {
            errors.push(Error::invalid(&at, &values, message));
        }
        for (index, value) in values.iter().enumerate() {
            let numeric = matches!(operator, Operator::GreaterThan | Operator::LessThan);
            if numeric && value.parse::<i64>().is_err() {
                let message = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(Error::invalid(&at.index(index), value, message));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let messages = names::label_value(value);
            if !messages.is_empty() {
                let at = at.index(index).key(key);
                errors.push(Error::invalid(&at, value, messages.join("; ")));
            }
        }
        values.sort();
        values.dedup();
        match errors.is_empty() {
            true => Ok(Self {
                key: key.to_owned(),
                operator,
                values,
            }),
            false => Err(errors),
        }
    }

    /// The label.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it is compared.
    #[must_use]
    pub const fn operator(&self) -> Operator {
        self.operator
    }

    /// What it is compared with, sorted.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether it holds where the label has this value.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|one| one == value);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(among),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(among),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value, |left, right| left > right),
            Operator::LessThan => self.compare(value, |left, right| left < right),
        }
    }

    fn compare(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let left = value.and_then(|value| value.parse().ok());
        let right = self.values.first().and_then(|value| value.parse().ok());
        left.zip(right)
            .is_some_and(|(left, right)| holds(left, right))
    }
}

/// What is wrong with the key of a label, if anything.
pub(super) fn wrong_key(key: &str, path: &Path) -> Option<Error> {
    let messages = names::qualified_name(key);
    (!messages.is_empty()).then(|| Error::invalid(path, key, messages.join("; ")))
}

impl LabelSelector {
    /// The selector that a query parameter has.
    ///
    /// # Errors
    ///
    /// The text of upstream's error, such as
    /// `unable to parse requirement: found '=', expected: identifier`.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::of(label_text::parse(text)?))
    }

    /// The selector that the object `meta.v1.LabelSelector` stands for. None of it
    /// selects nothing, an empty one everything.
    ///
    /// # Errors
    ///
    /// What is wrong with it, under `path`.
    pub fn from_object(selector: Option<&Value>, path: &Path) -> Result<Self, ErrorList> {
        match selector {
            None | Some(Value::Null) => Ok(Self {
                requirements: Vec::new(),
                nothing: true,
            }),
            Some(selector) => Ok(Self::of(object::requirements(selector, path)?)),
        }
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            requirements,
            nothing: false,
        }
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Its conditions, by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether all conditions hold; `label` tells the value of a label.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether it selects an object with these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Whether it selects `object`, by its `metadata.labels`.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.matches_with(|key| labels.get(key).and_then(Value::as_str))
    }

    /// The one value that it requires of `label`, if it requires exactly one.
    #[must_use]
    pub fn exact(&self, label: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|one| one.key == label)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        match self.operator {
            Operator::In => write!(f, "{} in ({values})", self.key),
            Operator::NotIn => write!(f, "{} notin ({values})", self.key),
            Operator::Equals => write!(f, "{}={values}", self.key),
            Operator::DoubleEquals => write!(f, "{}=={values}", self.key),
            Operator::NotEquals => write!(f, "{}!={values}", self.key),
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::GreaterThan => write!(f, "{}>{values}", self.key),
            Operator::LessThan => write!(f, "{}<{values}", self.key),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

/// What is wrong, as one text; a path of nothing shows as Go shows it.
pub(super) fn text(errors: &[Error]) -> String {
    let named: Vec<Error> = errors
        .iter()
        .map(|error| {
            let mut error = error.clone();
            if error.field.is_empty() {
                "<nil>".clone_into(&mut error.field);
            }
            error
        })
        .collect();
    aggregate(&named)
}

#[cfg(test)]
mod tests {
    use super::LabelSelector;
    use serde_json::json;
    use std::collections::BTreeMap;
    use wasmjob_api::field::Path;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn selectors_match_as_documented() {
        let object = labels(&[
            ("app", "web"),
            ("tier", "front"),
            ("rank", "7"),
            ("in", "in"),
        ]);
        for (selector, expected) in [
            ("", true),
            ("  ", true),
            ("app=web", true),
            ("app==web,tier = front", true),
            ("app!=web", false),
            ("none!=web", true),
            ("tier in (back, front)", true),
            ("tier notin (back,front)", false),
            ("none notin (back)", true),
            ("none in (back)", false),
            ("app", true),
            ("!app", false),
            ("! none", true),
            ("rank>6,rank<8", true),
            ("rank>7", false),
            ("none>7", false),
            ("in in (in,notin)", true),
            ("app in ()", false),
            ("none in ()", false),
            ("app=", false),
            ("app=,tier", false),
            ("app notin (,x)", true),
            ("kubernetes.io/app=web", false),
        ] {
            let parsed = LabelSelector::parse(selector).unwrap();
            assert_eq!(parsed.matches(&object), expected, "{selector}");
        }
    }

    #[test]
    fn errors_are_those_of_kubernetes() {
        for (selector, expected) in [
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            (
                "a===b",
                "unable to parse requirement: found '=', expected: identifier",
            ),
            (
                "=b",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            (
                "!",
                "unable to parse requirement: found '', expected: identifier",
            ),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a in b",
                "unable to parse requirement: found 'b' expected: '('",
            ),
            (
                "a in (b",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
            (
                "a in (=)",
                "unable to parse requirement: found '=', expected: ',', ')' or identifier",
            ),
            (
                "a in (b,",
                "unable to parse requirement: found '', expected: ',', or identifier",
            ),
            (
                "-a=b",
                "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            (
                "a=-",
                "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
        ] {
            assert_eq!(
                LabelSelector::parse(selector).unwrap_err(),
                expected,
                "{selector}"
            );
        }
    }

    #[test]
    fn a_selector_is_shown_sorted() {
        let parsed = LabelSelector::parse("z,x in (c,a,b),!y,a==1,b!=2").unwrap();
        assert_eq!(parsed.to_string(), "a==1,b!=2,x in (a,b,c),!y,z");
        assert_eq!(parsed.exact("a"), Some("1"));
        assert_eq!(parsed.exact("x"), None);
    }

    #[test]
    fn objects_of_selectors_match() {
        let path = Path::new("spec.selector");
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        });
        let parsed = LabelSelector::from_object(Some(&selector), &path).unwrap();
        assert_eq!(parsed.to_string(), "app=web,!old,tier in (front)");
        assert!(parsed.matches(&labels(&[("app", "web"), ("tier", "front")])));
        assert!(!parsed.matches(&labels(&[("app", "web"), ("tier", "back")])));
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        assert!(parsed.matches_object(&object));
        let none = LabelSelector::from_object(None, &path).unwrap();
        assert!(!none.matches(&labels(&[])) && !none.is_everything());
        let all = LabelSelector::from_object(Some(&json!({})), &path).unwrap();
        assert!(all.matches(&labels(&[])) && all.is_everything());
        let bad = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
        let errors = LabelSelector::from_object(Some(&bad), &path).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "spec.selector.matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z!=<>(),in /.\u{e9}-]{0,40}") {
            if let Ok(parsed) = LabelSelector::parse(&text) {
                // What is shown means the same.
                let again = LabelSelector::parse(&parsed.to_string()).unwrap();
                proptest::prop_assert_eq!(parsed, again);
            }
        }
    }
}
