//! What is wrong with a manifest, and where.

use std::fmt;

/// A place in a text; both numbers count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The first character of a text.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Something that is wrong with a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The name of the source, as it was given.
    pub file: String,
    /// Where in it.
    pub at: Position,
    /// The path of the field; empty if the problem is none of a field.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What might help.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}:{}: ", self.file, self.at)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the manifests, in the order of the sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something that is worth knowing and stops nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The name of the source, as it was given.
    pub file: String,
    /// Where in it.
    pub at: Position,
    /// `note` for a field that has no effect here, `warning` for what may surprise.
    pub severity: Severity,
    /// What there is to know; names the field.
    pub message: String,
}

/// How much a [`Warning`] matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Harmless.
    Note,
    /// May surprise.
    Warning,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}", self.message)
    }
}
