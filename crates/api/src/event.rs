//! Events: what a controller or the node wants people to know.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How serious an event is (`type` of a Kubernetes Event).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventType {
    /// Something that was expected.
    Normal,
    /// Something that may need a person.
    Warning,
}

impl EventType {
    /// The word that Kubernetes uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event about one object; the object, the time and the source are known to whoever holds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Normal or Warning.
    pub event_type: EventType,
    /// The CamelCase reason, e.g. `SuccessfulCreate`.
    pub reason: Cow<'static, str>,
    /// The message.
    pub note: EventNote,
    /// Which part of the object it is about (`involvedObject.fieldPath`), such as
    /// `spec.containers{main}`. Who keeps an event keeps it beside.
    #[serde(skip)]
    pub field_path: Option<Arc<str>>,
}

/// The message of an event. The frequent ones are kept as what they name, and
/// become text when somebody reads them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum EventNote {
    /// `Created pod: NAME`.
    CreatedPod(Arc<str>),
    /// `Deleted pod: NAME`.
    DeletedPod(Arc<str>),
    /// Any other text.
    Text(Cow<'static, str>),
}

impl fmt::Display for EventNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatedPod(name) => write!(f, "Created pod: {name}"),
            Self::DeletedPod(name) => write!(f, "Deleted pod: {name}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Event {
    /// An event of type Normal.
    pub fn normal(
        reason: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            event_type: EventType::Normal,
            reason: reason.into(),
            note: EventNote::Text(text.into()),
            field_path: None,
        }
    }

    /// An event of type Warning.
    pub fn warning(
        reason: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            event_type: EventType::Warning,
            reason: reason.into(),
            note: EventNote::Text(text.into()),
            field_path: None,
        }
    }

    /// The event about a part of the object.
    #[must_use]
    pub fn about(mut self, field_path: String) -> Self {
        self.field_path = Some(field_path.into());
        self
    }
}
