//! Reads words: quotes, and the expansions that begin with `$` or a backquote.

use std::rc::Rc;

use super::{Mistake, Parser, is_meta, is_name_char};
use crate::sh::ast::{List, Operation, Part, Word};

/// Where a word stands, which decides what ends it and what is special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among other words.
    Bare,
    /// Between double quotes.
    Quoted,
    /// In a here-document.
    Here,
    /// In `$(( ))`; everything but expansions is text.
    Arithmetic,
    /// Behind `=~`: parentheses and bars are text.
    Regex,
    /// In `${…}`, up to the brace or, if that is so, a slash or a colon.
    Braces {
        quoted: bool,
        slash: bool,
        colon: bool,
    },
}

impl Place {
    fn quoted(self) -> bool {
        matches!(
            self,
            Self::Quoted | Self::Here | Self::Arithmetic | Self::Braces { quoted: true, .. }
        )
    }

    fn ends_at(self, c: char) -> bool {
        match self {
            Self::Bare => is_meta(c),
            Self::Quoted => c == '"',
            Self::Here | Self::Arithmetic => false,
            Self::Regex => matches!(c, ' ' | '\t' | '\n'),
            Self::Braces { slash, colon, .. } => c == '}' || slash && c == '/' || colon && c == ':',
        }
    }
}

/// Collects a word's parts; neighbouring texts become one.
#[derive(Default)]
struct Parts {
    parts: Vec<Part>,
}

impl Parts {
    fn text(&mut self, more: &str, is_quoted: bool) {
        match self.parts.last_mut() {
            Some(Part::Text { text, quoted }) if *quoted == is_quoted => text.push_str(more),
            _ => self.parts.push(Part::Text {
                text: more.to_owned(),
                quoted: is_quoted,
            }),
        }
    }

    fn char(&mut self, c: char, is_quoted: bool) {
        self.text(c.encode_utf8(&mut [0; 4]), is_quoted);
    }
}

impl Parser {
    /// The word behind blanks, if there is one.
    pub(super) fn word(&mut self) -> Result<Option<Word>, Mistake> {
        self.skip_blanks();
        self.word_here()
    }

    /// The word that begins exactly here.
    pub(super) fn word_here(&mut self) -> Result<Option<Word>, Mistake> {
        if self.peek().is_none_or(is_meta) {
            return Ok(None);
        }
        self.parts(Place::Bare).map(Some)
    }

    pub(super) fn regex_word(&mut self) -> Result<Option<Word>, Mistake> {
        self.parts(Place::Regex).map(Some)
    }

    /// The inside of `((…))`, up to and with its end, or `None` if it is not one.
    pub(super) fn arithmetic_word(&mut self) -> Option<Word> {
        let mut open = 0;
        let mut end = self.at;
        loop {
            match self.chars.get(end)? {
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ')' if self.chars.get(end + 1) == Some(&')') => break,
                ')' => return None,
                _ => {}
            }
            end += 1;
        }
        let text: String = self.chars[self.at..end].iter().collect();
        let word = inner(&text).parts(Place::Arithmetic).ok()?;
        self.at = end + 2;
        Some(word)
    }

    fn parts(&mut self, place: Place) -> Result<Word, Mistake> {
        self.depth += 1;
        if self.depth > super::DEPTH_MAX {
            return Err("too many expansions within each other".to_owned());
        }
        let mut parts = Parts::default();
        if place == Place::Bare
            && self.peek() == Some('~')
            && self.peek_at(1).is_none_or(|c| c == '/' || is_meta(c))
        {
            self.at += 1;
            parts.parts.push(Part::Home);
        }
        while let Some(c) = self.peek() {
            if place.ends_at(c) {
                break;
            }
            self.part(c, place, &mut parts)?;
        }
        self.depth -= 1;
        Ok(Word(parts.parts))
    }

