//! The binary `wasmjob`: arguments, progress, tables, exit codes.
//!
//! Only this room prints, and only it knows arguments, terminals and signals.
//! What it runs, it runs through the crate `wasmjob`, as any application would.
//! [`run`] is the command most people meet first; its modules are the steps of
//! one run: the sources, the follow-up of what happens, the report at the end.

mod args;
mod check;
mod client;
mod config;
mod exit;
mod files;
mod forecast;
mod host;
mod image;
mod next;
mod report;
mod run;
mod serve;
mod signals;
mod subjects;
mod when;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    if let Some(code) = worker::serve_if_asked() {
        return code;
    }
    let args = Args::parse();
    if !matches!(args.command, Command::Serve(_)) {
        args.init_diagnostics();
    }
    let exit = match &args.command {
        Command::Run(run) => run::run(run),
        Command::Serve(serve) => serve::serve(serve, |format, verbose| {
            args.init_daemon_diagnostics(format, verbose);
        }),
        Command::Check(check) => check::check(check),
        Command::Next(next) => next::next(next),
        Command::Forecast(forecast) => forecast::forecast(forecast),
        Command::Image(args) => image::run(args),
        Command::Client(command) => client::run(command),
        Command::Completions { shell } => args::print_completions(*shell),
    };
    let exit = exit.unwrap_or_else(|error| {
        exit::say(format_args!("error: {error:#}"));
        Exit::Host
    });
    exit.into()
}
