//! From flags and the config file to a host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use wasmjob::api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob::api::manifest::{Loaded, Manifest, Object};
use wasmjob::{Host, HostBuilder, Limits};

use crate::args::HostArgs;
use crate::config::{Config, default_cache};
use crate::worker;

/// What `args` ask for, else `config`, else the defaults that `adjust` makes of
/// the crate's.
pub(crate) fn builder(
    args: &HostArgs,
    config: &Config,
    adjust: impl FnOnce(&mut Limits),
) -> anyhow::Result<HostBuilder> {
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
        .or_else(|| config.cache_dir.clone())
        .or_else(default_cache)
        .filter(|_| !args.no_cache && (args.cache_dir.is_some() || !config.no_cache));
    if let Some(dir) = cache {
        builder = builder.cache_dir(dir);
    }
    if let Some(threads) = args.threads.or(config.threads) {
        builder = builder.threads(threads);
    }
    if let Some(memory_bytes) = args.memory.or(config.memory) {
        builder = builder.memory(memory_bytes);
    }
    let mut limits = Limits::default();
    adjust(&mut limits);
    if let Some(memory_bytes) = args.default_memory.or(config.default_memory) {
        limits.memory_bytes = memory_bytes.min(limits.memory_bytes_max);
    }
    Ok(builder.limits(limits))
}

/// Images that nothing stands for or whose file cannot be read, as errors: their
/// pods could not run. Modules that are there and cannot run make
/// their pods fail, as everywhere.
pub(crate) fn missing_images(host: &Host, manifest: &Manifest) -> Vec<String> {
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

/// The pods of an object, and where their spec stands in it.
pub(crate) fn pod_spec(object: &Object) -> Option<(&'static str, &PodSpec)> {
    match object {
        Object::Job(job) => Some((
            "spec.template.spec",
            job.spec.as_ref()?.template.spec.as_ref()?,
        )),
        Object::Pod(pod) => Some(("spec", pod.spec.as_ref()?)),
        Object::CronJob(cron_job) => Some((
            "spec.jobTemplate.spec.template.spec",
            cron_job
                .spec
                .job_template
                .spec
                .as_ref()?
                .template
                .spec
                .as_ref()?,
        )),
        Object::Kept(_) => None,
    }
}

fn base(loaded: &Loaded) -> PathBuf {
    Path::new(&loaded.file)
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned)
}
