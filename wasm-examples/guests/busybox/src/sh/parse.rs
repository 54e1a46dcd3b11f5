//! Reads scripts: lists, pipelines, and the redirections of simple commands.
//! One complete command at a time, so that what stands before a mistake runs.

mod compound;
mod word;

use std::cell::RefCell;
use std::rc::Rc;

use super::ast::{AndOr, Command, Kind, List, Pipeline, Redirect, Target, Word};

/// Compound commands may be nested so deeply; the guest's stack is finite.
const DEPTH_MAX: usize = 60;

/// What is wrong with a script.
pub(crate) type Mistake = String;

/// Reads one script.
pub(crate) struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    /// Here-documents whose text begins behind the next line feed.
    here: Vec<Here>,
}

struct Here {
    end: String,
    /// `<<-`
    strip_tabs: bool,
    /// A quoted end means no expansions.
    quoted: bool,
    text: Rc<RefCell<Word>>,
}

impl Parser {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
            here: Vec::new(),
        }
    }

    /// The next complete command, or `None` at the end.
    pub(crate) fn next_command(&mut self) -> Result<Option<List>, Mistake> {
        self.skip_lines();
        if self.at == self.chars.len() {
            return Ok(None);
        }
        let mut list = List::new();
        loop {
            let command = self.and_or()?;
            let separated = self.separator(command.background);
            list.push(command);
            self.skip_blanks();
            match self.peek() {
                None => break,
                Some('\n') => {
                    self.skip_lines();
                    break;
                }
                _ if separated => {}
                _ => return Err(self.unexpected()),
            }
        }
        self.end_here_documents();
        Ok(Some(list))
    }

    /// Commands up to something that cannot begin one.
    fn list(&mut self) -> Result<List, Mistake> {
        let mut list = List::new();
        loop {
            self.skip_lines();
            if self.at_list_end() {
                return Ok(list);
            }
            let command = self.and_or()?;
            let separated = self.separator(command.background);
            list.push(command);
            if !separated {
                self.skip_blanks();
                if self.peek() != Some('\n') {
                    return Ok(list);
                }
            }
        }
    }

    fn at_list_end(&self) -> bool {
        match self.peek() {
            None | Some(')') => true,
            Some(';') => self.peek_at(1) == Some(';'),
            _ => matches!(
                self.keyword().as_deref(),
                Some("then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}")
            ),
        }
    }

    /// Whether the command just read, of the background or not, is ended here.
    fn separator(&mut self, background: bool) -> bool {
        self.skip_blanks();
        if self.peek() == Some(';') && self.peek_at(1) != Some(';') {
            self.at += 1;
            return true;
        }
        background
    }

    fn and_or(&mut self) -> Result<AndOr, Mistake> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let and = if self.take("&&") {
                true
            } else if self.take("||") {
                false
            } else {
                break;
            };
            self.skip_lines();
            rest.push((and, self.pipeline()?));
        }
        let background = self.take("&");
        Ok(AndOr {
            first,
            rest,
            background,
        })
    }

    fn pipeline(&mut self) -> Result<Pipeline, Mistake> {
        self.skip_blanks();
        let mut negated = false;
        while self.take_keyword("!") {
            negated = !negated;
            self.skip_blanks();
        }
        let mut stages = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.starts_with("||") || !self.take("|") {
                return Ok(Pipeline { negated, stages });
            }
            if self.take("&") {
                let last = stages.len() - 1;
                let word = Word::quoted("1".to_owned());
                stages[last].redirects.push(Redirect {
                    descriptor: 2,
                    target: Target::Duplicate(word),
                });
            }
            self.skip_lines();
            stages.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, Mistake> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} commands within each other"));
        }
        let command = match self.compound()? {
            Some(kind) => {
                let mut redirects = Vec::new();
                while let Some(redirect) = self.redirect()? {
                    redirects.push(redirect);
                }
                Command { kind, redirects }
            }
            None => self.simple()?,
        };
        self.depth -= 1;
        Ok(command)
    }

    fn simple(&mut self) -> Result<Command, Mistake> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty() {
                if let Some(assignment) = self.assignment()? {
                    assignments.push(assignment);
                    continue;
                }
            }
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
            self.skip_blanks();
            if words.len() == 1 && assignments.is_empty() && self.peek() == Some('(') {
                return self.function(&words[0]);
            }
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command {
            kind: Kind::Simple { assignments, words },
            redirects,
        })
    }

    /// `name() command`, behind the name.
    fn function(&mut self, name: &Word) -> Result<Command, Mistake> {
        self.at += 1;
        self.skip_blanks();
        let Some(name) = name.plain().filter(|_| self.peek() == Some(')')) else {
            return Err(self.unexpected());
        };
        self.at += 1;
        self.skip_lines();
        let body = Rc::new(self.command()?);
        Ok(Command {
            kind: Kind::Function {
                name: name.to_owned(),
                body,
            },
            redirects: Vec::new(),
        })
    }

    /// `NAME=word`
    fn assignment(&mut self) -> Result<Option<(String, Word)>, Mistake> {
        self.skip_blanks();
        let mut end = self.at;
        while self.chars.get(end).is_some_and(|c| is_name_char(*c)) {
            end += 1;
        }
        let starts = self
            .peek()
            .is_some_and(|c| is_name_char(c) && !c.is_ascii_digit());
        if !starts || self.chars.get(end) != Some(&'=') {
            return Ok(None);
        }
        let name = self.chars[self.at..end].iter().collect();
        self.at = end + 1;
        let word = self.word_here()?.unwrap_or_default();
        Ok(Some((name, word)))
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, Mistake> {
        self.skip_blanks();
        let start = self.at;
        let digit = self.peek().and_then(|c| c.to_digit(10));
        if digit.is_some() && matches!(self.peek_at(1), Some('<' | '>')) {
            self.at += 1;
        }
        const OPERATORS: [&str; 10] = ["<<<", "<<-", "<<", "<&", "<", "&>", ">>", ">&", ">|", ">"];
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.take(operator)) else {
            self.at = start;
            return Ok(None);
        };
        self.skip_blanks();
        let Some(word) = self.word()? else {
            return Err(self.unexpected());
        };
        let target = match operator {
            "<" => Target::Read(word),
            ">" | ">|" => Target::Write(word),
            ">>" => Target::Append(word),
            "<&" | ">&" => Target::Duplicate(word),
            "&>" => Target::Both(word),
            "<<<" => Target::HereString(word),
            _ => self.here_document(&word, operator == "<<-"),
        };
        let default = usize::from(!operator.starts_with('<'));
        let descriptor = digit.map_or(default, |digit| digit as usize);
        Ok(Some(Redirect { descriptor, target }))
    }

    fn here_document(&mut self, end: &Word, strip_tabs: bool) -> Target {
        let text = Rc::new(RefCell::new(Word::default()));
        let (end, quoted) = word::here_end(end);
        self.here.push(Here {
            end,
            strip_tabs,
            quoted,
            text: Rc::clone(&text),
        });
        Target::Here(text)
    }

    /// Reads the here-documents of the line that ends here.
    fn end_here_documents(&mut self) {
        for here in std::mem::take(&mut self.here) {
            let mut text = String::new();
            while self.at < self.chars.len() {
                let end = self.chars[self.at..].iter().position(|c| *c == '\n');
                let end = end.map_or(self.chars.len(), |length| self.at + length);
                let line: String = self.chars[self.at..end].iter().collect();
                self.at = (end + 1).min(self.chars.len());
                let line = if here.strip_tabs {
                    line.trim_start_matches('\t')
                } else {
                    &line
                };
                if line == here.end {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            *here.text.borrow_mut() = if here.quoted {
                Word::quoted(text)
            } else {
                word::here_text(&text)
            };
        }
    }

    /// Skips blanks, line feeds and comments.
    fn skip_lines(&mut self) {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return;
            }
            self.at += 1;
            self.end_here_documents();
        }
    }

    /// Skips blanks, continued lines and a comment.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek_at(1) == Some('\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, distance: usize) -> Option<char> {
        self.chars.get(self.at + distance).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(distance, c)| self.peek_at(distance) == Some(c))
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    /// The plain word here, which may be a keyword.
    fn keyword(&self) -> Option<String> {
        let rest = &self.chars[self.at..];
        let length = rest.iter().position(|c| is_meta(*c)).unwrap_or(rest.len());
        (1..=8)
            .contains(&length)
            .then(|| rest[..length].iter().collect())
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.keyword().as_deref() == Some(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), Mistake> {
        self.skip_lines();
        if self.take_keyword(keyword) {
            return Ok(());
        }
        Err(format!("{} (expecting \"{keyword}\")", self.unexpected()))
    }

    fn unexpected(&self) -> Mistake {
        match self.peek() {
            None => "syntax error: unexpected end of file".to_owned(),
            Some('\n') => "syntax error: unexpected newline".to_owned(),
            Some(c) => {
                let operator = [";;", "&&", "||"]
                    .into_iter()
                    .find(|operator| self.starts_with(operator));
                let word = operator
                    .map(str::to_owned)
                    .or_else(|| self.keyword())
                    .unwrap_or_else(|| c.to_string());
                format!("syntax error: unexpected \"{word}\"")
            }
        }
    }
}

/// What ends a word if it is not quoted.
fn is_meta(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')'
    )
}

/// What names of variables are made of.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
