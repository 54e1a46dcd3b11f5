//! Reads compound commands: what begins with a keyword or a parenthesis.

use super::{Mistake, Parser};
use crate::sh::ast::{Condition, Kind, List, Part, Word};

impl Parser {
    /// The compound command that begins here, without its redirections.
    pub(super) fn compound(&mut self) -> Result<Option<Kind>, Mistake> {
        self.skip_blanks();
        if self.starts_with("((") {
            if let Some(kind) = self.arithmetic_command() {
                return Ok(Some(kind));
            }
        }
        if self.take("(") {
            let list = self.list()?;
            return if self.take(")") {
                Ok(Some(Kind::Subshell(list)))
            } else {
                Err(self.unexpected())
            };
        }
        let Some(keyword) = self.keyword() else {
            return Ok(None);
        };
        let read: fn(&mut Self) -> Result<Kind, Mistake> = match keyword.as_str() {
            "{" => |parser| {
                let list = parser.list()?;
                parser.expect_keyword("}")?;
                Ok(Kind::Group(list))
            },
            "if" => Self::if_command,
            "while" => |parser| parser.loop_command(false),
            "until" => |parser| parser.loop_command(true),
            "for" => Self::for_command,
            "case" => Self::case_command,
            "function" => Self::function_command,
            "[[" => Self::condition_command,
            _ if self.at_list_end() => return Err(self.unexpected()),
            _ => return Ok(None),
        };
        self.at += keyword.len();
        read(self).map(Some)
    }

    fn arithmetic_command(&mut self) -> Option<Kind> {
        let start = self.at;
        self.at += 2;
        match self.arithmetic_word() {
            Some(word) => Some(Kind::Arithmetic(word)),
            None => {
                self.at = start;
                None
            }
        }
    }

    fn if_command(&mut self) -> Result<Kind, Mistake> {
        let mut branches = Vec::new();
        loop {
            let condition = self.list()?;
            self.expect_keyword("then")?;
            branches.push((condition, self.list()?));
            if !self.take_keyword("elif") {
                break;
            }
        }
        let otherwise = if self.take_keyword("else") {
            Some(self.list()?)
        } else {
            None
        };
        self.expect_keyword("fi")?;
        Ok(Kind::If(branches, otherwise))
    }

    fn loop_command(&mut self, until: bool) -> Result<Kind, Mistake> {
        let condition = self.list()?;
        let body = self.body()?;
        Ok(Kind::Loop {
            until,
            condition,
            body,
        })
    }

    fn body(&mut self) -> Result<List, Mistake> {
        self.expect_keyword("do")?;
        let body = self.list()?;
        self.expect_keyword("done")?;
        Ok(body)
    }

    fn for_command(&mut self) -> Result<Kind, Mistake> {
        let Some(name) = self
            .word()?
            .as_ref()
            .and_then(Word::plain)
            .map(str::to_owned)
        else {
            return Err(self.unexpected());
        };
        self.skip_lines();
        let mut words = None;
        if self.take_keyword("in") {
            let mut found = Vec::new();
            while let Some(word) = self.word()? {
                found.push(word);
            }
            words = Some(found);
        }
        self.skip_blanks();
        self.take(";");
        let body = self.body()?;
        Ok(Kind::For { name, words, body })
    }

    fn case_command(&mut self) -> Result<Kind, Mistake> {
        let Some(word) = self.word()? else {
            return Err(self.unexpected());
        };
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            if self.take_keyword("esac") {
                return Ok(Kind::Case { word, arms });
            }
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                match self.word()? {
                    Some(pattern) => patterns.push(pattern),
                    None => return Err(self.unexpected()),
                }
                self.skip_blanks();
                if !self.take("|") {
                    break;
                }
            }
            if !self.take(")") {
                return Err(self.unexpected());
            }
            arms.push((patterns, self.list()?));
            self.skip_lines();
            if !self.take(";;") {
                self.expect_keyword("esac")?;
                return Ok(Kind::Case { word, arms });
            }
        }
    }

    /// `function name { …; }`, as bash has it.
    fn function_command(&mut self) -> Result<Kind, Mistake> {
        let Some(name) = self
            .word()?
            .as_ref()
            .and_then(Word::plain)
            .map(str::to_owned)
        else {
            return Err(self.unexpected());
        };
        self.skip_blanks();
        self.take("()");
        self.skip_lines();
        let body = std::rc::Rc::new(self.command()?);
        Ok(Kind::Function { name, body })
    }

    fn condition_command(&mut self) -> Result<Kind, Mistake> {
        let condition = self.condition_or()?;
        self.expect_keyword("]]")?;
        Ok(Kind::Condition(condition))
    }

    fn condition_or(&mut self) -> Result<Condition, Mistake> {
        let mut left = self.condition_and()?;
        self.skip_lines();
        while self.take("||") {
            left = Condition::Or(Box::new(left), Box::new(self.condition_and()?));
            self.skip_lines();
        }
        Ok(left)
    }

    fn condition_and(&mut self) -> Result<Condition, Mistake> {
        let mut left = self.condition_not()?;
        self.skip_lines();
        while self.take("&&") {
            left = Condition::And(Box::new(left), Box::new(self.condition_not()?));
            self.skip_lines();
        }
        Ok(left)
    }

    fn condition_not(&mut self) -> Result<Condition, Mistake> {
        self.depth += 1;
        if self.depth > super::DEPTH_MAX {
            return Err(self.unexpected());
        }
        self.skip_lines();
        let condition = if self.take_keyword("!") {
            Condition::Not(Box::new(self.condition_not()?))
        } else if self.take("(") {
            let inner = self.condition_or()?;
            if !self.take(")") {
                return Err(self.unexpected());
            }
            inner
        } else {
            self.condition_test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn condition_test(&mut self) -> Result<Condition, Mistake> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.skip_blanks();
            if self.keyword().as_deref() == Some("]]") || words.len() > 3 {
                break;
            }
            let word = if words.len() == 1 && matches!(self.peek(), Some('<' | '>')) {
                self.operator_word()
            } else if words.len() == 2 && words[1].plain() == Some("=~") {
                self.regex_word()?
            } else {
                self.word()?
            };
            match word {
                Some(word) => words.push(word),
                None => break,
            }
        }
        if (1..=3).contains(&words.len()) {
            Ok(Condition::Test(words))
        } else {
            Err(self.unexpected())
        }
    }

    /// `<` or `>` as a word.
    fn operator_word(&mut self) -> Option<Word> {
        let text = self.peek()?.to_string();
        self.at += 1;
        Some(Word(vec![Part::Text {
            text,
            quoted: false,
        }]))
    }
}
