//! Standard output: written at once, and closed when its reader has gone.

use std::io::{ErrorKind, Write};

use super::failure::{Failure, Result};

/// Prints text as it is.
pub(crate) fn print(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::other(format!("failed to write to standard output: {error}")),
    })
}

/// Prints a line.
pub(crate) fn line(text: &str) -> Result<()> {
    print(&format!("{text}\n"))
}
