//! `wasmjob run`: from manifests to an exit code.

mod follow;
mod printer;
mod progress;
mod signals;
mod source;
mod state;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use wasmjob::api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob::api::manifest::{Loaded, Manifest, Object};
use wasmjob::{Host, Limits};

use crate::args::{LogChoice, Output, RunArgs};
use crate::check::refused;
use crate::config::{Config, default_cache};
use crate::exit::{Exit, say};
use crate::run::follow::{Follow, Wishes};
use crate::run::printer::Escape;
pub(crate) use crate::run::printer::printable;
pub(crate) use crate::run::state::{State, never_ends};
use crate::{files, report, worker};

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
    let config = match Config::load(args.config.as_deref()) {
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
    let missing = missing_images(&host, &manifest);
    if !missing.is_empty() {
        missing.iter().for_each(say);
        return Ok(Exit::Usage);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let (state, exit) = runtime.block_on(async {
        let follow = Follow::begin(&host, wishes(args));
        let taken = host.apply(manifest)?;
        anyhow::Ok(follow.until_the_end(&taken).await)
    })?;
    report::print(&state, &host, args)?;
    Ok(exit)
}

fn usage(error: &anyhow::Error) -> Exit {
    say(format_args!("error: {error:#}"));
    Exit::Usage
}

fn wishes(args: &RunArgs) -> Wishes {
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
        timeout: args.timeout,
        live: !args.quiet && args.color.applies(stderr),
        escape: Escape {
            stdout: if is_text { stdout } else { stderr },
            stderr,
        },
    }
}

fn builder(args: &RunArgs, config: &Config, slots: u32) -> anyhow::Result<wasmjob::HostBuilder> {
    let mut builder = Host::builder().compiler(worker::compiler());
    for alias in config
        .aliases()?
        .into_iter()
        .chain(args.aliases.iter().cloned())
    {
        builder = builder.alias(alias);
    }
    for dir in config.allow_host_path.iter().chain(&args.host_paths) {
        builder = builder
            .allow_host_path(dir)
            .with_context(|| format!("--allow-host-path {}", dir.display()))?;
    }
    let cache = args
        .cache_dir
        .clone()
        .or_else(default_cache)
        .filter(|_| !args.no_cache);
    if let Some(dir) = cache {
        builder = builder.cache_dir(dir);
    }
    if let Some(seed) = args.seed {
        builder = builder.seed(seed);
    }
    if let Some(threads) = args.threads {
        builder = builder.threads(threads);
    }
    if let Some(memory_bytes) = args.memory {
        builder = builder.memory(memory_bytes);
    }
    let mut limits = Limits::default();
    limits.guests = slots.min(limits.guests);
    if let Some(memory_bytes) = args.default_memory {
        limits.memory_bytes = memory_bytes.min(limits.memory_bytes_max);
    }
    Ok(builder.limits(limits))
}

/// Slots of the pool of instances that the manifest can make use of. A pool costs
/// start-up time by its size, and most runs need a small one.
fn slots(manifest: &Manifest) -> u32 {
    const LEAST: u32 = 16;
    let of = |object: &Object| {
        let (_, spec) = pod_spec(object)?;
        let containers = spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len);
        let pods = match object {
            Object::Job(job) => job
                .spec
                .as_ref()
                .and_then(|spec| spec.parallelism)
                .unwrap_or(1),
            Object::Pod(_) | Object::CronJob(_) => 1,
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

/// Images that nothing stands for or whose file cannot be read: nothing could
/// ever run, so nothing is started. Modules that are there and cannot run make
/// their pods fail, as everywhere.
fn missing_images(host: &Host, manifest: &Manifest) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut missing = Vec::new();
    for loaded in &manifest.objects {
        let base = base(loaded);
        let Some((path, spec)) = pod_spec(&loaded.object) else {
            continue;
        };
        let init = spec
            .init_containers
            .iter()
            .flatten()
            .map(|c| ("initContainers", c));
        let main = spec.containers.iter().map(|c| ("containers", c));
        for (list, container) in init.chain(main) {
            let image = container.image.as_deref().unwrap_or_default();
            if !seen.insert((base.clone(), image.to_owned())) {
                continue;
            }
            if let Err(error) = host.locate(image, &base) {
                missing.push(format!(
                    "error: {}:{}: {path}.{list}[{}].image: {error}",
                    loaded.file, loaded.at, container.name
                ));
            }
        }
    }
    missing
}

fn pod_spec(object: &Object) -> Option<(&'static str, &PodSpec)> {
    match object {
        Object::Job(job) => Some((
            "spec.template.spec",
            job.spec.as_ref()?.template.spec.as_ref()?,
        )),
        Object::Pod(pod) => Some(("spec", pod.spec.as_ref()?)),
        Object::CronJob(_) => None,
    }
}

fn base(loaded: &Loaded) -> PathBuf {
    Path::new(&loaded.file)
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}
