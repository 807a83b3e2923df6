//! wasi-nn for wasmtime hosts, answered by nn-daemon: the host links no ML framework, and a `compute` never
//! blocks its executor. Both ABIs are offered: `wasi:nn@0.2.0-rc-2024-10-28` to components, and
//! `wasi_ephemeral_nn` to core modules ([`witx`]).
//!
//! For components:
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
//! // The largest lists that a guest may hand over in one call: a tensor or a model beyond it traps, so it
//! // is to be above what GuestLimits allows; those are refused without a trap.
//! store.set_hostcall_fuel(257 << 20);
//! let component = Component::from_file(&engine, "guest.wasm")?;
//! let instance = linker.instantiate_async(&mut store, &component).await?;
//! # let _ = instance;
//! # Ok(())
//! # }
//! ```
//!
//! For core modules:
//!
//! ```no_run
//! use nn_client::{Client, socket_path};
//! use nn_host_shim::WasiNnCtx;
//! use nn_host_shim::witx::{self, Dialect, WitxCtx};
//! use nn_tensor::Tenant;
//! use wasmtime::{Engine, Linker, Module, Store};
//!
//! struct State {
//!     nn: WitxCtx,
//! }
//!
//! # async fn example() -> wasmtime::Result<()> {
//! let engine = Engine::default();
//! let mut linker = Linker::new(&engine);
//! witx::add_to_linker(&mut linker, |state: &mut State| &mut state.nn)?;
//!
//! let client = Client::new(socket_path(None), Tenant::default());
//! // Nothing in a module says which headers it was built with: the operator does.
//! let nn = WitxCtx::new(WasiNnCtx::new(client), Dialect::V06);
//! let mut store = Store::new(&engine, State { nn });
//! let module = Module::from_file(&engine, "guest.wasm")?;
//! let instance = linker.instantiate_async(&mut store, &module).await?;
//! # let _ = instance;
//! # Ok(())
//! # }
//! ```
//!
//! What a host can rely on:
//! - No input of a guest makes the host panic. A component's wrong handle traps, everything else is a
//!   wasi-nn error; a core module never traps in here.
//! - Tensors are copied once on their way in and once on their way out. A model that a guest loads from
//!   bytes is copied to the heap once, a piece at a time.
//! - What a guest holds has ceilings ([`GuestLimits`], and [`TenantQuota`] over all of a tenant's); all of it is freed when the store is dropped. A
//!   future dropped in the midst of a `compute` cancels it; the store is then to be thrown away.

mod arena;
mod bindings;
mod ctx;
mod host;
mod limits;
mod link;
mod model;
pub mod witx;

/// The page about hosts of one's own, so that its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;

pub use ctx::{WasiNnCtx, WasiNnCtxBuilder, WasiNnCtxView, WasiNnView};
pub use host::{ExecutionContext, Failure, GraphHandle, Tensor};
pub use limits::{GuestLimits, TenantLimits, TenantQuota};
pub use link::add_to_linker;