    fn part(&mut self, c: char, place: Place, parts: &mut Parts) -> Result<(), Mistake> {
        let quoted = place.quoted();
        match c {
            '\\' => self.backslash(place, parts),
            '\'' if !quoted => {
                self.at += 1;
                let text = self.until('\'')?;
                parts.text(&text, true);
            }
            '"' if !matches!(place, Place::Here | Place::Arithmetic) => {
                self.at += 1;
                let inside = self.parts(Place::Quoted)?;
                if !self.take("\"") {
                    return Err("syntax error: unterminated quoted string".to_owned());
                }
                // An empty string is a word too; "$@" without arguments is none.
                if inside.0.is_empty() {
                    parts.text("", true);
                }
                parts.parts.extend(inside.0);
            }
            '`' => {
                self.at += 1;
                let text = self.backquoted()?;
                let list = Rc::new(whole_list(&text)?);
                parts.parts.push(Part::Command { list, quoted });
            }
            '$' => {
                self.at += 1;
                match self.dollar(place)? {
                    Some(part) => parts.parts.push(part),
                    None => parts.char('$', quoted),
                }
            }
            _ => {
                self.at += 1;
                parts.char(c, quoted);
            }
        }
        Ok(())
    }

    fn backslash(&mut self, place: Place, parts: &mut Parts) {
        let next = self.peek_at(1);
        let escapes = match next {
            None => false,
            Some('\n') => {
                self.at += 2;
                return;
            }
            Some(c) => match place {
                Place::Quoted | Place::Braces { quoted: true, .. } => {
                    matches!(c, '$' | '`' | '"' | '\\' | '}')
                }
                Place::Here => matches!(c, '$' | '`' | '\\'),
                _ => true,
            },
        };
        if let Some(next) = next.filter(|_| escapes) {
            // A regex has its own use for a backslash.
            if place == Place::Regex {
                parts.char('\\', false);
                parts.char(next, false);
            } else {
                parts.char(next, true);
            }
            self.at += 2;
        } else {
            parts.char('\\', true);
            self.at += 1;
        }
    }

    /// The text up to `end`, and takes that.
    fn until(&mut self, end: char) -> Result<String, Mistake> {
        match self.chars[self.at..].iter().position(|c| *c == end) {
            Some(length) => {
                let text = self.chars[self.at..self.at + length].iter().collect();
                self.at += length + 1;
                Ok(text)
            }
            None => Err("syntax error: unterminated quoted string".to_owned()),
        }
    }

    fn backquoted(&mut self) -> Result<String, Mistake> {
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err("syntax error: EOF in backquote substitution".to_owned()),
                Some('`') => break,
                Some('\\') if matches!(self.peek_at(1), Some('`' | '\\' | '$')) => {
                    text.extend(self.peek_at(1));
                    self.at += 1;
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(text)
    }

    /// What begins with the dollar before this.
    fn dollar(&mut self, place: Place) -> Result<Option<Part>, Mistake> {
        let quoted = place.quoted();
        match self.peek() {
            Some('(') => {
                if self.peek_at(1) == Some('(') {
                    let start = self.at;
                    self.at += 2;
                    if let Some(word) = self.arithmetic_word() {
                        return Ok(Some(Part::Arithmetic { word, quoted }));
                    }
                    self.at = start;
                }
                self.at += 1;
                let list = Rc::new(self.list()?);
                if !self.take(")") {
                    return Err(self.unexpected());
                }
                Ok(Some(Part::Command { list, quoted }))
            }
            Some('{') => {
                self.at += 1;
                self.braces(quoted).map(Some)
            }
            Some('\'') if place == Place::Bare => {
                self.at += 1;
                let text = self.until('\'')?;
                let text = String::from_utf8_lossy(&crate::applets::unescape(&text).0).into_owned();
                Ok(Some(Part::Text { text, quoted: true }))
            }
            Some(c) if is_name_char(c) || is_special(c) => {
                let name = self.name();
                Ok(Some(Part::Parameter {
                    name,
                    operation: Operation::Get,
                    quoted,
                }))
            }
            _ => Ok(None),
        }
    }

    /// A parameter's name without braces: one digit, one special, or a name.
    fn name(&mut self) -> String {
        let start = self.at;
        self.at += 1;
        if !self.chars[start].is_ascii_digit() && is_name_char(self.chars[start]) {
            while self.peek().is_some_and(is_name_char) {
                self.at += 1;
            }
        }
        self.chars[start..self.at].iter().collect()
    }

    /// `${…}`, behind the brace.
    fn braces(&mut self, quoted: bool) -> Result<Part, Mistake> {
        let length = self.peek() == Some('#')
            && self
                .peek_at(1)
                .is_some_and(|c| is_name_char(c) || matches!(c, '@' | '*'));
        self.at += usize::from(length);
        if !self
            .peek()
            .is_some_and(|c| is_name_char(c) || is_special(c))
        {
            return Err("syntax error: bad substitution".to_owned());
        }
        let start = self.at;
        let mut name = self.name();
        if self.chars[start].is_ascii_digit() {
            while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
            }
            name = self.chars[start..self.at].iter().collect();
        }
        let operation = if length {
            Operation::Length
        } else {
            self.operation(quoted)?
        };
        if !self.take("}") {
            return Err("syntax error: bad substitution".to_owned());
        }
        Ok(Part::Parameter {
            name,
            operation,
            quoted,
        })
    }

