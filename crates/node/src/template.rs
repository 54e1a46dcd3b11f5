//! What all pods of one template have in common, worked out once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmjob_api::k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Probe, VolumeMount};
use wasmjob_api::{Pod, PodTemplate};
use wasmjob_image::{Image, ImageError, Keyring, PullPolicy, Wanted};
use wasmjob_sandbox::{Cpu, Network};

use crate::NetworkPolicy;
use crate::downward::Downward;
use crate::environment::{BYTES_MAX, EnvError, Environment};
use crate::objects::ConfigKind;
use crate::pod::variable;
use crate::resources::{FUEL, Resources, cpu, limit};
use crate::restart::{Restart, RestartPolicy};
use crate::token::account_of;
use crate::volumes::split_termination_path;

/// The path that Kubernetes gives every container's termination message.
const TERMINATION_PATH: &str = "/dev/termination-log";

/// A pod's grace period where the spec gives none (`terminationGracePeriodSeconds`).
const GRACE: Duration = Duration::from_secs(30);

/// A template, read.
pub(crate) struct Prepared {
    pub(crate) template: Arc<PodTemplate>,
    pub(crate) init: Vec<ContainerSpec>,
    pub(crate) containers: Vec<ContainerSpec>,
    pub(crate) request: Resources,
    /// The more, the sooner it is admitted.
    pub(crate) priority: i32,
    /// Pods of lower priority may have to end for it.
    pub(crate) preempts: bool,
    pub(crate) active_deadline: Option<Duration>,
    pub(crate) grace: Duration,
    /// The sum of the containers' limits on scratch, if each has one.
    pub(crate) scratch_bytes_max: Option<u64>,
    /// The sum of the limits on memory of the containers that run together.
    pub(crate) memory_bytes_max: u64,
    pub(crate) has_volumes: bool,
    /// What it may reach, or why it may not run.
    pub(crate) network: Result<Option<Arc<Network>>, String>,
    /// The ConfigMaps and Secrets that it refers to, each once.
    pub(crate) configs: Vec<(ConfigKind, Arc<str>)>,
}

/// A container of a template, read.
pub(crate) struct ContainerSpec {
    pub(crate) object: Container,
    pub(crate) name: Arc<str>,
    pub(crate) restart: Restart,
    pub(crate) memory_bytes_max: u64,
    pub(crate) cpu: Cpu,
    pub(crate) fuel: Option<u64>,
    pub(crate) working_dir: Option<Arc<str>>,
    pub(crate) mounts: Vec<VolumeMount>,
    pub(crate) probes: Probes,
    /// `terminationMessagePolicy: FallbackToLogsOnError`.
    pub(crate) message_from_logs: bool,
    /// What is the same for every pod, if it is.
    fixed: Option<Fixed>,
}

/// Arguments and environment that no pod changes.
struct Fixed {
    /// Without `command`, the module's name is put in front.
    args: Arc<[String]>,
    env: Arc<[(String, String)]>,
    has_index: bool,
}

/// The probes of a container.
#[derive(Default)]
pub(crate) struct Probes {
    pub(crate) startup: Option<ProbeSpec>,
    pub(crate) readiness: Option<ProbeSpec>,
    pub(crate) liveness: Option<ProbeSpec>,
}

/// An exec probe.
#[derive(Clone)]
pub(crate) struct ProbeSpec {
    pub(crate) command: Arc<[String]>,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    pub(crate) success_threshold: u32,
    pub(crate) failure_threshold: u32,
}

impl ProbeSpec {
    fn of(probe: Option<&Probe>) -> Option<Self> {
        let probe = probe?;
        let command = probe.exec.as_ref()?.command.clone().unwrap_or_default();
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).unwrap_or(default))
        };
        let count = |value: Option<i32>, default| {
            value
                .and_then(|v| u32::try_from(v).ok())
                .filter(|v| *v > 0)
                .unwrap_or(default)
        };
        Some(Self {
            command: command.into(),
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1)),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        })
    }
}

