//! The fields of a value: what a manager owns that applies it.

use std::collections::HashSet;

use serde_json::Value;

use super::path::{self, Element};
use super::schema::{Schema, View};
use super::set::FieldSet;
use crate::patch::DEPTH_MAX;
use crate::types::Message;

/// The fields that `object`, a `message`, sets.
///
/// # Errors
///
/// A list has an item without its key or two items with the same one; the text is
/// upstream's: `.spec.x: duplicate entries for key [name="a"]`.
pub fn fields_of(message: Option<&'static Message>, object: &Value) -> Result<FieldSet, String> {
    strict(Schema::of(message), object)
}

/// The same, with a schema.
pub(super) fn strict(schema: Schema, value: &Value) -> Result<FieldSet, String> {
    let mut walk = Walk {
        path: Vec::new(),
        strict: true,
    };
    walk.visit(schema, value).map(|below| below.set)
}

/// The same of a live object, whose lists are what they are: one whose items cannot
/// be told apart is one field.
pub(super) fn lenient(schema: Schema, value: &Value) -> FieldSet {
    let mut walk = Walk {
        path: Vec::new(),
        strict: false,
    };
    // A lenient walk has no errors.
    walk.visit(schema, value).unwrap_or_default().set
}

/// What a value sets.
#[derive(Default)]
struct Below {
    /// Whether it is a field itself.
    leaf: bool,
    set: FieldSet,
}

/// Sets grow from the leaves up: adding path by path would cost the depth for each.
struct Walk {
    path: Vec<Element>,
    strict: bool,
}

impl Walk {
    fn visit(&mut self, schema: Schema, value: &Value) -> Result<Below, String> {
        if self.strict {
            self.check(schema, value)?;
        }
        let mut below = Below::default();
        let view = match self.path.len() {
            0..DEPTH_MAX => schema.view(value),
            _ => View::Leaf,
        };
        match view {
            View::Leaf => below.leaf = true,
            View::Object(fields) => {
                for (name, field) in fields {
                    let element = Element::field(name);
                    let empty = field.as_object().is_some_and(serde_json::Map::is_empty);
                    let member = field.is_null() || empty || schema.declared(name).is_none();
                    self.step(&mut below.set, schema.field(name), element, field, member)?;
                }
            }
            View::Items(items) => {
                for (element, item) in items {
                    self.step(&mut below.set, schema.item(), element, item, true)?;
                }
            }
        }
        Ok(below)
    }

    fn step(
        &mut self,
        set: &mut FieldSet,
        schema: Schema,
        element: Element,
        value: &Value,
        member: bool,
    ) -> Result<(), String> {
        self.path.push(element);
        let below = self.visit(schema, value)?;
        if let Some(element) = self.path.pop() {
            set.put(element, member || below.leaf, below.set);
        }
        Ok(())
    }

    fn check(&self, schema: Schema, value: &Value) -> Result<(), String> {
        let (Schema::Set | Schema::Keyed(..), Value::Array(items)) = (schema, value) else {
            return Ok(());
        };
        let at = path::text(&self.path);
        let mut seen = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let element = schema
                .element(item)
                .map_err(|error| format!("{at}: element {index}: {error}"))?;
            if let Some(twice) = seen.replace(element) {
                return Err(format!("{at}: duplicate entries for key {twice}"));
            }
        }
        Ok(())
    }
}
