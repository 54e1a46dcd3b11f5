//! `wasmjob run`: from manifests to an exit code.

mod fit;
mod follow;
mod images;
mod printer;
mod progress;
pub(crate) mod references;
mod source;
mod state;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use wasmjob::api::manifest::{Manifest, Object};

use crate::args::{LogChoice, Output, RunArgs};
use crate::check::refused;
use crate::config::Config;
use crate::exit::{Exit, say, usage};
use crate::run::follow::{Follow, Wishes};
use crate::run::images::Got;
use crate::run::printer::Escape;
pub(crate) use crate::run::printer::printable;
pub(crate) use crate::run::state::{State, never_ends};
use crate::{files, host, report};

/// Runs what the manifests hold to its end.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let mut manifest = match files::read(&args.files) {
        Ok(manifest) => manifest,
        Err(failure) => return Ok(refused(&failure)),
    };
    if let Err(texts) = source::cron_jobs(&mut manifest, args.now) {
        texts.iter().for_each(say);
        return Ok(Exit::Usage);
    }
    let missing = references::missing(&manifest);
    if !missing.is_empty() {
        missing.iter().for_each(say);
        return Ok(Exit::Usage);
    }
    let config = match Config::load(args.host.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return Ok(usage(&error)),
    };
    let builder = match builder(args, &config, slots(&manifest)) {
        Ok(builder) => builder,
        Err(error) => return Ok(usage(&error)),
    };
    if !args.quiet {
        for warning in &manifest.warnings {
            say(format_args!("{}:{}: {warning}", warning.file, warning.at));
        }
    }
    let host = builder.build().context("failed to start the host")?;
    let never = fit::never(&host, &manifest);
    if !never.is_empty() {
        never.iter().for_each(say);
        return Ok(Exit::Usage);
    }
    let timeout = match images::get(&host, &manifest, args.timeout, args.quiet) {
        Got::All(rest) => rest,
        Got::Missing(why) => {
            why.iter().for_each(say);
            return Ok(Exit::Usage);
        }
        Got::TooLate => {
            say("error: --timeout is reached, and not all images are here; nothing ran");
            return Ok(Exit::Timeout);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let (state, exit) = runtime.block_on(async {
        let follow = Follow::begin(&host, wishes(args, timeout));
        let taken = host.apply(manifest)?;
        anyhow::Ok(follow.until_the_end(&taken).await)
    })?;
    report::print(&state, &host, args)?;
    Ok(exit)
}

fn wishes(args: &RunArgs, timeout: Option<Duration>) -> Wishes {
    let is_text = args.output == Output::Text;
    let default = if is_text {
        LogChoice::All
    } else {
        LogChoice::None
    };
    let (stdout, stderr) = (
        std::io::stdout().is_terminal(),
        std::io::stderr().is_terminal(),
    );
    Wishes {
        logs: args.logs.unwrap_or(default),
        // Standard output carries the report where there is one.
        logs_to_stderr: !is_text,
        quiet: args.quiet,
        fail_fast: args.fail_fast,
        timeout,
        live: !args.quiet && args.color.applies(stderr),
        escape: Escape {
            stdout: if is_text { stdout } else { stderr },
            stderr,
        },
    }
}

fn builder(args: &RunArgs, config: &Config, slots: u32) -> anyhow::Result<wasmjob::HostBuilder> {
    let mut builder = host::builder(&args.host, config, |limits| {
        limits.guests = slots.min(limits.guests);
    })?;
    // Nobody is there to mend it, and the exit code waits.
    builder = builder.fail_on_terminal_pull(true);
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    Ok(builder)
}

/// Slots of the pool of instances that the manifest can make use of. A pool costs
/// start-up time by its size, and most runs need a small one.
fn slots(manifest: &Manifest) -> u32 {
    const LEAST: u32 = 16;
    let of = |object: &Object| {
        let (_, spec) = host::pod_spec(object)?;
        let containers = spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len);
        let pods = match object {
            Object::Job(job) => job
                .spec
                .as_ref()
                .and_then(|spec| spec.parallelism)
                .unwrap_or(1),
            Object::Pod(_) | Object::CronJob(_) | Object::Kept(_) => 1,
        };
        let pods = u32::try_from(pods).unwrap_or(0);
        // Twice: a probe runs beside its container.
        Some(pods.saturating_mul(u32::try_from(containers).ok()?.saturating_mul(2)))
    };
    let all = manifest
        .objects
        .iter()
        .filter_map(|loaded| of(&loaded.object));
    all.fold(LEAST, u32::saturating_add)
}
