//! The engine: compiled code, the pool of instances, the guest threads.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use wasmtime::{
    Config, Enabled, Inlining, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig,
    Strategy,
};

use crate::executor::Executor;
use crate::http::Common;
use crate::ticker::{Ticker, TickerThread};
use crate::{
    ComponentLinker, CoreLinker, Exits, Limits, LinkError, LiveUsage, RunHandle, Task, link, run,
};

/// The version of Wasmtime that this is built with.
pub const ENGINE_VERSION: &str = "48.0.8";

type CoreHook = Box<dyn Fn(&mut CoreLinker) -> Result<(), LinkError> + Send + Sync>;
type ComponentHook = Box<dyn Fn(&mut ComponentLinker) -> Result<(), LinkError> + Send + Sync>;

/// Configures an [`Engine`].
#[derive(Default)]
pub struct EngineBuilder {
    limits: Limits,
    threads: Option<NonZeroUsize>,
    core: Vec<CoreHook>,
    component: Vec<ComponentHook>,
    compile_only: bool,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Wasmtime refused the configuration, or the system refused address space.
    #[error("failed to set up the WebAssembly engine")]
    Engine(#[source] wasmtime::Error),
    /// The embedder's functions could not be linked.
    #[error("failed to define host functions")]
    Link(#[source] wasmtime::Error),
    /// Threads could not be started.
    #[error("failed to start the guest threads")]
    Threads(#[source] std::io::Error),
}

impl EngineBuilder {
    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the number of guest threads; all processors by default.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Offers more functions to core modules.
    #[must_use]
    pub fn core_functions(
        mut self,
        define: impl Fn(&mut CoreLinker) -> Result<(), LinkError> + Send + Sync + 'static,
    ) -> Self {
        self.core.push(Box::new(define));
        self
    }

    /// Offers more interfaces to components.
    #[must_use]
    pub fn component_interfaces(
        mut self,
        define: impl Fn(&mut ComponentLinker) -> Result<(), LinkError> + Send + Sync + 'static,
    ) -> Self {
        self.component.push(Box::new(define));
        self
    }

    /// Makes an engine that compiles and runs nothing: no pool, no address space.
    #[must_use]
    pub fn compile_only(mut self) -> Self {
        self.compile_only = true;
        self
    }

    /// Makes the engine and starts its threads.
    ///
    /// # Errors
    ///
    /// When the system refuses threads, or even the smallest pool; a smaller
    /// pool than asked for is no error, see [`Engine::capacity`].
    pub fn build(self) -> Result<Engine, EngineError> {
        let ticker = Ticker::new();
        let threads = self
            .threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let threads = if self.compile_only { 0 } else { threads };
        let executor = Executor::start(threads, self.limits.blocking_threads, Arc::clone(&ticker))
            .map_err(EngineError::Threads)?;
        let plain = Realm::new(&self, false)?;
        let inner = Arc::new(Inner {
            plain,
            metered: OnceLock::new(),
            http: Arc::new(Common::new(&self.limits)),
            builder: self,
            on_tick: OnceLock::new(),
        });
        let ticking = Arc::clone(&inner);
        let ticker_thread = ticker
            .start(move || ticking.tick())
            .map_err(EngineError::Threads)?;
        Ok(Engine(Arc::new(Shared {
            inner,
            executor,
            ticker,
            _ticker_thread: ticker_thread,
        })))
    }
}

/// How many guests fit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Slots; a further guest would find none.
    pub guests: u32,
    /// Whether instances come from a pool (fast) or are mapped one by one.
    pub pooled: bool,
}

/// Runs guests. Cheap to clone; the threads stop when the last clone is dropped.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    // Dropped first: no thread may use what follows.
    executor: Executor,
    _ticker_thread: TickerThread,
    ticker: Arc<Ticker>,
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    plain: Realm,
    /// Code that counts fuel is other code: made when the first task has a budget.
    metered: OnceLock<Realm>,
    builder: EngineBuilder,
    on_tick: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// For guests that make requests.
    http: Arc<Common>,
}

impl Inner {
    fn tick(&self) {
        self.plain.engine.increment_epoch();
        if let Some(metered) = self.metered.get() {
            metered.engine.increment_epoch();
        }
        if let Some(hook) = self.on_tick.get() {
            hook();
        }
    }
}

/// One Wasmtime engine with its linkers.
pub(crate) struct Realm {
    pub(crate) engine: wasmtime::Engine,
    pub(crate) core: CoreLinker,
    /// Made when the first component is linked: most hosts never see one.
    component: OnceLock<ComponentLinker>,
    capacity: Capacity,
}

impl Realm {
    fn new(builder: &EngineBuilder, metered: bool) -> Result<Self, EngineError> {
        let (engine, capacity) = engine(&builder.limits, metered, builder.compile_only)?;
        let mut core = CoreLinker::new(&engine);
        if !builder.compile_only {
            link::core(&mut core).map_err(EngineError::Link)?;
            for define in &builder.core {
                define(&mut core).map_err(EngineError::Link)?;
            }
        }
        Ok(Self {
            engine,
            core,
            component: OnceLock::new(),
            capacity,
        })
    }
}

impl Engine {
    /// Starts to configure an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.inner.builder.limits
    }