    fn operation(&mut self, quoted: bool) -> Result<Operation, Mistake> {
        let plain = Place::Braces {
            quoted,
            slash: false,
            colon: false,
        };
        // Quotes around the expansion do not quote a pattern in it.
        let pattern = Place::Braces {
            quoted: false,
            slash: false,
            colon: false,
        };
        let colon =
            self.peek() == Some(':') && matches!(self.peek_at(1), Some('-' | '=' | '?' | '+'));
        self.at += usize::from(colon);
        let Some(operator) = self.peek().filter(|c| *c != '}') else {
            return Ok(Operation::Get);
        };
        self.at += 1;
        Ok(match operator {
            '-' => Operation::Default {
                colon,
                word: self.parts(plain)?,
            },
            '=' => Operation::Assign {
                colon,
                word: self.parts(plain)?,
            },
            '?' => Operation::Require {
                colon,
                word: self.parts(plain)?,
            },
            '+' => Operation::Alternative {
                colon,
                word: self.parts(plain)?,
            },
            '#' => Operation::TrimStart {
                longest: self.take("#"),
                pattern: self.parts(pattern)?,
            },
            '%' => Operation::TrimEnd {
                longest: self.take("%"),
                pattern: self.parts(pattern)?,
            },
            '/' => {
                let all = self.take("/");
                let pattern = self.parts(Place::Braces {
                    quoted: false,
                    slash: true,
                    colon: false,
                })?;
                let with = if self.take("/") {
                    self.parts(plain)?
                } else {
                    Word::default()
                };
                Operation::Replace { all, pattern, with }
            }
            ':' => {
                let offset = self.parts(Place::Braces {
                    quoted: true,
                    slash: false,
                    colon: true,
                })?;
                let length = if self.take(":") {
                    Some(self.parts(plain)?)
                } else {
                    None
                };
                Operation::Slice { offset, length }
            }
            _ => return Err("syntax error: bad substitution".to_owned()),
        })
    }
}

/// The end of a here-document, and whether any of it was quoted.
pub(super) fn here_end(word: &Word) -> (String, bool) {
    let mut end = String::new();
    let mut any_quoted = false;
    for part in &word.0 {
        if let Part::Text { text, quoted } = part {
            end.push_str(text);
            any_quoted |= quoted;
        }
    }
    (end, any_quoted)
}

/// The text of a here-document with its expansions. A mistake in it is text.
pub(super) fn here_text(text: &str) -> Word {
    inner(text)
        .parts(Place::Here)
        .unwrap_or_else(|_| Word::quoted(text.to_owned()))
}

fn inner(text: &str) -> Parser {
    Parser::new(text)
}

fn whole_list(text: &str) -> Result<List, Mistake> {
    let mut parser = Parser::new(text);
    let mut list = List::new();
    while let Some(more) = parser.next_command()? {
        list.extend(more);
    }
    Ok(list)
}

fn is_special(c: char) -> bool {
    matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!')
}