impl Prepared {
    pub(crate) fn new(
        template: &Arc<PodTemplate>,
        default_memory_bytes: u64,
        network: &NetworkPolicy,
    ) -> Self {
        let spec = &template.spec;
        let policy =
            RestartPolicy::parse(spec.restart_policy.as_deref()).unwrap_or(RestartPolicy::Always);
        let read =
            |container: &Container| ContainerSpec::new(container, policy, default_memory_bytes);
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(0));
        let scratch: Option<Vec<u64>> = spec
            .containers
            .iter()
            .map(|c| limit(c.resources.as_ref(), "ephemeral-storage"))
            .collect();
        let init: Vec<_> = spec.init_containers.iter().flatten().map(read).collect();
        let containers: Vec<_> = spec.containers.iter().map(read).collect();
        let sidecars = init.iter().filter(|it| it.restart.is_always());
        let together = sidecars.chain(&containers).map(|it| it.memory_bytes_max);
        Self {
            template: Arc::clone(template),
            memory_bytes_max: together.fold(0, u64::saturating_add),
            init,
            containers,
            request: Resources::of_pod(spec, default_memory_bytes),
            // Nobody gives it but a class.
            priority: match spec.priority_class_name {
                Some(_) => spec.priority.unwrap_or_default(),
                None => 0,
            },
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            active_deadline: spec.active_deadline_seconds.map(seconds),
            grace: spec.termination_grace_period_seconds.map_or(GRACE, seconds),
            scratch_bytes_max: scratch
                .map(|all| all.iter().fold(0, |sum: u64, n| sum.saturating_add(*n))),
            network: network.of(template),
            has_volumes: spec.volumes.as_ref().is_some_and(|v| !v.is_empty()),
            configs: configs(spec),
        }
    }
}

impl ContainerSpec {
    fn new(container: &Container, policy: RestartPolicy, default_memory_bytes: u64) -> Self {
        let resources = container.resources.as_ref();
        Self {
            name: Arc::from(container.name.as_str()),
            restart: Restart::of(container, policy),
            memory_bytes_max: limit(resources, "memory").unwrap_or(default_memory_bytes),
            cpu: cpu(resources),
            fuel: limit(resources, FUEL),
            working_dir: container
                .working_dir
                .as_deref()
                .filter(|dir| !dir.is_empty())
                .map(Arc::from),
            mounts: container.volume_mounts.clone().unwrap_or_default(),
            probes: Probes {
                startup: ProbeSpec::of(container.startup_probe.as_ref()),
                readiness: ProbeSpec::of(container.readiness_probe.as_ref()),
                liveness: ProbeSpec::of(container.liveness_probe.as_ref()),
            },
            message_from_logs: container.termination_message_policy.as_deref()
                == Some("FallbackToLogsOnError"),
            fixed: Fixed::of(container),
            object: container.clone(),
        }
    }

    /// Where it is run: where it says, else where its image says.
    pub(crate) fn working_dir_in(&self, image: &Image) -> Option<Arc<str>> {
        let images = Some(image.config.working_dir.as_str()).filter(|dir| dir.starts_with('/'));
        self.working_dir.clone().or_else(|| images.map(Arc::from))
    }

