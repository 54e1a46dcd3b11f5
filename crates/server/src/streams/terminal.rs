//! What a terminal's driver does, for `kubectl exec -it`: a guest has none.
//!
//! The client's terminal is raw. Lines are edited and shown here and sent as wholes;
//! Ctrl-D ends the input, Ctrl-C the command. Of everything else that a driver
//! knows there is nothing: no history, no cursor in the line, no other signals.

use bytes::Bytes;

/// Bytes of a line: what is typed beyond is not taken.
const LINE_BYTES_MAX: usize = 4096;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const ESCAPE: u8 = 27;
const DELETE: u8 = 127;

/// Takes a character off the screen.
const ERASE: &[u8] = b"\x08 \x08";

/// A line that is being typed.
#[derive(Default)]
pub(super) struct Terminal {
    line: Vec<u8>,
    escape: Escape,
}

/// Where in the sequence that a key like an arrow sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Escape {
    #[default]
    Outside,
    Begun,
    Inside,
}

/// What comes of keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Typed {
    /// What is shown.
    pub(super) echo: Vec<u8>,
    /// What the guest reads.
    pub(super) input: Vec<u8>,
    /// The input has ended.
    pub(super) ends: bool,
    /// The command is to be killed.
    pub(super) interrupts: bool,
}

impl Terminal {
    pub(super) fn take(&mut self, keys: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for key in keys {
            if !self.is_escaped(*key) {
                self.key(*key, &mut typed);
            }
            if typed.ends || typed.interrupts {
                break;
            }
        }
        typed
    }

    fn key(&mut self, key: u8, typed: &mut Typed) {
        match key {
            CTRL_C => {
                typed.echo.extend_from_slice(b"^C\r\n");
                typed.interrupts = true;
            }
            CTRL_D if self.line.is_empty() => typed.ends = true,
            CTRL_D => typed.input.append(&mut self.line),
            b'\r' | b'\n' => {
                typed.echo.extend_from_slice(b"\r\n");
                self.line.push(b'\n');
                typed.input.append(&mut self.line);
            }
            BACKSPACE | DELETE => self.erase(typed),
            CTRL_U => {
                while !self.line.is_empty() {
                    self.erase(typed);
                }
            }
            b'\t' | b' '.. if self.line.len() < LINE_BYTES_MAX => {
                typed.echo.push(key);
                self.line.push(key);
            }
            _ => {}
        }
    }

    /// Takes the last character back, which may be several bytes.
    fn erase(&mut self, typed: &mut Typed) {
        while let Some(byte) = self.line.pop() {
            let is_within = byte & 0b1100_0000 == 0b1000_0000;
            if !is_within {
                typed.echo.extend_from_slice(ERASE);
                return;
            }
        }
    }

    /// Whether the key belongs to a sequence, which is of no concern here.
    fn is_escaped(&mut self, key: u8) -> bool {
        self.escape = match (self.escape, key) {
            (_, ESCAPE) => Escape::Begun,
            (Escape::Begun, b'[' | b'O') => Escape::Inside,
            (Escape::Inside, b' '..=b'?') => Escape::Inside,
            (Escape::Inside, b'@'..=b'~') => {
                self.escape = Escape::Outside;
                return true;
            }
            _ => Escape::Outside,
        };
        self.escape != Escape::Outside
    }
}

/// Output as a raw terminal shows it: each line begins at the left.
pub(super) fn shown(output: &Bytes) -> Bytes {
    if !output.contains(&b'\n') {
        return output.clone();
    }
    let mut shown = Vec::with_capacity(output.len() + 64);
    for byte in output {
        if *byte == b'\n' {
            shown.push(b'\r');
        }
        shown.push(*byte);
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Terminal, Typed, shown};

    fn typed(keys: &[u8]) -> Typed {
        Terminal::default().take(keys)
    }

    #[test]
    fn lines_are_edited_here() {
        let all = typed(b"lz\x7fs\rx");
        assert_eq!(all.input, b"ls\n");
        assert_eq!(all.echo, b"lz\x08 \x08s\r\nx");
        assert_eq!(typed("aü\x08\r".as_bytes()).input, b"a\n");
        assert_eq!(typed(b"abc\x15de\r").input, b"de\n");
        assert_eq!(typed(b"\x7f\x7fa\r").input, b"a\n");
        // Arrows and function keys.
        assert_eq!(typed(b"a\x1b[A\x1bOP\x1b[15~b\r").input, b"ab\n");
    }

    #[test]
    fn the_end_and_the_interrupt_are_keys() {
        assert!(typed(b"\x04").ends);
        let half = typed(b"half\x04");
        assert!(!half.ends && half.input == b"half");
        let interrupt = typed(b"a\x03b\r");
        assert!(interrupt.interrupts && interrupt.input.is_empty());
    }

    #[test]
    fn a_line_has_an_end() {
        let all = typed(&[&[b'a'; 5_000][..], b"\r"].concat());
        assert_eq!(all.input.len(), 4_097);
    }

    #[test]
    fn lines_of_output_begin_at_the_left() {
        let shown = |text: &'static [u8]| shown(&Bytes::from_static(text));
        assert_eq!(shown(b"a\nb"), "a\r\nb");
        assert_eq!(shown(b"ab"), "ab");
    }
}
