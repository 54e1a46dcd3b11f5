//! Reads sed's scripts.

use crate::regex::{Dialect, Regex};

/// A command and the lines that it is for.
pub(super) struct Command {
    pub(super) from: Option<Address>,
    pub(super) to: Option<Address>,
    /// `!`
    pub(super) inverted: bool,
    /// Whether the range from `from` to `to` has begun.
    pub(super) in_range: bool,
    pub(super) action: Action,
}

pub(super) enum Address {
    Line(usize),
    Last,
    Match(Regex),
}

pub(super) enum Action {
    Delete,
    Print,
    /// `=`
    Number,
    Quit(i32),
    /// `i`
    Text(String),
    /// `c`
    Change(String),
    /// `y`
    Transliterate(Vec<char>, Vec<char>),
    Substitute(Substitution),
}

/// `s/regex/with/flags`
pub(super) struct Substitution {
    pub(super) regex: Regex,
    pub(super) with: Vec<Replacement>,
    /// `g`
    pub(super) all: bool,
    /// `p`
    pub(super) print: bool,
    /// Earlier matches are passed over.
    pub(super) first: usize,
}

/// A part of what a match is replaced with.
pub(super) enum Replacement {
    Text(String),
    /// `&` is 0.
    Group(usize),
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    dialect: Dialect,
}

type Parsed<T> = Result<T, String>;

pub(super) fn parse(text: &str, dialect: Dialect) -> Parsed<Vec<Command>> {
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        dialect,
    };
    let mut commands = Vec::new();
    loop {
        parser.skip(|c| c.is_ascii_whitespace() || c == ';');
        if parser.peek().is_none() {
            return Ok(commands);
        }
        if parser.peek() == Some('#') {
            parser.skip(|c| c != '\n');
            continue;
        }
        commands.push(parser.command()?);
    }
}

impl Parser {
    fn command(&mut self) -> Parsed<Command> {
        let from = self.address()?;
        let to = if from.is_some() && self.take(',') {
            self.address()?
        } else {
            None
        };
        self.skip(|c| c.is_ascii_whitespace());
        let inverted = self.take('!');
        let letter = self.peek().ok_or("missing command")?;
        self.at += 1;
        let action = match letter {
            'd' => Action::Delete,
            'p' => Action::Print,
            '=' => Action::Number,
            'q' => {
                self.skip(|c| c == ' ');
                Action::Quit(self.number().unwrap_or(0) as i32)
            }
            'i' => Action::Text(self.text()),
            'c' => Action::Change(self.text()),
            'y' => self.transliterate()?,
            's' => Action::Substitute(self.substitution()?),
            other => return Err(format!("unsupported command {other}")),
        };
        self.skip(|c| c == ' ');
        match self.peek() {
            None | Some(';' | '\n' | '#') => {}
            Some(other) => return Err(format!("unexpected `{other}` behind a command")),
        }
        Ok(Command {
            from,
            to,
            inverted,
            in_range: false,
            action,
        })
    }

    fn address(&mut self) -> Parsed<Option<Address>> {
        self.skip(|c| c == ' ');
        if let Some(number) = self.number() {
            return Ok(Some(Address::Line(number)));
        }
        if self.take('$') {
            return Ok(Some(Address::Last));
        }
        if self.take('/') {
            let pattern = self.until('/')?;
            return self
                .regex(&pattern, false)
                .map(|regex| Some(Address::Match(regex)));
        }
        Ok(None)
    }

    fn substitution(&mut self) -> Parsed<Substitution> {
        let delimiter = self.peek().ok_or("bad s command")?;
        self.at += 1;
        let pattern = self.until(delimiter)?;
        let with = replacement(&self.until(delimiter)?);
        let (mut all, mut print, mut ignore_case, mut first) = (false, false, false, 1);
        loop {
            match self.peek() {
                Some('g') => all = true,
                Some('p') => print = true,
                Some('i' | 'I') => ignore_case = true,
                Some(c) if c.is_ascii_digit() => {
                    first = self.number().unwrap_or(1).max(1);
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        Ok(Substitution {
            regex: self.regex(&pattern, ignore_case)?,
            with,
            all,
            print,
            first,
        })
    }

    fn transliterate(&mut self) -> Parsed<Action> {
        let delimiter = self.peek().ok_or("bad y command")?;
        self.at += 1;
        let from: Vec<char> = self.until(delimiter)?.chars().collect();
        let to: Vec<char> = self.until(delimiter)?.chars().collect();
        if from.len() != to.len() {
            return Err("the strings of y differ in length".to_owned());
        }
        Ok(Action::Transliterate(from, to))
    }

    /// The text of `i` and `c`: the rest of the line.
    fn text(&mut self) -> String {
        self.skip(|c| c == ' ');
        self.take('\\');
        self.skip(|c| c.is_ascii_whitespace());
        let start = self.at;
        self.skip(|c| c != '\n');
        self.chars[start..self.at].iter().collect()
    }

    fn regex(&self, pattern: &str, ignore_case: bool) -> Parsed<Regex> {
        Regex::new(pattern, self.dialect, ignore_case)
            .map_err(|mistake| format!("bad regex '{pattern}': {mistake}"))
    }

    /// The text up to `delimiter`, which a backslash makes plain.
    fn until(&mut self, delimiter: char) -> Parsed<String> {
        let mut text = String::new();
        let mut in_class = false;
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '\\' if self.peek() == Some(delimiter) => {
                    text.push(delimiter);
                    self.at += 1;
                }
                '\\' => {
                    text.push('\\');
                    text.extend(self.peek());
                    self.at += 1;
                }
                _ if c == delimiter && !in_class => return Ok(text),
                _ => {
                    in_class = (in_class || c == '[') && c != ']';
                    text.push(c);
                }
            }
        }
        Err(format!("unterminated by `{delimiter}`"))
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        self.skip(|c| c.is_ascii_digit());
        self.chars[start..self.at]
            .iter()
            .collect::<String>()
            .parse()
            .ok()
    }

    fn skip(&mut self, what: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&what) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }
}

fn replacement(text: &str) -> Vec<Replacement> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let group = match c {
            '&' => 0,
            '\\' => match chars.next() {
                Some(digit @ '0'..='9') => digit as usize - '0' as usize,
                Some('n') => {
                    plain.push('\n');
                    continue;
                }
                Some('t') => {
                    plain.push('\t');
                    continue;
                }
                other => {
                    plain.extend(other);
                    continue;
                }
            },
            c => {
                plain.push(c);
                continue;
            }
        };
        parts.push(Replacement::Text(std::mem::take(&mut plain)));
        parts.push(Replacement::Group(group));
    }
    parts.push(Replacement::Text(plain));
    parts
}