    /// What is asked of its image.
    pub(crate) fn wanted<'a>(&'a self, base: &'a Path, keys: &'a Keyring) -> Wanted<'a> {
        let object = &self.object;
        let mut vars = object.env.iter().flatten();
        let path = vars.rfind(|var| var.name == "PATH");
        Wanted {
            metered: self.fuel.is_some(),
            mentions: self.termination_file(),
            policy: PullPolicy::parse(object.image_pull_policy.as_deref()),
            keys,
            command: object.command.iter().flatten().next().map(String::as_str),
            working_dir: self.working_dir.as_deref(),
            path: path.and_then(|var| var.value.as_deref()),
            ..Wanted::new(object.image.as_deref().unwrap_or_default(), base)
        }
    }

    /// The path of the termination message.
    pub(crate) fn termination_path(&self) -> &str {
        self.object
            .termination_message_path
            .as_deref()
            .filter(|path| !path.is_empty())
            .unwrap_or(TERMINATION_PATH)
    }

    /// The file's name in the termination message's path: what a module that
    /// writes one must mention.
    pub(crate) fn termination_file(&self) -> &str {
        split_termination_path(self.termination_path())
            .and_then(|(_, file)| file.to_str())
            .unwrap_or("")
    }

    /// Whether the container writes a termination message. WASI opens
    /// directories, not files, so giving every container one would cost every
    /// container a directory; only one whose path is not the default, or whose
    /// command or module names the file, gets it.
    pub(crate) fn wants_termination_file(&self, image: &Image) -> bool {
        let file = self.termination_file();
        if file.is_empty() {
            return false;
        }
        let c = &self.object;
        let words = c.command.iter().chain(&c.args).flatten();
        let values = c.env.iter().flatten().filter_map(|var| var.value.as_ref());
        self.termination_path() != TERMINATION_PATH
            || image.mentions
            || words.chain(values).any(|word| word.contains(file))
    }

    /// `argv`, the shared environment and this pod's own.
    pub(crate) fn invocation(
        &self,
        pod: &Pod,
        image: &Image,
        host_name: &str,
        downward: &Downward<'_>,
    ) -> Result<Invocation, EnvError> {
        let mut own = vec![("HOSTNAME".to_owned(), host_name.to_owned())];
        if let Some(fixed) = &self.fixed {
            if fixed.has_index
                && let Some(index) = pod.index
            {
                own.push((JOB_COMPLETION_INDEX.to_owned(), index.to_string()));
            }
            let args = match self.object.command.as_ref().is_some_and(|c| !c.is_empty()) {
                true => Arc::clone(&fixed.args),
                false => after_entrypoint(image, &fixed.args),
            };
            return Ok(Invocation {
                args,
                env: with_image_env(image, &fixed.env),
                own,
                skipped: Vec::new(),
            });
        }
        let mut env = Environment::of(&self.object, downward)?;
        let mut argv = Vec::new();
        let (command, args) = (&self.object.command, &self.object.args);
        let no_command = command.as_ref().is_none_or(Vec::is_empty);
        let mut bytes = 0;
        for word in command.iter().chain(args).flatten() {
            let word = env.expand(word, "arguments")?;
            bytes += word.len();
            if bytes > BYTES_MAX {
                return Err(EnvError::TooLarge("arguments"));
            }
            argv.push(word);
        }
        let args: Arc<[String]> = argv.into();
        let args = if no_command {
            after_entrypoint(image, &args)
        } else {
            args
        };
        // A HOSTNAME of the pod's own wins.
        if env.get("HOSTNAME").is_some() {
            own.clear();
        }
        let skipped = std::mem::take(&mut env.skipped);
        Ok(Invocation {
            args,
            env: with_image_env(image, &env.into_vars().into()),
            own,
            skipped,
        })
    }
}

/// How a container is called.
pub(crate) struct Invocation {
    pub(crate) args: Arc<[String]>,
    pub(crate) env: Arc<[(String, String)]>,
    pub(crate) own: Vec<(String, String)>,
    /// What was left out of the environment, as events say it.
    pub(crate) skipped: Vec<String>,
}

impl Invocation {
    /// A variable of its environment.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        variable(&self.env, &self.own, name)
    }
}

/// The variable that every container of an Indexed Job gets.
const JOB_COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";

/// The image's entry point and `args`; where there are none, the image's own.
fn after_entrypoint(image: &Image, args: &[String]) -> Arc<[String]> {
    let config = &image.config;
    let args = if args.is_empty() { &config.cmd } else { args };
    config.entrypoint.iter().chain(args).cloned().collect()
}

