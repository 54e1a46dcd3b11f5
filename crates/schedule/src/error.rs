//! Why a schedule is none, in the words of `robfig/cron` and Go.

use crate::{DurationError, UnknownZone};

/// Why a text is no schedule. The messages are those of `robfig/cron`'s parser.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScheduleError {
    /// There is no text.
    #[error("empty spec string")]
    Empty,
    /// `TZ=` without a space after it. The Go parser panics here.
    #[error("provided bad location: no schedule follows the time zone")]
    OnlyZone,
    /// `TZ=` with a zone that does not exist.
    #[error("provided bad location {name}: {cause}")]
    Zone {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        cause: UnknownZone,
    },
    /// Not five fields.
    #[error("expected exactly 5 fields, found {count}: [{fields}]")]
    Fields {
        /// How many there were.
        count: usize,
        /// The fields, separated by spaces.
        fields: String,
    },
    /// A text after `@` that is no descriptor.
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
    /// `@every` with something that is no duration.
    #[error("failed to parse duration {descriptor}: {cause}")]
    Every {
        /// The whole descriptor.
        descriptor: String,
        /// What is wrong with the duration.
        cause: DurationError,
    },
    /// More than one hyphen in a range.
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    /// More than one slash in a range.
    #[error("too many slashes: {0}")]
    Slashes(String),
    /// A range begins too early.
    #[error("beginning of range ({start}) below minimum ({min}): {range}")]
    BelowMinimum {
        /// Where the range begins.
        start: u64,
        /// The least value of the field.
        min: u64,
        /// The range as it was given.
        range: String,
    },
    /// A range ends too late.
    #[error("end of range ({end}) above maximum ({max}): {range}")]
    AboveMaximum {
        /// Where the range ends.
        end: u64,
        /// The greatest value of the field.
        max: u64,
        /// The range as it was given.
        range: String,
    },
    /// A range ends before it begins.
    #[error("beginning of range ({start}) beyond end of range ({end}): {range}")]
    Reversed {
        /// Where the range begins.
        start: u64,
        /// Where it ends.
        end: u64,
        /// The range as it was given.
        range: String,
    },
    /// A step of 0.
    #[error("step of range should be a positive number: {0}")]
    Step(String),
    /// Neither a number nor a name that the field knows.
    #[error(
        "failed to parse int from {text}: strconv.Atoi: parsing {}: {reason}",
        quote(text)
    )]
    Number {
        /// The text as it was given.
        text: String,
        /// Go's reason.
        reason: &'static str,
    },
    /// A number below 0.
    #[error("negative number ({number}) not allowed: {text}")]
    Negative {
        /// The number.
        number: i64,
        /// The text as it was given.
        text: String,
    },
}

/// The most that a message repeats of a schedule. A real one is far shorter, and one
/// of a mebibyte should not fill the log.
const ECHO_BYTES_MAX: usize = 256;

/// `text` for a message, cut if it is very long.
pub(crate) fn echo(text: &str) -> String {
    if text.len() <= ECHO_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = ECHO_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// `text` in quotes as Go's `strconv.Quote` sets them.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\0'..'\u{20}' | '\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
