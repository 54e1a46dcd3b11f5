//! Reads options, as getopt does.

use crate::world::{Stop, World};

/// The options of a call, and its other arguments.
pub(super) struct Options {
    found: Vec<(char, String)>,
    pub(super) rest: Vec<String>,
}

impl Options {
    /// `letters` are the options; a colon behind one means that it has a value.
    /// Options may stand behind other arguments.
    pub(super) fn read(world: &World, args: &[String], letters: &str) -> Result<Self, Stop> {
        let mut options = Self {
            found: Vec::new(),
            rest: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                options.rest.extend(args.cloned());
                break;
            }
            if arg.len() < 2 || !arg.starts_with('-') {
                options.rest.push(arg.clone());
                continue;
            }
            let mut chars = arg[1..].chars();
            while let Some(letter) = chars.next() {
                let at = letters.find(letter).filter(|_| letter != ':');
                let Some(at) = at else {
                    return world.stop(1, &format!("unrecognized option: {letter}"));
                };
                if letters[at + 1..].starts_with(':') {
                    let inline: String = chars.by_ref().collect();
                    let value = if inline.is_empty() {
                        args.next().cloned()
                    } else {
                        Some(inline)
                    };
                    match value {
                        Some(value) => options.found.push((letter, value)),
                        None => {
                            return world
                                .stop(1, &format!("option requires an argument: {letter}"));
                        }
                    }
                } else {
                    options.found.push((letter, String::new()));
                }
            }
        }
        Ok(options)
    }

    pub(super) fn has(&self, letter: char) -> bool {
        self.found.iter().any(|(own, _)| *own == letter)
    }

    /// The last value of an option.
    pub(super) fn value(&self, letter: char) -> Option<&str> {
        self.found
            .iter()
            .rev()
            .find(|(own, _)| *own == letter)
            .map(|(_, value)| value.as_str())
    }

    /// All values of an option.
    pub(super) fn values(&self, letter: char) -> impl Iterator<Item = &str> {
        self.found
            .iter()
            .filter(move |(own, _)| *own == letter)
            .map(|(_, value)| value.as_str())
    }

    /// The other arguments as files; none means standard input.
    pub(super) fn files(&self) -> Vec<String> {
        if self.rest.is_empty() {
            vec!["-".to_owned()]
        } else {
            self.rest.clone()
        }
    }
}

/// Reads a number, with the suffixes k and m if there is one.
pub(super) fn number(world: &World, text: &str) -> Result<u64, Stop> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    match digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
    {
        Some(number) => Ok(number),
        None => world.stop(1, &format!("invalid number '{text}'")),
    }
}