/// The image's variables, and the container's, which win.
fn with_image_env(image: &Image, env: &Arc<[(String, String)]>) -> Arc<[(String, String)]> {
    let own = &image.config.env;
    if own.is_empty() {
        return Arc::clone(env);
    }
    let replaced = |name: &str| env.iter().any(|(given, _)| given == name);
    let own = own.iter().filter(|(name, _)| !replaced(name));
    own.chain(env.iter()).cloned().collect()
}

/// The ConfigMaps and Secrets that a pod refers to.
fn configs(spec: &PodSpec) -> Vec<(ConfigKind, Arc<str>)> {
    let mut all = BTreeSet::new();
    let mut add = |kind, name: &str| all.insert((kind, Arc::from(name)));
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers) {
        for source in container.env_from.iter().flatten() {
            if let Some(reference) = &source.config_map_ref {
                add(ConfigKind::ConfigMap, &reference.name);
            }
            if let Some(reference) = &source.secret_ref {
                add(ConfigKind::Secret, &reference.name);
            }
        }
        let vars = container.env.iter().flatten();
        for source in vars.filter_map(|var| var.value_from.as_ref()) {
            if let Some(selector) = &source.config_map_key_ref {
                add(ConfigKind::ConfigMap, &selector.name);
            }
            if let Some(selector) = &source.secret_key_ref {
                add(ConfigKind::Secret, &selector.name);
            }
        }
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(source) = &volume.config_map {
            add(ConfigKind::ConfigMap, &source.name);
        }
        if let Some(name) = volume
            .secret
            .as_ref()
            .and_then(|it| it.secret_name.as_ref())
        {
            add(ConfigKind::Secret, name);
        }
        if let Some(source) = &volume.persistent_volume_claim {
            add(ConfigKind::Claim, &source.claim_name);
        }
        let sources = volume.projected.as_ref().and_then(|it| it.sources.as_ref());
        for source in sources.into_iter().flatten() {
            if source.service_account_token.is_some() {
                add(ConfigKind::Account, account_of(spec));
            }
            if let Some(source) = &source.config_map {
                add(ConfigKind::ConfigMap, &source.name);
            }
            if let Some(source) = &source.secret {
                add(ConfigKind::Secret, &source.name);
            }
        }
    }
    all.into_iter().collect()
}

impl Fixed {
    /// `None` if something depends on the pod. The completion index as a
    /// variable of its own, which every Indexed Job has, does not count.
    fn of(container: &Container) -> Option<Self> {
        let is_index = |var: &EnvVar| {
            let field = var
                .value_from
                .as_ref()
                .and_then(|source| source.field_ref.as_ref());
            var.name == JOB_COMPLETION_INDEX
                && field.is_some_and(|f| f.field_path.contains(crate::downward::COMPLETION_INDEX))
        };
        let vars = || container.env.iter().flatten();
        let has_index = vars().any(is_index);
        let words = container.command.iter().chain(&container.args).flatten();
        let refers = words
            .chain(vars().filter_map(|var| var.value.as_ref()))
            .any(|w| w.contains('$'));
        if refers
            || container
                .env_from
                .as_ref()
                .is_some_and(|all| !all.is_empty())
            || vars()
                .any(|var| var.value_from.is_some() && !is_index(var) || var.name == "HOSTNAME")
        {
            return None;
        }
        let words = container
            .command
            .iter()
            .chain(&container.args)
            .flatten()
            .cloned();
        let env: Vec<_> = vars()
            .filter(|var| !is_index(var))
            .map(|var| (var.name.clone(), var.value.clone().unwrap_or_default()))
            .collect();
        Some(Self {
            args: words.collect(),
            env: env.into(),
            has_index,
        })
    }
}

/// The images of a template's containers.
pub(crate) struct TemplateImages {
    /// For each init container, then for each container.
    pub(crate) images: Vec<Result<Image, Arc<ImageError>>>,
    /// What some of them are is to be looked up for each pod.
    pub(crate) moving: bool,
}
