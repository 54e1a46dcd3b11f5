//! The compile worker: this same program, started by itself.

use std::ffi::OsString;
use std::process::ExitCode;

use wasmjob::{Compiler, WorkerLimits};

use crate::exit::say;

/// The argument that makes this program a worker. No subcommand, so that it
/// stands in no help and costs no parsing.
const ASK: &str = "__compile";

/// Compiles one module from standard input, if that is what was asked.
pub(crate) fn serve_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ASK {
        return None;
    }
    let args: Vec<OsString> = args.collect();
    let served = wasmjob::serve_compile(
        &args,
        &mut std::io::stdin().lock(),
        &mut std::io::stdout().lock(),
    );
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(text);
            ExitCode::FAILURE
        }
    })
}

/// How this program compiles: itself as the worker, or not at all where it
/// cannot find itself.
pub(crate) fn compiler() -> Compiler {
    match std::env::current_exe() {
        Ok(program) => Compiler::Worker {
            program,
            args: vec![ASK.into()],
            limits: WorkerLimits::default(),
        },
        Err(_) => Compiler::CheapOnly,
    }
}
