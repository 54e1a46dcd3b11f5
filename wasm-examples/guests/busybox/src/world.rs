//! What an applet sees: its streams, its working directory, its environment.

use std::fmt::Display;
use std::io;

use crate::applets::Applet;
use crate::paths::{self, Stat};
use crate::stream::{Input, Output, reason};

/// Standard input, output and error.
#[derive(Clone)]
pub(crate) struct Io {
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// The surroundings of one call of an applet.
#[derive(Clone)]
pub(crate) struct World {
    /// The name under which the applet was called.
    pub(crate) name: String,
    pub(crate) io: Io,
    pub(crate) directory: String,
    pub(crate) environment: Vec<(String, String)>,
}

impl World {
    /// What the host gave to this process.
    pub(crate) fn of_this_process() -> Self {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        Self {
            name: "busybox".to_owned(),
            io: Io {
                stdin: Input::stdin(),
                stdout: Output::Stdout,
                stderr: Output::Stderr,
            },
            directory: paths::initial_directory(),
            environment: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
        }
    }

    /// The same for an applet called `name`.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// Runs an applet. What it leaves unsaid about failed output is said here.
    pub(crate) fn run(&self, applet: Applet, args: &[String]) -> i32 {
        match applet(self, args) {
            Ok(code) => code,
            Err(Stop::Pipe) => 141,
            Err(Stop::Said(code)) => code,
        }
    }

    /// The value of an environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// `path` seen from the working directory.
    pub(crate) fn path(&self, path: &str) -> String {
        paths::normalize(&self.directory, path)
    }

    /// What `path` leads to.
    pub(crate) fn stat(&self, path: &str) -> io::Result<Stat> {
        paths::stat(&self.path(path), true)
    }

    /// Opens `path` for reading; `-` is standard input. Says why it cannot.
    pub(crate) fn open(&self, path: &str) -> Result<Input, Stop> {
        if path == "-" {
            return Ok(self.io.stdin.clone());
        }
        paths::open(&self.path(path), &self.io.stdin).map_err(|error| {
            self.say(&format!("{path}: {}", reason(&error)));
            Stop::Said(1)
        })
    }

    /// Opens `path` for writing. Says why it cannot.
    pub(crate) fn create(&self, path: &str, append: bool) -> Result<Output, Stop> {
        paths::create(&self.path(path), append, (&self.io.stdout, &self.io.stderr)).map_err(
            |error| {
                self.say(&format!("can't create {path}: {}", reason(&error)));
                Stop::Said(1)
            },
        )
    }

    /// Writes to standard output.
    pub(crate) fn print(&self, text: impl AsRef<[u8]>) -> Result<(), Stop> {
        self.io
            .stdout
            .write(text.as_ref())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => {
                    self.say(&format!("write error: {error}"));
                    Stop::Pipe
                }
                _ => {
                    self.say(&format!("write error: {}", reason(&error)));
                    Stop::Said(1)
                }
            })
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Stop> {
        self.print(format!("{text}\n"))
    }

    /// Writes a message to standard error.
    pub(crate) fn say(&self, message: &str) {
        // There is no place where a failure of this could be told.
        let _ = self
            .io
            .stderr
            .write(format!("{}: {message}\n", self.name).as_bytes());
    }

    /// Says `message`, and ends with `code`.
    pub(crate) fn error(&self, code: i32, message: &str) -> i32 {
        self.say(message);
        code
    }

    /// Says `message`; the applet ends with `code`.
    pub(crate) fn stop<T>(&self, code: i32, message: &str) -> Result<T, Stop> {
        Err(Stop::Said(self.error(code, message)))
    }

    /// Says why a file could not be worked on; the applet may go on.
    pub(crate) fn complain(&self, path: &str, error: &io::Error) -> i32 {
        self.error(1, &format!("{path}: {}", reason(error)))
    }
}

/// Why an applet ends early. Its message has been said.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Nobody takes its output.
    Pipe,
    /// With this code.
    Said(i32),
}
