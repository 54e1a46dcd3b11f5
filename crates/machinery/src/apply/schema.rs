//! What the table of types says about owning a value: as a whole, field by field
//! or item by item.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::path::Element;
use crate::types::{Field, Message, Topology, Type};

/// How a value is owned.
#[derive(Clone, Copy)]
pub(super) enum Schema {
    /// As a whole.
    Leaf,
    /// Field by field, the fields being those of a message.
    Struct(&'static Message),
    /// Field by field, all fields of one type.
    Map(&'static Type),
    /// A list, value by value.
    Set,
    /// A list, item by item, the items told apart by keys.
    Keyed(&'static [&'static str], &'static Type),
    /// Nothing is known: objects field by field, all else as a whole.
    Untyped,
}

/// A value seen through its schema.
pub(super) enum View<'a> {
    /// Owned as a whole.
    Leaf,
    /// Owned field by field.
    Object(&'a Map<String, Value>),
    /// Owned item by item.
    Items(Vec<(Element, &'a Value)>),
}

impl Schema {
    pub(super) fn of(message: Option<&'static Message>) -> Self {
        message.map_or(Self::Untyped, Self::Struct)
    }

    fn of_type(ty: &'static Type) -> Self {
        match ty {
            Type::Message(_) => match ty.message() {
                Some(message) if !message.is_atomic() => Self::Struct(message),
                _ => Self::Leaf,
            },
            Type::Map(value) => Self::Map(value),
            _ => Self::Leaf,
        }
    }

    pub(super) fn of_field(field: &'static Field) -> Self {
        match (&field.ty, &field.topology) {
            (_, Topology::Atomic) => Self::Leaf,
            (Type::List(_), Topology::Set) => Self::Set,
            (Type::List(item), Topology::Map(keys)) => Self::Keyed(keys, item),
            (ty, _) => Self::of_type(ty),
        }
    }

    /// The declared field of that name.
    pub(super) fn declared(self, name: &str) -> Option<&'static Field> {
        match self {
            Self::Struct(message) => message.field(name),
            _ => None,
        }
    }

    /// The schema of a field.
    pub(super) fn field(self, name: &str) -> Self {
        match self {
            Self::Struct(message) => message.field(name).map_or(Self::Untyped, Self::of_field),
            Self::Map(value) => Self::of_type(value),
            _ => Self::Untyped,
        }
    }

    /// The schema of an item.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Keyed(_, item) => Self::of_type(item),
            _ => Self::Leaf,
        }
    }

    /// The schema of what is one step below.
    pub(super) fn below(self, element: &Element) -> Self {
        match element {
            Element::Field(name) => self.field(name),
            _ => self.item(),
        }
    }

    /// `value` seen through it. A value of another shape is a leaf, and so is a
    /// list whose items cannot be told apart.
    pub(super) fn view(self, value: &Value) -> View<'_> {
        match (self, value) {
            (Self::Struct(_) | Self::Map(_) | Self::Untyped, Value::Object(fields)) => {
                View::Object(fields)
            }
            (Self::Set | Self::Keyed(..), Value::Array(items)) => {
                let items: Result<Vec<_>, String> = items
                    .iter()
                    .map(|item| Ok((self.element(item)?, item)))
                    .collect();
                items.map_or(View::Leaf, View::Items)
            }
            _ => View::Leaf,
        }
    }

    /// What tells the item apart.
    ///
    /// # Errors
    ///
    /// It has not all keys, or is no value of a set.
    pub(super) fn element(self, item: &Value) -> Result<Element, String> {
        match (self, item) {
            (Self::Keyed(names, ty), Value::Object(fields)) => {
                let message = ty.message().map_or("", |message| message.name);
                let mut keys = Vec::with_capacity(names.len());
                for name in names {
                    let value = fields.get(*name).filter(|value| !value.is_null());
                    let value = value.or_else(|| key_default(message, name));
                    let value = value.ok_or_else(|| {
                        format!(
                            "associative list with keys has an element that omits key field {name:?} (and doesn't have default value)"
                        )
                    })?;
                    keys.push((*name, value));
                }
                Ok(Element::key(keys))
            }
            (Self::Keyed(..), _) => {
                Err("associative list with keys may not have non-map elements".to_owned())
            }
            (_, Value::Null) => {
                Err("associative list with values has an element that's explicitly null".to_owned())
            }
            (_, Value::Array(_) | Value::Object(_)) => {
                Err("associative lists as sets must have scalar elements".to_owned())
            }
            (_, value) => Ok(Element::value(value)),
        }
    }
}

static TCP: LazyLock<Value> = LazyLock::new(|| Value::from("TCP"));

/// What a key is if an item leaves it out.
fn key_default(message: &str, key: &str) -> Option<&'static Value> {
    match (message, key) {
        ("core.v1.ContainerPort" | "core.v1.ServicePort", "protocol") => Some(&TCP),
        _ => None,
    }
}