    /// How many guests fit at once.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.0.inner.plain.capacity
    }

    /// Calls `hook` at every tick: each millisecond while a guest computes, and
    /// at least once after one did. It must be quick. The first hook stays.
    pub fn on_tick(&self, hook: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.inner.on_tick.set(Box::new(hook));
    }

    /// Guests that have not ended.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.executor.live()
    }

    /// What all guests have used of the processors since the engine was made, and
    /// what those that run hold now.
    #[must_use]
    pub fn usage(&self) -> LiveUsage {
        self.0.executor.usage()
    }

    /// Starts `task`. Its end arrives at `exits` with `token`, always, once.
    pub fn start(&self, task: Task, exits: Arc<dyn Exits>, token: u64) -> RunHandle {
        let cell = self.0.executor.cell(exits, token, task.cpu);
        let deadline = task.deadline;
        let limits = self.limits();
        let http = Arc::clone(&self.0.inner.http);
        let future = run::run(task, Arc::clone(&cell), limits.clone(), http);
        self.0.executor.submit(&cell, Box::pin(future));
        // After it was submitted: a deadline that has passed kills at once, and
        // what is killed must be there to end.
        if let Some(deadline) = deadline {
            self.0.ticker.kill_at(deadline, &cell);
        }
        RunHandle { cell }
    }

    /// The linker of components.
    pub(crate) fn component_linker<'a>(
        &self,
        realm: &'a Realm,
    ) -> Result<&'a ComponentLinker, EngineError> {
        if let Some(linker) = realm.component.get() {
            return Ok(linker);
        }
        let mut linker = ComponentLinker::new(&realm.engine);
        link::component(&mut linker).map_err(EngineError::Link)?;
        for define in &self.0.inner.builder.component {
            define(&mut linker).map_err(EngineError::Link)?;
        }
        // Another thread may have been quicker; its linker serves as well.
        Ok(realm.component.get_or_init(|| linker))
    }

    pub(crate) fn realm(&self, metered: bool) -> Result<&Realm, EngineError> {
        if !metered {
            return Ok(&self.0.inner.plain);
        }
        if let Some(realm) = self.0.inner.metered.get() {
            return Ok(realm);
        }
        let realm = Realm::new(&self.0.inner.builder, true)?;
        // Another thread may have been quicker; its realm serves as well.
        Ok(self.0.inner.metered.get_or_init(|| realm))
    }
}

