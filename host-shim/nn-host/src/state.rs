//! What a store holds for one guest: WASI, wasi-nn, and the limits of both.

use nn_client::Client;
use nn_host_shim::{GuestLimits, WasiNnCtx, WasiNnCtxView, WasiNnView};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::run::Config;

/// The most resources (tensors, files, streams …) a guest holds at once.
const RESOURCES_MAX: usize = 4096;

/// Instances, memories and tables of one component.
const INSTANCES_MAX: usize = 128;

/// Elements of a table.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// What one call may carry besides a tensor.
const CALL_SLACK_BYTES: u64 = 1 << 20;

pub(crate) struct State {
    wasi: WasiCtx,
    nn: WasiNnCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

// === impl State ===

impl State {
    /// A store for one guest.
    pub(crate) fn store(
        engine: &Engine,
        wasi: WasiCtx,
        client: Client,
        config: &Config,
    ) -> Store<Self> {
        let guest = GuestLimits::default();
        let nn = WasiNnCtx::builder(client)
            .limits(guest)
            .timeout(config.compute_timeout)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let limits = StoreLimitsBuilder::new()
            .memory_size(config.memory_max)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(INSTANCES_MAX)
            .tables(INSTANCES_MAX)
            .memories(INSTANCES_MAX)
            .build();
        let state = Self {
            wasi,
            nn,
            table,
            limits,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        let fuel = guest.tensor_bytes_max.saturating_add(CALL_SLACK_BYTES);
        store.set_hostcall_fuel(usize::try_from(fuel).unwrap_or(usize::MAX));
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        store
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
