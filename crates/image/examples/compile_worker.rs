//! The smallest program that can be a compile worker; tests start it.
#![allow(
    clippy::print_stderr,
    reason = "the worker tells its parent what is wrong"
)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    match wasmjob_image::serve_compile(&args, &mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprint!("{text}");
            ExitCode::FAILURE
        }
    }
}
