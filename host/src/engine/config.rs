//! The engine's configuration: one constructor, so that every engine of the process compiles and limits alike.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What a sandbox may use. Each limit ends the instance that goes past it, and the run's step with a failure of kind
/// `limit` that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: usize,
    /// CPU time of one `perform`, besides [`Limits::cpu_per_call`].
    pub cpu: Duration,
    /// CPU time of one `perform` for each of its calls.
    pub cpu_per_call: Duration,
    /// Instances alive at once in the process; further ones wait for a place.
    pub instances: u32,
    /// Bytes of JSON that one call may give or get.
    pub json: usize,
    /// Lines of log of one `perform`.
    pub log_lines: u32,
    /// Bytes of one log line; what is longer is cut.
    pub log_line: usize,
    /// Resources (connections, files) that one instance may hold at once.
    pub resources: usize,
    /// Bytes of files that one instance may make.
    pub new_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            cpu: Duration::from_secs(5),
            cpu_per_call: Duration::from_millis(50),
            instances: 1000,
            json: 32 << 20,
            log_lines: 1000,
            log_line: 4096,
            resources: 256,
            new_files: 1 << 30,
        }
    }
}

/// How an engine is made.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// What every instance may use.
    pub limits: Limits,
    /// Where compiled code is kept; none compiles anew in every process.
    pub cache: Option<PathBuf>,
    /// Keep the linear memory of an instance that traps. For tests and autopsies: the dump is as large as the memory.
    pub memory_dumps: bool,
}

/// How often the epoch advances: the precision of [`Limits::cpu`] and the longest that a busy instance keeps its thread.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// The one constructor of the configuration.
pub(super) fn configuration(options: &EngineOptions) -> wasmtime::Result<Config> {
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
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(1 << 20);
    config.coredump_on_trap(options.memory_dumps);
    config.memory_init_cow(true);
    if let Some(directory) = &options.cache {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache)?));
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(&options.limits)));
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
