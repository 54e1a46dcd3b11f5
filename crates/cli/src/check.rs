//! `wasmjob check`: validates, runs nothing.

use std::io::Write;

use crate::args::CheckArgs;
use crate::exit::{Exit, say};
use crate::files::{self, Failure};
use crate::run::references;

/// Validates the manifests and says what they hold.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<Exit> {
    let manifest = match files::read(&args.files) {
        Ok(manifest) => manifest,
        Err(failure) => return Ok(refused(&failure)),
    };
    for warning in &manifest.warnings {
        say(format_args!("{}:{}: {warning}", warning.file, warning.at));
    }
    // Somebody else may hold them where `serve` runs.
    for text in references::missing(&manifest) {
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        say(format_args!("warning: {text} (`run` refuses it)"));
    }
    if !args.quiet {
        let mut out = std::io::stdout().lock();
        for loaded in &manifest.objects {
            let metadata = loaded.object.metadata();
            let name = metadata
                .name
                .as_deref()
                .or(metadata.generate_name.as_deref());
            writeln!(
                out,
                "{}:{}: {} {}/{} is valid",
                loaded.file,
                loaded.at,
                loaded.object.kind(),
                metadata.namespace.as_deref().unwrap_or("default"),
                name.unwrap_or_default()
            )?;
        }
    }
    Ok(Exit::Complete)
}

/// Says why manifests cannot be used.
pub(crate) fn refused(failure: &Failure) -> Exit {
    match failure {
        Failure::Read(text) => say(format_args!("error: {text}")),
        Failure::Invalid(problems) => {
            say(problems);
            if problems.0.len() > 1 {
                say(format_args!(
                    "{} problems; nothing was run",
                    problems.0.len()
                ));
            }
        }
    }
    Exit::Usage
}