/// Makes the Wasmtime engine: the largest pool that the system allows, else instances on demand.
fn engine(
    limits: &Limits,
    metered: bool,
    compile_only: bool,
) -> Result<(wasmtime::Engine, Capacity), EngineError> {
    if !compile_only {
        let mut guests = limits.guests;
        while guests > 0 {
            let mut config = config(limits, metered).map_err(EngineError::Engine)?;
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits, guests)));
            match wasmtime::Engine::new(&config) {
                Ok(engine) => {
                    return Ok((
                        engine,
                        Capacity {
                            guests,
                            pooled: true,
                        },
                    ));
                }
                Err(error) => {
                    tracing::debug!(guests, error = %format_args!("{error:#}"), "no pool of this size");
                }
            }
            guests /= 4;
        }
    }
    let mut config = config(limits, metered).map_err(EngineError::Engine)?;
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = wasmtime::Engine::new(&config).map_err(EngineError::Engine)?;
    Ok((
        engine,
        Capacity {
            guests: limits.guests.min(ON_DEMAND_GUESTS_MAX),
            pooled: false,
        },
    ))
}

/// Without a pool every guest takes seven mappings, of which the kernel allows
/// 65,530 by default; beyond, allocations of the host itself fail.
const ON_DEMAND_GUESTS_MAX: u32 = 4_000;

/// Bytes of a slot that stay mapped between guests and are wiped, not unmapped.
const KEEP_RESIDENT_BYTES: usize = 256 << 10;

fn pool(limits: &Limits, guests: u32) -> PoolingAllocationConfig {
    let memories = u32::try_from(limits.memories).unwrap_or(u32::MAX);
    let tables = u32::try_from(limits.tables).unwrap_or(u32::MAX);
    let instances = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    // Core instances are only counted, so every guest may have all it is allowed.
    pool.total_core_instances(guests.saturating_mul(instances))
        .total_component_instances(guests)
        .total_memories(guests)
        .total_tables(guests.saturating_mul(2))
        .total_stacks(guests)
        .max_memory_size(usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX))
        .table_elements(limits.table_elements)
        .max_core_instance_size(limits.core_instance_bytes)
        .max_component_instance_size(limits.component_instance_bytes)
        .max_core_instances_per_component(instances)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .max_memories_per_module(1)
        .max_tables_per_module(tables)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(32 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn config(limits: &Limits, metered: bool) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        .max_wasm_stack(limits.wasm_stack_bytes)
        .async_stack_size(limits.async_stack_bytes)
        // A stack slot serves one tenant after another.
        .async_stack_zeroing(true)
        // One more, to say that there are more, and one that may be ours.
        .wasm_backtrace_max_frames(NonZeroUsize::new(limits.backtrace_frames + 2))
        .parallel_compilation(true)
        .compiler_inlining(Inlining::No)
        .debug_info(false)
        // Off: everything that toolchains for WASI do not emit by default. The
        // proposals behind Cargo features (threads, gc, stack switching) are not
        // even compiled in.
        .wasm_memory64(false)
        // On for the code that joins components; `scan` allows modules one memory.
        .wasm_multi_memory(true)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_relaxed_simd(false)
        .wasm_component_model_memory64(false);
    if metered {
        // Fuel is a promise of sameness: no bit may depend on the machine.
        config
            .consume_fuel(true)
            .operator_cost(operator_cost())
            .cranelift_nan_canonicalization(true)
            // Initialising memory costs fuel only where it is not copied on write.
            .memory_init_cow(false);
    }
    Ok(config)
}

/// Wasmtime's costs, and one for growing, which is free there.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::default();
    cost.variable.memory_grow_per_page = 200;
    cost
}

#[cfg(test)]
mod tests {
    /// The crate does not say its version itself.
    #[test]
    fn the_engines_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!(
            "name = \"wasmtime\"\nversion = \"{}\"\n",
            super::ENGINE_VERSION
        );
        assert!(
            lock.contains(&entry),
            "Cargo.lock has another version of wasmtime"
        );
    }
}
