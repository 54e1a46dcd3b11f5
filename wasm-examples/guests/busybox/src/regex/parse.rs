//! Reads regular expressions.

use super::Node;

/// Which characters are special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `grep`: groups and repetition have backslashes.
    Basic,
    /// `grep -E`
    Extended,
    /// `grep -F`: none.
    Fixed,
}

/// Groups may be nested so deeply.
const DEPTH_MAX: usize = 30;

/// The most that `{n,m}` may ask for.
const REPEAT_MAX: usize = 255;

struct Parser {
    chars: Vec<char>,
    at: usize,
    extended: bool,
    groups: usize,
    depth: usize,
}

type Parsed<T> = Result<T, &'static str>;

pub(super) fn parse(text: &str, dialect: Dialect) -> Parsed<Vec<Vec<Node>>> {
    if dialect == Dialect::Fixed {
        return Ok(vec![text.chars().map(Node::Char).collect()]);
    }
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
        extended: dialect == Dialect::Extended,
        groups: 0,
        depth: 0,
    };
    let alternatives = parser.alternatives()?;
    if parser.at < parser.chars.len() {
        return Err("Unmatched ) or \\)");
    }
    Ok(alternatives)
}

impl Parser {
    fn alternatives(&mut self) -> Parsed<Vec<Vec<Node>>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("Regular expression too big");
        }
        let mut alternatives = vec![Vec::new()];
        let mut start = self.at;
        loop {
            if self.at == self.chars.len() || self.at_special(')') {
                break;
            }
            if self.take_special('|') {
                alternatives.push(Vec::new());
                start = self.at;
                continue;
            }
            let node = self.atom(self.at == start)?;
            let node = self.repeated(node)?;
            let last = alternatives.len() - 1;
            alternatives[last].push(node);
        }
        self.depth -= 1;
        Ok(alternatives)
    }

    /// Whether this is `c` as a special character of this dialect.
    fn at_special(&self, c: char) -> bool {
        if self.extended {
            self.chars.get(self.at) == Some(&c)
        } else {
            self.chars.get(self.at) == Some(&'\\') && self.chars.get(self.at + 1) == Some(&c)
        }
    }

    fn take_special(&mut self, c: char) -> bool {
        let found = self.at_special(c);
        if found {
            self.at += if self.extended { 1 } else { 2 };
        }
        found
    }

    fn atom(&mut self, first: bool) -> Parsed<Node> {
        if self.take_special('(') {
            self.groups += 1;
            let number = self.groups;
            let alternatives = self.alternatives()?;
            if !self.take_special(')') {
                return Err("Unmatched ( or \\(");
            }
            // There are names for nine; the others share one that nobody asks for.
            return if number > 9 {
                Err("Regular expression too big")
            } else {
                Ok(Node::Group(alternatives, number))
            };
        }
        let c = self.chars[self.at];
        self.at += 1;
        Ok(match c {
            '.' => Node::Any,
            '^' if first || self.extended => Node::Start,
            '$' if self.extended
                || self.at == self.chars.len()
                || self.at_special(')')
                || self.at_special('|') =>
            {
                Node::End
            }
            '[' => self.class()?,
            '\\' => match self.chars.get(self.at).copied() {
                None => return Err("Trailing backslash"),
                Some(c) => {
                    self.at += 1;
                    match c {
                        '1'..='9' => Node::Reference(c as usize - '0' as usize),
                        'w' | 'W' | 's' | 'S' => Node::Perl(c),
                        'b' | '<' | '>' => Node::WordEdge,
                        'n' => Node::Char('\n'),
                        't' => Node::Char('\t'),
                        c => Node::Char(c),
                    }
                }
            },
            c => Node::Char(c),
        })
    }

    fn class(&mut self) -> Parsed<Node> {
        let start = self.at;
        let mut end = start;
        if self.chars.get(end) == Some(&'^') {
            end += 1;
        }
        // A bracket right at the beginning is one of the class.
        end += 1;
        loop {
            match self.chars.get(end) {
                None => return Err("Unmatched [, [^, [:, [., or [="),
                Some(']') => break,
                Some('[') if self.chars.get(end + 1) == Some(&':') => {
                    let rest = &self.chars[end + 2..];
                    let length = rest.windows(2).position(|pair| pair == [':', ']']);
                    end += 4 + length.ok_or("Unmatched [, [^, [:, [., or [=")?;
                }
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        // In a regular expression's class a backslash is plain, in a shell's not.
        let class = self.chars[start..=end].iter().flat_map(|c| {
            if *c == '\\' {
                vec!['\\', '\\']
            } else {
                vec![*c]
            }
        });
        Ok(Node::Class(class.collect()))
    }

    fn repeated(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let (min, max) = if self.chars.get(self.at) == Some(&'*') {
                self.at += 1;
                (0, usize::MAX)
            } else if self.take_special('+') {
                (1, usize::MAX)
            } else if self.take_special('?') {
                (0, 1)
            } else if self.take_special('{') {
                self.bounds()?
            } else {
                return Ok(node);
            };
            node = Node::Repeat {
                node: Box::new(node),
                min,
                max,
            };
        }
    }

    /// `n}`, `n,}`, `n,m}`
    fn bounds(&mut self) -> Parsed<(usize, usize)> {
        let min = self.number();
        let max = if self.chars.get(self.at) == Some(&',') {
            self.at += 1;
            self.number().unwrap_or(usize::MAX)
        } else {
            min.unwrap_or(0)
        };
        let min = min.unwrap_or(0);
        if !self.take_special('}')
            || min > max
            || min > REPEAT_MAX
            || max > REPEAT_MAX && max != usize::MAX
        {
            return Err("Invalid content of \\{\\}");
        }
        Ok((min, max))
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(char::is_ascii_digit) {
            self.at += 1;
        }
        self.chars[start..self.at]
            .iter()
            .collect::<String>()
            .parse()
            .ok()
    }
}
