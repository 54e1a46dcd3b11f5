//! POSIX regular expressions, basic and extended, by backtracking: literals,
//! `.`, classes, anchors, groups, alternatives, repetition, `\1` to `\9`, and
//! GNU's `\w \W \s \S \b`. The first alternative that matches wins, not the longest.

mod parse;

pub(crate) use parse::Dialect;

/// A step of matching is counted, and an expression that needs more does not
/// match: nested repetition must not run for ever.
const STEPS_MAX: usize = 2_000_000;

/// A part of an expression.
#[derive(Debug)]
enum Node {
    Char(char),
    Any,
    /// As a shell's class, with its closing bracket.
    Class(Vec<char>),
    Start,
    End,
    WordEdge,
    /// `\w` and `\s`, or not one.
    Perl(char),
    Reference(usize),
    /// Alternatives; the number of the group, if it captures.
    Group(Vec<Vec<Node>>, usize),
    Repeat {
        node: Box<Node>,
        min: usize,
        max: usize,
    },
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Regex {
    alternatives: Vec<Vec<Node>>,
    ignore_case: bool,
}

/// Where the whole, and each group, matched: byte offsets.
pub(crate) type Captures = [Option<(usize, usize)>; 10];

struct Matcher<'a> {
    text: &'a [char],
    groups: [Option<(usize, usize)>; 10],
    ignore_case: bool,
    steps: usize,
}

/// What has to match behind a node.
type Next<'n> = &'n mut dyn FnMut(&mut Matcher<'_>, usize) -> bool;

impl Regex {
    /// Compiles an expression; the error is a text.
    pub(crate) fn new(
        text: &str,
        dialect: Dialect,
        ignore_case: bool,
    ) -> Result<Self, &'static str> {
        Ok(Self {
            alternatives: parse::parse(text, dialect)?,
            ignore_case,
        })
    }

    /// The leftmost match that begins at the byte `from` or behind it.
    pub(crate) fn find(&self, text: &str, from: usize) -> Option<Captures> {
        let chars: Vec<char> = text.chars().collect();
        let first = text.get(..from)?.chars().count();
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let mut matcher = Matcher {
            text: &chars,
            groups: [None; 10],
            ignore_case: self.ignore_case,
            steps: 0,
        };
        for start in first..=chars.len() {
            matcher.groups = [None; 10];
            let mut end = None;
            let found = matcher.alternatives(&self.alternatives, start, &mut |_, at| {
                end = Some(at);
                true
            });
            if let Some(end) = end.filter(|_| found) {
                matcher.groups[0] = Some((start, end));
                return Some(
                    matcher
                        .groups
                        .map(|group| group.map(|(start, end)| (offsets[start], offsets[end]))),
                );
            }
        }
        None
    }
}

impl Matcher<'_> {
    fn alternatives(&mut self, alternatives: &[Vec<Node>], at: usize, next: Next<'_>) -> bool {
        alternatives
            .iter()
            .any(|nodes| self.sequence(nodes, at, next))
    }

    fn sequence(&mut self, nodes: &[Node], at: usize, next: Next<'_>) -> bool {
        match nodes.split_first() {
            None => next(self, at),
            Some((node, rest)) => self.node(node, at, &mut |own, at| own.sequence(rest, at, next)),
        }
    }

    fn node(&mut self, node: &Node, at: usize, next: Next<'_>) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        match node {
            Node::Start => at == 0 && next(self, at),
            Node::End => at == self.text.len() && next(self, at),
            Node::WordEdge => {
                let is_word = |at: Option<usize>| {
                    at.and_then(|at| self.text.get(at))
                        .is_some_and(|c| is_word(*c))
                };
                is_word(at.checked_sub(1)) != is_word(Some(at)) && next(self, at)
            }
            Node::Group(alternatives, number) => {
                let number = *number;
                let before = self.groups[number];
                let found = self.alternatives(alternatives, at, &mut |own, end| {
                    let inner = own.groups[number];
                    own.groups[number] = Some((at, end));
                    next(own, end) || {
                        own.groups[number] = inner;
                        false
                    }
                });
                if !found {
                    self.groups[number] = before;
                }
                found
            }
            Node::Reference(number) => {
                let Some((start, end)) = self.groups[*number] else {
                    return false;
                };
                let text = &self.text[start..end];
                self.text[at..].starts_with(text) && next(self, at + text.len())
            }
            Node::Repeat { node, min, max } => self.repeat(node, *min, *max, at, next),
            single => {
                self.text.get(at).is_some_and(|c| self.single(single, *c)) && next(self, at + 1)
            }
        }
    }

    /// As often as possible first.
    fn repeat(&mut self, node: &Node, min: usize, max: usize, at: usize, next: Next<'_>) -> bool {
        if is_single(node) {
            // No recursion for what is most common.
            let limit = max.min(self.text.len() - at);
            let count = self.text[at..at + limit]
                .iter()
                .take_while(|c| self.single(node, **c))
                .count();
            return (min..=count).rev().any(|count| next(self, at + count));
        }
        let again = max > 0
            && self.node(node, at, &mut |own, end| {
                // A round that matched nothing would match nothing for ever.
                (end > at || min > 0) && own.repeat(node, min.saturating_sub(1), max - 1, end, next)
            });
        again || min == 0 && next(self, at)
    }

    fn single(&self, node: &Node, c: char) -> bool {
        let eq = |node: &Node, c: char| match node {
            Node::Char(own) => *own == c,
            Node::Any => true,
            Node::Class(class) => {
                crate::pattern::class(class, 0, c).is_some_and(|(found, _)| found)
            }
            Node::Perl('w') => is_word(c),
            Node::Perl('W') => !is_word(c),
            Node::Perl('s') => c.is_ascii_whitespace(),
            Node::Perl(_) => !c.is_ascii_whitespace(),
            _ => false,
        };
        eq(node, c)
            || self.ignore_case
                && (eq(node, c.to_ascii_lowercase()) || eq(node, c.to_ascii_uppercase()))
    }
}

fn is_single(node: &Node) -> bool {
    matches!(
        node,
        Node::Char(_) | Node::Any | Node::Class(_) | Node::Perl(_)
    )
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
