//! Logs as lines: prefixed, whole, and harmless to a terminal.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use wasmjob::api::Uid;
use wasmjob::{LogBuffer, Stream, lost_notice};

/// Bytes of a line that is shown in pieces (the CRI's figure).
const LINE_BYTES_MAX: usize = 16 << 10;

/// Turns logs into lines.
pub(crate) struct Printer {
    places: HashMap<(Uid, Arc<str>, u32), Place>,
    escape: Escape,
}

/// Where what a terminal would obey is escaped: each line by where it goes, so
/// that a pipe gets every byte and a terminal none that it would act on.
#[derive(Clone, Copy)]
pub(crate) struct Escape {
    /// Lines of guests' standard output.
    pub(crate) stdout: bool,
    /// Lines of guests' standard error.
    pub(crate) stderr: bool,
}

impl Escape {
    fn of(self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

#[derive(Default)]
struct Place {
    next: u64,
    /// A line that has not ended, of each stream.
    partial: [Vec<u8>; 2],
}

impl Place {
    /// Ends lines that have not ended.
    fn end_lines(&mut self, prefix: &str, escape: Escape, lines: &mut Vec<Line>) {
        for (n, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let partial = std::mem::take(&mut self.partial[n]);
            if !partial.is_empty() {
                lines.push(line(prefix, &partial, stream, escape.of(stream)));
            }
        }
    }

    /// Says that bytes are missing, where they are.
    fn lost(&mut self, lost: u64, prefix: &str, escape: Escape, lines: &mut Vec<Line>) {
        if lost == 0 {
            return;
        }
        self.end_lines(prefix, escape, lines);
        lines.push(Line {
            bytes: format!("{prefix}{}", lost_notice(lost)).into_bytes(),
            stream: Stream::Stderr,
        });
    }
}

/// A line, and where it goes.
pub(crate) struct Line {
    /// With prefix, without the line's end.
    pub(crate) bytes: Vec<u8>,
    pub(crate) stream: Stream,
}

impl Printer {
    pub(crate) fn new(escape: Escape) -> Self {
        Self {
            places: HashMap::new(),
            escape,
        }
    }

    /// The lines that a log has had since it was last asked.
    pub(crate) fn lines(&mut self, log: &LogBuffer) -> Vec<Line> {
        let key = (log.pod, Arc::clone(&log.container), log.restarts);
        let place = self.places.entry(key).or_default();
        let read = log.read(place.next);
        place.next = read.next;
        let prefix = prefix(log);
        let mut lines = Vec::new();
        for chunk in &read.chunks {
            place.lost(chunk.lost, &prefix, self.escape, &mut lines);
            let partial = &mut place.partial[usize::from(chunk.stream == Stream::Stderr)];
            for &byte in &chunk.bytes {
                if byte == b'\n' || partial.len() >= LINE_BYTES_MAX {
                    lines.push(line(
                        &prefix,
                        partial,
                        chunk.stream,
                        self.escape.of(chunk.stream),
                    ));
                    partial.clear();
                }
                if byte != b'\n' {
                    partial.push(byte);
                }
            }
        }
        place.lost(read.lost_at_end(), &prefix, self.escape, &mut lines);
        if read.ended {
            place.end_lines(&prefix, self.escape, &mut lines);
        }
        lines
    }
}

/// `[pod] `, or `[pod/container] ` where that is not clear.
fn prefix(log: &LogBuffer) -> String {
    if log.only_container {
        format!("[{}] ", log.pod_name)
    } else {
        format!("[{}/{}] ", log.pod_name, log.container)
    }
}

fn line(prefix: &str, bytes: &[u8], stream: Stream, escape: bool) -> Line {
    let mut line = prefix.as_bytes().to_vec();
    if escape {
        line.extend(printable(bytes).into_bytes());
    } else {
        line.extend_from_slice(bytes);
    }
    Line {
        bytes: line,
        stream,
    }
}

/// Text for a terminal: control characters and invalid UTF-8 are shown, not obeyed.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() && c != '\t' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes lines to standard output or standard error, as they are.
pub(crate) fn write(lines: &[Line], all_to_stderr: bool) {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    for line in lines {
        // Nobody can be told when this fails; a closed pipe is the reader's wish.
        let _ = if all_to_stderr || line.stream == Stream::Stderr {
            err.write_all(&line.bytes)
                .and_then(|()| err.write_all(b"\n"))
        } else {
            out.write_all(&line.bytes)
                .and_then(|()| out.write_all(b"\n"))
        };
    }
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::{Escape, Stream, line, printable};

    #[test]
    fn each_stream_is_escaped_by_where_it_goes() {
        let escape = Escape {
            stdout: false,
            stderr: true,
        };
        let of = |stream| line("[p] ", b"a\x1b[2J", stream, escape.of(stream)).bytes;
        assert_eq!(of(Stream::Stdout), b"[p] a\x1b[2J");
        assert_eq!(of(Stream::Stderr), b"[p] a\\u{1b}[2J");
    }

    #[test]
    fn a_terminal_is_given_nothing_to_obey() {
        assert_eq!(
            printable(b"a\x1b[2J\x07b\tc\r"),
            "a\\u{1b}[2J\\u{7}b\tc\\u{d}"
        );
        assert_eq!(printable(b"\xff\xc3\xbc"), "\u{fffd}\u{fc}");
    }
}
