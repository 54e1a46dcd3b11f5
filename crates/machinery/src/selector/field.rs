//! Field selectors: `metadata.name=x,status.phase!=Running`, and which fields of
//! which kind may be selected by.

use std::fmt;

/// Conditions on fields, all of which must hold; none of them selects everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldSelector {
    terms: Vec<Term>,
}

/// One condition on one field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Term {
    /// The field, such as `metadata.name`.
    pub field: String,
    /// The value; an empty one is the same as none.
    pub value: String,
    /// Whether the field must have it, or must not.
    pub equal: bool,
}

/// The fields that objects of `kind` may be selected by, besides `metadata.name` and
/// `metadata.namespace`, which every kind has.
#[must_use]
pub fn selectable(kind: &str) -> &'static [&'static str] {
    match kind {
        "Job" => &["status.successful"],
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Namespace" => &["status.phase"],
        "Secret" => &["type"],
        "Node" => &["spec.unschedulable"],
        "CertificateSigningRequest" => &["spec.signerName"],
        "Service" => &["spec.clusterIP", "spec.type"],
        _ => &[],
    }
}

impl FieldSelector {
    /// The selector that a query parameter has, for objects of `kind`.
    ///
    /// # Errors
    ///
    /// The text of upstream's error, such as
    /// `field label "spec.foo" not supported for Job`.
    pub fn parse(text: &str, kind: &str) -> Result<Self, String> {
        let selector = Self::parse_any(text)?;
        for term in &selector.terms {
            let field = term.field.as_str();
            let everywhere = ["metadata.name", "metadata.namespace"];
            if !everywhere.contains(&field) && !selectable(kind).contains(&field) {
                return Err(match selectable(kind) {
                    _ if kind == "Job" => {
                        format!("field label \"{field}\" not supported for {kind}")
                    }
                    [] => format!(
                        "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                    _ => format!("field label not supported: {field}"),
                });
            }
        }
        Ok(selector)
    }

    /// The selector, whatever its fields.
    ///
    /// # Errors
    ///
    /// The text of upstream's error.
    pub fn parse_any(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for part in split_terms(text) {
            if part.is_empty() {
                continue;
            }
            let Some((field, operator, value)) = split_term(part) else {
                return Err(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                ));
            };
            terms.push(Term {
                field: field.to_owned(),
                value: unescape(value)?,
                equal: operator != "!=",
            });
        }
        terms.sort();
        terms.dedup();
        Ok(Self { terms })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// Its conditions.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Whether all conditions hold; `field` tells the value of a field.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        let equals = |term: &Term| field(&term.field).unwrap_or_default() == term.value;
        self.terms.iter().all(|term| equals(term) == term.equal)
    }

    /// Whether all conditions hold, for values that are computed, as those of
    /// [`crate::fields::value`] are.
    pub fn matches_with(&self, field: impl Fn(&str) -> String) -> bool {
        self.terms
            .iter()
            .all(|term| (field(&term.field) == term.value) == term.equal)
    }

    /// The one value that it requires of `field`, if it requires one.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        let term = |term: &&Term| term.field == field && term.equal;
        self.terms.iter().find(term).map(|term| term.value.as_str())
    }
}

/// The parts between commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Splits at the first operator; one in the value must be escaped.
fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    let (at, operator) = term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        let operator = ["!=", "==", "="].iter().find(|o| rest.starts_with(**o))?;
        Some((at, *operator))
    })?;
    Some((&term[..at], operator, &term[at + operator.len()..]))
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => {
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{next}"
                    ));
                }
                None => {
                    let message = "invalid field selector: invalid escape sequence: \\";
                    return Err(message.to_owned());
                }
            },
            '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {value}"
                ));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(&term.field)?;
            f.write_str(if term.equal { "=" } else { "!=" })?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FieldSelector;

    #[test]
    fn selectors_match_and_an_empty_value_equals_none() {
        let field = |name: &str| match name {
            "metadata.name" => Some("a,b=c\\d"),
            "status.phase" => Some("Running"),
            _ => None,
        };
        for (selector, expected) in [
            ("", true),
            (r"metadata.name=a\,b\=c\\d", true),
            ("status.phase==Running", true),
            ("status.phase!=Running", false),
            ("status.phase!=Failed,spec.nodeName=", true),
            ("spec.nodeName!=", false),
            ("spec.nodeName=x", false),
        ] {
            let parsed = FieldSelector::parse(selector, "Pod").unwrap();
            assert_eq!(parsed.matches(field), expected, "{selector}");
            let again = FieldSelector::parse(&parsed.to_string(), "Pod").unwrap();
            assert_eq!(parsed, again);
        }
        let parsed = FieldSelector::parse("metadata.name=x", "Lease").unwrap();
        assert_eq!(parsed.exact("metadata.name"), Some("x"));
    }

    #[test]
    fn errors_are_those_of_kubernetes() {
        for (selector, kind, expected) in [
            (
                "spec.foo=1",
                "Job",
                "field label \"spec.foo\" not supported for Job",
            ),
            ("spec.foo=1", "Pod", "field label not supported: spec.foo"),
            ("a", "Job", "invalid selector: 'a'; can't understand 'a'"),
            (
                "type=x",
                "Lease",
                "\"type\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            ),
            (
                r"type=\x",
                "Secret",
                r"invalid field selector: invalid escape sequence: \x",
            ),
        ] {
            assert_eq!(FieldSelector::parse(selector, kind).unwrap_err(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a!=,\\\\\u{e9}.]{0,24}") {
            if let Ok(parsed) = FieldSelector::parse_any(&text) {
                let again = FieldSelector::parse_any(&parsed.to_string()).unwrap();
                proptest::prop_assert_eq!(parsed, again);
            }
        }
    }
}
