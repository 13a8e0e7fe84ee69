//! The engine's configuration: one constructor, so that every engine of the process has the same settings and limits.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipepost_core::Limits;
use wasmtime::{Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache;

/// The options of an engine.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// The limits of every instance.
    pub limits: Limits,
    /// The directory in which compiled code is kept. Without one, every process compiles anew.
    pub cache: Option<PathBuf>,
    /// A receiver of the memory of instances that are done; usually none.
    pub memory_dumps: Option<MemoryDumps>,
    /// A receiver of the amount of work that instances did; usually none, because counting makes them slower.
    pub fuel_meter: Option<FuelMeter>,
    /// An observer of connectors that are stopped.
    pub observer: Option<Arc<dyn StopObserver>>,
    /// What makes the code executable that was compiled before, where it may lie in memory that is not wasmtime's own.
    pub code_memory: Option<CodeMemory>,
}

/// The reason why a connector was stopped in the middle of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// It used more CPU time than it may.
    Cpu,
    /// It wanted more memory than it may have.
    Memory,
    /// Its calls nest too deeply.
    Stack,
    /// It broke the contract with its host.
    Contract,
    /// It gave up (a panic or an abort), or did what no instruction may.
    Trap,
}

impl StopReason {
    /// Returns the name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Contract => "contract",
            Self::Trap => "trap",
        }
    }
}

/// An observer of connectors that are stopped. It is called on the run's own task, so it should be quick.
pub trait StopObserver: Send + Sync + fmt::Debug {
    /// Receives that a connector was stopped.
    fn stopped(&self, connector: &str, reason: StopReason);
}

/// A callback that receives how much fuel each batch burnt, with the connector's name. Fuel is about the number of
/// WebAssembly instructions that the instance executed, and is the same on every machine. It is for tests, which cannot
/// measure time.
#[derive(Clone)]
pub struct FuelMeter(Arc<Told>);

type Told = dyn Fn(&str, u64) + Send + Sync;

impl FuelMeter {
    /// Makes a meter that calls `told`. It is called on the run's own task and should be quick.
    pub fn new(told: impl Fn(&str, u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    pub(super) fn tell(&self, connector: &str, fuel: u64) {
        (self.0)(connector, fuel);
    }
}

impl fmt::Debug for FuelMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FuelMeter")
    }
}

/// A callback that receives the whole linear memory of every instance that has performed, as it was when the instance
/// was done or was stopped, with the connector's name. It is for tests and for the analysis of failures.
///
/// The memory of an instance whose run ended before it did is not passed on, because its store is dropped at once.
#[derive(Clone)]
pub struct MemoryDumps(Arc<Look>);

type Look = dyn Fn(&str, &[u8]) + Send + Sync;

impl MemoryDumps {
    /// Makes a receiver that calls `look` with the connector's name and the memory. It is called on the run's own task
    /// and should be quick.
    pub fn new(look: impl Fn(&str, &[u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    pub(super) fn show(&self, connector: &str, memory: &[u8]) {
        (self.0)(connector, memory);
    }
}

impl fmt::Debug for MemoryDumps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryDumps")
    }
}

/// What makes pages of machine code executable in place of wasmtime.
#[derive(Clone)]
pub struct CodeMemory(pub Arc<dyn wasmtime::CustomCodeMemory>);

impl fmt::Debug for CodeMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeMemory")
    }
}

/// How often the epoch advances: the precision of [`Limits::cpu`] and the longest that a busy instance keeps its thread.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What the machine code depends on: the same for every engine that runs connectors and for
/// [`precompile`](super::precompile). Whoever adds a setting that changes the code adds it here.
pub(super) fn of_code() -> Config {
    let mut config = Config::new();
    // Only what our contract needs, and only wasmtime's tier 1: a feature that is off cannot have a bug that matters.
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_tail_call(false);
    config.wasm_extended_const(true);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    config
}

/// The one constructor of an engine that runs connectors.
pub(super) fn engine(options: &EngineOptions) -> wasmtime::Result<wasmtime::Engine> {
    let mut config = configuration(options)?;
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(&options.limits)));
    wasmtime::Engine::new(&config).or_else(|error| {
        // The pool reserves addresses for every instance there may be, 4 GiB each, and a process may be allowed fewer.
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        tracing::info!("instances of connectors are allocated one by one: {error:#}");
        wasmtime::Engine::new(&config)
    })
}

fn configuration(options: &EngineOptions) -> wasmtime::Result<Config> {
    let mut config = of_code();
    // Counting fuel changes the code, too: an engine that counts compiles anew.
    config.consume_fuel(options.fuel_meter.is_some());
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(1 << 20);
    // A trap's core dump is the one way to an instance's memory without unsafe code.
    config.coredump_on_trap(options.memory_dumps.is_some());
    if let Some(directory) = &options.cache {
        match cache::secure(directory) {
            Ok(()) => {
                let mut cache = CacheConfig::new();
                cache.with_directory(directory);
                config.cache(Some(Cache::new(cache)?));
            }
            Err(why) => tracing::warn!(
                "The cache of compiled connectors, {}, is not used: {why}.",
                directory.display()
            ),
        }
    }
    config.with_custom_code_memory(options.code_memory.clone().map(|memory| memory.0));
    Ok(config)
}

fn pooling(limits: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // A component of ours is one core module and the two small ones that `wit-component` wraps around it.
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances * 4)
        .max_core_instances_per_component(4)
        .total_memories(limits.instances)
        .max_memories_per_component(1)
        .total_tables(limits.instances * 2)
        .max_tables_per_component(2)
        .total_stacks(limits.instances)
        .table_elements(20_000)
        .max_memory_size(limits.memory)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_unused_warm_slots(8);
    pool
}
