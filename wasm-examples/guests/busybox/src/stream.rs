//! Where bytes come from and go to: the process's own streams, files, and the
//! buffers between the stages of a pipeline. Clones share their position, as
//! descriptors that were duplicated do.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Write};
use std::rc::Rc;

/// A stage of a pipeline ends before the next one begins, so what it writes has
/// to be kept; more than this is an error that the writer sees.
pub(crate) const PIPE_BYTES_MAX: usize = 16 << 20;

/// Something to read from.
#[derive(Clone)]
pub(crate) struct Input(Rc<RefCell<Box<dyn BufRead>>>);

impl Input {
    /// The process's standard input.
    pub(crate) fn stdin() -> Self {
        Self::new(BufReader::new(io::stdin()))
    }

    /// Nothing, as /dev/null.
    pub(crate) fn empty() -> Self {
        Self::new(io::empty())
    }

    /// Bytes in memory.
    pub(crate) fn bytes(bytes: Vec<u8>) -> Self {
        Self::new(Cursor::new(bytes))
    }

    /// A file, or anything else that can be read.
    pub(crate) fn new(reader: impl BufRead + 'static) -> Self {
        Self(Rc::new(RefCell::new(Box::new(reader))))
    }

    /// The next line with its line feed, if it has one; `None` at the end.
    pub(crate) fn line(&self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self.0.borrow_mut().read_until(b'\n', &mut line)?;
        Ok((read > 0).then_some(line))
    }

    /// Up to `count` bytes; fewer only at the end.
    pub(crate) fn up_to(&self, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut **self.0.borrow_mut())
            .take(count)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All that is left.
    pub(crate) fn all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.borrow_mut().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Something to write to.
#[derive(Clone)]
pub(crate) enum Output {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// Nothing, as /dev/null.
    Null,
    /// A file.
    File(Rc<File>),
    /// A buffer that a later stage reads.
    Pipe(Rc<RefCell<Vec<u8>>>),
}

impl Output {
    /// A buffer, and its reading end, which [`Output::take`] empties.
    pub(crate) fn pipe() -> Self {
        Self::Pipe(Rc::default())
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().write_all(bytes),
            Self::Stderr => io::stderr().write_all(bytes),
            Self::Null => Ok(()),
            Self::File(file) => (&**file).write_all(bytes),
            Self::Pipe(buffer) => {
                let mut buffer = buffer.borrow_mut();
                if buffer.len() + bytes.len() > PIPE_BYTES_MAX {
                    return Err(io::Error::new(
                        ErrorKind::BrokenPipe,
                        "more than 16 MiB in a pipe",
                    ));
                }
                buffer.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Hands over what is buffered in this process.
    pub(crate) fn flush(&self) {
        // Who reads our output may be gone; there is nobody left to tell.
        let _ = io::stdout().flush();
    }

    /// What was written to a pipe.
    pub(crate) fn take(&self) -> Vec<u8> {
        match self {
            Self::Pipe(buffer) => buffer.take(),
            _ => Vec::new(),
        }
    }
}

/// What the system says about an error, without Rust's number behind it.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "No such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        _ if error.raw_os_error().is_none() && error.to_string().contains("pre-opened") => {
            "No such file or directory".to_owned()
        }
        _ => {
            let text = error.to_string();
            match text.find(" (os error") {
                Some(end) => text[..end].to_owned(),
                None => text,
            }
        }
    }
}
