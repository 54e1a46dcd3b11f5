//! Exit codes, and the last words before them.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Every Job is Complete.
    Complete,
    /// Some Job has Failed, or cannot end.
    Failed,
    /// Arguments or manifests are wrong; nothing ran.
    Usage,
    /// The host failed.
    Host,
    /// `--timeout` was reached.
    Timeout,
    /// A signal ended it; its number.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Complete => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Host => 3,
            Exit::Timeout => 124,
            Exit::Signal(number) => 128u8.saturating_add(number),
        })
    }
}

/// Prints a line to standard error; nobody can be told if that fails.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says what is wrong with the arguments.
pub(crate) fn usage(error: &anyhow::Error) -> Exit {
    say(format_args!("error: {error:#}"));
    Exit::Usage
}
