//! The values of parameters, and what `${…}` does with them.

use super::ast::{Operation, Word};
use super::{Flow, Shell};
use crate::pattern;

impl Shell {
    /// The value of `$name`, if it has one.
    pub(super) fn lookup(&mut self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "#" => Some(self.arguments.len().to_string()),
            "$" => Some("1".to_owned()),
            "!" => self.background.map(|_| "2".to_owned()),
            "-" => Some(self.options.letters()),
            "0" => Some(self.name.clone()),
            "@" | "*" => (!self.arguments.is_empty()).then(|| self.arguments.join(" ")),
            _ => match name.parse::<usize>() {
                Ok(number) => number
                    .checked_sub(1)
                    .and_then(|index| self.arguments.get(index).cloned()),
                Err(_) => self.variables.get(name),
            },
        }
    }

    /// The word that stands in for the value of `name`, if one does.
    pub(super) fn replacement<'a>(
        &mut self,
        name: &str,
        operation: &'a Operation,
    ) -> Option<&'a Word> {
        match operation {
            Operation::Default { colon, word } => (!self.is_there(name, *colon)).then_some(word),
            Operation::Alternative { colon, word } => self.is_there(name, *colon).then_some(word),
            _ => None,
        }
    }

    fn is_there(&mut self, name: &str, not_empty: bool) -> bool {
        self.lookup(name)
            .is_some_and(|value| !not_empty || !value.is_empty())
    }

    /// The value of `${name…}` when no word stands in for it.
    pub(super) fn parameter(&mut self, name: &str, operation: &Operation) -> Result<String, Flow> {
        match operation {
            Operation::Alternative { .. } => return Ok(String::new()),
            Operation::Assign { colon, word } if !self.is_there(name, *colon) => {
                let value = self.expand_single(word)?;
                self.assign(name, &value)?;
                return Ok(value);
            }
            Operation::Require { colon, word } if !self.is_there(name, *colon) => {
                let message = self.expand_single(word)?;
                let message = if message.is_empty() {
                    "parameter not set"
                } else {
                    &message
                };
                self.say(&format!("{name}: {message}"));
                return Err(Flow::Exit(2));
            }
            _ => {}
        }
        let value = match self.lookup(name) {
            Some(value) => value,
            None if self.options.unset_is_error => {
                self.say(&format!("{name}: parameter not set"));
                return Err(Flow::Exit(2));
            }
            None => String::new(),
        };
        Ok(match operation {
            Operation::Length if matches!(name, "@" | "*") => self.arguments.len().to_string(),
            Operation::Length => value.chars().count().to_string(),
            Operation::TrimStart { longest, pattern } => {
                trim_start(&value, &self.expand_pattern(pattern)?, *longest)
            }
            Operation::TrimEnd { longest, pattern } => {
                trim_end(&value, &self.expand_pattern(pattern)?, *longest)
            }
            Operation::Replace { all, pattern, with } => {
                let pattern = self.expand_pattern(pattern)?;
                let with = self.expand_single(with)?;
                replace(&value, &pattern, &with, *all)
            }
            Operation::Slice { offset, length } => self.slice(&value, offset, length.as_ref())?,
            _ => value,
        })
    }

    fn slice(&mut self, value: &str, offset: &Word, length: Option<&Word>) -> Result<String, Flow> {
        let count = value.chars().count() as i64;
        let offset = self.expand_single(offset)?;
        let offset = self.evaluate(&offset)?;
        let start = if offset < 0 {
            (count + offset).max(0)
        } else {
            offset.min(count)
        };
        let end = match length {
            None => count,
            Some(length) => {
                let length = self.expand_single(length)?;
                let length = self.evaluate(&length)?;
                if length < 0 {
                    count + length
                } else {
                    start.saturating_add(length).min(count)
                }
            }
        };
        Ok(value
            .chars()
            .skip(start as usize)
            .take((end - start).max(0) as usize)
            .collect())
    }
}

fn trim_start(value: &str, pattern: &str, longest: bool) -> String {
    let mut ends: Vec<usize> = value
        .char_indices()
        .map(|(at, _)| at)
        .chain([value.len()])
        .collect();
    if longest {
        ends.reverse();
    }
    let end = ends
        .into_iter()
        .find(|end| pattern::matches(pattern, &value[..*end]))
        .unwrap_or(0);
    value[end..].to_owned()
}

fn trim_end(value: &str, pattern: &str, longest: bool) -> String {
    let mut starts: Vec<usize> = value
        .char_indices()
        .map(|(at, _)| at)
        .chain([value.len()])
        .collect();
    if !longest {
        starts.reverse();
    }
    let start = starts
        .into_iter()
        .find(|start| pattern::matches(pattern, &value[*start..]))
        .unwrap_or(value.len());
    value[..start].to_owned()
}

/// Replaces the first, or all, of the longest texts that match.
fn replace(value: &str, pattern: &str, with: &str, all: bool) -> String {
    let chars: Vec<char> = value.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let mut text = String::new();
    let mut at = 0;
    while at < chars.len() {
        let end = (at + 1..=chars.len())
            .rev()
            .find(|end| pattern::matches_chars(&pattern, &chars[at..*end]));
        match end {
            Some(end) => {
                text.push_str(with);
                at = end;
                if !all {
                    break;
                }
            }
            None => {
                text.push(chars[at]);
                at += 1;
            }
        }
    }
    text.extend(&chars[at..]);
    text
}
