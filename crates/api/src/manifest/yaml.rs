//! YAML text into trees, one per document: anchors, merge keys, duplicate keys, limits.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::Position;
use super::scalar::resolve;
use super::tree::{Entry, Node, Value};

/// Nesting that is followed. Kubernetes stops at 10,000, and no object of its API needs 30.
pub(crate) const DEPTH_MAX: usize = 128;

/// Nodes that the aliases of one document may add. No manifest comes near; a
/// "billion laughs" passes it before it costs anything.
const ALIAS_NODES_MAX: usize = 100_000;

/// Duplicate keys that are told; whoever has more has made them with a program.
pub(crate) const DUPLICATES_MAX: usize = 100;

/// Why a text is no document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    pub(crate) at: Position,
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
    /// Whether the text is not of the language at all.
    pub(crate) is_syntax: bool,
    /// The key, if it is refused because it stands there already.
    pub(crate) twice: Option<String>,
}

impl Refusal {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: None,
            is_syntax: false,
            twice: None,
        }
    }
}

/// Reads all documents of `text`. After a syntax error the rest is unreadable,
/// so the documents before it and the first error are all there is.
pub(crate) fn read(text: &str) -> (Vec<Node>, Vec<Refusal>) {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.accept(event, span),
            Err(error) => Err(syntax_error(&error)),
        };
        if let Err(refusal) = step {
            builder.refusals.push(refusal);
            break;
        }
    }
    (builder.documents, builder.refusals)
}

/// A syntax error; what people most often stumble over is worded as other YAML
/// parsers do, so that it can be searched for.
fn syntax_error(error: &ScanError) -> Refusal {
    let (message, hint) = match error.info() {
        "simple key expect ':'" | "simple key expected" => (
            "could not find expected ':'",
            Some("is a line above indented less than the text it belongs to?"),
        ),
        other => (other, None),
    };
    let message = format!("not valid YAML: {message}");
    Refusal {
        at: position(*error.marker()),
        message,
        hint,
        is_syntax: true,
        twice: None,
    }
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    refusals: Vec<Refusal>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    alias_nodes: usize,
}

/// A list or map whose end has not been seen.
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: HashSet<String>,
        key: Option<Key>,
        merges: Vec<Node>,
    },
}

struct Key {
    text: String,
    at: Position,
    is_merge: bool,
}

impl Builder {
    fn accept(&mut self, event: Event<'_>, span: Span) -> Result<(), Refusal> {
        let at = position(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.alias_nodes = 0;
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(frame) = self.open.last_mut()
                    && let Content::Map {
                        key: key @ None, ..
                    } = &mut frame.content
                {
                    let is_merge = style == ScalarStyle::Plain && text == "<<";
                    let text = text.into_owned();
                    *key = Some(Key { text, at, is_merge });
                    return Ok(());
                }
                let value = scalar(&text, style, tag.as_deref());
                self.place(anchor, Node::scalar(at, value))
            }
            Event::SequenceStart(anchor, _) => self.enter(at, anchor, Content::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let content = Content::Map {
                    entries: Vec::new(),
                    seen: HashSet::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.enter(at, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(),
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id) else {
                    return Err(Refusal::new(at, "not valid YAML: an alias to itself"));
                };
                self.alias_nodes += target.weight;
                if self.alias_nodes > ALIAS_NODES_MAX {
                    return Err(Refusal::new(at, "the document contains excessive aliasing"));
                }
                let node = target.clone();
                self.place(0, node)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn enter(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Refusal> {
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested more than {DEPTH_MAX} levels deep");
            return Err(Refusal::new(at, message));
        }
        if let Some(Open {
            content: Content::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(Refusal::new(at, "the key of a map must be a string"));
        }
        self.open.push(Open {
            at,
            anchor,
            content,
        });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Refusal> {
        let Some(frame) = self.open.pop() else {
            return Ok(());
        };
        let node = match frame.content {
            Content::List(items) => Node::list(frame.at, items),
            Content::Map {
                mut entries,
                mut seen,
                merges,
                ..
            } => {
                for merged in merges {
                    merge(&mut entries, &mut seen, merged)?;
                }
                Node::map(frame.at, entries)
            }
        };
        self.place(frame.anchor, node)
    }

    /// Puts a complete node where it belongs: into what is open, or as a document.
    fn place(&mut self, anchor: usize, node: Node) -> Result<(), Refusal> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            // Anchors inside anchors copy as well.
            self.alias_nodes += node.weight;
            if self.alias_nodes > ALIAS_NODES_MAX {
                return Err(Refusal::new(
                    node.at,
                    "the document contains excessive aliasing",
                ));
            }
        }
        let Some(frame) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                seen,
                key,
                merges,
            } => {
                let Some(name) = key.take() else {
                    return Err(Refusal::new(node.at, "the key of a map must be a string"));
                };
                if name.is_merge {
                    merges.push(node);
                } else if seen.insert(name.text.clone()) {
                    entries.push(Entry {
                        key: name.text,
                        key_at: name.at,
                        value: node,
                    });
                } else {
                    let refusal = twice(entries, &name.text, name.at);
                    if self.refusals.len() >= DUPLICATES_MAX {
                        return Err(refusal);
                    }
                    self.refusals.push(refusal);
                }
            }
        }
        Ok(())
    }
}

/// The refusal of a second `key` at `at`.
pub(crate) fn twice(entries: &[Entry], key: &str, at: Position) -> Refusal {
    let first = entries
        .iter()
        .find(|entry| entry.key == key)
        .map_or(at, |e| e.key_at);
    Refusal {
        twice: Some(key.to_owned()),
        ..Refusal::new(at, format!("key {key:?} is already set at {first}"))
    }
}

/// Adds what `merged` (the value of `<<`) has and `entries` has not.
fn merge(
    entries: &mut Vec<Entry>,
    seen: &mut HashSet<String>,
    merged: Node,
) -> Result<(), Refusal> {
    match merged.value {
        Value::Map(more) => {
            for entry in more {
                if seen.insert(entry.key.clone()) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        Value::List(items) => {
            for item in items {
                match item.value {
                    Value::Map(_) => merge(entries, seen, item)?,
                    _ => return Err(Refusal::new(item.at, "`<<` merges maps only")),
                }
            }
            Ok(())
        }
        _ => Err(Refusal::new(merged.at, "`<<` merges maps only")),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
            Value::String(text.to_owned())
        }
        Some(tag) if tag.is_yaml_core_schema() => resolve(text),
        _ if style == ScalarStyle::Plain => resolve(text),
        _ => Value::String(text.to_owned()),
    }
}

fn position(marker: saphyr_parser::Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}
