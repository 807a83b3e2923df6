//! What a store holds for one guest: WASI, wasi-nn, and the limits of both.

use nn_client::Client;
use nn_host_shim::witx::{Dialect, WitxCtx};
use nn_host_shim::{GuestLimits, WasiNnCtx, WasiNnCtxView, WasiNnView};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::run::Config;

/// The most resources (tensors, files, streams …) a guest holds at once.
const RESOURCES_MAX: usize = 4096;

/// Instances, memories and tables of one guest.
const INSTANCES_MAX: usize = 128;

/// Elements of a table.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// What one call may carry besides a tensor.
const CALL_SLACK_BYTES: u64 = 1 << 20;

/// For a component.
pub(crate) struct State {
    wasi: WasiCtx,
    nn: WasiNnCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

/// For a core module.
pub(crate) struct CoreState {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) nn: WitxCtx,
    limits: StoreLimits,
}

fn nn(client: Client, config: &Config) -> WasiNnCtx {
    WasiNnCtx::builder(client)
        .limits(GuestLimits::default())
        .timeout(config.compute_timeout)
        .build()
}

fn limits(config: &Config) -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(config.memory_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .instances(INSTANCES_MAX)
        .tables(INSTANCES_MAX)
        .memories(INSTANCES_MAX)
        .build()
}

/// A guest that computes by itself yields at each tick of the epoch.
fn yielding<T: 'static>(mut store: Store<T>) -> Store<T> {
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

// === impl State ===

impl State {
    /// A store for one component.
    pub(crate) fn store(
        engine: &Engine,
        wasi: WasiCtx,
        client: Client,
        config: &Config,
    ) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let state = Self {
            wasi,
            nn: nn(client, config),
            table,
            limits: limits(config),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        let tensors = GuestLimits::default().tensor_bytes_max;
        let fuel = tensors.saturating_add(CALL_SLACK_BYTES);
        store.set_hostcall_fuel(usize::try_from(fuel).unwrap_or(usize::MAX));
        yielding(store)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiNnView for State {
    fn nn(&mut self) -> WasiNnCtxView<'_> {
        WasiNnCtxView {
            ctx: &mut self.nn,
            table: &mut self.table,
        }
    }
}

// === impl CoreState ===

impl CoreState {
    /// A store for one core module.
    pub(crate) fn store(
        engine: &Engine,
        wasi: WasiP1Ctx,
        client: Client,
        config: &Config,
    ) -> Store<Self> {
        let dialect: Dialect = config.dialect;
        let state = Self {
            wasi,
            nn: WitxCtx::new(nn(client, config), dialect),
            limits: limits(config),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        yielding(store)
    }
}
