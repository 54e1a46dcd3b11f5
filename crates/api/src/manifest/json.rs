//! JSON text into trees with positions; one value after another, as `kubectl` takes them.

use std::collections::HashSet;

use super::problem::Position;
use super::tree::{Entry, Node, Value};
use super::yaml::{DEPTH_MAX, DUPLICATES_MAX, Refusal, twice};

/// Reads all JSON values of `text`.
pub(crate) fn read(text: &str) -> (Vec<Node>, Vec<Refusal>) {
    let mut reader = Reader {
        text,
        offset: 0,
        line: 1,
        line_start: 0,
        hidden: 0,
        duplicates: Vec::new(),
    };
    let mut documents = Vec::new();
    loop {
        reader.skip_space();
        if reader.offset == text.len() {
            return (documents, reader.duplicates);
        }
        match reader.value(0) {
            Ok(node) => documents.push(node),
            Err(refusal) => {
                let mut refusals = reader.duplicates;
                refusals.push(refusal);
                return (documents, refusals);
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
    line_start: usize,
    /// Bytes of this line so far that start no character.
    hidden: usize,
    duplicates: Vec<Refusal>,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.offset..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn at(&self) -> Position {
        Position {
            line: self.line,
            column: self.offset - self.line_start - self.hidden + 1,
        }
    }

    fn refuse<T>(&self, what: &str) -> Result<T, Refusal> {
        let mut refusal = Refusal::new(self.at(), format!("not valid JSON: {what}"));
        refusal.is_syntax = true;
        Err(refusal)
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.offset += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.offset;
                self.hidden = 0;
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Refusal> {
        let at = self.at();
        if depth >= DEPTH_MAX {
            return Err(Refusal::new(
                at,
                format!("nested more than {DEPTH_MAX} levels deep"),
            ));
        }
        let value = match self.peek() {
            Some(b'{') => return self.object(at, depth),
            Some(b'[') => return self.list(at, depth),
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node::scalar(at, value))
    }

    fn object(&mut self, at: Position, depth: usize) -> Result<Node, Refusal> {
        self.offset += 1;
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.offset += 1;
            return Ok(Node::map(at, entries));
        }
        loop {
            self.skip_space();
            let key_at = self.at();
            if self.peek() != Some(b'"') {
                return self.refuse("expected a key in quotes");
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.refuse("expected `:`");
            }
            self.offset += 1;
            self.skip_space();
            let value = self.value(depth + 1)?;
            if seen.insert(key.clone()) {
                entries.push(Entry { key, key_at, value });
            } else {
                let refusal = twice(&entries, &key, key_at);
                if self.duplicates.len() >= DUPLICATES_MAX {
                    return Err(refusal);
                }
                self.duplicates.push(refusal);
            }
            if self.ends_with(b'}')? {
                return Ok(Node::map(at, entries));
            }
        }
    }

    fn list(&mut self, at: Position, depth: usize) -> Result<Node, Refusal> {
        self.offset += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.offset += 1;
            return Ok(Node::list(at, items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            if self.ends_with(b']')? {
                return Ok(Node::list(at, items));
            }
        }
    }

    /// Steps over a comma (false) or `end` (true).
    fn ends_with(&mut self, end: u8) -> Result<bool, Refusal> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.offset += 1;
                Ok(false)
            }
            Some(byte) if byte == end => {
                self.offset += 1;
                Ok(true)
            }
            _ => self.refuse(&format!("expected `,` or `{}`", char::from(end))),
        }
    }

    /// Reads a string; serde_json knows the escapes, surrogate pairs included.
    fn string(&mut self) -> Result<String, Refusal> {
        let mut end = 1;
        loop {
            match self.rest().get(end) {
                None => return self.refuse("a string is not closed"),
                Some(b'\\') => end += 2,
                Some(b'"') => break,
                Some(_) => end += 1,
            }
        }
        let raw = &self.text[self.offset..self.offset + end + 1];
        match serde_json::from_str(raw) {
            Ok(text) => {
                self.offset += raw.len();
                self.hidden += raw.len() - raw.chars().count();
                Ok(text)
            }
            Err(_) => self.refuse("a string with a bad escape or a control character"),
        }
    }

    fn number(&mut self) -> Result<Value, Refusal> {
        let length = self
            .rest()
            .iter()
            .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .count();
        let raw = &self.text[self.offset..self.offset + length];
        let well_formed = serde_json::from_str::<serde_json::Number>(raw).is_ok();
        let value = match raw.parse::<i128>() {
            Ok(value) if well_formed => Value::Int(value),
            // A number such as 1e999 is well formed JSON that no field can hold.
            _ => match raw.parse::<f64>() {
                Ok(value) => Value::Float(value),
                Err(_) => return self.refuse("a malformed number"),
            },
        };
        self.offset += length;
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, Refusal> {
        let words = [
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("null", Value::Null),
        ];
        for (word, value) in words {
            if self.rest().starts_with(word.as_bytes()) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        match self.peek() {
            None => self.refuse("it ends too early"),
            Some(_) => self.refuse("expected a value"),
        }
    }
}
