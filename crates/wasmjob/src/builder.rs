//! Configuring a host.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use wasmjob_api::network::Destination;
use wasmjob_api::schedule::Zone;
use wasmjob_image::{Alias, Compiler, Images, ImagesBuilder, Registries, RegistriesConfig};
use wasmjob_node::{
    Clock, HostPathPolicy, LogDir, LogLimits, NetworkPolicy, Node, NodeConfig, NodeParts,
    Resources, SystemClock, Urgency,
};
use wasmjob_sandbox::{ComponentLinker, CoreLinker, Engine, EngineBuilder, Limits, LinkError};
#[cfg(feature = "durable")]
use wasmjob_store::Directory;
use wasmjob_store::{Health, Key, Kind, Store};

use crate::clock::SteadyClock;
use crate::core::{Core, FinishedPods, Mailbox};
use crate::host::{HostNode, Threads};
use crate::memory_dir::MemoryDir;
use crate::objects::{StoreObjects, TokenMaker};
use crate::random::Random;
use crate::scratch::Scratch;
#[cfg(feature = "durable")]
use crate::secret_key::{self, SealedError};
use crate::{BuildError, Host};

/// Pods that have ended are kept up to this number (Kubernetes'
/// `--terminated-pod-gc-threshold`).
const FINISHED_PODS_MAX: usize = 12_500;

/// And up to so many bytes: as many pods with 20 KiB each, or five with a log of
/// full size.
const FINISHED_PODS_BYTES_MAX: u64 = 256 << 20;

/// Configures a [`Host`]. Everything has a default that suits a small device.
pub struct HostBuilder {
    images: ImagesBuilder,
    cache_dir: Option<PathBuf>,
    registries: Option<RegistriesConfig>,
    fail_on_terminal_pull: bool,
    engine: EngineBuilder,
    limits: Limits,
    threads: Option<NonZeroUsize>,
    capacity: Option<Resources>,
    memory_bytes: Option<u64>,
    scratch: Option<PathBuf>,
    host_paths: HostPathPolicy,
    network: NetworkPolicy,
    logs: LogLimits,
    seed: Option<u64>,
    node_name: String,
    data_dir: Option<PathBuf>,
    #[cfg(feature = "durable")]
    secret_key_file: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    zone: Zone,
    finished_pods: usize,
    finished_pods_bytes: u64,
}

impl Default for HostBuilder {
    fn default() -> Self {
        Self {
            images: Images::builder(),
            cache_dir: None,
            registries: None,
            fail_on_terminal_pull: false,
            engine: Engine::builder(),
            limits: Limits::default(),
            threads: None,
            capacity: None,
            memory_bytes: None,
            scratch: None,
            host_paths: HostPathPolicy::default(),
            network: NetworkPolicy::default(),
            logs: LogLimits::default(),
            seed: None,
            node_name: "wasmjob".to_owned(),
            data_dir: None,
            #[cfg(feature = "durable")]
            secret_key_file: None,
            clock: Arc::new(SystemClock),
            zone: Zone::utc(),
            finished_pods: FINISHED_PODS_MAX,
            finished_pods_bytes: FINISHED_PODS_BYTES_MAX,
        }
    }
}

impl HostBuilder {
    /// Gives the module `bytes` the image name `name`.
    #[must_use]
    pub fn module(mut self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.images = self.images.bytes(name, bytes);
        self
    }

    /// Lets an image's name stand for a module in a file.
    #[must_use]
    pub fn alias(mut self, alias: Alias) -> Self {
        self.images = self.images.alias(alias);
        self
    }

