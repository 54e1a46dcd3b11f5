//! What is printed when a run is over.

mod json;
mod junit;
mod summary;
pub(crate) mod table;

use std::io::{IsTerminal, Write};

use wasmjob::Host;

use crate::args::{Output, RunArgs};
use crate::run::State;

/// Prints the report that was asked for. A reader that has gone does not want it:
/// the exit code stays that of the Jobs.
pub(crate) fn print(state: &State, host: &Host, args: &RunArgs) -> anyhow::Result<()> {
    match write(state, host, args) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        printed => printed,
    }
}

/// Prints one line for whoever reads the output; a reader that has gone misses it.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Err(error) = written {
        tracing::debug!(%error, "standard output is closed");
    }
}

/// Whether the reader of our output has gone.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| {
        let io = cause
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        io.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind())
    });
    causes.any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}

fn write(state: &State, host: &Host, args: &RunArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Text => {
            // What people read goes where progress went, so that standard output
            // is the guests' alone.
            let mut err = std::io::stderr().lock();
            let color = args.color.applies(std::io::stderr().is_terminal());
            match args.quiet {
                true => summary::failures(state, host, color, &mut err)?,
                false => summary::print(state, host, color, &mut err)?,
            }
        }
        Output::Json => json::print(state, &mut out)?,
        Output::Junit => junit::print(state, host, &mut out)?,
    }
    out.flush()?;
    Ok(())
}
