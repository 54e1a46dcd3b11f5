//! Splits a source into documents and reads each: YAML or JSON, within limits.

use super::problem::Position;
use super::tree::Node;
use super::yaml::Refusal;
use super::{json, yaml};

/// The most bytes of one document: what the API server takes as a request.
const DOCUMENT_BYTES_MAX: usize = 3 << 20;

/// The documents of a source, and what could not be read. Lines are the source's.
pub(crate) struct Documents {
    pub(crate) roots: Vec<Root>,
    pub(crate) refusals: Vec<Refusal>,
}

/// A document, and how many lines stand before the text it was read from.
pub(crate) struct Root {
    pub(crate) node: Node,
    pub(crate) lines_before: usize,
}

pub(crate) fn read(bytes: &[u8]) -> Documents {
    let mut documents = Documents {
        roots: Vec::new(),
        refusals: Vec::new(),
    };
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            documents
                .refusals
                .push(Refusal::new(end_of(&before), "not valid UTF-8"));
            return documents;
        }
    };
    for Chunk { text, lines_before } in split(text) {
        if text.len() > DOCUMENT_BYTES_MAX {
            let at = Position {
                line: lines_before + 1,
                column: 1,
            };
            let message = format!(
                "the document has {} bytes, more than {DOCUMENT_BYTES_MAX}",
                text.len()
            );
            documents.refusals.push(Refusal::new(at, message));
            continue;
        }
        let (nodes, refusals) = parse(text);
        documents
            .roots
            .extend(nodes.into_iter().map(|node| Root { node, lines_before }));
        documents
            .refusals
            .extend(refusals.into_iter().map(|mut refusal| {
                refusal.at.line += lines_before;
                refusal
            }));
    }
    documents
}

/// Reads a chunk. What starts like JSON may still be YAML in flow style.
fn parse(text: &str) -> (Vec<Node>, Vec<Refusal>) {
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml::read(text);
    }
    let json = json::read(text);
    if json.1.iter().all(|refusal| !refusal.is_syntax) {
        return json;
    }
    let yaml = yaml::read(text);
    // The reading that gets further is the one that was meant.
    let end = |refusals: &[Refusal]| refusals.last().map(|refusal| refusal.at);
    if yaml.1.is_empty() || end(&yaml.1) > end(&json.1) {
        yaml
    } else {
        json
    }
}

struct Chunk<'a> {
    text: &'a str,
    lines_before: usize,
}

/// Cuts before every `---` line, so that a syntax error spoils one document only.
fn split(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut lines_before = 0;
    let mut has_content = false;
    let mut offset = 0;
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        let after = line.strip_prefix("---");
        let is_marker =
            after.is_some_and(|after| after.trim_start().len() < after.len() || after.is_empty());
        if is_marker && has_content {
            chunks.push(Chunk {
                text: &text[start..offset],
                lines_before,
            });
            start = offset;
            lines_before = line_number;
            has_content = false;
        }
        let trimmed = line.trim();
        // Directives and comments belong to the document that follows them.
        has_content |= is_marker || !(trimmed.is_empty() || trimmed.starts_with(['#', '%']));
        offset += line.len();
    }
    chunks.push(Chunk {
        text: &text[start..],
        lines_before,
    });
    chunks
}

fn end_of(text: &str) -> Position {
    let line_start = text.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: text.matches('\n').count() + 1,
        column: text[line_start..].chars().count() + 1,
    }
}