    /// Keeps compiled modules in `dir`, from one process to the next.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        self.cache_dir = Some(dir.clone());
        self.images = self.images.cache_dir(dir);
        self
    }

    /// Lets images come from registries; without this, the network is never asked. They
    /// are kept in `config.dir`, or, if that is empty, in `images` below the data directory,
    /// the cache directory, or the scratch directory.
    #[must_use]
    pub fn registries(mut self, config: RegistriesConfig) -> Self {
        self.registries = Some(config);
        self
    }

    /// Lets a pod fail whose image cannot be had, however often one tries: there is none,
    /// or it cannot be used. By default it waits, as in Kubernetes. A pod's annotation
    /// `wasmjob.dev/image-pull-terminal` (`fail` or `wait`) says otherwise.
    #[must_use]
    pub fn fail_on_terminal_pull(mut self, fail: bool) -> Self {
        self.fail_on_terminal_pull = fail;
        self
    }

    /// Chooses how modules that may be expensive to compile are compiled. By
    /// default they are refused: a crate has no program of its own that it could
    /// let die of a hostile module.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.images = self.images.compiler(compiler);
        self
    }

    /// Offers functions to core modules. They run under the guest's deadline:
    /// an async one is dropped when the guest is killed; one that blocks its
    /// thread cannot be, and should ask [`crate::Guest::must_stop`].
    #[must_use]
    pub fn core_functions(
        mut self,
        define: impl Fn(&mut CoreLinker) -> Result<(), LinkError> + Send + Sync + 'static,
    ) -> Self {
        self.engine = self.engine.core_functions(define);
        self
    }

    /// Offers interfaces to components; see [`HostBuilder::core_functions`].
    #[must_use]
    pub fn component_interfaces(
        mut self,
        define: impl Fn(&mut ComponentLinker) -> Result<(), LinkError> + Send + Sync + 'static,
    ) -> Self {
        self.engine = self.engine.component_interfaces(define);
        self
    }

    /// Sets what guests may use.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of threads that run guests; by default one per processor.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets what pods' requests are admitted against; by default all processors
    /// and 80 % of the memory.
    #[must_use]
    pub fn capacity(mut self, capacity: Resources) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Sets only the memory that pods' requests are admitted against, in bytes.
    #[must_use]
    pub fn memory(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = Some(memory_bytes);
        self
    }

    /// Sets where emptyDirs stand; by default in a directory of this host's own
    /// below the system's temporary directory, which goes with the host.
    #[must_use]
    pub fn scratch_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.scratch = Some(dir.into());
        self
    }

    /// Lets pods have hostPath volumes below `dir`.
    ///
    /// # Errors
    ///
    /// When it is not a directory.
    pub fn allow_host_path(mut self, dir: &Path) -> std::io::Result<Self> {
        self.host_paths.allow(dir)?;
        Ok(self)
    }

    /// Lets pods connect to `destination` whose template's annotation
    /// `wasmjob.dev/allow-net` asks for it. By default none may connect to anything.
    #[must_use]
    pub fn allow_net(mut self, destination: Destination) -> Self {
        self.network.allowed.push(destination);
        self
    }

    /// Sets how much of the logs is kept.
    #[must_use]
    pub fn logs(mut self, logs: LogLimits) -> Self {
        self.logs = logs;
        self
    }

    /// Makes UIDs and generated names repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the node's name, which pods see as `spec.nodeName`.
    #[must_use]
    pub fn node_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node_name);
        self
    }

    /// Keeps all objects and logs in `dir`, from one process to the next; without
    /// this they are in memory. The directory is made if it is not there, and is this
    /// host's alone.
    #[cfg(feature = "durable")]
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Encrypts the Secrets in the data directory with the key in `path`: 64 hexadecimal
    /// digits. The file is made if it is not there and nothing is encrypted yet, and
    /// must not stand in the data directory. Secrets that were kept plain are encrypted
    /// when the host starts.
    #[cfg(feature = "durable")]
    #[must_use]
    pub fn secret_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.secret_key_file = Some(path.into());
        self
    }

    /// Sets how many pods that have ended are kept, oldest removed first; by
    /// default 12,500 as in Kubernetes. What Jobs say of them stays.
    #[must_use]
    pub fn finished_pods(mut self, max: usize) -> Self {
        self.finished_pods = max;
        self
    }

    /// Sets how many bytes the pods that have ended may take, oldest removed first;
    /// by default 256Mi. What counts is about what a pod's row takes in memory, and
    /// its logs in a [data directory](HostBuilder::data_dir).
    #[must_use]
    pub fn finished_pods_bytes(mut self, max: u64) -> Self {
        self.finished_pods_bytes = max;
        self
    }

    /// Sets the time zone of CronJobs that name none; by default, UTC.
    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Sets where the time comes from; by default, from the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the host.
    ///
    /// # Errors
    ///
    /// When the system refuses threads, address space or the scratch directory,
    /// or the store or the logs in the data directory cannot be opened.
    pub fn build(self) -> Result<Host, BuildError> {
        let store = match &self.data_dir {
            #[cfg(feature = "durable")]
            Some(dir) => match &self.secret_key_file {
                None => Store::open(Directory::lock(dir)?)?,
                Some(key) => secret_key::open(dir, key).map_err(|error| match error {
                    SealedError::Key(error) => BuildError::Key(error),
                    SealedError::Store(error) => BuildError::Store(error),
                })?,
            },
            _ => Store::new(),
        };
        self.build_on(store)
    }

    /// Starts the host on a store that was opened.
    pub(crate) fn build_on(self, store: Store) -> Result<Host, BuildError> {
        // Not the UIDs of the process before.
        let drawn = store.revision().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let random = Random::new(self.seed.map(|seed| seed.wrapping_add(drawn)));
        // Only now is the data directory ours.
        let own = self.data_dir.as_deref().map(Scratch::of_data_dir);
        let scratch = Scratch::make(self.scratch.or(own.transpose()?))?;
        let kept = self.data_dir.as_deref();
        let memory = MemoryDir::find(kept.or(scratch.is_own().then(|| scratch.path())));
        let mut engine = self.engine.limits(self.limits.clone());
        if let Some(threads) = self.threads {
            engine = engine.threads(threads);
        }
        let engine = engine.build()?;
        let mut images = self.images;
        if let Some(mut config) = self.registries {
            if config.dir.as_os_str().is_empty() {
                let base = self.data_dir.as_deref().or(self.cache_dir.as_deref());
                config.dir = base.unwrap_or(scratch.path()).join("images");
            }
            images = images.registries(Arc::new(Registries::new(config)));
        }
        let images = Arc::new(images.build(engine.clone()));
        let clock = Arc::new(SteadyClock::start(self.clock));
        let mailbox = Arc::new(Mailbox::default());
        let mut capacity = self
            .capacity
            .unwrap_or_else(|| machine(engine.capacity().guests));
        if let Some(memory_bytes) = self.memory_bytes {
            capacity.memory_bytes = memory_bytes;
        }
        let waker = Arc::clone(&mailbox);
        let ticked = Arc::clone(&mailbox);
        engine.on_tick(move || ticked.tick());
        let node_name: Arc<str> = Arc::from(self.node_name);
        let own_port = Arc::clone(&self.network.own_port);
        // Without a data directory they go with the host, as everything does.
        let claims = self
            .data_dir
            .as_deref()
            .unwrap_or(scratch.path())
            .join("volumes");
        // A container without a limit must still fit beside another one.
        let default_memory_bytes = self.limits.memory_bytes.min(capacity.memory_bytes / 2);
        let config = NodeConfig {
            name: Arc::clone(&node_name),
            capacity,
            default_memory_bytes,
            scratch: scratch.path().to_owned(),
            memory_scratch: memory.as_ref().map(|it| it.path().to_owned()),
            claims: claims.clone(),
            host_paths: self.host_paths.clone(),
            network: self.network,
            logs: self.logs,
            log_dir: self.data_dir.as_deref().map(|dir| log_dir(dir, &store)),
            fail_on_terminal_pull: self.fail_on_terminal_pull,
        };
        let tokens = TokenMaker::default();
        let parts = NodeParts {
            engine,
            images: Arc::clone(&images),
            objects: Arc::new(StoreObjects::new(store.clone(), Arc::clone(&tokens))),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            wake: Arc::new(move |urgency| match urgency {
                Urgency::Now => waker.wake(),
                Urgency::NextTick => waker.wake_at_tick(),
            }),
        };
        let node = Node::new(config, parts)?;
        let logs = node.logs().clone();
        let seen = Arc::clone(&mailbox);
        store.on_visible(move || seen.wake());
        let zone = self.zone.clone();
        let core = Core::new(
            store.clone(),
            node,
            Arc::clone(&clock),
            random,
            Arc::clone(&mailbox),
            self.zone,
            FinishedPods::new(self.finished_pods, self.finished_pods_bytes),
        );
        let (ready, answer) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("wasmjob-host".to_owned())
            .spawn(move || core.run(ready))
            .map_err(BuildError::Thread)?;
        wait_until_visible(answer, &store);
        Ok(Host::new(
            Threads {
                mailbox,
                thread: Some(thread),
                _scratch: scratch,
                _memory: memory,
            },
            store,
            logs,
            images,
            HostNode {
                name: node_name,
                capacity,
                default_memory_bytes,
                host_paths: self.host_paths,
                clock,
                zone,
                own_port,
                claims,
                tokens,
            },
        ))
    }
}

