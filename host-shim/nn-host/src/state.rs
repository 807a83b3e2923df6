//! What a store holds for one guest: WASI, wasi-nn, and the limits of both.

use std::time::Duration;

use nn_client::Client;
use nn_host_shim::witx::{Dialect, WitxCtx};
use nn_host_shim::{GuestLimits, WasiNnCtx, WasiNnCtxView, WasiNnView};
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use crate::bounds::Bounds;
use crate::clock::Ticking;
use crate::turns::take_turns;

/// The most resources (tensors, files, streams …) a command holds at once.
pub(crate) const COMMAND_RESOURCES_MAX: usize = 4096;

/// The same for a guest that answers one request: there may be many of these.
pub(crate) const REQUEST_RESOURCES_MAX: usize = 256;

/// What the headers that one resource holds may take in this process.
const FIELDS_BYTES_MAX: usize = 32 << 10;

/// What one call may carry besides a tensor.
const CALL_SLACK_BYTES: usize = 1 << 20;

/// The most that a guest hands over of an answer's body in one piece; three of them may wait.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// What an operator can set for each guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceilings {
    /// Linear memory, all of it together, in bytes.
    pub(crate) memory_max: usize,
    /// How long one compute may take.
    pub(crate) compute_timeout: Duration,
}

/// For a component, be it a command or one that answers HTTP.
pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    requests: NoRequests,
    nn: WasiNnCtx,
    table: ResourceTable,
    bounds: Bounds,
    _ticking: Ticking,
}

/// For a core module.
pub(crate) struct CoreState {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) nn: WitxCtx,
    bounds: Bounds,
    _ticking: Ticking,
}

/// What sending a request would come to.
type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// No guest sends requests of its own: it would reach what this machine reaches.
struct NoRequests;

/// wasi-nn for a guest that has a run of its own.
pub(crate) fn nn(client: Client, ceilings: Ceilings) -> WasiNnCtx {
    WasiNnCtx::builder(client)
        .limits(GuestLimits::default())
        .timeout(ceilings.compute_timeout)
        .build()
}

/// What one call may carry: a tensor, which lies in the guest's memory.
fn call_bytes_max(ceilings: Ceilings) -> usize {
    let tensor = GuestLimits::default().tensor_bytes_max;
    let tensor = usize::try_from(tensor).unwrap_or(usize::MAX);
    tensor
        .min(ceilings.memory_max)
        .saturating_add(CALL_SLACK_BYTES)
}

/// A guest that computes by itself yields when its turn is over.
fn yielding<T: 'static>(mut store: Store<T>) -> Store<T> {
    take_turns(&mut store);
    store
}

// === impl State ===

impl State {
    /// A store for one component.
    pub(crate) fn store(
        engine: &Engine,
        (wasi, nn): (WasiCtx, WasiNnCtx),
        ceilings: Ceilings,
        resources_max: usize,
    ) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(resources_max);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES_MAX);
        let state = Self {
            wasi,
            http,
            requests: NoRequests,
            nn,
            table,
            bounds: Bounds::new(ceilings.memory_max),
            _ticking: Ticking::begin(),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.bounds);
        store.set_hostcall_fuel(call_bytes_max(ceilings));
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

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.requests,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

// === impl NoRequests ===

impl WasiHttpHooks for NoRequests {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE_BYTES_MAX
    }
}

// === impl CoreState ===

impl CoreState {
    /// A store for one core module.
    pub(crate) fn store(
        engine: &Engine,
        wasi: WasiP1Ctx,
        client: Client,
        ceilings: Ceilings,
        dialect: Dialect,
    ) -> Store<Self> {
        let state = Self {
            wasi,
            nn: WitxCtx::new(nn(client, ceilings), dialect),
            bounds: Bounds::new(ceilings.memory_max),
            _ticking: Ticking::begin(),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.bounds);
        yielding(store)
    }
}
