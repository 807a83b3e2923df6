//! wasi-nn (`wasi:nn@0.2.0-rc-2024-10-28`) for wasmtime hosts, answered by nn-daemon: the host links no ML
//! framework, and a `compute` never blocks its executor.
//!
//! ```no_run
//! use nn_client::{Client, socket_path};
//! use nn_host_shim::{WasiNnCtx, WasiNnCtxView, WasiNnView, add_to_linker};
//! use nn_tensor::Tenant;
//! use wasmtime::component::{Component, Linker, ResourceTable};
//! use wasmtime::{Config, Engine, Store};
//!
//! struct State {
//!     nn: WasiNnCtx,
//!     table: ResourceTable,
//! }
//!
//! impl WasiNnView for State {
//!     fn nn(&mut self) -> WasiNnCtxView<'_> {
//!         WasiNnCtxView { ctx: &mut self.nn, table: &mut self.table }
//!     }
//! }
//!
//! # async fn example() -> wasmtime::Result<()> {
//! let mut config = Config::new();
//! config.concurrency_support(false);
//! let engine = Engine::new(&config)?;
//! let mut linker = Linker::new(&engine);
//! add_to_linker::<State>(&mut linker)?;
//!
//! // One client per tenant, shared by all guests of that tenant.
//! let client = Client::new(socket_path(None), Tenant::default());
//!
//! // One context per store.
//! let mut table = ResourceTable::new();
//! table.set_max_capacity(4096);
//! let mut store = Store::new(&engine, State { nn: WasiNnCtx::new(client), table });
//! // The largest list that a guest may hand over: a tensor beyond it traps.
//! store.set_hostcall_fuel(64 << 20);
//! let component = Component::from_file(&engine, "guest.wasm")?;
//! let instance = linker.instantiate_async(&mut store, &component).await?;
//! # let _ = instance;
//! # Ok(())
//! # }
//! ```
//!
//! What a host can rely on:
//! - No input of a guest makes the host panic; a wrong handle traps, everything else is a wasi-nn error.
//! - Tensors are copied once on their way in and once on their way out.
//! - What a guest holds has ceilings ([`GuestLimits`]); all of it is freed when the store is dropped. A
//!   future dropped in the midst of a `compute` cancels it; the store is then to be thrown away.

mod arena;
mod bindings;
mod ctx;
mod host;
mod limits;
mod link;

pub use ctx::{WasiNnCtx, WasiNnCtxBuilder, WasiNnCtxView, WasiNnView};
pub use host::{ExecutionContext, Failure, GraphHandle, Tensor};
pub use limits::GuestLimits;
pub use link::add_to_linker;