/// The directory of logs below the data directory.
fn log_dir(data_dir: &Path, store: &Store) -> LogDir {
    let store = store.clone();
    LogDir {
        path: data_dir.join("logs"),
        // Not by the seed: guests may know that.
        secret: Random::new(None).uid().bits() as u64,
        find_pod: Arc::new(move |uid| {
            let key = Key {
                kind: Kind::Pod,
                uid,
            };
            store.get(key)?.object.as_pod().cloned()
        }),
    }
}

/// Waits until what a restart came to can be seen; not while nothing can be
/// stored, because that may take for ever.
fn wait_until_visible(mut answer: oneshot::Receiver<()>, store: &Store) {
    while let Err(TryRecvError::Empty) = answer.try_recv() {
        if store.health() != Health::Writable {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// What this machine has: its processors, and 80 % of its memory.
fn machine(guests: u32) -> Resources {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    let info = rustix::system::sysinfo();
    // The fields' widths differ between systems.
    let total = u128::from(info.totalram) * u128::from(info.mem_unit);
    let total = u64::try_from(total).unwrap_or(u64::MAX);
    Resources {
        cpu_milli: cores.saturating_mul(1000),
        memory_bytes: total / 5 * 4,
        // A quarter of the pool's slots stays free for probes and sidecars.
        pods: (guests / 4).saturating_mul(3).max(1),
    }
}
