//! Columns of tables.

use serde_json::{Value, json};

/// What the column of a name says; upstream takes it from the documentation of the type.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The same of an age.
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name; kubectl shows it in capitals.
    pub name: &'static str,
    /// The type of its cells: `string`, `integer`, `boolean` or `date`.
    pub ty: &'static str,
    /// `name` marks the primary identifier.
    pub format: &'static str,
    /// What it says.
    pub description: &'static str,
    /// 0, or 1 if only `-o wide` shows it.
    pub priority: u8,
}

impl Column {
    pub(super) const fn new(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            ty: "string",
            format: "",
            description,
            priority: 0,
        }
    }

    pub(super) const fn typed(mut self, ty: &'static str) -> Self {
        self.ty = ty;
        self
    }

    pub(super) const fn formatted(mut self, format: &'static str) -> Self {
        self.format = format;
        self
    }

    pub(super) const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    /// `Name`.
    pub(super) const NAME: Self = Self::new("Name", NAME).formatted("name");

    /// `Age`.
    pub(super) const AGE: Self = Self::new("Age", CREATED);

    /// `Created At`.
    pub(super) const CREATED: Self = Self::new("Created At", CREATED).typed("date");

    pub(super) fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.ty,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}
