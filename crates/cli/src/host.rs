//! From flags and the config file to a host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use wasmjob::api::k8s_openapi::api::core::v1::PodSpec;
use wasmjob::api::manifest::{Loaded, Manifest, Object};
use wasmjob::{
    Host, HostBuilder, ImageLimits, Limits, NodeCredentials, Proxies, RegistriesConfig, Signatures,
    docker_config_file,
};

use crate::args::{HostArgs, RegistryArgs};
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
    for destination in config.allow_net.iter().chain(&args.allow_net) {
        builder = builder.allow_net(destination.clone());
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
    if !args.no_pull && !config.images.no_pull {
        builder = builder.registries(registries(&args.registry, config)?);
    }
    let mut limits = Limits::default();
    adjust(&mut limits);
    if let Some(memory_bytes) = args.default_memory.or(config.default_memory) {
        limits.memory_bytes = memory_bytes.min(limits.memory_bytes_max);
    }
    Ok(builder.limits(limits))
}

/// What flags, else the config file, say about registries.
pub(crate) fn registries(args: &RegistryArgs, config: &Config) -> anyhow::Result<RegistriesConfig> {
    let own = &config.images;
    let mut mirrors = own.mirrors.clone();
    for (registry, mirror) in &args.mirrors {
        mirrors
            .entry(registry.clone())
            .or_default()
            .push(mirror.clone());
    }
    let dir = |variable| {
        std::env::var_os(variable)
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    };
    let logged_in = || {
        let (docker_config, home) = (dir("DOCKER_CONFIG"), dir("HOME"));
        docker_config_file(docker_config.as_deref(), home.as_deref())
    };
    let mut limits = ImageLimits::default();
    if let Some(bytes) = args.image_disk.or(own.disk) {
        limits.disk_bytes = bytes;
    }
    let file = args
        .docker_config
        .clone()
        .or_else(|| own.docker_config.clone());
    Ok(RegistriesConfig {
        dir: args
            .image_dir
            .clone()
            .or_else(|| own.dir.clone())
            .unwrap_or_default(),
        plain_http: own
            .plain_http
            .iter()
            .chain(&args.plain_http)
            .cloned()
            .collect(),
        mirrors,
        signatures: signatures(args, config)?,
        proxies: Proxies::read(|name| std::env::var(name).ok())?,
        credentials: NodeCredentials {
            file: file.or_else(logged_in),
        },
        limits,
        ..RegistriesConfig::default()
    })
}

/// Which images must be signed.
fn signatures(args: &RegistryArgs, config: &Config) -> anyhow::Result<Signatures> {
    let mut signatures = Signatures::default();
    let own = config.images.verify_keys.iter();
    let own = own.flat_map(|(prefix, files)| files.iter().map(move |file| (prefix, file)));
    let given = args.verify_keys.iter().map(|(prefix, file)| (prefix, file));
    for (prefix, file) in own.chain(given) {
        let context = || format!("--verify-key {prefix}={}", file.display());
        let pem = std::fs::read_to_string(file).with_context(context)?;
        signatures.require(prefix, &pem).with_context(context)?;
    }
    Ok(signatures)
}

/// Images that nothing stands for or whose file cannot be read, as errors: their
/// pods could not run. Modules that are there and cannot run make
/// their pods fail, as everywhere. With `pull`, which is told of each, images of
/// registries are pulled; not those whose pods bring credentials of their own.
pub(crate) fn missing_images(
    host: &Host,
    manifest: &Manifest,
    pull: Option<&dyn Fn(&str)>,
) -> Vec<String> {
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
            let policy = container.image_pull_policy.as_deref();
            let never = policy == Some("Never");
            if !seen.insert((base.clone(), image.to_owned(), never)) {
                continue;
            }
            let has_own = spec
                .image_pull_secrets
                .as_ref()
                .is_some_and(|all| !all.is_empty());
            let found = match pull.filter(|_| !has_own) {
                Some(tell) => {
                    if host.must_pull(image, &base, policy) {
                        tell(image);
                    }
                    host.fetch(image, &base, policy)
                }
                None => host.locate(image, &base),
            };
            if let Err(error) = found {
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
