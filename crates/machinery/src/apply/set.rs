//! Sets of paths: which fields a manager owns, and their record `FieldsV1`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Element;
use crate::patch::DEPTH_MAX;

/// A set of paths of fields, as a tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FieldSet {
    /// What is in the set itself.
    pub(super) members: BTreeSet<Element>,
    /// What is in the set below; none of them is empty.
    pub(super) children: BTreeMap<Element, Self>,
}

impl FieldSet {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Adds a path; the empty path is no field.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((last, parents)) = path.split_last() else {
            return;
        };
        let mut at = self;
        for parent in parents {
            at = at.children.entry(parent.clone()).or_default();
        }
        at.members.insert(last.clone());
    }

    /// Adds what is one step below: whether it is in the set itself, and what is in
    /// the set below it.
    pub(super) fn put(&mut self, element: Element, member: bool, below: Self) {
        if !below.is_empty() {
            self.children
                .entry(element.clone())
                .or_default()
                .add_all(below);
        }
        if member {
            self.members.insert(element);
        }
    }

    fn add_all(&mut self, other: Self) {
        match self.is_empty() {
            true => *self = other,
            false => self.add(&other),
        }
    }

    /// Whether the path is in it.
    #[must_use]
    pub fn has(&self, path: &[Element]) -> bool {
        let Some((last, parents)) = path.split_last() else {
            return false;
        };
        let mut at = self;
        for parent in parents {
            match at.children.get(parent) {
                Some(child) => at = child,
                None => return false,
            }
        }
        at.members.contains(last)
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.add(other);
        result
    }

    /// Adds what is in `other`.
    pub fn add(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().add(child);
        }
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let common = |(element, child): (&Element, &Self)| {
            let child = child.intersection(other.children.get(element)?);
            (!child.is_empty()).then(|| (element.clone(), child))
        };
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(common).collect(),
        }
    }

    /// What is in this one and not in `other`; what is below a path stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let left = |(element, child): (&Element, &Self)| {
            let child = match other.children.get(element) {
                Some(gone) => child.difference(gone),
                None => child.clone(),
            };
            (!child.is_empty()).then(|| (element.clone(), child))
        };
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(left).collect(),
        }
    }

    /// Without the field and all that is below it.
    #[must_use]
    pub(super) fn without_tree(mut self, element: &Element) -> Self {
        self.members.remove(element);
        self.children.remove(element);
        self
    }

    /// Only the field and what is below it.
    #[must_use]
    pub(super) fn only_tree(mut self, element: &Element) -> Self {
        self.members.retain(|member| member == element);
        self.children.retain(|child, _| child == element);
        self
    }

    /// All paths, those of an object before those below it.
    #[must_use]
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            paths.push(path);
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// As `FieldsV1` records it.
    #[must_use]
    pub fn to_fields(&self) -> Value {
        let mut fields = Map::new();
        for member in &self.members {
            fields.insert(member.record(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            let mut record = match child.to_fields() {
                Value::Object(record) => record,
                _ => Map::new(),
            };
            if self.members.contains(element) {
                record.insert(".".to_owned(), Value::Object(Map::new()));
            }
            fields.insert(element.record(), Value::Object(record));
        }
        Value::Object(fields)
    }

    /// What a `FieldsV1` records.
    ///
    /// # Errors
    ///
    /// The record is none, or nests too deeply.
    pub fn from_fields(fields: &Value) -> Result<Self, String> {
        Self::read(fields, DEPTH_MAX)
    }

    fn read(fields: &Value, levels: usize) -> Result<Self, String> {
        let mut set = Self::default();
        let fields = match fields {
            Value::Null => return Ok(set),
            Value::Object(fields) => fields,
            other => return Err(format!("{other} is no set of fields")),
        };
        let Some(levels) = levels.checked_sub(1) else {
            return Err("a set of fields nests too deeply".to_owned());
        };
        for (record, below) in fields {
            if record == "." {
                continue;
            }
            let element = Element::read(record)?;
            let child = Self::read(below, levels)?;
            if child.is_empty() || below.get(".").is_some() {
                set.members.insert(element.clone());
            }
            if !child.is_empty() {
                set.children.insert(element, child);
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::FieldSet;
    use proptest::prelude::{Just, Strategy, prop_oneof};
    use serde_json::{Value, json};

    #[test]
    fn records_are_read_and_written() {
        let record = json!({
            "f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}},
            "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                ".": {}, "f:name": {},
            }}},
        });
        let set = FieldSet::from_fields(&record).unwrap();
        assert_eq!(set.to_fields(), record);
        let paths: Vec<String> = set
            .paths()
            .iter()
            .map(|p| super::super::path::text(p))
            .collect();
        assert_eq!(
            paths,
            [
                ".metadata.finalizers",
                ".metadata.finalizers[=\"a\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"]",
                ".spec.ports[containerPort=80,protocol=\"TCP\"].name",
            ]
        );
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for wrong in [
            json!(1),
            json!({"x": {}}),
            json!({"g:x": {}}),
            json!({"k:1": {}}),
            json!({"k:{": {}}),
            json!({"v:": {}}),
            json!({"i:x": {}}),
            json!({"f:x": 1}),
        ] {
            assert!(FieldSet::from_fields(&wrong).is_err(), "{wrong}");
        }
        let mut deep = json!({});
        for _ in 0..400 {
            deep = json!({"f:a": deep});
        }
        assert!(FieldSet::from_fields(&deep).is_err());
    }

    fn set() -> impl Strategy<Value = FieldSet> {
        let leaf = Just(json!({}));
        let record = leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop_oneof![Just("."), Just("f:a"), Just("f:b"), Just("k:{\"n\":1}")];
            proptest::collection::vec((key, inner), 0..4).prop_map(|fields| {
                let dot = |k: &str, v: Value| if k == "." { json!({}) } else { v };
                let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), dot(k, v)));
                Value::Object(fields.collect())
            })
        });
        record.prop_map(|record| FieldSet::from_fields(&record).unwrap())
    }

    proptest::proptest! {
        #[test]
        fn sets_obey_the_laws(a in set(), b in set()) {
            proptest::prop_assert_eq!(&FieldSet::from_fields(&a.to_fields()).unwrap(), &a);
            proptest::prop_assert_eq!(&a.union(&b), &b.union(&a));
            proptest::prop_assert_eq!(&a.intersection(&b), &b.intersection(&a));
            proptest::prop_assert_eq!(&a.difference(&b).union(&a.intersection(&b)), &a);
            proptest::prop_assert!(a.difference(&b).intersection(&b).is_empty());
        }
    }
}
