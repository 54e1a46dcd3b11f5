//! What a script says, as the parser understood it.

use std::cell::RefCell;
use std::rc::Rc;

/// Commands, one after the other.
pub(crate) type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`.
#[derive(Debug)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    /// Whether each needs success (`&&`) or failure (`||`) of what was before.
    pub(crate) rest: Vec<(bool, Pipeline)>,
    /// Ended by `&`.
    pub(crate) background: bool,
}

/// Commands joined by `|`.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Begun by `!`.
    pub(crate) negated: bool,
    pub(crate) stages: Vec<Command>,
}

/// A command with its redirections.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) kind: Kind,
    pub(crate) redirects: Vec<Redirect>,
}

/// The kinds of commands.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Assignments, then words.
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    /// `{ …; }`
    Group(List),
    /// `( … )`
    Subshell(List),
    /// Conditions with what follows from them; what follows otherwise.
    If(Vec<(List, List)>, Option<List>),
    /// `while`, or `until`.
    Loop {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without words it goes over the arguments.
    For {
        name: String,
        words: Option<Vec<Word>>,
        body: List,
    },
    Case {
        word: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    Function {
        name: String,
        body: Rc<Command>,
    },
    /// `[[ … ]]`
    Condition(Condition),
    /// `(( … ))`
    Arithmetic(Word),
}

/// What stands between `[[` and `]]`.
#[derive(Debug)]
pub(crate) enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    /// One to three words, as `test` has them; the operator is plain.
    Test(Vec<Word>),
}

/// `[descriptor]operator target`
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) descriptor: usize,
    pub(crate) target: Target,
}

/// What a redirection does.
#[derive(Debug)]
pub(crate) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `<&` and `>&`
    Duplicate(Word),
    /// `&>`: both outputs.
    Both(Word),
    /// A here-document; its text is read at the end of the line.
    Here(Rc<RefCell<Word>>),
    /// `<<<`
    HereString(Word),
}

/// A word: its parts, to be expanded and joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word(pub(crate) Vec<Part>);

/// A part of a word.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    /// `~` at the beginning.
    Home,
    Parameter {
        name: String,
        operation: Operation,
        quoted: bool,
    },
    Command {
        list: Rc<List>,
        quoted: bool,
    },
    Arithmetic {
        word: Word,
        quoted: bool,
    },
}

/// What is done with a parameter's value.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Get,
    Length,
    /// `-`; an empty value counts as none if there is a colon, here and below.
    Default {
        colon: bool,
        word: Word,
    },
    /// `=`
    Assign {
        colon: bool,
        word: Word,
    },
    /// `?`
    Require {
        colon: bool,
        word: Word,
    },
    /// `+`
    Alternative {
        colon: bool,
        word: Word,
    },
    /// `#` and `##`
    TrimStart {
        longest: bool,
        pattern: Word,
    },
    /// `%` and `%%`
    TrimEnd {
        longest: bool,
        pattern: Word,
    },
    /// `/` and `//`
    Replace {
        all: bool,
        pattern: Word,
        with: Word,
    },
    /// `:offset` and `:offset:length`
    Slice {
        offset: Word,
        length: Option<Word>,
    },
}

impl Word {
    /// The text of a word without any quotes or expansions.
    pub(crate) fn plain(&self) -> Option<&str> {
        match &self.0[..] {
            [
                Part::Text {
                    text,
                    quoted: false,
                },
            ] => Some(text),
            _ => None,
        }
    }

    /// A word that is just this text.
    pub(crate) fn quoted(text: String) -> Self {
        Self(vec![Part::Text { text, quoted: true }])
    }
}
