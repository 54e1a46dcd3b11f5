//! Expands words: to fields, to one text, or to a pattern.

use super::ast::{Operation, Part, Word};
use super::{Flow, Shell};
use crate::pattern;

/// What unquoted values are split at if IFS is not set.
const SEPARATORS: &str = " \t\n";

/// A field as it grows: pieces, of which the quoted ones are plain in patterns.
#[derive(Default)]
struct Field(Vec<(String, bool)>);

/// Collects fields.
struct Fields {
    done: Vec<Field>,
    /// `None` until something begins the next field.
    current: Option<Field>,
    separators: String,
    /// Whether values are split at all.
    splitting: bool,
}

impl Field {
    fn text(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }

    fn pattern(&self) -> String {
        self.0
            .iter()
            .map(|(text, quoted)| {
                if *quoted {
                    pattern::escape(text)
                } else {
                    text.clone()
                }
            })
            .collect()
    }
}

impl Fields {
    fn push(&mut self, text: &str, quoted: bool) {
        self.current
            .get_or_insert_with(Field::default)
            .0
            .push((text.to_owned(), quoted));
    }

    fn end_field(&mut self) {
        self.done.extend(self.current.take());
    }

    /// Adds the value of an expansion.
    fn value(&mut self, value: &str, quoted: bool) {
        if quoted || !self.splitting {
            return self.push(value, quoted);
        }
        let mut text = String::new();
        for c in value.chars() {
            if !self.separators.contains(c) {
                text.push(c);
                continue;
            }
            if !text.is_empty() {
                self.push(&std::mem::take(&mut text), false);
            } else if !c.is_ascii_whitespace() && self.current.is_none() {
                // A separator that is not a blank delimits empty fields too.
                self.push("", false);
            }
            self.end_field();
        }
        if !text.is_empty() {
            self.push(&text, false);
        }
    }
}

impl Shell {
    /// The fields that words become: split, and matched against files.
    pub(super) fn expand_words(&mut self, words: &[Word]) -> Result<Vec<String>, Flow> {
        let mut texts = Vec::new();
        for word in words {
            if let Some(text) = word.plain().filter(|text| !pattern::is_pattern(text)) {
                texts.push(text.to_owned());
                continue;
            }
            for field in self.fields(word, true)? {
                let pattern = field.pattern();
                if self.options.no_glob || !pattern::is_pattern(&pattern) {
                    texts.push(field.text());
                    continue;
                }
                match self.glob(&pattern) {
                    found if found.is_empty() => texts.push(field.text()),
                    found => texts.extend(found),
                }
            }
        }
        Ok(texts)
    }

    /// The one text that a word becomes, unsplit.
    pub(super) fn expand_single(&mut self, word: &Word) -> Result<String, Flow> {
        if let Some(text) = word.plain() {
            return Ok(text.to_owned());
        }
        let fields = self.fields(word, false)?;
        Ok(fields.iter().map(Field::text).collect::<Vec<_>>().join(" "))
    }

    /// The pattern that a word becomes, in which what was quoted is plain.
    pub(super) fn expand_pattern(&mut self, word: &Word) -> Result<String, Flow> {
        let fields = self.fields(word, false)?;
        Ok(fields
            .iter()
            .map(Field::pattern)
            .collect::<Vec<_>>()
            .join(" "))
    }

    fn fields(&mut self, word: &Word, splitting: bool) -> Result<Vec<Field>, Flow> {
        let separators = self.variables.peek("IFS").unwrap_or(SEPARATORS).to_owned();
        let mut fields = Fields {
            done: Vec::new(),
            current: None,
            separators,
            splitting,
        };
        self.add_word(&mut fields, word)?;
        fields.end_field();
        Ok(fields.done)
    }

    fn add_word(&mut self, fields: &mut Fields, word: &Word) -> Result<(), Flow> {
        for part in &word.0 {
            self.add_part(fields, part)?;
        }
        Ok(())
    }

    fn add_part(&mut self, fields: &mut Fields, part: &Part) -> Result<(), Flow> {
        match part {
            Part::Text { text, quoted } => fields.push(text, *quoted),
            Part::Home => {
                let home = self.variables.peek("HOME").unwrap_or("/").to_owned();
                fields.push(&home, true);
            }
            Part::Command { list, quoted } => {
                let output = self.substitute(list)?;
                fields.value(&output, *quoted);
            }
            Part::Arithmetic { word, quoted } => {
                let text = self.expand_single(word)?;
                let value = self.evaluate(&text)?;
                fields.value(&value.to_string(), *quoted);
            }
            Part::Parameter {
                name,
                operation,
                quoted,
            } => self.add_parameter(fields, name, operation, *quoted)?,
        }
        Ok(())
    }

    fn add_parameter(
        &mut self,
        fields: &mut Fields,
        name: &str,
        operation: &Operation,
        quoted: bool,
    ) -> Result<(), Flow> {
        if matches!(name, "@" | "*") && matches!(operation, Operation::Get) {
            self.add_arguments(fields, name == "@", quoted);
            return Ok(());
        }
        // A word in place of the value may be many fields, as "$@" is.
        if let Some(word) = self.replacement(name, operation) {
            let word = word.clone();
            return self.add_replacement(fields, &word, quoted);
        }
        let value = self.parameter(name, operation)?;
        fields.value(&value, quoted);
        Ok(())
    }

    /// Unquoted text of a replacement is split as a value would be.
    fn add_replacement(
        &mut self,
        fields: &mut Fields,
        word: &Word,
        quoted: bool,
    ) -> Result<(), Flow> {
        if quoted && word.0.is_empty() {
            fields.push("", true);
        }
        for part in &word.0 {
            match part {
                Part::Text {
                    text,
                    quoted: false,
                } => fields.value(text, quoted),
                part => self.add_part(fields, part)?,
            }
        }
        Ok(())
    }

    /// `$@` and `$*`.
    fn add_arguments(&mut self, fields: &mut Fields, each: bool, quoted: bool) {
        if quoted && !each || !fields.splitting {
            let separator = match self.variables.peek("IFS") {
                Some(separators) if !each => separators.chars().take(1).collect(),
                _ => " ".to_owned(),
            };
            return fields.push(&self.arguments.join(&separator), quoted);
        }
        for (index, argument) in self.arguments.clone().iter().enumerate() {
            if index > 0 {
                fields.end_field();
            }
            if quoted || !argument.is_empty() {
                fields.value(argument, quoted);
            }
        }
    }
}
