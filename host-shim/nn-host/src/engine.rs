//! The wasmtime engine.

use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::clock;

/// What one instance of a pool may have of linear memories. Each takes 4 GiB of address space, used or not, so that code
/// needs no check of its bounds.
pub(crate) const MEMORIES_MAX: u32 = 4;

/// The same of tables, and of the elements of each.
const TABLES_MAX: u32 = 16;
const TABLE_ELEMENTS_MAX: usize = 1 << 17;

/// Core instances of one component's: interpreters are linked of many.
const CORE_INSTANCES_MAX: u32 = 128;

/// What a core instance takes besides its memories and tables.
const INSTANCE_BYTES_MAX: usize = 4 << 20;

/// Memory of an instance that stays resident for the next one: cleared by hand, which costs less than new pages.
const RESIDENT_BYTES: usize = 256 << 10;

/// An engine whose epoch advances while there are guests, and that keeps what it compiles if it has a cache. With a pool
/// for so many instances at a time, if one is wanted.
pub(crate) fn engine(
    cache: Option<Cache>,
    instances_max: Option<usize>,
) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    if let Some(instances) = instances_max {
        let pool = pool(u32::try_from(instances).unwrap_or(u32::MAX));
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    // Guests call one function at a time; the support for more costs every call.
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.cache(cache);
    let engine = Engine::new(&config)?;
    clock::watch(&engine)?;
    Ok(engine)
}

fn pool(instances: u32) -> PoolingAllocationConfig {
    let all = |each: u32| instances.saturating_mul(each);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(all(CORE_INSTANCES_MAX))
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_component_instance_size(INSTANCE_BYTES_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .total_memories(all(MEMORIES_MAX))
        .max_memories_per_component(MEMORIES_MAX)
        .total_tables(all(TABLES_MAX))
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .total_stacks(instances)
        .linear_memory_keep_resident(RESIDENT_BYTES)
        .table_keep_resident(RESIDENT_BYTES);
    pool
}
